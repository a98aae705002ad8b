# SPDX-License-Identifier: Apache-2.0
"""Directories that `from_pretrained` loads, bit for bit the model that was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from golden import format_by_name, unpack
from golden.errors import InputError
from quant.huggingface import load_quantized
from quant.layers import use_execution
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe

from .conftest import save

ROOT = Path(__file__).resolve().parents[2]

RECIPES = [
    Recipe("dint4", scaling="aqas"),
    Recipe("dint4", form="asymmetric"),
    Recipe("int4"),
    Recipe("int8"),
    Recipe("dint3", scaling="aqas", form="asymmetric"),
    Recipe("dint4", scaling="aqas", rounding="optq"),
    Recipe("int4", rounding="optq", form="asymmetric"),
    Recipe("dint4", scaling="awq", clipping="awq", group_size=32),
    Recipe("dint4", scaling="smoothquant", rounding="optq", form="asymmetric", group_size=16),
    Recipe("dint3", activations="fp32", form="asymmetric"),
    Recipe("dint4_quarter", scaling="aqas"),
    Recipe("dint4_eighth", form="asymmetric"),
    Recipe("int4", scaling="awq", clipping="awq", rounding="optq", activations="fp32", group_size=32),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_loaded_model_is_the_measured_one(tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path, recipe: Recipe) -> None:
    quantized = quantize_model(tiny, recipe, windows)
    directory = save(quantized, tiny, tmp_path / "out")
    model, config = load_quantized(directory)
    with torch.no_grad():
        assert torch.equal(model(input_ids=windows).logits, quantized.model(input_ids=windows).logits)
    assert config.number_format == recipe.number_format
    assert config.recipe == recipe.describe()
    assert config.source == {"name": "tiny", "sha256": tiny.sha256}
    own, other = quantized.model.state_dict(), model.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())


FRESH = """
import sys
{imports}
import numpy as np, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
directory, tokens, out = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(directory{arguments})
AutoTokenizer.from_pretrained(directory)
with torch.no_grad():
    np.save(out, model(input_ids=torch.from_numpy(np.load(tokens))).logits.numpy())
"""


@pytest.mark.parametrize(
    ("family", "imports", "arguments"),
    [
        ("tiny", "import dint\nassert 'torch' not in sys.modules", ""),
        ("llama", "import transformers.quantizers.auto\nimport dint", ""),
        ("tiny", "import dint\nimport quant.huggingface", ""),
        ("tiny", "import dint\nimport quant.plugin", ""),
        ("tiny", "import quant.huggingface\nquant.huggingface.register()\nquant.huggingface.register()", ""),
        ("tiny", "import transformers\nimport dint", ", dtype=torch.float16"),
    ],
)
def test_fresh_process(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, family: str, imports: str, arguments: str
) -> None:
    """Whatever was imported first, and however the model is asked for."""
    loaded: LoadedModel = request.getfixturevalue(family)
    quantized = quantize_model(loaded, Recipe("dint4"), windows)
    directory = save(quantized, loaded, tmp_path / "out")
    np.save(tmp_path / "tokens.npy", windows.numpy())
    code = FRESH.format(imports=imports, arguments=arguments)
    command = [sys.executable, "-c", code, str(directory), str(tmp_path / "tokens.npy"), str(tmp_path / "logits.npy")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    with torch.no_grad():
        expected = quantized.model(input_ids=windows).logits.numpy()
    assert np.array_equal(np.load(tmp_path / "logits.npy"), expected)


def test_equal_models_give_equal_bytes(tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path) -> None:
    first, second = (
        save(quantize_model(tiny, Recipe("dint4", scaling="aqas"), windows), tiny, tmp_path / name) for name in ("a", "b")
    )
    names = sorted(file.name for file in first.iterdir())
    assert names == sorted(file.name for file in second.iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"} <= set(names)
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_files_are_what_other_programs_expect(tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path) -> None:
    """Two codes a byte as `golden.pack` has them, under the layer's name; nothing of this machine in the configuration."""
    quantized = quantize_model(tiny, Recipe("dint4"), windows)
    directory = save(quantized, tiny, tmp_path / "out")
    name = "model.decoder.layers.0.fc1"
    tensors = load_file(directory / "model.safetensors")
    assert tensors[f"{name}.codes"].shape == (160, 32)
    codes = unpack(format_by_name("dint4"), tensors[f"{name}.codes"].numpy(), 64)
    assert np.array_equal(codes, quantized.layers()[name].unpacked_codes().numpy())
    assert f"{name}.weight" not in tensors
    assert "lm_head.weight" not in tensors  # tied to the embedding
    text = (directory / "config.json").read_text()
    assert str(tmp_path) not in text
    config = json.loads(text)
    assert config["quantization_config"]["quant_method"] == "dint"
    assert config["dtype"] == "float32"


@pytest.mark.parametrize("streamed", [False, True])
def test_directories_of_the_first_version(
    tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have zero-points in 64 bits: the same model, weights and values. Without zero-points the version is still theirs."""
    recipe = Recipe("dint4", form="asymmetric", group_size=32, value_format="dint4", attention="int8")
    quantized = quantize_model(tiny, recipe, windows[:1])
    directory = save(quantized, tiny, tmp_path / "out")
    tensors, config = load_file(directory / "model.safetensors"), json.loads((directory / "config.json").read_text())
    zero_points = {name: tensor for name, tensor in tensors.items() if name.endswith("zero_points")}
    assert len(zero_points) == 2 * (6 + 1)
    assert {tensor.dtype for tensor in zero_points.values()} == {torch.uint8}
    assert config["quantization_config"]["version"] == 2
    tensors.update({name: tensor.to(torch.int64) for name, tensor in zero_points.items()})
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    config["quantization_config"]["version"] = 1
    (directory / "config.json").write_text(json.dumps(config))
    if streamed:
        monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    model, _ = load_quantized(directory)
    with torch.no_grad():
        expected = quantized.model(input_ids=windows).logits
        assert torch.equal(model(input_ids=windows).logits, expected)
        use_execution(model, "integer")
        assert torch.equal(model(input_ids=windows).logits, expected)


def test_directories_that_cannot_be_loaded(
    tiny: LoadedModel, tiny_directory: Path, windows: torch.Tensor, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not quantized by dint"):
        load_quantized(tiny_directory)
    directory = save(quantize_model(tiny, Recipe("dint4"), windows), tiny, tmp_path / "out")
    config_file, weights_file = directory / "config.json", directory / "model.safetensors"
    config, weights = json.loads(config_file.read_text()), weights_file.read_bytes()
    config["quantization_config"]["values"][0] = 99
    config_file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="code table for dint4 is not the catalogue's"):
        load_quantized(directory)
    config["quantization_config"]["weights"] = "dint5"
    config_file.write_text(json.dumps(config))
    with pytest.raises(InputError, match="unknown format 'dint5'"):
        load_quantized(directory)
    config["quantization_config"] |= {"weights": "dint4", "values": list(format_by_name("dint4").values)}
    config_file.write_text(json.dumps(config))
    load_quantized(directory)
    weights_file.write_bytes(weights[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        load_quantized(directory)
