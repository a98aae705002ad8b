# SPDX-License-Identifier: Apache-2.0
"""Arguments of functions that users call: paths as strings or `Path`, one thing or several, seeds, limits."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError
from .parameters import integer

__all__ = ["AnyPath", "Names", "Paths", "check_seed", "check_time_limit", "check_windows", "names", "path", "paths"]

#: The name of a file or directory.
AnyPath = str | os.PathLike[str]
#: One or several of them, and of other names.
Paths = AnyPath | Sequence[AnyPath]
Names = str | Sequence[str]

_WEEK_S = 7 * 24 * 3600


def path(given: AnyPath | None) -> Path | None:
    """`given` as a path, where one is."""
    return None if given is None else Path(given)


def paths(given: Paths) -> tuple[Path, ...]:
    """One path, or several."""
    return (Path(given),) if isinstance(given, str | os.PathLike) else tuple(map(Path, given))


def names(given: Names) -> tuple[str, ...]:
    """One name, which is not taken letter by letter, or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_seed(given: int) -> None:
    """Refuse a seed that not every generator of random numbers takes."""
    if not 0 <= integer("seed", given) < 1 << 32:
        raise InputError(f"seed is {given}: it is a number from 0 to {(1 << 32) - 1}")


def check_time_limit(given: float) -> None:
    """Refuse a number of seconds that is not above 0, or longer than a week."""
    if not 0 < given <= _WEEK_S:
        raise InputError(f"time_limit is {given:g}: it is a number of seconds above 0, up to {_WEEK_S} (a week)")


def check_windows(given: int | None) -> None:
    """Refuse a number of windows of a text that leaves none; None is all of them."""
    if given is not None and given < 1:
        raise InputError(f"--windows {given}: it is a number of windows, 1 or more")
