# SPDX-License-Identifier: Apache-2.0
"""Integer execution: the hardware's accumulators, and the same outputs as the float execution, bit for bit."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import INT8, AsymmetricConfig, MacConfig
from golden.artifacts import sha256_file
from golden.errors import InputError
from quant.command import quantize
from quant.export import recorded
from quant.huggingface import load_quantized
from quant.integers import IntegerMatrix, exact_products
from quant.layers import QuantLinear, torch_pack, use_execution
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.scheme import Scheme
from quant.weights import FORMS, QuantizedWeights

from .conftest import save

RECIPES = [
    Recipe("int4"),
    Recipe("dint4"),
    Recipe("fp4_e2m1"),
    Recipe("int8"),
    Recipe("dint3", scaling="aqas"),
    Recipe("dint4_eighth"),
    Recipe("dint4", group_size=32, rounding="optq"),
    Recipe("fp4_e2m1", group_size=16),
    Recipe("int8", group_size=32),
    Recipe("int4", form="asymmetric"),
    Recipe("dint4", form="asymmetric"),
    Recipe("int8", form="asymmetric"),
    Recipe("dint4", form="asymmetric", group_size=32),
    Recipe("dint4", form="asymmetric", value_format="dint4", attention="int8"),
]
#: Output channels and tokens of every linear layer whose sums the golden model computes, too.
CHANNELS, TOKENS = 7, 5


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_layer_in_a_whole_forward_pass(
    tiny: LoadedModel, windows: torch.Tensor, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accumulators are the hardware's, and logits those of the float execution: equal, as both are exact until the scales.

    Attention, where it is in integers, multiplies them twice in each of the two layers.
    """
    products_of_attention = []

    def counted(*arguments: Any) -> torch.Tensor:
        products_of_attention.append(exact_products(*arguments))
        return products_of_attention[-1]

    model = quantize_model(tiny, recipe, windows[:2]).model
    layers = {name: module for name, module in model.named_modules() if isinstance(module, QuantLinear)}
    with torch.no_grad():
        logits = model(input_ids=windows[2:4]).logits
        use_execution(model, "integer")
        monkeypatch.setattr("quant.attention.exact_products", counted)
        with recorded(layers) as products:
            assert torch.equal(model(input_ids=windows[2:4]).logits, logits)
    assert [one.dtype for one in products_of_attention] == [torch.int32] * (4 if recipe.attention == "int8" else 0)
    assert len(products) == 12
    random = np.random.default_rng(0)
    for name, layer in layers.items():
        activations, _, accumulators = products[name]
        assert accumulators.dtype == torch.int32
        channels = random.choice(layer.out_features, CHANNELS, replace=False)
        tokens = random.choice(len(activations), TOKENS, replace=False)
        operands = activations[tokens].numpy().astype(np.int64)
        size = recipe.group_size or layer.in_features
        sums = accumulators.view(-1, len(activations), layer.out_features)[:, tokens][:, :, channels].numpy()
        codes = layer.unpacked_codes()[channels].numpy()
        for group, start in enumerate(range(0, layer.in_features, size)):
            part = slice(start, start + size)
            weights, inputs = codes[None, :, part], operands[:, None, part]
            if layer.zero_points is None:
                exact = MacConfig(recipe.number_format).dot(weights, inputs)
            else:
                zero_points = layer.zero_points.view(layer.out_features, -1)[channels, group].numpy()
                exact = AsymmetricConfig(recipe.number_format).dot(weights, inputs, zero_points)
            assert np.array_equal(sums[group], exact)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tokens", [1, 40])
def test_extremes(form: str, tokens: int) -> None:
    """Products of the largest magnitude, all of one sign: nothing saturates on the way; 8-bit zero-points from end to end."""
    inputs = 3072
    codes = torch.from_numpy(INT8.encode(np.repeat(np.array([[-128], [127]]), 256, axis=0).repeat(inputs, axis=1)))
    zero_points = torch.arange(256).repeat(2) if form == "asymmetric" else None
    weights = QuantizedWeights(codes, torch.ones(512), zero_points)
    layer = QuantLinear.from_weights(weights, None, Scheme(INT8, form))
    layer.execution = "integer"
    for sign in (1, -1):
        activations = torch.full((tokens, inputs), 127.0) * sign
        sums = layer.accumulate(activations)
        values = layer.integer_weight().to(torch.int64)
        assert torch.equal(sums.to(torch.int64), activations.to(torch.int64) @ values.T)
    assert int(values.abs().max()) == (255 if form == "asymmetric" else 128)


