"""Several recipes on the same model and texts: the table behind "with and without AQAS, INT4 and dINT4"."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from typing import Any

from golden import FORMATS

from .evaluation import Protocol, Score
from .models import LoadedModel
from .output_error import OutputError, mean_error
from .recipe import CLIPPINGS, ROUNDINGS, SCALINGS, Recipe

__all__ = ["UNQUANTIZED", "compared_recipes", "layer_rows", "table_row"]

#: Name of the first row.
UNQUANTIZED = "unquantized"


def compared_recipes(chosen: Recipe, full: bool = False) -> list[Recipe]:
    """The recipes of the table, without scaling first; `chosen` is added where it is not among them.

    The full table has every method for every format of at most four bits.
    """
    recipes = _every_method() if full else list(_USUAL)
    return recipes if chosen in recipes else [*recipes, chosen]


_USUAL = (
    Recipe("int8"),
    Recipe("int4"),
    Recipe("int4", scaling="aqas"),
    Recipe("dint4"),
    Recipe("dint4", scaling="aqas"),
    Recipe("int4", form="asymmetric"),
    Recipe("dint4", form="asymmetric"),
)


def _every_method() -> list[Recipe]:
    formats = [number_format.name for number_format in FORMATS.values() if number_format.bits <= 4]
    methods = product(formats, CLIPPINGS, SCALINGS, ROUNDINGS)
    return [Recipe(name, scaling, rounding, clipping=clipping) for name, clipping, scaling, rounding in methods]


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
        "kl": {text: score.kl for text, score in scores.items()},
        "kl_standard_error": {text: score.kl_standard_error for text, score in scores.items()},
        "output_error": error,
        "zero_fraction": zero_fraction,
    }


def layer_rows(recipe: Recipe, errors: dict[str, OutputError]) -> list[dict[str, Any]]:
    """The output errors by layer as plain data."""
    return [{"row": recipe.name, "layer": layer, **asdict(error)} for layer, error in errors.items()]


def accuracy(
    loaded: LoadedModel,
    calibration: dict[str, Any],
    protocols: list[Protocol],
    rows: list[dict[str, Any]],
    layers: list[dict[str, Any]],
) -> dict[str, Any]:
    """All measurements of a quantization as plain data: `metrics.json`."""
    return {
        "model": {"name": loaded.name, "parameters": loaded.parameters, "sha256": loaded.sha256},
        "calibration": calibration,
        "protocols": {protocol.name: protocol.describe() for protocol in protocols},
        "rows": rows,
        "layers": layers,
    }
