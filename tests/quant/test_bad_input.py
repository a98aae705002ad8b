# SPDX-License-Identifier: Apache-2.0
"""What a quantization refuses: each with one line that says what to do, and nothing left behind."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from golden.artifacts import sha256_file
from golden.errors import InputError
from quant.command import quantize
from quant.huggingface import load_quantized
from quant.layers import QuantLinear
from quant.models import load_model
from quant.operands_command import operands
from quant.quantization import quantize_model
from quant.recipe import CLIPPINGS, ROUNDINGS, SCALINGS, Recipe
from quant.weights import FORMS

from .conftest import tiny_llama, tiny_model

ROOT = Path(__file__).resolve().parents[2]


def refused(message: str, out: Path, **options: Any) -> None:
    """`quantize` refuses `options`, and what was in and around `out` stays as it was."""
    before = {file: sha256_file(file) for file in out.parent.rglob("*") if file.is_file()}
    with pytest.raises(InputError, match=message) as caught:
        quantize(out=out, quiet=True, **options)
    assert "\n" not in str(caught.value)
    assert {file: sha256_file(file) for file in out.parent.rglob("*") if file.is_file()} == before


def saved(model: PreTrainedModel, tiny_directory: Path, directory: Path) -> Path:
    model.save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_directory / name, directory)
    return directory


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("choices", [{"scaling": "aqas"}, {"scaling": "none", "rounding": "optq"}, {"scaling": "none"}])
def test_activations_that_are_not_finite(
    tiny_directory: Path, tmp_path: Path, choices: dict[str, Any], streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite weights whose products overflow. Where nothing looks at activations to quantize, measurement or operands tell."""
    if streamed:
        monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    model = tiny_model()
    with torch.no_grad():
        model.get_submodule("model.decoder.layers.0.fc1").weight.fill_(1e38)
    directory = saved(model, tiny_directory, tmp_path / "model")
    (tmp_path / "results").mkdir()
    out = tmp_path / "results" / "out"
    if choices == {"scaling": "none"}:
        refused("the model's output is not finite", out, model=str(directory), windows=1, **choices)
        refused(r"operands: the input of model\..* is not finite; use", out, model=str(directory), table=False, **choices)
    else:
        refused(r"calibration: the input of model\.", out, model=str(directory), table=False, **choices)


