# SPDX-License-Identifier: Apache-2.0
"""AQAS: folding changes nothing, the objective is the paper's, and the search looks at the unquantized model only."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from golden import DINT4, INT4
from quant.activations import quantize_activations
from quant.aqas import candidate_scale
from quant.block import GroupScale
from quant.evaluation import Evaluator, documentation_protocol
from quant.models import LoadedModel
from quant.output_error import layer_inputs
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.scaling import fold, search_scales
from quant.scheme import Scheme
from quant.weights import decode, quantize_weights

from .conftest import random_scales


@pytest.fixture(scope="module")
def found(tiny: LoadedModel, windows: torch.Tensor) -> list[GroupScale]:
    return search_scales(tiny.model, tiny.adapter, windows, "aqas", Scheme(DINT4))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_folding_preserves_the_function(tiny: LoadedModel, windows: torch.Tensor, dtype: torch.dtype, tolerance: float) -> None:
    model = copy.deepcopy(tiny.model).to(dtype)
    with torch.no_grad():
        before = model(input_ids=windows).logits
        fold(model, random_scales(tiny))
        after = model(input_ids=windows).logits
    assert not torch.equal(before, after)  # something was folded
    torch.testing.assert_close(after, before, rtol=tolerance, atol=tolerance * float(before.abs().max()))


def test_every_group_changes_its_weights(tiny: LoadedModel) -> None:
    model = copy.deepcopy(tiny.model)
    scales = random_scales(tiny)
    fold(model, scales)
    for one in scales:
        for suffix in ("weight", "bias"):
            old = getattr(tiny.model.get_submodule(one.producer), suffix)
            assert not torch.equal(old, getattr(model.get_submodule(one.producer), suffix)), (one.producer, suffix)
    for name in tiny.adapter.linear_names(model):
        assert not torch.equal(tiny.model.get_submodule(name).weight, model.get_submodule(name).weight), name


def test_exponents_of_zero_are_no_scaling() -> None:
    scale = candidate_scale(torch.rand(9), torch.rand(9), 0, 0)
    assert torch.equal(scale, torch.ones(9))


def test_candidates_are_the_papers_up_to_a_factor() -> None:
    x, w = torch.rand(50) + 0.1, torch.rand(50) + 0.1
    ratio = candidate_scale(x, w, 0.3, 0.8) / (x**0.3 / w**0.8)
    torch.testing.assert_close(ratio, ratio[:1].expand(50))
    dead = candidate_scale(torch.zeros(4), torch.ones(4), 1, 0)
    assert torch.isfinite(dead).all()


def test_never_worse_by_its_own_measure(found: list[GroupScale]) -> None:
    assert len(found) == 8
    assert all(one.loss <= one.unscaled_loss for one in found)
    assert sum(one.loss < 0.95 * one.unscaled_loss for one in found) >= 2


def restated_product(weight: np.ndarray, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Q(W diag(s)) Q(diag(s)^-1 X) in float64, tokens by channels: dINT4 by its table, signed scales, INT8 by token."""
    table = np.array([*range(-7, 7), 0.5, -0.5])
    scaled = weight * scale
    step = np.abs(scaled).max(axis=1, keepdims=True) / 7
    step = np.where(scaled.max(axis=1, keepdims=True) > -scaled.min(axis=1, keepdims=True), -step, step)
    rounded = table[np.abs((scaled / step)[..., None] - table).argmin(axis=-1)] * step
    token = np.abs(x / scale).max(axis=1, keepdims=True) / 127
    return np.round(x / scale / token) * token @ rounded.T


def restated_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, length: int, heads: int) -> np.ndarray:
    """What OPT's attention hands to its output projection: windows of `length` tokens, each looks at what was before it."""

    def by_head(x: np.ndarray) -> np.ndarray:  # (windows, heads, tokens, channels)
        return x.reshape(-1, length, heads, x.shape[1] // heads).transpose(0, 2, 1, 3)

    q, k, v = by_head(q), by_head(k), by_head(v)
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3]) + np.triu(np.full((length, length), -np.inf), 1)
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    mixed = weights / weights.sum(axis=3, keepdims=True) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(-1, heads * v.shape[3])


