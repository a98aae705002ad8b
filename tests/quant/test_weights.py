# SPDX-License-Identifier: Apache-2.0
"""Rounding against the golden model, code by code; scales against their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from golden import DINT4, FORMATS, FP4_E2M1, INT4, NumberFormat, pack, unpack
from golden.errors import InputError
from quant.clipping import clipped_scales
from quant.layers import QuantLinear, torch_pack, torch_unpack
from quant.optq import round_compensated
from quant.scheme import Scheme
from quant.values import QuantValues
from quant.weights import choose_scales, decode, decode_packed, quantize_weights, round_to_codes

ALL = pytest.mark.parametrize("number_format", FORMATS.values(), ids=lambda one: one.name)
SHIFTABLE = pytest.mark.parametrize(
    "number_format", [one for one in FORMATS.values() if one.has_zero_points], ids=lambda one: one.name
)
FORMS = pytest.mark.parametrize(
    ("number_format", "form"),
    [(one, form) for one in FORMATS.values() for form in ("symmetric", "asymmetric")[: 1 + one.has_zero_points]],
    ids=lambda one: getattr(one, "name", one),
)


def difficult_numbers(number_format: NumberFormat) -> np.ndarray:
    """Every value and midpoint of the format, their float32 neighbours, and numbers at random, in steps."""
    values = np.sort(np.array(number_format.values)) * float(number_format.unit)
    exact = np.concatenate([values, (values[1:] + values[:-1]) / 2, [1e30, -1e30, 0.0, -0.0, 1e-40]]).astype(np.float32)
    around = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    random = np.random.default_rng(0).normal(0, 3 * values.max() / 7, 1000).astype(np.float32)
    return np.concatenate([exact, *around, random])


@ALL
def test_rounding_agrees_with_golden(number_format: NumberFormat) -> None:
    x = difficult_numbers(number_format)
    rows = np.stack([x, x[::-1]])
    codes = round_to_codes(torch.from_numpy(rows), number_format, None).numpy()
    assert np.array_equal(codes, number_format.round(rows))
    assert [int(code) for code in codes[0, :100]] == [number_format.round_one(float(one)) for one in x[:100]]


@ALL
def test_rounding_in_float64_agrees_with_golden(number_format: NumberFormat) -> None:
    """Next to a threshold by less than float32 can tell."""
    x = difficult_numbers(number_format).astype(np.float64)
    rows = np.stack([np.nextafter(x, -np.inf), np.nextafter(x, np.inf)])
    assert np.array_equal(round_to_codes(torch.from_numpy(rows), number_format, None).numpy(), number_format.round(rows))


@SHIFTABLE
def test_rounding_with_zero_points_agrees_with_golden(number_format: NumberFormat) -> None:
    zero_points = torch.arange(number_format.steps + 1)[:: max(1, number_format.steps // 16)]
    rows = np.stack([difficult_numbers(number_format.with_zero_point(int(z))) for z in zero_points])
    codes = round_to_codes(torch.from_numpy(rows), number_format, zero_points)
    values = decode(codes, number_format, zero_points)
    for index, zero_point in enumerate(zero_points.tolist()):
        shifted = number_format.with_zero_point(zero_point)
        assert np.array_equal(codes[index].numpy(), shifted.round(rows[index]))
        assert np.array_equal(values[index].numpy(), shifted.decode(codes[index].numpy()))


def test_asymmetric_dint4_is_the_papers_formula() -> None:
    """q = clamp(round(x / s) + z, 0, p), except that +-(s/4, 3s/4] gets +-s/2 (arXiv 2311.05161, section 4)."""
    weight = torch.randn(32, 200, generator=torch.Generator().manual_seed(1)) + torch.linspace(-1, 1, 32)[:, None]
    quantized = quantize_weights(weight, DINT4, "asymmetric")
    assert quantized.zero_points is not None
    got = decode(quantized.codes, DINT4, quantized.zero_points) / 2 * quantized.scales[:, None]
    p = 13
    low, high = weight.amin(1, keepdim=True).clamp(max=0), weight.amax(1, keepdim=True).clamp(min=0)
    s = (high - low) / p
    z = torch.round(-low / s)
    x = weight / s
    expected = torch.clamp(torch.round(x) + z, 0, p) - z
    expected[(x > 0.25) & (x <= 0.75)] = 0.5
    expected[(x < -0.25) & (x >= -0.75)] = -0.5
    assert torch.equal(got, expected * s)


@ALL
def test_signed_scales_put_the_larger_extreme_on_the_longer_side(number_format: NumberFormat) -> None:
    weight = torch.tensor([[1.0, -4.0, 0.5], [4.0, -1.0, 0.5]])
    scales, zero_points = choose_scales(weight, number_format, "symmetric")
    assert zero_points is None
    values = decode(quantize_weights(weight, number_format, "symmetric").codes, number_format, None)
    if -number_format.minimum == number_format.maximum:  # both sides are equally long: nothing is mirrored
        assert scales[0] == scales[1] > 0
        assert [values[0, 1], values[1, 0]] == [number_format.minimum, number_format.maximum]
        return
    assert scales[0] == -scales[1]
    longest = max(number_format.values, key=abs)
    assert values[0, 1] == longest
    assert values[1, 0] == longest  # mirrored: the larger extreme is met exactly, whatever its sign
    opposite = quantize_weights(-weight, number_format, "symmetric")
    assert torch.equal(opposite.codes, quantize_weights(weight, number_format, "symmetric").codes)
    assert torch.equal(opposite.scales, -scales)


@FORMS
def test_error_is_at_most_half_a_step_inside_the_range(number_format: NumberFormat, form: str) -> None:
    weight = torch.randn(64, 100, generator=torch.Generator().manual_seed(2))
    quantized = quantize_weights(weight, number_format, form)
    values = decode(quantized.codes, number_format, quantized.zero_points)
    steps = (values * float(number_format.unit) - weight / quantized.scales[:, None]).abs()
    ranked = np.unique(number_format.values) * float(number_format.unit)
    widest = np.diff(ranked).max()  # floating point: the step of the largest binade
    inside = steps <= widest / 2 + 1e-4
    # Only the extreme of the shorter side saturates (symmetric), or moves with the rounded zero-point (asymmetric).
    extremes = (values == values.amin(1, keepdim=True)) | (values == values.amax(1, keepdim=True))
    assert bool((inside | extremes).all())
    assert inside.float().mean() > 0.95


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_channels_of_zeros_stay_zero(form: str) -> None:
    weight = torch.zeros(3, 8)
    weight[1, 2] = 1.0
    quantized = quantize_weights(weight, DINT4, form)
    values = decode(quantized.codes, DINT4, quantized.zero_points)
    assert torch.isfinite(quantized.scales).all()
    assert not values[0].any()
    assert values[1, 2] / 2 * quantized.scales[1] == pytest.approx(1.0)


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_groups_in_input_channels_are_those_of_the_transposed(form: str) -> None:
    weight = torch.randn(8, 5, generator=torch.Generator().manual_seed(3))
    across, own = quantize_weights(weight, DINT4, form, 4, "per-ic"), quantize_weights(weight.T, DINT4, form, 4)
    assert across.codes.shape == (8, 5)
    assert across.scales.shape == (5, 2)
    assert torch.equal(across.codes, own.codes.T)
    assert torch.equal(across.scales, own.scales)


@pytest.mark.parametrize("number_format", [INT4, DINT4], ids=lambda one: one.name)
@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_a_group_is_a_channel_of_its_own(number_format: NumberFormat, form: str) -> None:
    weight = torch.randn(6, 24, generator=torch.Generator().manual_seed(10))
    grouped = quantize_weights(weight, number_format, form, group_size=8)
    assert grouped.codes.shape == (6, 24)
    for group in range(3):
        part = slice(8 * group, 8 * group + 8)
        own = quantize_weights(weight[:, part], number_format, form)
        assert torch.equal(grouped.codes[:, part], own.codes)
        assert torch.equal(grouped.scales[:, group], own.scales)
        if own.zero_points is not None and grouped.zero_points is not None:
            assert torch.equal(grouped.zero_points[:, group], own.zero_points)


@pytest.mark.parametrize("number_format", [one for one in FORMATS.values() if one.bits <= 4], ids=lambda one: one.name)
def test_packed_codes_are_decoded_in_pairs(number_format: NumberFormat) -> None:
    codes = np.arange(len(number_format.values))
    pairs = np.stack(np.meshgrid(codes, codes, indexing="ij"), axis=-1).reshape(len(codes), -1)
    packed = torch.from_numpy(pack(number_format, pairs))
    assert decode_packed(packed, number_format).tolist() == number_format.decode(pairs).tolist()


POSITIVE = NumberFormat("positive", "longer above", 2, (0, 1, 2, -1))


@pytest.mark.parametrize(
    ("number_format", "weights", "scale"),
    [
        (INT4, [-4.0, 2.0], 4 / 8),
        (INT4, [4.0, -2.0], -4 / 8),
        (INT4, [2.0, -2.0], 2 / 8),  # equal extremes are not mirrored
        (INT4, [2.0, 1.0], -2 / 8),
        (DINT4, [-4.0, 2.0], 4 / 7),
        (DINT4, [1.0, 4.0], -4 / 7),
        (FP4_E2M1, [1.0, 4.0], 4 / 6),
        (POSITIVE, [-1.0, 4.0], 4 / 2),
        (POSITIVE, [-4.0, 1.0], -4 / 2),
        (POSITIVE, [-4.0, 4.0], 4 / 2),
    ],
    ids=lambda one: getattr(one, "name", str(one)),
)
def test_symmetric_scales_by_hand(number_format: NumberFormat, weights: list[float], scale: float) -> None:
    scales, zero_points = choose_scales(torch.tensor([weights]), number_format, "symmetric")
    assert zero_points is None
    assert scales.tolist() == pytest.approx([scale], rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "scale", "zero_point"),
    [([-2.0, 4.0], 6 / 13, 4), ([2.0, 5.0], 5 / 13, 0), ([-2.0, -5.0], 5 / 13, 13), ([0.25, 0.5], 0.5 / 13, 0)],
)
def test_asymmetric_scales_by_hand(weights: list[float], scale: float, zero_point: int) -> None:
    """The range includes zero."""
    scales, zero_points = choose_scales(torch.tensor([weights]), DINT4, "asymmetric")
    assert zero_points is not None
    assert scales.tolist() == pytest.approx([scale], rel=1e-6)
    assert zero_points.tolist() == [zero_point]


def test_unknown_form_is_refused() -> None:
    with pytest.raises(InputError, match="form is 'log'"):
        choose_scales(torch.ones(1, 1), INT4, "log")


@ALL
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_packing_agrees_with_golden(number_format: NumberFormat, count: int) -> None:
    codes = torch.randint(1 << number_format.bits, (5, count), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    packed = torch_pack(codes, number_format)
    assert np.array_equal(packed.numpy(), pack(number_format, codes.numpy()))
    assert torch.equal(torch_unpack(packed, number_format, count), codes)
    assert np.array_equal(unpack(number_format, packed.numpy(), count), codes.numpy())


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_everything_stays_on_the_device_of_the_weights(form: str) -> None:
    """On torch's device without data, which refuses to meet another: what an accelerator needs."""
    weight, hessian = torch.randn(8, 64, device="meta"), torch.randn(64, 64, device="meta")
    for group_size in (None, 16):
        scales, zero_points = clipped_scales(weight, hessian, DINT4, form, group_size)
        codes = round_compensated(weight, hessian, DINT4, scales, zero_points)
        quantized = quantize_weights(weight, DINT4, form, group_size)
        layer = QuantLinear.from_weights(quantized, None, Scheme(DINT4, form, group_size))
        layer.execution = "integer"
        values = QuantValues(8, DINT4, form)
        values.calibrate(layer(torch.randn(3, 64, device="meta")))
        used = (scales, codes, quantized.codes, layer.integer_weight(), values(layer(torch.randn(2, 64, device="meta"))))
        assert all(tensor.is_meta for tensor in used)
