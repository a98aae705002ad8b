# SPDX-License-Identifier: Apache-2.0
"""The quantized layer: its accumulators are the MAC unit's, in four independent computations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from golden import DINT4, FORMATS, INT8, AsymmetricConfig, MacConfig, NumberFormat
from golden.errors import InputError
from quant.activations import quantize_activations
from quant.layers import QuantLinear
from quant.scheme import Scheme

FORMS = pytest.mark.parametrize(
    ("number_format", "form"),
    [(one, form) for one in FORMATS.values() for form in ("symmetric", "asymmetric")[: 1 + one.has_zero_points]],
    ids=lambda one: getattr(one, "name", one),
)


def some_layer(number_format: NumberFormat, form: str = "symmetric", bias: bool = True, **scheme: Any) -> QuantLinear:
    torch.manual_seed(4)
    linear = nn.Linear(70, 24, bias=bias).requires_grad_(False)
    return QuantLinear.from_linear(linear, Scheme(number_format, form, **scheme))


def test_activations_are_integers_with_half_a_step_of_error() -> None:
    x = torch.randn(50, 40, generator=torch.Generator().manual_seed(5)) * torch.logspace(-6, 6, 50)[:, None]
    x[7] = 0
    codes, scales = quantize_activations(x)
    assert torch.equal(codes, codes.round())
    assert codes.abs().amax(1)[scales != 1].eq(127).all()
    assert ((codes - x / scales[:, None]).abs() <= 0.5001).all()
    assert scales[7] == 1
    assert not codes[7].any()


@pytest.mark.parametrize("number_format", [one for one in FORMATS.values() if one.has_zero_points], ids=lambda one: one.name)
def test_the_units_for_asymmetric_weights_compute_the_layer(number_format: NumberFormat) -> None:
    """Every output channel is a unit with a zero-point of its own; all are read when the sums are there."""
    layer = some_layer(number_format, "asymmetric")
    x = torch.randn(3, 70, generator=torch.Generator().manual_seed(6))
    activations, _ = quantize_activations(x)
    accumulators = layer.accumulate(activations).to(torch.int64).numpy()
    assert layer.zero_points is not None
    codes, zero_points = layer.unpacked_codes().numpy(), layer.zero_points.numpy()
    assert len(set(zero_points.tolist())) > 1
    config = AsymmetricConfig(number_format, lanes=10, units=24)
    assert np.array_equal(config.dot(codes, activations.to(torch.int64).numpy()[:, None], zero_points), accumulators)

    cycles, place = 7 + 24, np.arange(7 + 24)
    weights = np.resize(codes.reshape(24, 7, 10).swapaxes(0, 1), (cycles, 24, 10))
    read = np.clip(place - 7, 0, None)
    every = np.tile(zero_points, (cycles, 1))
    for token, sums in zip(activations.to(torch.int64).numpy(), accumulators, strict=True):
        given = np.resize(token.reshape(7, 10), (cycles, 10))
        shown = config.run(weights, given, every, place == 0, place < 7, read, zero_points[read])
        assert np.array_equal(shown[7:], sums)


@FORMS
def test_accumulators_agree_bit_for_bit(number_format: NumberFormat, form: str) -> None:
    layer = some_layer(number_format, form)
    x = torch.randn(20, 70, generator=torch.Generator().manual_seed(6))
    activations, _ = quantize_activations(x)
    accumulators = layer.accumulate(activations).to(torch.int64)

    codes, zero_points = layer.unpacked_codes().numpy(), layer.zero_points
    integers = activations.to(torch.int64).numpy()
    rows = []
    for index, row in enumerate(codes):
        shifted = number_format if zero_points is None else number_format.with_zero_point(int(zero_points[index]))
        rows.append(MacConfig(shifted).dot(row, integers))
    golden = np.stack(rows, axis=1)
    assert np.array_equal(accumulators.numpy(), golden)

    exact = [
        [sum(int(w) * int(a) for w, a in zip(weights, token, strict=True)) for weights in layer.integer_weight().tolist()]
        for token in activations.tolist()
    ]
    assert accumulators.tolist() == exact

    values = layer.integer_weight()
    if values.abs().max() <= 127:  # what torch._int_mm can hold
        product = torch._int_mm(activations.to(torch.int8), values.to(torch.int8).T.contiguous())
        assert torch.equal(accumulators, product.to(torch.int64))


@FORMS
@pytest.mark.parametrize("bias", [True, False])
def test_output_is_scaled_integers(number_format: NumberFormat, form: str, bias: bool) -> None:
    layer = some_layer(number_format, form, bias=bias)
    x = torch.randn(3, 5, 70, generator=torch.Generator().manual_seed(7))
    activations, activation_scales = quantize_activations(x.reshape(-1, 70))
    weight = layer.integer_weight().double() * layer.scales.double()[:, None] * float(number_format.unit)
    expected = (activations.double() * activation_scales.double()[:, None]) @ weight.T
    if layer.bias is not None:
        expected = expected + layer.bias.double()
    output = layer(x)
    assert output.shape == (3, 5, 24)
    torch.testing.assert_close(output.reshape(-1, 24).double(), expected, rtol=2e-6, atol=2e-6)
    assert torch.equal(output, layer(x))


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_groups_have_accumulators_of_their_own(form: str) -> None:
    layer = some_layer(DINT4, form, group_size=14)
    assert layer.scales.shape == (24, 5)
    x = torch.randn(6, 70, generator=torch.Generator().manual_seed(8))
    activations, activation_scales = quantize_activations(x)
    accumulators = layer.accumulate(activations)
    values = layer.integer_weight()
    for group in range(5):
        part = slice(14 * group, 14 * group + 14)
        exact = [
            [sum(int(w) * int(a) for w, a in zip(row, token, strict=True)) for row in values[:, part].tolist()]
            for token in activations[:, part].tolist()
        ]
        assert accumulators[group].tolist() == exact
    expected = (activations.double() * activation_scales.double()[:, None]) @ layer.real_weight(torch.float64).T
    assert layer.bias is not None
    torch.testing.assert_close(layer(x).double(), expected + layer.bias.double(), rtol=2e-6, atol=2e-6)
    assert layer(x[None]).shape == (1, 6, 24)


def test_weights_only() -> None:
    layer = some_layer(DINT4, activations="fp32")
    x = torch.randn(6, 70, generator=torch.Generator().manual_seed(8))
    weight = layer.integer_weight() * layer.scales[:, None] / 2
    torch.testing.assert_close(layer(x), nn.functional.linear(x, weight, layer.bias))


def test_schemes_that_do_not_exist() -> None:
    for choices, message in (
        ({"form": "round"}, "form is 'round': known are symmetric, asymmetric"),
        ({"activations": "int4"}, r"activations is 'int4': did you mean int8\? known are int8, fp32"),
        ({"group_size": 0}, "--group-size 0"),
    ):
        with pytest.raises(InputError, match=message):
            Scheme(DINT4, **choices)


def test_large_sums_stay_exact() -> None:
    """Beyond 2^24 float32 would lose the last bits; all weights and activations at their extremes get there."""
    inputs = 3000
    layer = QuantLinear.from_linear(nn.Linear(inputs, 3, bias=False).requires_grad_(False), Scheme(INT8))
    layer.codes = torch.full((3, inputs), 127, dtype=torch.uint8)
    activations = torch.full((1, inputs), 127.0)
    activations[0, 0] = 126
    accumulators = layer.accumulate(activations)
    assert accumulators.dtype == torch.float64
    assert accumulators.to(torch.int64).tolist() == [[127 * (127 * inputs - 1)] * 3]
    assert 127 * (127 * inputs - 1) > 1 << 24


def test_small_sums_use_float32() -> None:
    assert some_layer(DINT4).accumulate(torch.ones(1, 70)).dtype == torch.float32


def test_new_state_replaces_the_old() -> None:
    one, other = some_layer(DINT4), some_layer(DINT4)
    other.codes = other.codes.flip(0)
    x = torch.randn(4, 70)
    before = one(x)
    one.load_state_dict(other.state_dict())
    assert not torch.equal(one(x), before)
    assert torch.equal(one(x), other(x))
