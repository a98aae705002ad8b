# SPDX-License-Identifier: Apache-2.0
"""Several recipes on the same model and texts: the table behind "with and without AQAS, INT4 and dINT4"."""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import product
from typing import Any

from golden import FORMATS, VARIANTS, format_by_name

from .code_use import code_use
from .evaluation import Protocol, Score
from .models import LoadedModel
from .output_error import OutputError, mean_error
from .quantization import QuantizedModel
from .recipe import CLIPPINGS, ROUNDINGS, SCALINGS, Recipe
from .streaming import present_module

__all__ = ["UNQUANTIZED", "compared_recipes", "layer_rows", "table_row"]

#: Name of the first row.
UNQUANTIZED = "unquantized"


def compared_recipes(chosen: Recipe, full: bool = False) -> list[Recipe]:
    """The recipes of the table, without scaling first; `chosen` is added where it is not among them, behind its sibling.

    The sibling is the same recipe in the format that dINT stands against (`SIBLINGS`). The full table has every scaling,
    clipping and rounding for every format of at most four bits, all else as in `chosen`: a format that takes no zero-points
    is symmetric there.
    """
    if full:
        recipes = _every_method(chosen)
        return recipes if chosen in recipes else [*recipes, chosen]
    sibling = [_in_format(chosen, SIBLINGS[chosen.weights])] if chosen.weights in SIBLINGS else []
    return [*_USUAL, *(recipe for recipe in (*sibling, chosen) if recipe not in _USUAL)]


#: By format, the one of as many bits that it is compared with.
SIBLINGS = {
    "int4": "dint4",
    "int3": "dint3",
    "fp4_e2m1": "dint4",
    **{name: f"int{dint.bits}" for name, dint in (FORMATS | VARIANTS).items() if name.startswith("dint")},
}
_USUAL = (
    Recipe("int8"),
    Recipe("int4"),
    Recipe("int4", scaling="aqas"),
    Recipe("dint4"),
    Recipe("dint4", scaling="aqas"),
    Recipe("int4", form="asymmetric"),
    Recipe("dint4", form="asymmetric"),
)


def _in_format(recipe: Recipe, name: str) -> Recipe:
    """`recipe` with weights in another format, and the values too where they are in the weights'."""
    values = name if recipe.value_format == recipe.weights else recipe.value_format
    form = recipe.form if format_by_name(name).has_zero_points else "symmetric"
    return replace(recipe, weights=name, value_format=values, form=form)


def _every_method(chosen: Recipe) -> list[Recipe]:
    formats = [number_format.name for number_format in FORMATS.values() if number_format.bits <= 4]
    return [
        replace(_in_format(chosen, name), clipping=clipping, scaling=scaling, rounding=rounding)
        for name, clipping, scaling, rounding in product(formats, CLIPPINGS, SCALINGS, ROUNDINGS)
    ]


def table_row(
    recipe: Recipe | None, chosen: bool, scores: dict[str, Score], errors: dict[str, OutputError] | None
) -> dict[str, Any]:
    """One row as plain data; `recipe` None is the unquantized model. `scores` is by text."""
    if recipe is None:
        choices: dict[str, Any] = {
            "weights": "fp32",
            "activations": "fp32",
            "scaling": "none",
            "rounding": "none",
            "form": None,
            "clipping": "none",
            "group_size": None,
            "value_format": "none",
            "attention": "fp32",
        }
    else:
        choices = recipe.describe()
    mean = mean_error(errors) if errors else None
    error = None if mean is None else asdict(mean)
    zero_fraction = None if error is None else error.pop("zero_fraction")
    return {
        "name": UNQUANTIZED if recipe is None else recipe.name,
        **choices,
        "chosen": chosen,
        "perplexity": {text: score.perplexity for text, score in scores.items()},
        "perplexity_standard_error": {text: score.perplexity_standard_error for text, score in scores.items()},
        "perplexity_ratio": {text: score.perplexity_ratio for text, score in scores.items()},
        "perplexity_ratio_standard_error": {text: score.perplexity_ratio_standard_error for text, score in scores.items()},
        "kl": {text: score.kl for text, score in scores.items()},
        "kl_standard_error": {text: score.kl_standard_error for text, score in scores.items()},
        "losses": {text: score.losses for text, score in scores.items()},
        "divergences": {text: score.divergences for text, score in scores.items()},
        "output_error": error,
        "zero_fraction": zero_fraction,
        "code_values": None if recipe is None else _code_values(recipe),
    }


def _code_values(recipe: Recipe) -> list[float] | None:
    """What each code stands for, in steps; None where that depends on zero-point or codebook, or the codes are too many."""
    number_format = recipe.number_format
    blocks = recipe.scheme.blocks
    if recipe.form == "asymmetric" or number_format.bits > 4 or (blocks is not None and len(blocks.elements) > 1):
        return None
    return [value * float(number_format.unit) for value in number_format.values]


def layer_rows(quantized: QuantizedModel, errors: dict[str, OutputError]) -> list[dict[str, Any]]:
    """The output errors and the use of the codes by layer as plain data."""
    return [
        {"row": quantized.recipe.name, "layer": name, **asdict(error), **code_use(present_module(quantized.model, name))}
        for name, error in errors.items()
    ]


def accuracy(
    loaded: LoadedModel,
    chosen: Recipe,
    calibration: dict[str, Any] | None,
    protocols: list[Protocol],
    rows: list[dict[str, Any]],
    layers: list[dict[str, Any]],
) -> dict[str, Any]:
    """All measurements of a quantization as plain data: `metrics.json`."""
    return {
        "model": {"name": loaded.name, "parameters": loaded.parameters, "sha256": loaded.sha256},
        "recipe": chosen.describe(),
        "calibration": calibration,
        "protocols": {protocol.name: protocol.describe() for protocol in protocols},
        "rows": rows,
        "layers": layers,
    }