@pytest.mark.parametrize("group", [0, -2, -1], ids=["q, k, v", "fc1", "fc2"])
def test_the_best_of_the_grid_is_found(tiny: LoadedModel, windows: torch.Tensor, found: list[GroupScale], group: int) -> None:
    """By brute force: every second tenth for both exponents, then the tenths around the best, in the first or last layer."""
    one = found[group]
    x = layer_inputs(tiny.model, tiny.adapter, windows)[one.consumers[0]].double().numpy()
    linears = [tiny.model.get_submodule(name) for name in one.consumers]
    parameters = [(linear.weight.double().numpy(), linear.bias.double().numpy()) for linear in linears]

    def output(products: list[np.ndarray]) -> np.ndarray:
        sums = [product + bias for product, (_, bias) in zip(products, parameters, strict=True)]
        if len(sums) == 1:
            return sums[0]
        attention = tiny.model.get_submodule(f"{one.layer}.self_attn")
        mixed = restated_attention(*sums, windows.shape[1], attention.num_heads)
        return mixed @ attention.out_proj.weight.double().numpy().T

    exact = output([x @ weight.T for weight, _ in parameters])
    largest = np.abs(x).max(axis=0)
    heaviest = np.max([np.abs(weight).max(axis=0) for weight, _ in parameters], axis=0)

    def loss(pair: tuple[int, int]) -> float:
        scale = largest ** (pair[0] / 10) / heaviest ** (pair[1] / 10)
        return float(np.square(output([restated_product(weight, x, scale) for weight, _ in parameters]) - exact).sum())

    a, b = min(((a, b) for a in range(0, 11, 2) for b in range(0, 11, 2)), key=loss)
    around = [(p, q) for p in (a - 1, a, a + 1) for q in (b - 1, b, b + 1) if 0 <= p <= 10 and 0 <= q <= 10]
    assert (one.alpha, one.beta) == tuple(exponent / 10 for exponent in min(around, key=loss))
    assert one.alpha > 0


def test_loss_is_the_papers_objective(tiny: LoadedModel, windows: torch.Tensor, found: list[GroupScale]) -> None:
    """|| Q(W diag(s)) Q(diag(s)^-1 X) - W X ||^2, written out, for fc1 and fc2 of the last layer."""
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    for one in found[-2:]:
        name = one.consumers[0]
        linear, x = tiny.model.get_submodule(name), inputs[name].double()
        for scale, loss in ((one.scale, one.loss), (torch.ones_like(one.scale), one.unscaled_loss)):
            quantized = quantize_weights(linear.weight * scale, DINT4, "symmetric")
            weight = decode(quantized.codes, DINT4, None).double() / 2 * quantized.scales.double()[:, None]
            codes, token_scales = quantize_activations(inputs[name] / scale)
            approximation = (codes.double() * token_scales.double()[:, None]) @ weight.T
            exact = x @ linear.weight.double().T
            expected = float((approximation - exact).square().sum() / (exact + linear.bias.double()).square().sum())
            assert loss == pytest.approx(expected, rel=1e-3)


def test_attention_loss_is_on_the_attention_output(tiny: LoadedModel, windows: torch.Tensor, found: list[GroupScale]) -> None:
    """A whole model in which only q, k and v of the first layer are quantized, with hooks on its attention."""
    one = found[0]
    assert one.group.block == "self_attn"
    model = copy.deepcopy(tiny.model)
    outputs = []
    attention = model.get_submodule(f"{one.layer}.self_attn")
    attention.register_forward_hook(lambda _module, _args, output: outputs.append(output[0].double()))
    from quant.layers import QuantLinear, replace_module

    with torch.no_grad():
        model(input_ids=windows)
        fold(model, [one])
        for name in one.consumers:
            replace_module(model, name, QuantLinear.from_linear(model.get_submodule(name), Scheme(DINT4)))
        model(input_ids=windows)
    exact, approximation = outputs
    assert one.loss == pytest.approx(float((approximation - exact).square().sum() / exact.square().sum()), rel=2e-2)


def test_search_leaves_the_model_alone(tiny: LoadedModel, windows: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items()}
    names = [name for name, _ in tiny.model.named_modules()]
    first = search_scales(tiny.model, tiny.adapter, windows[:2], "aqas", Scheme(INT4))
    second = search_scales(tiny.model, tiny.adapter, windows[:2], "aqas", Scheme(INT4))
    assert all(torch.equal(one.scale, other.scale) for one, other in zip(first, second, strict=True))
    assert names == [name for name, _ in tiny.model.named_modules()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.model.state_dict().items())
    assert not any(module._forward_hooks for module in tiny.model.modules())


def test_only_the_first_windows_are_searched(
    tiny: LoadedModel, windows: torch.Tensor, found: list[GroupScale], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quant.calibration.SEARCH_TOKENS", 2 * windows.shape[1] + 1)
    few, first = (search_scales(tiny.model, tiny.adapter, some, "aqas", Scheme(DINT4)) for some in (windows, windows[:2]))
    assert all(torch.equal(one.scale, other.scale) for one, other in zip(few, first, strict=True))
    assert not all(torch.equal(one.scale, other.scale) for one, other in zip(few, found, strict=True))


def test_outlier_channels_are_tamed(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """LayerNorm channels ten times the others: scaling must pay by far more than the standard error."""
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 24))
    plain, scaled = (
        evaluator.score(quantize_model(tiny, Recipe("dint4", scaling=scaling), windows).model) for scaling in ("none", "aqas")
    )
    assert plain.kl is not None
    assert scaled.kl is not None
    assert plain.kl_standard_error is not None
    assert scaled.kl < plain.kl - 3 * plain.kl_standard_error
