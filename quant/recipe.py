"""A recipe names every choice of a quantization; `quantize_model` carries it out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from golden import NumberFormat, format_by_name
from golden.errors import InputError

from .layers import QuantLinear, replace_module
from .models import LoadedModel
from .scaling import GroupScale, fold, search_scales
from .weights import FORMS

__all__ = ["ROUNDINGS", "SCALINGS", "QuantizedModel", "Recipe", "quantize_model"]

SCALINGS = ("none", "aqas")
ROUNDINGS = ("rtn",)


@dataclass(frozen=True)
class Recipe:
    """How to quantize a model. Activations are always INT8, per token; embeddings and `lm_head` stay in floating point.

    Raises
    ------
    InputError
        If a choice is unknown, or the format cannot take the form.
    """

    weights: str  # name of the number format
    scaling: str = "none"
    rounding: str = "rtn"
    form: str = "symmetric"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", format_by_name(self.weights).name)
        for option, value, known in (
            ("scaling", self.scaling, SCALINGS),
            ("rounding", self.rounding, ROUNDINGS),
            ("form", self.form, FORMS),
        ):
            if value not in known:
                raise InputError(f"{option} is {value!r}: known are {', '.join(known)}")
        if self.form == "asymmetric" and not self.number_format.has_zero_points:
            title = self.number_format.title
            raise InputError(
                f"form is 'asymmetric': {title} takes no zero-point, its values are not evenly spaced; use symmetric"
            )

    @property
    def number_format(self) -> NumberFormat:
        """Format of the weights."""
        return format_by_name(self.weights)

    @property
    def name(self) -> str:
        """As in tables: "W4A8 dINT4, AQAS"."""
        base = f"W{self.number_format.bits}A8 {self.number_format.title}"
        parts = [base, *(["asymmetric"] if self.form == "asymmetric" else []), *([] if self.scaling == "none" else ["AQAS"])]
        return ", ".join(parts)

    def describe(self) -> dict[str, str]:
        """The choices as plain data."""
        return {
            "weights": self.weights,
            "activations": "int8",
            "scaling": self.scaling,
            "rounding": self.rounding,
            "form": self.form,
        }


@dataclass(frozen=True)
class QuantizedModel:
    """A quantized copy of a model, and the scales folded into it."""

    model: Any  # transformers.PreTrainedModel whose decoder layers hold `QuantLinear`s
    recipe: Recipe
    scales: tuple[GroupScale, ...]

    def layers(self) -> dict[str, QuantLinear]:
        """The quantized layers by name, in the model's order."""
        return {name: module for name, module in self.model.named_modules() if isinstance(module, QuantLinear)}

    def column_scales(self) -> dict[str, Tensor]:
        """By linear layer: what its columns (input channels) were multiplied by."""
        return {name: found.scale for found in self.scales for name in found.consumers}

    def row_scales(self) -> dict[str, Tensor]:
        """By linear layer: what its rows (output channels) were divided by."""
        return {found.producer: found.scale for found in self.scales}


def quantize_model(
    loaded: LoadedModel, recipe: Recipe, windows: Tensor, progress: Callable[[], None] | None = None
) -> QuantizedModel:
    """A quantized copy of `loaded`; `windows` (n, length) are calibration tokens. `progress`: after every scaling group."""
    scales: list[GroupScale] = []
    if recipe.scaling == "aqas":
        scales = search_scales(loaded.model, loaded.adapter, windows, recipe.number_format, recipe.form, progress)
    model = copy.deepcopy(loaded.model)
    fold(model, scales)
    for name in loaded.adapter.linear_names(model):
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        replace_module(model, name, QuantLinear.from_linear(linear, recipe.number_format, recipe.form))
    return QuantizedModel(model, recipe, tuple(scales))
