# SPDX-License-Identifier: Apache-2.0
"""Shapes of plain data, as data, and the check that a file has its shape.

A dict is an object whose listed keys must be there (others are allowed and ignored), a one-element list is a list of such
values, `Each(value)` an object with free names, `IfThere(value)` a key that may be missing. `FIGURE` is a measured number or
null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golden.errors import InputError

__all__ = [
    "ANY",
    "COUNT",
    "FIGURE",
    "NUMBER",
    "TEXT",
    "TEXT_OR_NULL",
    "TRUTH",
    "Each",
    "IfThere",
    "Maybe",
    "OneOf",
    "Scalar",
    "check_shape",
    "expect",
    "fault",
]


@dataclass(frozen=True)
class Each:
    """An object with free names whose values all have one shape."""

    value: Any


@dataclass(frozen=True)
class Scalar:
    """A string, number or truth value; `null` says whether null may stand for it."""

    name: str
    types: tuple[type, ...]
    null: bool = False


@dataclass(frozen=True)
class OneOf:
    """A word of a closed list."""

    words: tuple[str, ...]
    null: bool = False


@dataclass(frozen=True)
class Maybe:
    """An object or list that may be null as a whole."""

    value: Any


@dataclass(frozen=True)
class IfThere:
    """A key that may be missing: results of earlier runs do not have it."""

    value: Any


TEXT = Scalar("text", (str,))
TEXT_OR_NULL = Scalar("text", (str,), null=True)
COUNT = Scalar("an integer", (int,))
TRUTH = Scalar("true or false", (bool,))
NUMBER = Scalar("a number", (int, float))
FIGURE = Scalar("a number", (int, float), null=True)
ANY = Scalar("anything", (object,), null=True)


def check_shape(data: Any, shape: Any, source: str) -> None:
    """Refuse plain data that is not of `shape`: InputError with the path of the first fault."""
    _check(data, shape, "", source)


def _check(value: Any, shape: Any, path: str, source: str) -> None:
    if isinstance(shape, Maybe):
        if value is not None:
            _check(value, shape.value, path, source)
    elif isinstance(shape, Each):
        expect(isinstance(value, Mapping), value, "an object", path, source)
        for name, item in value.items():
            _check(item, shape.value, _join(path, name), source)
    elif isinstance(shape, dict):
        expect(isinstance(value, Mapping), value, "an object", path, source)
        for name, inner in shape.items():
            if isinstance(inner, IfThere):
                if name in value:
                    _check(value[name], inner.value, _join(path, name), source)
                continue
            if name not in value:
                raise fault(source, _join(path, name), "is missing")
            _check(value[name], inner, _join(path, name), source)
    elif isinstance(shape, list):
        expect(isinstance(value, list), value, "a list", path, source)
        for index, item in enumerate(value):
            _check(item, shape[0], f"{path}[{index}]", source)
    elif isinstance(shape, OneOf):
        allowed = value in shape.words or (shape.null and value is None)
        expect(allowed, value, f"one of {', '.join(shape.words)}", path, source)
    else:
        _check_scalar(value, shape, path, source)


def _check_scalar(value: Any, shape: Scalar, path: str, source: str) -> None:
    if value is None:
        expect(shape.null, value, shape.name, path, source)
        return
    # bool is an int in Python, but a truth value where a figure belongs is a mistake.
    fits = isinstance(value, shape.types) and (not isinstance(value, bool) or bool in shape.types or object in shape.types)
    expect(fits, value, shape.name, path, source)
    if isinstance(value, float):
        expect(math.isfinite(value), value, "a finite number, or null where nothing was measured", path, source)


def expect(condition: bool, value: Any, wanted: str, path: str, source: str) -> None:
    if not condition:
        shown = repr(value)
        raise fault(source, path, f"is {shown if len(shown) <= 40 else shown[:37] + '...'}, expected {wanted}")


def fault(source: str, path: str, what: str) -> InputError:
    return InputError(f"{source}: {path or 'the whole'} {what}; make the file anew")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)
