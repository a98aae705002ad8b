# SPDX-License-Identifier: Apache-2.0
"""OPTQ against independent restatements of its definition, and as a stage of a whole quantization."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from golden import DINT4, FORMATS, INT4, NumberFormat
from golden.errors import InputError
from quant import layerwise
from quant.layers import QuantLinear, replace_module
from quant.layerwise import go_through_layers
from quant.models import LoadedModel
from quant.optq import DAMPING, compensate, inverse_factor, round_compensated
from quant.output_error import layer_inputs, mean_error, output_errors
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps
from quant.scheme import Scheme
from quant.weights import choose_scales, decode, quantize_weights

from .conftest import hessian_of

ALL = pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda one: one.name)


def layer(outputs: int = 24, inputs: int = 150, tokens: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight (out, in) and strongly correlated inputs (tokens, in), more columns than a block has."""
    generator = torch.Generator().manual_seed(9)
    mixing = torch.randn(40, inputs, generator=generator)
    x = torch.randn(tokens, 40, generator=generator) @ mixing + 0.5 * torch.randn(tokens, inputs, generator=generator)
    return torch.randn(outputs, inputs, generator=generator) / inputs**0.5, x


def damped(x: torch.Tensor) -> np.ndarray:
    hessian = 2 * (x.T.double() @ x.double()).numpy() / len(x)
    return hessian + DAMPING * np.diag(hessian).mean() * np.eye(len(hessian))


def restated(weight: np.ndarray, hessian: np.ndarray, number_format: NumberFormat, scales: np.ndarray) -> np.ndarray:
    """Column by column, with the inverse of the remaining Hessian computed anew each time (optimal brain surgeon)."""
    remaining = weight.copy()
    codes = np.zeros(weight.shape, dtype=np.uint8)
    for index in range(weight.shape[1]):
        inverse = np.linalg.inv(hessian[index:, index:])
        codes[:, index] = number_format.round((remaining[:, index] / scales).astype(np.float32))
        quantized = number_format.decode(codes[:, index]) * float(number_format.unit) * scales
        error = (remaining[:, index] - quantized) / inverse[0, 0]
        remaining[:, index:] -= np.outer(error, inverse[0])
    return codes


@pytest.mark.parametrize("number_format", [INT4, DINT4], ids=lambda one: one.name)
def test_asymmetric_codes_are_those_of_the_restatement(number_format: NumberFormat) -> None:
    """Channel by channel, since each has a format of its own: that with its zero-point."""
    weight, x = layer(outputs=6, inputs=60)
    weight = (weight + 0.3 * weight.abs().amax()).double()
    scales, zero_points = choose_scales(weight, number_format, "asymmetric")
    assert zero_points is not None
    codes = round_compensated(weight, hessian_of(x.double()), number_format, scales, zero_points)
    for row, (scale, zero_point) in enumerate(zip(scales.numpy(), zero_points.tolist(), strict=True)):
        shifted = number_format.with_zero_point(zero_point)
        expected = restated(weight[row : row + 1].numpy(), damped(x), shifted, scale[None])
        assert np.array_equal(codes[row : row + 1].numpy(), expected)
    assert len(set(zero_points.tolist())) > 1


def squared_error(codes: torch.Tensor, weight: torch.Tensor, x: torch.Tensor, one: NumberFormat, scales: torch.Tensor) -> float:
    approximation = decode(codes, one, None) * float(one.unit) * scales[:, None]
    return float(((approximation - weight) @ x.T).square().sum())


@ALL
def test_codes_are_those_of_the_restatement(number_format: NumberFormat) -> None:
    weight, x = layer()
    scales, zero_points = choose_scales(weight, number_format, "symmetric")
    codes = round_compensated(weight.double(), hessian_of(x.double()), number_format, scales.double(), zero_points)
    expected = restated(weight.double().numpy(), damped(x), number_format, scales.double().numpy())
    assert np.array_equal(codes.numpy(), expected)
    single = round_compensated(weight, hessian_of(x), number_format, scales, zero_points)
    errors = [squared_error(one, weight, x, number_format, scales) for one in (single, codes)]
    assert errors[0] == pytest.approx(errors[1], rel=0.02)  # float32 decides ties, and what follows from them, otherwise
    nearest = quantize_weights(weight, number_format, "symmetric").codes
    assert errors[0] < 0.6 * squared_error(nearest, weight, x, number_format, scales)


def test_each_step_solves_its_least_squares_problem() -> None:
    """Before a column is rounded, it has the value that lstsq gives it, all columns before it being fixed as rounded.

    Damping is what `DAMPING` adds to the diagonal: as many more inputs of one channel each.
    """
    weight, x = (tensor.double() for tensor in layer(outputs=3, inputs=140, tokens=60))
    hessian = hessian_of(x)
    extra = (DAMPING * hessian.diagonal().mean() * len(x) / 2).sqrt() * torch.eye(140, dtype=torch.float64)
    inputs = torch.cat([x, extra])
    fixed: list[torch.Tensor] = []

    def quantize(index: int, column: torch.Tensor) -> torch.Tensor:
        if fixed:
            made = (torch.stack(fixed, dim=1) - weight[:, :index]) @ inputs[:, :index].T
            change = torch.linalg.lstsq(inputs[:, index:], -made.T).solution[0]
            torch.testing.assert_close(column, weight[:, index] + change, rtol=1e-7, atol=1e-9)
        fixed.append((column * 8).round() / 8)
        return fixed[-1]

    compensate(weight, hessian, quantize)
    assert len(fixed) == 140


