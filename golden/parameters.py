# SPDX-License-Identifier: Apache-2.0
"""Types of parameters: what a caller may give, and what is refused instead of failing later or somewhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from numbers import Integral
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["AnyPath", "Names", "Paths", "check_types", "integer", "names", "path", "paths"]

#: The name of a file or directory.
AnyPath = str | os.PathLike[str]
#: One or several of them, and of other names.
Paths = AnyPath | Sequence[AnyPath]
Names = str | Sequence[str]

_OTHERS = {"bool": (bool, "True or False"), "str": (str, "a string")}


def integer(name: str, value: Any) -> int:
    """`value` as a Python integer; numpy's are taken, truth values are none.

    Raises
    ------
    InputError
        If it is no integer.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise InputError(f"{name} is {value!r}: an integer is needed")
    return int(value)


def path(given: AnyPath | None) -> Path | None:
    """`given` as a path, where one is."""
    return None if given is None else Path(given)


def paths(given: Paths) -> tuple[Path, ...]:
    """One path, or several."""
    return (Path(given),) if isinstance(given, str | os.PathLike) else tuple(map(Path, given))


def names(given: Names) -> tuple[str, ...]:
    """One name, which is not taken letter by letter, or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_types(parameters: Any, of: str = "") -> None:
    """Refuse fields of a frozen dataclass whose values are not the integer, string or truth value that they are declared as.

    Integers become Python's. `of` is what the parameters belong to, if messages should say so.
    """
    for field in fields(parameters):
        value, name = getattr(parameters, field.name), f"{field.name} of {of}" if of else field.name
        if field.type == "int":
            object.__setattr__(parameters, field.name, integer(name, value))
        elif (known := _OTHERS.get(str(field.type))) is not None and not isinstance(value, known[0]):
            raise InputError(f"{name} is {value!r}: {known[1]} is needed")
