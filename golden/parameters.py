# SPDX-License-Identifier: Apache-2.0
"""Types of parameters: refused where they are wrong, instead of failing later or somewhere else."""

from __future__ import annotations

from dataclasses import fields
from numbers import Integral
from typing import Any

from .errors import InputError

__all__ = ["check_types", "integer"]

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