def test_inverse_factor() -> None:
    hessian = torch.from_numpy(damped(layer()[1]))
    factor = inverse_factor(hessian)
    assert torch.equal(factor, factor.triu())
    assert (factor.diagonal() > 0).all()
    torch.testing.assert_close(factor.T @ factor @ hessian, torch.eye(len(hessian), dtype=torch.float64), rtol=0, atol=1e-9)


def test_groups_share_a_scale_along_the_input() -> None:
    """Uncorrelated groups: each is rounded as if it were a layer of its own."""
    weight, x = layer()
    hessian = torch.zeros(150, 150)
    for start in range(0, 150, 50):
        part = slice(start, start + 50)
        hessian[part, part] = hessian_of(x[:, :50])
    scales, zero_points = choose_scales(weight, DINT4, "asymmetric", 50)
    assert zero_points is not None
    codes = round_compensated(weight, hessian, DINT4, scales, zero_points)
    for group in range(3):
        part = slice(50 * group, 50 * group + 50)
        own = round_compensated(weight[:, part], hessian[:50, :50], DINT4, scales[:, group], zero_points[:, group])
        assert torch.equal(codes[:, part], own)


def test_uncorrelated_inputs_leave_nothing_to_compensate() -> None:
    weight, _ = layer()
    for form in ("symmetric", "asymmetric"):
        nearest = quantize_weights(weight, DINT4, form)
        codes = round_compensated(weight, torch.eye(150), DINT4, nearest.scales, nearest.zero_points)
        assert torch.equal(codes, nearest.codes)


@ALL
def test_dead_columns_become_zero(number_format: NumberFormat) -> None:
    weight, x = layer()
    x[:, [3, 140]] = 0
    scales, zero_points = choose_scales(weight, number_format, "symmetric")
    codes = round_compensated(weight, hessian_of(x), number_format, scales, zero_points)
    values = decode(codes, number_format, zero_points)
    assert not values[:, [3, 140]].any()
    assert values[:, 4].any()
    assert not round_compensated(weight, torch.zeros(150, 150), INT4, scales, None).any()


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("batch_tokens", [1, 3 * 64, 4096])  # a window each; batches of 3, 3 and 2; all at once
def test_hessians_are_those_of_the_layers_before(
    tiny: LoadedModel, windows: torch.Tensor, again: bool, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In GPTQ's order, of a model whose layers before are quantized, and this one is not; else of the unquantized model."""
    monkeypatch.setattr(layerwise, "BATCH_TOKENS", batch_tokens)
    model = copy.deepcopy(tiny.model)
    seen: list[dict[str, torch.Tensor]] = []

    def quantize(decoder_layer: torch.nn.Module, hessians: dict[str, torch.Tensor]) -> None:
        seen.append(hessians)
        for name in tiny.adapter.linears:
            linear = decoder_layer.get_submodule(name)
            assert isinstance(linear, torch.nn.Linear)
            replace_module(decoder_layer, name, QuantLinear.from_linear(linear, Scheme(INT4)))

    go_through_layers(model, tiny.adapter, windows, quantize, again)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())
    partly = copy.deepcopy(tiny.model)
    for depth, (layer_name, decoder_layer) in enumerate(tiny.adapter.decoder_layers(partly)):
        inputs = layer_inputs(partly, tiny.adapter, windows)
        for name in tiny.adapter.linears:
            x = inputs[f"{layer_name}.{name}"]
            torch.testing.assert_close(seen[depth][name], 2 * x.T @ x / len(x), rtol=1e-5, atol=1e-6)
        for name in tiny.adapter.linears if again else ():
            replace_module(decoder_layer, name, QuantLinear.from_linear(decoder_layer.get_submodule(name), Scheme(INT4)))


@pytest.mark.parametrize("scaling", ["none", "aqas"])
def test_less_output_error_than_rounding_to_nearest(tiny: LoadedModel, windows: torch.Tensor, scaling: str) -> None:
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors = {}
    for rounding in ("rtn", "optq"):
        recipe = Recipe("dint4", scaling=scaling, rounding=rounding)
        calls: list[None] = []
        quantized = quantize_model(tiny, recipe, windows, lambda calls=calls: calls.append(None))
        assert len(calls) == calibration_steps(tiny, recipe)
        errors[rounding] = mean_error(output_errors(tiny.model, quantized, inputs)).total
    assert errors["optq"] < 0.8 * errors["rtn"]


def test_activations_that_are_not_finite_are_refused(tiny: LoadedModel, windows: torch.Tensor) -> None:
    model = copy.deepcopy(tiny.model)
    model.get_submodule("model.decoder.layers.1.final_layer_norm").weight.fill_(1e38)
    model.get_submodule("model.decoder.layers.1.final_layer_norm").bias.fill_(1e38)
    with pytest.raises(InputError, match=r"the input of model\.decoder\.layers\.1\.fc1 is not finite"):
        go_through_layers(model, tiny.adapter, windows, lambda _layer, _hessians: None, again=True)
