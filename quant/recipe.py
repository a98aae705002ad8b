# SPDX-License-Identifier: Apache-2.0
"""A recipe names every choice of a quantization; `quantize_model` carries it out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from golden import NumberFormat, any_format, format_by_name
from golden.errors import InputError, unknown

from .adadim import ADADIM, GroupingChoice, choose_groupings
from .attention import use_int8_attention
from .block import GroupScale
from .block_linear import BlockLinear
from .blocks import BlockTensors, block_scales, factors_of, quantize_blocks
from .clipping import clipped_scales
from .kept import kept_scales
from .layers import QuantLinear, replace_module
from .layerwise import go_through_layers
from .models import LoadedModel
from .optq import round_compensated, round_input_channels
from .scaling import METHODS, fold, search_scales
from .scheme import Scheme
from .stopwatch import stage
from .streamed import quantize_streamed
from .values import quantize_values
from .weights import GROUPINGS, QuantizedWeights, choose_scales, nearest_codes, quantize_weights

__all__ = [
    "ATTENTIONS",
    "CLIPPINGS",
    "RECIPE_GROUPINGS",
    "ROUNDINGS",
    "SCALINGS",
    "QuantizedModel",
    "Recipe",
    "calibration_steps",
    "check_groups",
    "quantize_model",
]

SCALINGS = ("none", *METHODS)
CLIPPINGS = ("none", "awq")
ROUNDINGS = ("rtn", "optq")
ATTENTIONS = ("fp32", "int8")
RECIPE_GROUPINGS = (*GROUPINGS, ADADIM)


@dataclass(frozen=True)
class Recipe:
    """How to quantize a model. Embeddings and `lm_head` always stay in floating point.

    Raises
    ------
    InputError
        If a choice is unknown, or the format cannot take the form.
    """

    weights: str  # name of the number format, or of a block format
    scaling: str = "none"  # a method of `scaling`, or none
    rounding: str = "rtn"  # to nearest, or by OPTQ
    form: str = "symmetric"  # this, the group size and the activations: see `Scheme`
    clipping: str = "none"  # AWQ's search of the weights' range after the scaling, or none
    group_size: int | None = None
    activations: str = "int8"
    value_format: str = "none"  # number format of the attention's value tensor (`values`), in the weights' form; or none
    attention: str = "fp32"  # the attention's own products: in floating point, or int8 (`attention`)
    grouping: str = "per-oc"  # where the groups lie: in output channels, input channels, or by layer (`adadim`)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", any_format(self.weights).name)
        for option, value, known in (
            ("scaling", self.scaling, SCALINGS),
            ("clipping", self.clipping, CLIPPINGS),
            ("rounding", self.rounding, ROUNDINGS),
            ("attention", self.attention, ATTENTIONS),
            ("grouping", self.grouping, RECIPE_GROUPINGS),
        ):
            if value not in known:
                raise unknown(f"{option} is {value!r}", value, known)
        if self.value_format != "none":
            object.__setattr__(self, "value_format", format_by_name(self.value_format).name)
            if self.activations == "fp32":
                raise InputError(f"value_format is {self.value_format!r}: with activations in fp32 only weights are quantized")
        elif self.attention == "int8":
            raise InputError("attention is 'int8': it multiplies values in integers; give them a value_format, int8 or smaller")
        for number_format in filter(None, (self.number_format, self.values)):
            if self.form == "asymmetric" and not number_format.has_zero_points:
                title = number_format.title
                raise InputError(
                    f"form is 'asymmetric': {title} takes no zero-point, its values are not evenly spaced; use symmetric"
                )
        if self.grouping != "per-oc" and self.clipping != "none":
            raise InputError(
                f"clipping is {self.clipping!r}: it is of groups per-oc, but grouping is {self.grouping!r}; use none"
            )
        blocks = self.scheme.blocks  # refuses unknown choices
        if blocks is not None and self.clipping != "none":
            raise InputError(f"clipping is {self.clipping!r}: {blocks.title} prescribes its scales; leave it out")
        if blocks is not None and blocks.selector_block is not None and self.rounding != "rtn":
            raise InputError(f"rounding is {self.rounding!r}: the codebooks of {blocks.title} are selected to nearest; use rtn")

    @property
    def possible_schemes(self) -> tuple[Scheme, ...]:
        """What a quantized layer can be: with AdaDim, one for each grouping."""
        weights = any_format(self.weights)
        groupings = GROUPINGS if self.grouping == ADADIM else (self.grouping,)
        return tuple(Scheme.of(weights, self.form, self.group_size, self.activations, one) for one in groupings)

    @property
    def scheme(self) -> Scheme:
        """What the quantized layers are; with AdaDim, those whose groups stay in output channels."""
        return self.possible_schemes[0]

    def schemes(self, names: list[str], choices: list[GroupingChoice]) -> dict[str, Scheme]:
        """What each of the layers called `names` is, after AdaDim's `choices`, if it made some."""
        chosen = {choice.layer: choice.grouping for choice in choices}
        return {name: replace(self.scheme, grouping=chosen.get(name, self.scheme.grouping)) for name in names}

    @property
    def calibrates(self) -> bool:
        """Whether anything is decided on calibration windows: all but rounding weights to nearest is."""
        return self.scaling != "none" or self.needs_hessians or self.values is not None or self.grouping == ADADIM

    @property
    def needs_hessians(self) -> bool:
        """Whether second moments of the layers' inputs decide."""
        return self.clipping != "none" or self.rounding == "optq"

    @property
    def number_format(self) -> NumberFormat:
        """Format of the weights; of their elements, where they are in blocks."""
        weights = any_format(self.weights)
        return weights if isinstance(weights, NumberFormat) else weights.elements[0]

    @property
    def values(self) -> NumberFormat | None:
        """Format of the attention's value tensor, if that is quantized."""
        return None if self.value_format == "none" else format_by_name(self.value_format)

    @property
    def name(self) -> str:
        """As in tables: "W4A8V4 dINT4, AQAS, OPTQ"; what is as usual is left out."""
        activations = {"int8": "A8", "fp32": " only"}.get(self.activations, "A4")
        bits = f"W{self.number_format.bits}{activations}"
        if self.values is not None:
            bits += f"V{self.values.bits}"
        parts = [
            f"{bits} {any_format(self.weights).title}",
            self.form if self.form != "symmetric" else "",
            f"groups of {self.group_size}" if self.group_size is not None else "",
            {"per-oc": "", "per-ic": "per-ic", ADADIM: "AdaDim"}[self.grouping],
            {"none": "", "smoothquant": "SmoothQuant", "awq": "AWQ", "aqas": "AQAS"}[self.scaling],
            {"none": "", "awq": "clipped"}[self.clipping],
            {"rtn": "", "optq": "OPTQ"}[self.rounding],
            f"values {self.values.title}" if self.values not in (None, self.number_format) else "",
            {"fp32": "", "int8": "INT8 attention"}[self.attention],
        ]
        return ", ".join(part for part in parts if part)

    def describe(self) -> dict[str, Any]:
        """The choices as plain data; the grouping where it is not the usual one."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("grouping", "per-oc")}


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


def check_groups(loaded: LoadedModel, recipe: Recipe) -> None:
    """Refuse a group size that does not divide the inputs, or with groups per-ic the outputs, of every linear layer."""
    size = recipe.scheme.group_size
    if size is None:
        return
    for name in loaded.adapter.linear_names(loaded.model):
        linear = loaded.model.get_submodule(name)
        sides = {"per-oc": ("input", linear.in_features), "per-ic": ("output", linear.out_features)}
        for grouping, (kind, channels) in sides.items():
            if recipe.grouping in (grouping, ADADIM) and channels % size:
                if recipe.group_size is None:
                    raise InputError(
                        f"--format {recipe.weights}: {name} has {channels} input channels, no multiple of its block, {size}"
                    )
                raise InputError(f"--group-size {size}: {name} has {channels} {kind} channels; give a divisor of it")


def calibration_steps(loaded: LoadedModel, recipe: Recipe) -> int:
    """How often `quantize_model` calls `progress`."""
    layers = len(loaded.adapter.decoder_layers(loaded.model))
    searches = (recipe.scaling != "none") + (recipe.grouping == ADADIM)
    return layers * (searches * len(loaded.adapter.groups) + 1 + (recipe.values is not None))


def _quantized(linear: nn.Linear, recipe: Recipe, scheme: Scheme, clip: bool, hessian: Tensor | None) -> QuantLinear:
    """`linear` in integers, by the `scheme`; `hessian` (in, in) of its inputs where the recipe needs it."""
    if scheme.blocks is not None:
        return _in_blocks(linear, recipe, hessian)
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


def _in_blocks(linear: nn.Linear, recipe: Recipe, hessian: Tensor | None) -> BlockLinear:
    """`linear` in the recipe's block format. Scales are the format's either way; OPTQ rounds elements only."""
    weight, scheme = linear.weight.detach(), recipe.scheme
    assert scheme.blocks is not None
    with stage(f"rounding {recipe.rounding}"):
        if recipe.rounding == "rtn":
            return BlockLinear.of_blocks(quantize_blocks(weight, scheme.blocks), linear.bias, scheme)
        assert hessian is not None
        scales, tensor_scale = block_scales(weight, scheme.blocks)
        steps = factors_of(scales, tensor_scale, scheme.blocks).to(torch.float32)
        steps[steps == 0] = torch.finfo(torch.float32).max  # below a scale of zero, all elements are zero
        codes = round_compensated(weight, hessian, scheme.number_format, steps, None)
        return BlockLinear.of_blocks(BlockTensors(codes, scales, None, tensor_scale), linear.bias, scheme)
