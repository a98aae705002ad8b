"""Export to compressed-tensors: loaded by transformers alone it is the same model; what has no place there is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from golden.artifacts import sha256_file
from golden.errors import InputError
from quant.command import quantize
from quant.compressed_tensors import export
from quant.huggingface import load_quantized

pytest.importorskip("compressed_tensors")

#: In a process that never imports dint: transformers' own loader, its logits on some tokens.
LOADING = """
import sys, torch, transformers
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], local_files_only=True, dtype=torch.float32)
assert not {name.partition(".")[0] for name in sys.modules} & {"dint", "quant", "golden"}
with torch.no_grad():
    torch.save(model(input_ids=torch.load(sys.argv[2])).logits, sys.argv[3])
"""


def logits_elsewhere(directory: Path, tokens: torch.Tensor, scratch: Path) -> torch.Tensor:
    torch.save(tokens, scratch / "tokens.pt")
    arguments = [str(directory), str(scratch / "tokens.pt"), str(scratch / "logits.pt")]
    command = [sys.executable, "-c", LOADING, *arguments]
    result = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return torch.load(scratch / "logits.pt")


@pytest.mark.parametrize(
    ("family", "choices"),
    [
        ("tiny_directory", {"format": "int4"}),
        ("llama_directory", {"format": "int4", "form": "asymmetric", "group_size": 32}),
    ],
    ids=["OPT symmetric", "LLaMA asymmetric groups"],
)
def test_weights_only_is_the_same_model(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, family: str, choices: dict[str, Any]
) -> None:
    """Bit for bit: the weights are equal as real numbers, and so is what is computed with them."""
    model = request.getfixturevalue(family)
    quantize(str(model), out=tmp_path / "q", **choices, scaling="smoothquant", activations="fp32", table=False, quiet=True)
    export(tmp_path / "q", out=tmp_path / "ct", quiet=True)
    ours, _ = load_quantized(tmp_path / "q")
    with torch.no_grad():
        expected = ours(input_ids=windows).logits
    assert torch.equal(logits_elsewhere(tmp_path / "ct", windows, tmp_path), expected)
    export(tmp_path / "q", out=tmp_path / "again", quiet=True)
    for file in (tmp_path / "ct").iterdir():
        assert sha256_file(file) == sha256_file(tmp_path / "again" / file.name)


def test_integer_activations_differ_by_their_scale(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are near; with the library's step, max|x| / 127.5, they are the same but for ties in rounding."""
    model = request.getfixturevalue("llama_directory")
    quantize(str(model), out=tmp_path / "q", format="int4", scaling="none", table=False, quiet=True)
    described = export(tmp_path / "q", out=tmp_path / "ct", quiet=True)
    assert described["config_groups"]["group_0"]["input_activations"]["strategy"] == "token"
    found = logits_elsewhere(tmp_path / "ct", windows, tmp_path)
    quantized, _ = load_quantized(tmp_path / "q")

    def distance() -> float:
        with torch.no_grad():
            return float((quantized(input_ids=windows).logits - found).square().sum() / found.square().sum())

    def with_their_step(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scales = x.abs().amax(dim=-1) / 127.5
        return torch.round(x / scales[..., None]).clamp(-128, 127), scales

    ours = distance()
    monkeypatch.setattr("quant.layers.quantize_activations", with_their_step)
    assert distance() < 0.02 * ours
    assert ours < 0.01


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"format": "dint4"}, "its weights are dINT4, which compressed-tensors has no place for; quantize with int4"),
        ({"format": "fp4_e2m1"}, "its weights are FP4 E2M1"),
        ({"format": "int4", "value_format": "int4"}, r"no place for quantized values per channel \(value-format int4\)"),
    ],
    ids=["dINT4", "FP4", "V4"],
)
def test_what_has_no_place(tiny_directory: Path, tmp_path: Path, choices: dict[str, str], message: str) -> None:
    quantize(str(tiny_directory), out=tmp_path / "q", **choices, scaling="none", table=False, quiet=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message) as caught:
        export(tmp_path / "q", out=tmp_path / "ct", quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ct").exists()


def test_directories_that_cannot_be_exported(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="not quantized by dint"):
        export(tiny_directory, out=tmp_path / "ct", quiet=True)
    with pytest.raises(InputError, match="is the directory of the model itself"):
        export(tiny_directory, out=tiny_directory, quiet=True)
    monkeypatch.setitem(sys.modules, "compressed_tensors", None)
    with pytest.raises(InputError, match=r"^export: the package compressed-tensors is missing; pip install"):
        export(tiny_directory, out=tmp_path / "ct", quiet=True)
    assert not (tmp_path / "ct").exists()
