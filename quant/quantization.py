# SPDX-License-Identifier: Apache-2.0
"""Carries a recipe out: a quantized copy of a model, whole or streamed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .adadim import ADADIM, GroupingChoice, choose_groupings
from .attention import use_int8_attention
from .block import GroupScale
from .block_linear import BlockLinear
from .blocks import BlockTensors, block_scales, factors_of, nearest_blocks
from .clipping import clipped_block_scales, clipped_scales
from .kept import kept_scales
from .layers import QuantLinear, replace_module
from .layerwise import go_through_layers
from .models import LoadedModel
from .optq import round_compensated, round_input_channels
from .recipe import Recipe, check_groups
from .scaling import fold, search_scales
from .scheme import Scheme
from .stopwatch import stage
from .streamed import quantize_streamed
from .values import quantize_values
from .weights import QuantizedWeights, choose_scales, nearest_codes, quantize_weights

__all__ = ["QuantizedModel", "quantize_model"]


@dataclass(frozen=True)
class QuantizedModel:
    """A quantized copy of a model, and the scales folded into it."""

    model: Any  # transformers.PreTrainedModel whose decoder layers hold `QuantLinear`s
    recipe: Recipe
    scales: tuple[GroupScale, ...]
    groupings: tuple[GroupingChoice, ...] = ()  # of every linear layer, where AdaDim chose
    files: tuple[Path, ...] = ()  # of a streamed model: where its decoder layers are read from, a file for each

    def layers(self) -> dict[str, QuantLinear]:
        """The quantized layers by name, in the model's order."""
        return {name: module for name, module in self.model.named_modules() if isinstance(module, QuantLinear)}

    def column_scales(self) -> dict[str, Tensor]:
        """By linear layer: what its columns (input channels) were multiplied by."""
        return {name: found.scale for found in self.scales for name in found.consumers}

    def row_scales(self) -> dict[str, Tensor]:
        """By linear layer: what its rows (output channels) were divided by."""
        return {found.producer: found.producer_scale(self.model) for found in self.scales}


def quantize_model(
    loaded: LoadedModel,
    recipe: Recipe,
    windows: Tensor,
    progress: Callable[[], None] | None = None,
    work: Path | None = None,
) -> QuantizedModel:
    """A quantized copy of `loaded`; `windows` (n, length) are calibration tokens. `progress`: `calibration_steps` times.

    The scales found are kept in the folder `work`, if there is one, and those that another recipe found there are taken
    (`kept.kept_scales`). A streamed model's copy is streamed too, from files in `work`; given the same folder again after
    an interruption, what is finished is taken from there. Without one, the files last as long as the copy.
    """
    check_groups(loaded, recipe)
    adapter = loaded.adapter

    def quantize_layer(layer: nn.Module, hessians: dict[str, Tensor], schemes: dict[str, Scheme]) -> None:
        for name in adapter.linears:
            linear = layer.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            clip = recipe.clipping != "none" and name not in adapter.unclipped
            replace_module(layer, name, _quantized(linear, recipe, schemes[name], clip, hessians.get(name)))

    if loaded.stream is not None:
        streamed, found, groupings, files = quantize_streamed(
            loaded, recipe, windows, work, quantize_layer, recipe.needs_hessians, progress
        )
        return QuantizedModel(streamed, recipe, tuple(found), tuple(groupings), tuple(files))

    scales: list[GroupScale] = []
    if recipe.scaling != "none":
        kept = None if work is None else kept_scales(work, loaded, recipe, windows)
        scales = search_scales(loaded.model, adapter, windows, recipe.scaling, recipe.scheme, progress, kept)
    model = copy.deepcopy(loaded.model)
    fold(model, scales)
    choices: list[GroupingChoice] = []
    if recipe.grouping == ADADIM:
        choices = choose_groupings(model, adapter, windows, recipe.scheme, progress)
    schemes = recipe.schemes(adapter.linear_names(model), choices)
    names = {layer: name for name, layer in adapter.decoder_layers(model)}

    def quantize(layer: nn.Module, hessians: dict[str, Tensor]) -> None:
        quantize_layer(layer, hessians, adapter.of_layer(names[layer], schemes))

    if recipe.needs_hessians:
        go_through_layers(model, adapter, windows, quantize, recipe.rounding == "optq", progress)
    else:
        for layer in names:
            quantize(layer, {})
            if progress is not None:
                progress()
    if recipe.attention == "int8":
        use_int8_attention(model)
    if recipe.values is not None:
        quantize_values(model, adapter, windows, recipe.values, recipe.form, progress)
    return QuantizedModel(model, recipe, tuple(scales), tuple(choices))


def _quantized(linear: nn.Linear, recipe: Recipe, scheme: Scheme, clip: bool, hessian: Tensor | None) -> QuantLinear:
    """`linear` in integers, by the `scheme`; `hessian` (in, in) of its inputs where the recipe needs it."""
    if scheme.blocks is not None:
        return _in_blocks(linear, recipe, clip, hessian)
    weight, number_format = linear.weight.detach(), recipe.number_format
    granularity = scheme.form, scheme.group_size
    if scheme.grouping == "per-ic":
        with stage(f"rounding {recipe.rounding}"):
            return QuantLinear.from_weights(_by_input_channel(weight, recipe, hessian), linear.bias, scheme)
    if clip:
        assert hessian is not None
        with stage("clipping"):
            scales, zero_points = clipped_scales(weight, hessian, number_format, *granularity)
    else:
        scales, zero_points = choose_scales(weight, number_format, *granularity)
    with stage(f"rounding {recipe.rounding}"):
        if recipe.rounding == "optq":
            assert hessian is not None
            codes = round_compensated(weight, hessian, number_format, scales, zero_points)
        else:
            codes = nearest_codes(weight, number_format, scales, zero_points)
    return QuantLinear.from_weights(QuantizedWeights(codes, scales, zero_points), linear.bias, scheme)


def _by_input_channel(weight: Tensor, recipe: Recipe, hessian: Tensor | None) -> QuantizedWeights:
    """`weight` (out, in) with groups per-ic."""
    assert recipe.group_size is not None
    if recipe.rounding == "optq":
        assert hessian is not None
        return round_input_channels(weight, hessian, recipe.number_format, recipe.form, recipe.group_size)
    return quantize_weights(weight, recipe.number_format, recipe.form, recipe.group_size, "per-ic")


def _in_blocks(linear: nn.Linear, recipe: Recipe, clip: bool, hessian: Tensor | None) -> BlockLinear:
    """`linear` in the recipe's block format. OPTQ rounds elements only."""
    weight, scheme = linear.weight.detach(), recipe.scheme
    assert scheme.blocks is not None
    if clip:
        assert hessian is not None
        with stage("clipping"):
            scales, tensor_scale = clipped_block_scales(weight, hessian, scheme.blocks)
    else:
        scales, tensor_scale = block_scales(weight, scheme.blocks)
    with stage(f"rounding {recipe.rounding}"):
        if recipe.rounding == "rtn":
            return BlockLinear.of_blocks(nearest_blocks(weight, scales, tensor_scale, scheme.blocks), linear.bias, scheme)
        assert hessian is not None
        steps = factors_of(scales, tensor_scale, scheme.blocks).to(torch.float32)
        steps[steps == 0] = torch.finfo(torch.float32).max  # below a scale of zero, all elements are zero
        codes = round_compensated(weight, hessian, scheme.number_format, steps, None)
        return BlockLinear.of_blocks(BlockTensors(codes, scales, None, tensor_scale), linear.bias, scheme)