def test_packed_codes_become_values() -> None:
    """Two at a time, odd rows too."""
    codes = torch.randint(16, (5, 7), dtype=torch.uint8)
    number_format = Recipe("fp4_e2m1").number_format
    layer = QuantLinear.from_weights(QuantizedWeights(codes, torch.ones(5), None), None, Scheme(number_format))
    assert torch.equal(layer.codes, torch_pack(codes, number_format))
    assert np.array_equal(layer.integer_weight().numpy(), number_format.decode(codes.numpy()))


def test_weights_read_later_count() -> None:
    layer = QuantLinear.from_linear(torch.nn.Linear(64, 8), Scheme(Recipe("dint4").number_format))
    other = QuantLinear.from_linear(torch.nn.Linear(64, 8), Scheme(Recipe("dint4").number_format))
    x = torch.randn(3, 64)
    layer.execution = "integer"
    before = layer(x)
    layer.load_state_dict(other.state_dict())
    assert not torch.equal(layer(x), before)
    assert torch.equal(layer(x), other(x))


def test_loaded_with_a_keyword(tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path) -> None:
    quantized = quantize_model(tiny, Recipe("dint4"), windows)
    model, _ = load_quantized(save(quantized, tiny, tmp_path / "out"), execution="integer")
    assert {module.execution for module in model.modules() if isinstance(module, QuantLinear)} == {"integer"}
    with torch.no_grad():
        assert torch.equal(model(input_ids=windows).logits, quantized.model(input_ids=windows).logits)


def test_command_measures_the_same(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant.comparison._USUAL", (Recipe("int4"), Recipe("dint4", form="asymmetric")))
    for execution in ("float", "integer"):
        quantize(str(tiny_directory), out=tmp_path / execution, scaling="none", windows=2, execution=execution, quiet=True)
    for file in (tmp_path / "float").iterdir():
        assert sha256_file(file) == sha256_file(tmp_path / "integer" / file.name), file.name


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    for options, message in (
        ({"execution": "analog"}, "--execution analog: known are float, integer"),
        ({"execution": "integer", "activations": "fp32"}, "--execution integer: the recipe leaves activations in fp32"),
        ({"device": "abacus"}, "--device abacus: cannot be used"),
        ({"device": "cuda:99"}, "--device cuda:99: cannot be used"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            quantize(out=tmp_path / "out", quiet=True, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="may exceed a sum of 32 bits"):
        IntegerMatrix(torch.zeros(1, 1 << 17, dtype=torch.int8))


@pytest.mark.parametrize(("tokens", "inputs", "outputs"), list(product((1, 2, 5), (1, 2, 3, 8), (1, 2, 8))))
def test_integer_products_of_any_shape(tokens: int, inputs: int, outputs: int) -> None:
    """Those of a single input, too, of which torch's own makes nonsense: the first token that is generated has one key."""
    random = torch.Generator().manual_seed(0)
    left = torch.randint(-128, 128, (tokens, inputs), generator=random, dtype=torch.int8)
    values = torch.randint(-128, 128, (outputs, inputs), generator=random, dtype=torch.int8)
    wanted = left.double() @ values.double().T
    assert torch.equal(IntegerMatrix(values).product(left).double(), wanted)
    offset = values.to(torch.int16) + torch.randint(-90, 90, (outputs, 1), generator=random, dtype=torch.int16)
    assert torch.equal(IntegerMatrix(offset).product(left).double(), left.double() @ offset.double().T)


@pytest.mark.parametrize("execution", ["float", "integer"])
def test_attention_of_one_token(execution: str) -> None:
    left, right = torch.tensor([[[100.0], [-7.0]]]), torch.tensor([[[3.0], [-128.0], [55.0]]])
    assert exact_products(left, right, 128, execution).tolist() == [[[300, -12800, 5500], [-21, 896, -385]]]
