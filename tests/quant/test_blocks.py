# SPDX-License-Identifier: Apache-2.0
"""Block formats in torch: the golden model's codes and exact sums, as layers and as whole models; what is refused."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from golden import (
    BLOCK_FORMATS,
    GROUP_FORMATS,
    MXFP4,
    NVFP4,
    BlockCodes,
    BlockFormat,
    InputError,
    Operands,
    dot,
    unit_of_options,
)
from quant.activations import quantize_activations
from quant.block_linear import BlockLinear, empty_layer, quantized_layer
from quant.blocks import BlockTensors, factors_of, quantize_blocks, values_of
from quant.command import quantize
from quant.export import export_operands
from quant.huggingface import load_quantized
from quant.models import LoadedModel
from quant.output_error import layer_inputs, mean_error, output_errors
from quant.quantization import quantize_model
from quant.recipe import Recipe, check_groups
from quant.scheme import Scheme
from sim.block_stimulus import from_operands
from tests.golden.test_block_format import CLUSTERED, samples

from .conftest import save, tiny_model

EVERY = pytest.mark.parametrize("block_format", [*BLOCK_FORMATS.values(), GROUP_FORMATS["dint4_g32"]], ids=lambda one: one.name)


def some_layer(block_format: BlockFormat, activations: str = "int8", bias: bool = True) -> BlockLinear:
    torch.manual_seed(4)
    linear = nn.Linear(96, 24, bias=bias).requires_grad_(False)
    linear.weight *= torch.logspace(-3, 3, 24)[:, None]
    linear.weight[5, 32:64] = 0
    layer = quantized_layer(linear, Scheme.of(block_format, "symmetric", None, activations))
    assert isinstance(layer, BlockLinear)
    return layer


def some_tokens() -> torch.Tensor:
    return torch.randn(7, 96, generator=torch.Generator().manual_seed(6)) * torch.logspace(-4, 4, 7)[:, None]


def golden_codes(tensors: BlockTensors, block_format: BlockFormat) -> BlockCodes:
    arrays = [None if one is None else one.numpy() for one in dataclasses.astuple(tensors)]
    return BlockCodes(block_format, *arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize(
    "block_format", [MXFP4, NVFP4, CLUSTERED, GROUP_FORMATS["int4_g128"], GROUP_FORMATS["dint4_g32"]], ids=lambda one: one.name
)
def test_codes_are_the_golden_models(block_format: BlockFormat, by_row: bool) -> None:
    x = samples(block_format)
    if block_format is CLUSTERED:  # beside numbers far beyond its range, float64 does not tell squared errors apart
        x = x[np.abs(x).max(axis=1) < 2000]
        assert len(x) > 30
    found = quantize_blocks(torch.from_numpy(x), block_format, by_row)
    expected = block_format.quantize(x, by_row)
    for ours, golden in zip(dataclasses.astuple(found), (expected.codes, expected.scales, expected.selectors), strict=False):
        assert np.array_equal(ours, golden) if golden is not None else ours is None
    if expected.tensor_scales is not None:
        assert found.tensor_scales is not None
        assert np.array_equal(found.tensor_scales.numpy(), expected.tensor_scales)
    values = values_of(found.codes, found.selectors, block_format)
    assert np.array_equal(values.numpy(), block_format.values(expected))
    factors = factors_of(found.scales, found.tensor_scales, block_format).repeat_interleave(block_format.block, dim=1)
    assert np.array_equal((values * factors * float(block_format.unit)).numpy(), block_format.decode(expected))


@EVERY
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, -torch.inf])
def test_activations_that_are_no_numbers_stay_so(block_format: BlockFormat, wrong: float) -> None:
    x = torch.ones(2, 96)
    x[1, 40] = wrong
    output = some_layer(block_format, block_format.name)(x)
    assert torch.isfinite(output[0]).all()
    assert torch.isnan(output[1]).all()


@EVERY
@pytest.mark.parametrize("blocks", [False, True], ids=["int8", "blocks"])
def test_outputs_are_the_exact_sums_rounded_once(block_format: BlockFormat, blocks: bool) -> None:
    layer = some_layer(block_format, block_format.name if blocks else "int8", bias=False)
    state = BlockTensors(layer.unpacked_codes(), layer.block_scales, layer.selectors, layer.tensor_scale)
    weights, x = golden_codes(state, block_format), some_tokens()
    if blocks:
        tokens = golden_codes(quantize_blocks(x, block_format, by_row=True), block_format)
        products, outer = dot(weights, tokens), tokens.tensor_scales
    else:
        activations, scales = quantize_activations(x)
        products, outer = dot(weights, activations.to(torch.int64).numpy()), scales[:, None].numpy()
    exact = products.to_float()
    assert all(Fraction(one) == whole * products.unit for one, whole in zip(exact.flat, products.integers.flat, strict=True))
    for scale in (outer, weights.tensor_scales):
        if scale is not None:
            exact = exact * scale.astype(np.float64)
    assert np.array_equal(layer(x).numpy(), exact.astype(np.float32))
    assert layer(x.view(1, 7, 96)).shape == (1, 7, 24)


@EVERY
def test_executions_agree_bit_for_bit(block_format: BlockFormat) -> None:
    layer, x = some_layer(block_format), some_tokens()
    output = layer(x)
    layer.execution = "integer"
    assert torch.equal(layer(x), output)
    accumulators = layer.accumulate(quantize_activations(x)[0])
    assert accumulators.dtype == torch.int32
    assert accumulators.shape == (96 // block_format.block, 7, 24)
    with pytest.raises(InputError, match=f"leaves activations in {block_format.name}"):
        some_layer(block_format, block_format.name).execution = "integer"


@EVERY
def test_weights_only(block_format: BlockFormat) -> None:
    layer, x = some_layer(block_format, "fp32"), some_tokens()
    weight = layer.real_weight()
    assert torch.equal(layer(x), nn.functional.linear(x, weight, layer.bias))
    torch.testing.assert_close(weight, layer.integer_weight() * layer.scales.repeat_interleave(block_format.block, 1) / 2)
    assert not weight[5, 32:64].any()


@EVERY
def test_state(block_format: BlockFormat) -> None:
    """What is stored is what the format counts; new state replaces the old."""
    layer, other = some_layer(block_format), some_layer(block_format)
    stored = sum(8 * layer.state_dict()[name].nbytes for name in ("codes", "block_scales"))
    stored += 0 if layer.tensor_scale is None else 32
    assert stored == block_format.storage_bits(24 * 96)
    other.codes = other.codes.flip(0)
    x = some_tokens()
    before = layer(x)
    empty = empty_layer(96, 24, True, layer.scheme)
    for one in (layer, empty):
        one.load_state_dict(other.state_dict())
        assert not torch.equal(one(x), before)
        assert torch.equal(one(x), other(x))
    assert block_format.title in repr(layer)


def test_state_that_is_none() -> None:
    layer = some_layer(NVFP4)
    assert layer.fault() == ""
    for name, wrong, message in (
        ("block_scales", torch.full_like(layer.block_scales, 0x7F), "scales that are no numbers of E4M3"),
        ("block_scales", torch.full_like(layer.block_scales, 0x81), "scales that are no numbers of E4M3"),
        ("tensor_scale", torch.tensor(-1.0), "a tensor scale of -1.0"),
        ("tensor_scale", torch.tensor(torch.inf), "a tensor scale of inf"),
    ):
        broken = some_layer(NVFP4)
        setattr(broken, name, wrong)
        assert broken.fault() == message
    signed = some_layer(GROUP_FORMATS["dint4_g32"])
    assert int(signed.block_scales.max()) > 0x80
    assert signed.fault() == ""
    for nan in (0x7F, 0xFF):
        signed.block_scales[3, 1] = nan
        assert signed.fault() == "scales that are no numbers of signed E4M3"
    clustered = some_layer(CLUSTERED)
    clustered.selectors = torch.full_like(clustered.selectors, 2)  # type: ignore[arg-type]
    assert clustered.fault() == "selectors out of 0 to 1"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"weights": "mxfp5"}, r"unknown format 'mxfp5': did you mean mxfp4\?"),
        ({"weights": "mxfp4", "group_size": 32}, "--group-size 32: MXFP4 has blocks of 32; leave it out"),
        ({"weights": "mxfp4", "form": "asymmetric"}, "form is 'asymmetric': FP4 E2M1 takes no zero-point"),
        ({"weights": "nvfp4", "clipping": "awq"}, "clipping is 'awq': NVFP4 prescribes its scales; leave it out"),
        ({"weights": "int4", "activations": "mxfp4"}, "weights in INT4 do not; give --format mxfp4, or activations in int8"),
        ({"weights": "nvfp4", "activations": "mxfp4"}, "its blocks of 32 have scales of their own, weights in NVFP4 do not"),
        ({"weights": "mxfp4", "activations": "int4"}, "activations is 'int4': did you mean int8"),
        ({"weights": "int4", "value_format": "mxfp4"}, "unknown format 'mxfp4'"),
    ],
)
def test_recipes_that_make_no_sense(choices: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Recipe(**choices)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_names_of_recipes() -> None:
    names = [Recipe("mxfp4", activations=one).name for one in ("int8", "fp32", "mxfp4")]
    assert names == ["W4A8 MXFP4", "W4 only MXFP4", "W4A4 MXFP4"]


def test_blocks_divide_every_layer(tiny: LoadedModel) -> None:
    narrow = dataclasses.replace(tiny, model=tiny_model(ffn_dim=80))
    check_groups(narrow, Recipe("nvfp4"))
    with pytest.raises(InputError, match=r"--format mxfp4: .*fc2 has 80 input channels, no multiple of its block, 32"):
        check_groups(narrow, Recipe("mxfp4"))
    with pytest.raises(InputError, match="80 input channels: MXFP4 has blocks of 32; give a multiple"):
        empty_layer(80, 3, False, Recipe("mxfp4").scheme)
    with pytest.raises(InputError, match="rows of 80 numbers: MXFP4 has blocks of 32; give a multiple"):
        quantize_blocks(torch.ones(1, 80), MXFP4)


@EVERY
def test_compensated_rounding_has_the_same_scales_and_less_error(
    block_format: BlockFormat, tiny: LoadedModel, windows: torch.Tensor
) -> None:
    nearest, compensated = (
        quantize_model(tiny, Recipe(block_format.name, rounding=rounding, activations="fp32"), windows)
        for rounding in ("rtn", "optq")
    )
    first = "model.decoder.layers.0.self_attn.q_proj"
    layers = [one.layers()[first] for one in (nearest, compensated)]
    assert torch.equal(layers[0].block_scales, layers[1].block_scales)  # type: ignore[arg-type]
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors = [mean_error(output_errors(tiny.model, one, inputs)).total for one in (nearest, compensated)]
    assert errors[1] < 0.9 * errors[0]


def test_scales_of_zero_stay_zero_in_compensated_rounding(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """A block that E4M3 has no scale for, because another is so much larger."""
    model = tiny_model()
    name = "model.decoder.layers.0.self_attn.q_proj"
    with torch.no_grad():
        model.get_submodule(name).weight[3, 16:32] *= 1e-7  # type: ignore[operator]
    quantized = quantize_model(dataclasses.replace(tiny, model=model), Recipe("nvfp4", rounding="optq"), windows)
    layer = quantized.layers()[name]
    assert isinstance(layer, BlockLinear)
    assert layer.block_scales[3, 1] == 0
    assert not layer.unpacked_codes()[3, 16:32].any()


def test_a_damaged_directory(tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path) -> None:
    quantized = quantize_model(tiny, Recipe("mxfp4"), windows)
    next(iter(quantized.layers().values())).block_scales[0, 0] = 255  # type: ignore[index, operator]
    with pytest.raises(InputError, match="k_proj has scales that are no numbers of E8M0; quantize the model again"):
        load_quantized(save(quantized, tiny, tmp_path / "out"))


def test_command(tiny_directory: Path, tmp_path: Path) -> None:
    """W4A8 and W4A4 give operands with the scales of their blocks; both say what they are."""
    for activations in ("int8", "nvfp4"):
        out = tmp_path / activations
        metrics = quantize(
            str(tiny_directory), out=out, recipe="w4a16-fp4-rtn", format="nvfp4", form="symmetric", activations=activations,
            table=False, quiet=True,
        )  # fmt: skip
        assert metrics["recipe"]["weights"] == "nvfp4"
        model, config = load_quantized(out)
        assert (config.weights, config.number_format.name, config.version) == ("nvfp4", "fp4_e2m1", 3)
        windows = torch.arange(128).view(2, 64)
        exported = export_operands(model, windows, {}, tokens=4)
        exported.save(tmp_path / "again.npz")
        for found in (Operands.load(tmp_path / "again.npz"), Operands.load(out / "operands.npz")):
            assert found.format_name == ("nvfp4" if activations == "int8" else "nvfp4_a4")
            assert all(np.array_equal(found.expected(layer), layer.accumulators) for layer in found.layers)
        config_of_unit = unit_of_options("nvfp4", activations=activations, lanes=8)
        stimulus = from_operands(found, config_of_unit, 600, 0)
        shown = stimulus.rows(config_of_unit).outputs["accumulator"][1:, 0]
        assert stimulus.completed.sum() > 20
        assert shown[stimulus.completed].tolist() == stimulus.stated[stimulus.completed].tolist()
