# SPDX-License-Identifier: Apache-2.0
"""A recipe names every choice of a quantization; `quantization.quantize_model` carries it out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from golden import GROUP_FORMATS, NumberFormat, any_format, format_by_name
from golden.errors import InputError, unknown

from .adadim import ADADIM, GroupingChoice
from .models import LoadedModel
from .scaling import METHODS
from .scheme import Scheme
from .weights import GROUPINGS

__all__ = [
    "ATTENTIONS",
    "CLIPPINGS",
    "RECIPE_GROUPINGS",
    "ROUNDINGS",
    "SCALINGS",
    "Recipe",
    "calibration_steps",
    "check_groups",
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
        if blocks is not None and blocks.name not in GROUP_FORMATS and self.clipping != "none":
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