@pytest.mark.parametrize("family", ["opt", "llama"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_channels_of_zeros(tiny_directory: Path, tmp_path: Path, windows: torch.Tensor, family: str, scaling: str) -> None:
    """Input channels that are always zero, and output channels without weights: everything stays finite, zeros stay zero."""
    model = tiny_model() if family == "opt" else tiny_llama()
    layers = "model.decoder.layers" if family == "opt" else "model.layers"
    norm = "self_attn_layer_norm" if family == "opt" else "input_layernorm"
    first, value = "self_attn.q_proj", "self_attn.v_proj"
    with torch.no_grad():
        for parameter in model.get_submodule(f"{layers}.0.{norm}").parameters():
            parameter[5:9] = 0
        model.get_submodule(f"{layers}.0.{first}").weight[3] = 0
        for parameter in model.get_submodule(f"{layers}.1.{value}").parameters():
            parameter[2] = 0
        model.get_submodule(f"{layers}.1.{first}").weight.zero_()
    loaded = load_model(saved(model, tiny_directory, tmp_path / "model"))
    for rounding, clipping, form in zip(ROUNDINGS, CLIPPINGS, FORMS, strict=True):
        recipe = Recipe("dint4", scaling, rounding, form, clipping)
        quantized = quantize_model(loaded, recipe, windows[:2])
        with torch.no_grad():
            assert bool(torch.isfinite(quantized.model(input_ids=windows[:2]).logits).all())
        for name, layer in quantized.layers().items():
            assert bool(torch.isfinite(layer.scales).all()), name
        whole, row = (quantized.layers()[f"{layers}.{name}"] for name in (f"1.{first}", f"0.{first}"))
        assert not whole.real_weight().any()
        assert not row.real_weight()[3].any()


def test_texts_of_a_single_token(tiny_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("a")
    for text in (tmp_path / "one.txt", [17], ["a"]):
        refused(r"text .*: 1 tokens, but a window has 64", tmp_path / "out", model=str(tiny_directory), text=text)
        message = r"calibration text .*: 1 tokens, but --calibration-length is 64"
        refused(message, tmp_path / "out", model=str(tiny_directory), calibration_text=text)
    refused("--calibration-length 1: ", tmp_path / "out", model=str(tiny_directory), calibration_length=1)


def test_empty_data_set(tiny_directory: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    del datasets
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.jsonl").write_text("")
    name = f"{tmp_path / 'data'}"
    for option in ("dataset", "calibration_dataset"):
        refused(
            f"--{option.replace('_', '-')} {name}: the data set is empty",
            tmp_path / "out",
            model=str(tiny_directory),
            **{option: name},
        )


@pytest.mark.parametrize("size", [-1, 0, 7, 128])
def test_group_sizes(tiny_directory: Path, tmp_path: Path, size: int) -> None:
    refused(f"--group-size {size}: ", tmp_path / "out", model=str(tiny_directory), group_size=size)


def test_an_output_directory_with_another_model(tiny_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_directory, tmp_path / "model")
    refused(r"--out .*model: another model is in it \(config\.json\)", tmp_path / "model", model=str(tmp_path / "model"))
    for name in ("model.safetensors", "pytorch_model-00001-of-00002.bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(b"weights")
        refused(rf"another model is in it \({name}\)", tmp_path / name, model=str(tiny_directory))


def test_an_earlier_result_is_replaced_whole(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands, and weights in other files than now, would contradict the new model. Foreign files stay."""
    out = tmp_path / "out"
    options: dict[str, Any] = {"scaling": "none", "table": False, "quiet": True}
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    quantize(str(tiny_directory), out=out, **options)
    assert (out / "operands.npz").exists()
    assert (out / "model.safetensors.index.json").exists()
    (out / "notes.txt").write_text("mine")
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 1 << 30)
    quantize(str(tiny_directory), out=out, activations="fp32", **options)
    assert [file.name for file in sorted(out.glob("model*"))] == ["model.safetensors"]
    assert not (out / "operands.npz").exists()
    assert (out / "notes.txt").read_text() == "mine"
    model, _ = load_quantized(out)
    assert {layer.scheme.activations for layer in model.modules() if isinstance(layer, QuantLinear)} == {"fp32"}


def test_a_later_version(tiny_directory: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quantize(str(tiny_directory), out=out, scaling="none", table=False, quiet=True)
    config = json.loads((out / "config.json").read_text())
    assert config["quantization_config"]["version"] == 1
    for version in (4, "1.5", 0):
        config["quantization_config"]["version"] = version
        (out / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError, match=rf"its version is {version!r}, but this dint reads up to 3; install") as caught:
            operands(out, out=tmp_path / "operands", quiet=True)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "operands").exists()
    del config["quantization_config"]["version"]  # as the first directories were
    (out / "config.json").write_text(json.dumps(config))
    load_quantized(out)


@pytest.mark.parametrize("streamed", [False, True])
def test_truncated_weights(tiny_directory: Path, tmp_path: Path, streamed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an unquantized model and of a quantized one; a shard that is cut, and one that is gone."""
    if streamed:
        monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    model = tmp_path / "model"
    shutil.copytree(tiny_directory, model)
    quantize(str(tiny_directory), out=tmp_path / "quantized", scaling="none", table=False, quiet=True)
    (tmp_path / "results").mkdir()
    for directory, run in ((model, quantize), (tmp_path / "quantized", operands)):
        weights = sorted(directory.glob("*.safetensors"))[-1]
        whole = weights.read_bytes()
        for damaged in (whole[:-10], whole[: len(whole) // 2], whole[:4], b""):
            weights.write_bytes(damaged)
            with pytest.raises(InputError, match=r"model .*: cannot be loaded from") as caught:
                run(directory, out=tmp_path / "results" / "out", quiet=True)  # type: ignore[operator]
            assert "\n" not in str(caught.value)
            assert not list((tmp_path / "results").iterdir())


def test_disk_full_while_layers_are_written(tiny_directory: Path, tmp_path: Path) -> None:
    """A streamed model fills the folder of what is finished: it is removed with the rest."""
    tensors = load_file(tiny_directory / "model.safetensors")
    model, out = tmp_path / "model", tmp_path / "results" / "out"
    shutil.copytree(tiny_directory, model)
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    out.parent.mkdir()
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom quant import streaming\nfrom quant.command import quantize\n"
        "streaming.STREAMED_BYTES = 0\nresource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))\n"
        "quantize(sys.argv[1], out=Path(sys.argv[2]), table=False, scaling='none', quiet=True)"
    )
    command = [sys.executable, "-c", code, str(model), str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1
    assert f"InputError: --out {out}: cannot be written (" in result.stderr
    assert not list(out.parent.iterdir())


def test_states_that_no_quantization_writes(tiny_directory: Path, tmp_path: Path) -> None:
    """Scales that are not finite, codes that the format lacks, zero-points beyond the range: refused when they are read."""
    options: dict[str, Any] = {"scaling": "none", "table": False, "quiet": True}
    quantize(str(tiny_directory), out=tmp_path / "out", format="int3", form="asymmetric", **options)
    weights = tmp_path / "out" / "model.safetensors"
    tensors = load_file(weights)
    layer = "model.decoder.layers.1.fc1"
    for part, value, message in (
        ("scales", float("nan"), f"{layer}.scales contains NaN"),
        ("codes", 0x0F, f"{layer} has codes that INT3 does not have"),
        ("zero_points", 8, f"{layer} has zero-points out of 0 to 7"),
        ("zero_points", 255, f"{layer} has zero-points out of 0 to 7"),
    ):
        spoilt = tensors[f"{layer}.{part}"].clone()
        spoilt.view(-1)[3] = value
        save_file({**tensors, f"{layer}.{part}": spoilt}, weights, metadata={"format": "pt"})
        with pytest.raises(InputError, match=message) as caught:
            load_quantized(tmp_path / "out")
        assert "\n" not in str(caught.value)


def test_configurations_that_fail_only_when_the_model_runs(tiny_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_directory, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    for change, word in (({"dropout": -0.1}, "run"), ({"num_attention_heads": 63}, "loaded")):
        (tmp_path / "model" / "config.json").write_text(json.dumps({**config, **change}))
        refused(f"model model: cannot be {word}", tmp_path / "out", model=str(tmp_path / "model"))
    (tmp_path / "model" / "config.json").write_text("[" * 100_000)
    refused("cannot be read .it nests too deep", tmp_path / "out", model=str(tmp_path / "model"))


def test_a_tokenizer_that_fails_only_when_it_is_used(tiny_directory: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_directory, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "tokenizer_config.json").read_text())
    (tmp_path / "model" / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": "many"}))
    refused("no usable tokenizer", tmp_path / "out", model=str(tmp_path / "model"))
