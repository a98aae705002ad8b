# SPDX-License-Identifier: Apache-2.0
"""Recipes as TOML: those that come along, by name (`recipes.toml`), and files of one's own.

    # dint quantize --recipe mine.toml
    format = "dint4"
    scaling = "aqas"
    group-size = 128

The keys are the options of `dint quantize`, without the dashes in front; options of the command line override them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from golden.errors import InputError, unknown

from .recipe import Recipe

__all__ = ["named_recipes", "read_recipe"]

#: By key: the type of its value, and the field of `Recipe` that it sets; the calibration's length is no part of a recipe.
_KEYS: dict[str, tuple[type, str | None]] = {
    "format": (str, "weights"),
    "scaling": (str, "scaling"),
    "clipping": (str, "clipping"),
    "rounding": (str, "rounding"),
    "form": (str, "form"),
    "group-size": (int, "group_size"),
    "grouping": (str, "grouping"),
    "activations": (str, "activations"),
    "value-format": (str, "value_format"),
    "attention": (str, "attention"),
    "calibration-length": (int, None),
}
_TYPES = {str: "a string", int: "an integer"}


def read_recipe(source: str, options: Mapping[str, Any]) -> tuple[Recipe, int | None]:
    """The recipe that `source` and `options` describe, and its calibration length, None where it has none.

    A recipe is complete by itself: it names the format of the weights, whatever overrides it.

    Parameters
    ----------
    source
        Path of a `.toml` file, or the name of a recipe that comes along.
    options
        By key: what overrides the recipe's value; None does not.

    Raises
    ------
    InputError
        If there is no such recipe or file, it has an unknown key, lacks the format, or a value has the wrong type or is
        none of the known ones.
    """
    table = _parsed(Path(source)) if Path(source).suffix == ".toml" else _named(source)
    _recipe(table, f"recipe {source}: ")
    merged = {**table, **{key: value for key, value in options.items() if value is not None}}
    length = merged.get("calibration-length")
    if length is not None and length < 1:
        raise InputError(f"--calibration-length {length}: it is a number of tokens, 2 or more")
    return _recipe(merged), length


def named_recipes() -> dict[str, Recipe]:
    """The recipes that come along."""
    return {name: _recipe(table, f"recipe {name}: ") for name, table in _shipped().items()}


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    return _parsed(Path(__file__).with_name("recipes.toml"))


def _named(name: str) -> dict[str, Any]:
    if name in _shipped():
        return _shipped()[name]
    raise unknown(f"--recipe {name}", name, _shipped(), "or give a file, its name ending in .toml")


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--recipe {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"--recipe {path}: is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # tomllib's own errors, numbers of thousands of digits, endless nesting
        raise InputError(f"--recipe {path}: is not TOML ({error})") from None


def _recipe(table: Mapping[str, Any], where: str = "") -> Recipe:
    fields: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            raise unknown(f"{where}unknown key {key!r}", key, _KEYS)
        kind, field = _KEYS[key]
        if type(value) is not kind:  # a bool is no int here
            raise InputError(f"{where}{key} is {value!r}: it is {_TYPES[kind]}")
        if field is not None:
            fields[field] = value
    if "weights" not in fields:
        raise InputError(f'{where}lacks the format of the weights; add a line such as format = "dint4"')
    try:
        return Recipe(**fields)
    except InputError as error:
        raise InputError(f"{where}{error}") from None
