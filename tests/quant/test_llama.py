# SPDX-License-Identifier: Apache-2.0
"""LLaMA: what differs from OPT (RMSNorm, a gate, rotary embeddings, grouped-query attention), from folding to reload."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from golden import Operands
from golden.errors import InputError
from quant.command import quantize
from quant.evaluation import Evaluator, documentation_protocol
from quant.export import export_operands
from quant.huggingface import load_quantized
from quant.models import LoadedModel, load_model
from quant.operands_command import operands
from quant.output_error import layer_inputs, output_errors
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps
from quant.scaling import METHODS, fold, search_scales
from quant.scheme import Scheme

from .conftest import random_scales, save, tiny_llama


def test_query_heads_share_the_channels_of_their_values(llama: LoadedModel, tiny: LoadedModel) -> None:
    """Query heads 0 and 1 read value head 0, 2 and 3 read value head 1; a head has 16 channels."""
    _, layer = llama.adapter.decoder_layers(llama.model)[0]
    sources = llama.adapter.groups[1].sources(layer)
    assert sources.tolist() == [*range(16), *range(16), *range(16, 32), *range(16, 32)]
    for loaded, groups in ((llama, (0, 2, 3)), (tiny, (0, 1, 2, 3))):  # elsewhere channels meet one by one
        _, layer = loaded.adapter.decoder_layers(loaded.model)[0]
        for index in groups:
            sources = loaded.adapter.groups[index].sources(layer)
            assert sources.tolist() == list(range(len(sources)))


@pytest.mark.parametrize(
    "changes",
    [{}, {"num_key_value_heads": 4}, {"num_key_value_heads": 1, "head_dim": 32, "attention_bias": True, "mlp_bias": True}],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_folding_preserves_the_function(
    llama: LoadedModel, windows: torch.Tensor, changes: dict[str, object], dtype: torch.dtype, tolerance: float
) -> None:
    model = tiny_llama(**changes).to(dtype).requires_grad_(False)
    loaded = LoadedModel(model, llama.tokenizer, llama.adapter, llama.directory, "variant", "")
    scales, before = random_scales(loaded), model(input_ids=windows).logits
    weights = copy.deepcopy(model.state_dict())
    fold(model, scales)
    torch.testing.assert_close(
        model(input_ids=windows).logits, before, rtol=tolerance, atol=tolerance * float(before.abs().max())
    )
    for name in (f"model.layers.{index}.{part}.weight" for index in range(2) for part in ("input_layernorm", "mlp.up_proj")):
        assert not torch.equal(model.state_dict()[name], weights[name])
    for name in loaded.adapter.linear_names(model):
        assert not torch.equal(model.get_submodule(name).weight, weights[f"{name}.weight"]), name


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_scales_that_can_be_folded(llama: LoadedModel, windows: torch.Tensor, method: str) -> None:
    scales = search_scales(llama.model, llama.adapter, windows[:2], method, Scheme(Recipe("dint4").number_format))
    assert len(scales) == (4 if method == "smoothquant" else 8)
    assert all(float(one.scale.max() / one.scale.min()) > 1.5 for one in scales)
    model = copy.deepcopy(llama.model).double()
    with torch.no_grad():
        before = model(input_ids=windows).logits
        fold(model, scales)
        after = model(input_ids=windows).logits
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5 * float(before.abs().max()))  # the scales are float32


def test_scaling_pays_where_channels_stick_out(llama: LoadedModel, windows: torch.Tensor) -> None:
    evaluator = Evaluator(llama.model, documentation_protocol(llama, 24))
    plain, scaled = (
        evaluator.score(quantize_model(llama, Recipe("dint4", scaling=scaling), windows).model) for scaling in ("none", "aqas")
    )
    assert plain.kl is not None
    assert scaled.kl is not None
    assert plain.kl_standard_error is not None
    assert scaled.kl < plain.kl - 3 * plain.kl_standard_error


RECIPES = [
    Recipe("dint4", scaling="aqas", clipping="awq", rounding="optq"),
    Recipe("int4", scaling="awq", form="asymmetric"),
    Recipe("dint4", scaling="smoothquant", group_size=16),
    Recipe("fp4_e2m1", activations="fp32"),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_stage(llama: LoadedModel, windows: torch.Tensor, tmp_path: Path, recipe: Recipe) -> None:
    """Progress as announced, all linear layers quantized, error small and split, reload bit for bit."""
    steps: list[None] = []
    quantized = quantize_model(llama, recipe, windows, lambda: steps.append(None))
    assert len(steps) == calibration_steps(llama, recipe)
    assert list(quantized.layers()) == llama.adapter.linear_names(llama.model)
    errors = output_errors(llama.model, quantized, layer_inputs(llama.model, llama.adapter, windows))
    assert all(0 < error.total < 0.1 for error in errors.values())
    model, config = load_quantized(save(quantized, llama, tmp_path / "out"))
    assert config.recipe == recipe.describe()
    with torch.no_grad():
        assert torch.equal(model(input_ids=windows).logits, quantized.model(input_ids=windows).logits)


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_operands_are_the_layers_products(llama: LoadedModel, windows: torch.Tensor, form: str) -> None:
    """The golden model's accumulators, and these times the scales are the layer's output."""
    model = quantize_model(llama, Recipe("dint4", scaling="aqas", form=form), windows).model
    outputs: dict[str, torch.Tensor] = {}
    exported = export_operands(model, windows[:1], {}, tokens=64)
    for layer in exported.layers:
        model.get_submodule(layer.name).register_forward_hook(
            lambda _module, _args, output, name=layer.name: outputs.update({name: output.flatten(0, -2)})
        )
    with torch.no_grad():
        model(input_ids=windows[:1])
    assert len(exported.layers) == 14
    for layer in exported.layers:
        assert np.array_equal(layer.expected(exported.number_format), layer.accumulators)
        steps = layer.accumulators * float(exported.number_format.unit)
        expected = outputs[layer.name].numpy()
        scaled = steps * layer.weight_scales * layer.activation_scales[:, None]
        np.testing.assert_allclose(scaled, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_command(llama_directory: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = quantize(str(llama_directory), out=out, windows=3, calibration_length=32, quiet=True)
    assert metrics["model"]["name"] == "llama"
    assert [row["name"] for row in metrics["rows"] if row["chosen"]] == ["W4A8 dINT4, AQAS"]
    exported = Operands.load(out / "operands.npz")
    assert {layer.name.split(".")[2] for layer in exported.layers} == {"0", "1"}
    again = operands(out, out=tmp_path / "operands", quiet=True)
    assert again["layers"] == [layer.name for layer in exported.layers]


def test_relatives_are_refused_by_name(llama_directory: Path, tmp_path: Path) -> None:
    """Qwen2 and Mistral share most of the code, and none of the promises."""
    text = (llama_directory / "config.json").read_text()
    for family in ("mistral", "qwen2"):
        directory = tmp_path / family
        directory.mkdir()
        (directory / "config.json").write_text(text.replace('"llama"', f'"{family}"'))
        with pytest.raises(InputError, match=f"its model_type is '{family}'; supported are llama, opt"):
            load_model(directory)
