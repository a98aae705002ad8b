# SPDX-License-Identifier: Apache-2.0
"""Export to compressed-tensors: loaded by transformers alone it is the same model; what has no place there is refused."""

from __future__ import annotations

import json
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

#: In a process that never imports dint: transformers' own loader, and the logits of every model on some tokens.
LOADING = """
import sys, torch, transformers
tokens, *directories = sys.argv[1:]
for directory in directories:
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    with torch.no_grad():
        torch.save(model(input_ids=torch.load(tokens)).logits, f"{directory}.logits")
assert not {name.partition(".")[0] for name in sys.modules} & {"dint", "quant", "golden"}
"""
#: By name: family, and choices of the quantization.
EXPORTED: dict[str, tuple[str, dict[str, Any]]] = {
    "OPT symmetric": ("tiny", {"activations": "fp32", "scaling": "smoothquant"}),
    "LLaMA asymmetric groups": (
        "llama",
        {"activations": "fp32", "scaling": "smoothquant", "form": "asymmetric", "group_size": 32},
    ),
    "LLaMA INT8 activations": ("llama", {"scaling": "none"}),
}
WEIGHTS_ONLY = tuple(name for name, (_, choices) in EXPORTED.items() if "activations" in choices)


@pytest.fixture(scope="module")
def exported(
    tiny_directory: Path, llama_directory: Path, windows: torch.Tensor, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Folder with each of `EXPORTED`: quantized in `NAME.q`, exported in `NAME`, its logits there in `NAME.logits`."""
    folder = tmp_path_factory.mktemp("exported")
    models = {"tiny": tiny_directory, "llama": llama_directory}
    for name, (family, choices) in EXPORTED.items():
        quantize(str(models[family]), out=folder / f"{name}.q", format="int4", **choices, table=False, quiet=True)
        export(folder / f"{name}.q", out=folder / name, quiet=True)
    torch.save(windows, folder / "tokens.pt")
    command = [sys.executable, "-c", LOADING, str(folder / "tokens.pt"), *(str(folder / name) for name in EXPORTED)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("name", WEIGHTS_ONLY)
def test_weights_only_is_the_same_model(exported: Path, windows: torch.Tensor, tmp_path: Path, name: str) -> None:
    """Bit for bit: the weights are equal as real numbers, and so is what is computed with them."""
    ours, _ = load_quantized(exported / f"{name}.q")
    with torch.no_grad():
        expected = ours(input_ids=windows).logits
    assert torch.equal(torch.load(exported / f"{name}.logits"), expected)
    export(exported / f"{name}.q", out=tmp_path / "again", quiet=True)
    for file in (exported / name).iterdir():
        assert sha256_file(file) == sha256_file(tmp_path / "again" / file.name)


def test_integer_activations_differ_by_their_scale(
    exported: Path, windows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits are near; with the library's step, max|x| / 127.5, they are the same but for ties in rounding."""
    name = "LLaMA INT8 activations"
    described = json.loads((exported / name / "config.json").read_text())["quantization_config"]
    assert described["config_groups"]["group_0"]["input_activations"]["strategy"] == "token"
    found = torch.load(exported / f"{name}.logits")
    quantized, _ = load_quantized(exported / f"{name}.q")

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
        ({"format": "int4_g32"}, "its weights are INT4 g32"),
        ({"format": "int4", "value_format": "int4"}, r"no place for quantized values per channel \(value-format int4\)"),
    ],
    ids=["dINT4", "FP4", "groups", "V4"],
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
    with pytest.raises(InputError, match=r"^export: the package compressed-tensors is missing; 'dint doctor'"):
        export(tiny_directory, out=tmp_path / "ct", quiet=True)
    assert not (tmp_path / "ct").exists()
