# SPDX-License-Identifier: Apache-2.0
"""The clipping search against AWQ's procedure written out on the inputs, channel by channel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from golden import DINT4, FORMATS, GROUP_FORMATS, INT4, NumberFormat
from quant.clipping import clipped_block_scales, clipped_scales
from quant.models import LoadedModel
from quant.output_error import layer_inputs, mean_error, output_errors
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps
from quant.weights import choose_scales

from .conftest import hessian_of

ALL = pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda one: one.name)


def layer(outputs: int = 40, inputs: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (out, in) with heavy tails, float64, and correlated inputs (tokens, in)."""
    generator = torch.Generator().manual_seed(11)
    weight = torch.randn(outputs, inputs, generator=generator) * torch.exp(
        0.7 * torch.randn(outputs, inputs, generator=generator)
    )
    x = torch.randn(300, inputs, generator=generator) @ torch.randn(inputs, inputs, generator=generator)
    return weight.double(), x.double()


@ALL
def test_symmetric_ranges_are_the_best_of_the_grid(number_format: NumberFormat) -> None:
    weight, x = layer()
    scales, zero_points = clipped_scales(weight, hessian_of(x), number_format, "symmetric")
    assert zero_points is None
    longest = max(abs(number_format.minimum), number_format.maximum) * float(number_format.unit)
    full, _ = choose_scales(weight, number_format, "symmetric")
    kept = set()
    for row, scale, start in zip(weight.numpy(), scales.tolist(), full.tolist(), strict=True):
        errors = []
        for step in range(10):
            size = np.sign(start) * np.abs(row).max() * (1 - 0.05 * step) / longest
            values = number_format.decode(number_format.round((row / size).astype(np.float32)))
            errors.append(float(np.square(x.numpy() @ (values * float(number_format.unit) * size - row)).sum()))
        kept.add(int(np.argmin(errors)))
        assert scale == pytest.approx(start * (1 - 0.05 * np.argmin(errors)))
    if number_format.bits < 8:
        assert len(kept) > 3  # channels choose for themselves


def test_asymmetric_ranges_are_the_best_of_the_grid() -> None:
    weight, x = layer()
    scales, zero_points = clipped_scales(weight, hessian_of(x), DINT4, "asymmetric")
    assert zero_points is not None
    for index, row in enumerate(weight[:, None]):
        tried = []
        for step in range(10):
            limit = float(row.abs().max()) * (1 - 0.05 * step)
            low, high = max(float(row.min()), -limit), min(float(row.max()), limit)
            scale = (high - low) / 13
            zero_point = round(-low / scale)
            shifted = DINT4.with_zero_point(zero_point)
            values = shifted.decode(shifted.round((row / scale).numpy())) / 2 * scale
            tried.append((float(np.square((values - row.numpy()) @ x.numpy().T).sum()), scale, zero_point))
        _, scale, zero_point = min(tried, key=lambda one: one[0])
        assert scales[index] == pytest.approx(scale)
        assert zero_points[index] == zero_point


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_groups_are_searched_each_by_itself(form: str) -> None:
    weight, x = layer()
    scales, zero_points = clipped_scales(weight, hessian_of(x), INT4, form, 16)
    assert scales.shape == (40, 3)
    for group in range(3):
        part = slice(16 * group, 16 * group + 16)
        own, own_points = clipped_scales(weight[:, part], hessian_of(x[:, part]), INT4, form)
        torch.testing.assert_close(scales[:, group], own)
        if own_points is not None and zero_points is not None:
            assert torch.equal(zero_points[:, group], own_points)


@pytest.mark.parametrize("name", ["int4_g32", "dint4_g64"])
def test_stored_scales_of_groups_are_the_best_of_the_grid(name: str) -> None:
    blocks = GROUP_FORMATS[name]
    weight, x = layer(8, 192)
    weight[1, : blocks.block] = 0
    codes, tensor = clipped_block_scales(weight.float(), hessian_of(x), blocks)
    whole = blocks.quantize(weight.float().numpy())
    assert tensor is not None
    assert float(tensor) == float(whole.tensor_scales)  # type: ignore[arg-type]
    kept = set()
    for row, numbers in enumerate(weight.float().numpy()):
        for group, block in enumerate(numbers.reshape(-1, blocks.block)):
            part = x.numpy()[:, group * blocks.block : (group + 1) * blocks.block]
            sign = -1 if block.max() > -block.min() else 1
            errors, tried = [], []
            for step in range(10):
                size = sign * np.abs(block).max() * (1 - 0.05 * step) / (float(blocks.full_scale) * float(tensor))
                code = blocks.scales.encode(np.array([size]))
                factor = float(blocks.scales.decode(code)[0]) * float(tensor)
                element = blocks.elements[0]
                steps = block.astype(np.float64) / factor if factor else np.zeros(len(block))
                values = element.decode(element.round(steps)) * float(element.unit) * factor
                errors.append(float(np.square(part @ (values - block)).sum()))
                tried.append(int(code[0]))
            assert int(codes[row, group]) == tried[int(np.argmin(errors))]
            kept.add(int(np.argmin(errors)))
    assert len(kept) > 2  # groups choose for themselves
    assert int(codes[1, 0]) == 0


def test_models_in_groups_are_clipped_and_err_less(tiny: LoadedModel, windows: torch.Tensor) -> None:
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors = {}
    for clipping in ("none", "awq"):
        quantized = quantize_model(tiny, Recipe("int4_g32", clipping=clipping), windows)
        errors[clipping] = mean_error(output_errors(tiny.model, quantized, inputs)).total
    assert errors["awq"] < 0.95 * errors["none"]


def test_inputs_of_zeros_clip_nothing() -> None:
    weight, _ = layer()
    scales, _ = clipped_scales(weight, torch.zeros(48, 48, dtype=torch.float64), INT4, "symmetric")
    assert torch.equal(scales, choose_scales(weight, INT4, "symmetric")[0])


def test_queries_and_keys_are_not_clipped(tiny: LoadedModel, windows: torch.Tensor) -> None:
    plain = quantize_model(tiny, Recipe("int4"), windows).layers()
    clipped = quantize_model(tiny, Recipe("int4", clipping="awq"), windows).layers()
    for name, one in clipped.items():
        ratio = one.scales / plain[name].scales
        assert ((ratio > 0.549) & (ratio <= 1)).all()
        assert bool((ratio == 1).all()) == name.endswith(("q_proj", "k_proj")), name


@pytest.mark.parametrize("name", ["int4", "dint4"])
def test_less_output_error_than_without(tiny: LoadedModel, windows: torch.Tensor, name: str) -> None:
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors = []
    for clipping in ("none", "awq"):
        recipe = Recipe(name, scaling="aqas", clipping=clipping)
        calls: list[None] = []
        quantized = quantize_model(tiny, recipe, windows, lambda calls=calls: calls.append(None))
        assert len(calls) == calibration_steps(tiny, recipe)
        errors.append(mean_error(output_errors(tiny.model, quantized, inputs)).total)
    assert errors[1] < 0.97 * errors[0]
