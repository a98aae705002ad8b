"""Errors whose message is meant for the user: one line that names the parameter, its value, the limit and the way out."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["DintError", "InputError", "ToolError", "nearest", "unknown"]


class DintError(Exception):
    """Base of everything that the command line reports in one line, without a traceback."""


class InputError(DintError, ValueError):
    """What was asked for cannot be done: a wrong argument or an unusable input file."""


class ToolError(DintError, RuntimeError):
    """An external tool is missing, failed, or gave an answer that cannot be trusted."""


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The question "did you mean ...? " with the one of `known` that is most like `name`; empty if none is.

    `cutoff` is the least likeness, from 0 to 1 (`difflib.get_close_matches`).
    """
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}? " if near else ""


def unknown(what: str, name: str, known: Iterable[str], way_out: str = "") -> InputError:
    """The error to raise for a `name` that is none of `known`: it suggests the nearest and lists all.

    `what` begins the line: the parameter and its value. `way_out` ends it: what can be given instead of a known name.
    """
    known = list(known)
    return InputError(f"{what}: {nearest(name, known)}known are {', '.join(known)}{way_out and f'; {way_out}'}")
