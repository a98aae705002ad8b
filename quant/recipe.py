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
from .layerwise import go_through_layers
from .models import LoadedModel
from .optq import round_compensated
from .scaling import GroupScale, fold, search_scales
from .weights import FORMS, QuantizedWeights, choose_scales, round_to_codes

__all__ = ["ROUNDINGS", "SCALINGS", "QuantizedModel", "Recipe", "calibration_steps", "quantize_model"]

SCALINGS = ("none", "aqas")
ROUNDINGS = ("rtn", "optq")


@dataclass(frozen=True)
class Recipe:
    """How to quantize a model. Activations are always INT8, per token; embeddings and `lm_head` stay in floating point.

    Raises
    ------
    InputError
        If a choice is unknown.
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

    @property
    def number_format(self) -> NumberFormat:
        """Format of the weights."""
        return format_by_name(self.weights)

    @property
    def name(self) -> str:
        """As in tables: "W4A8 dINT4, AQAS"."""
        base = f"W{self.number_format.bits}A8 {self.number_format.title}"
        parts = [base, *(["asymmetric"] if self.form == "asymmetric" else []), *([] if self.scaling == "none" else ["AQAS"])]
        return ", ".join(parts if self.rounding == "rtn" else [*parts, self.rounding.upper()])

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
    """A quantized copy of `loaded`; `windows` (n, length) are calibration tokens. `progress`: `calibration_steps` times."""
    scales: list[GroupScale] = []
    if recipe.scaling == "aqas":
        scales = search_scales(loaded.model, loaded.adapter, windows, recipe.number_format, recipe.form, progress)
    model = copy.deepcopy(loaded.model)
    fold(model, scales)

    def quantize_layer(layer: nn.Module, hessians: dict[str, Tensor]) -> None:
        for name in loaded.adapter.linears:
            linear = layer.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            replace_module(layer, name, _quantized(linear, recipe, hessians.get(name)))

    if recipe.rounding == "optq":
        go_through_layers(model, loaded.adapter, windows, quantize_layer, progress)
    else:
        for _, layer in loaded.adapter.decoder_layers(model):
            quantize_layer(layer, {})
    return QuantizedModel(model, recipe, tuple(scales))


def calibration_steps(loaded: LoadedModel, recipe: Recipe) -> int:
    """How often `quantize_model` calls `progress`."""
    layers = len(loaded.adapter.decoder_layers(loaded.model))
    searched = len(loaded.adapter.groups) if recipe.scaling == "aqas" else 0
    return layers * (searched + (recipe.rounding == "optq"))


def _quantized(linear: nn.Linear, recipe: Recipe, hessian: Tensor | None) -> QuantLinear:
    """`linear` in integers; `hessian` (in, in) of its inputs where the rounding needs it."""
    weight = linear.weight.detach()
    scales, zero_points = choose_scales(weight, recipe.number_format, recipe.form)
    if hessian is None:
        codes = round_to_codes(weight / scales[:, None], recipe.number_format, zero_points)
    else:
        codes = round_compensated(weight, hessian, recipe.number_format, scales, zero_points)
    return QuantLinear.from_weights(QuantizedWeights(codes, scales, zero_points), linear.bias, recipe.number_format)
