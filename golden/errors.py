# SPDX-License-Identifier: Apache-2.0
"""Errors whose message is meant for the user: one line that names the parameter, its value, the limit and the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["DintError", "InputError", "ToolError", "nearest", "one_line", "unknown"]

_LONGEST_WORD, _LONGEST = 500, 4000  # characters; paths are words, too


class DintError(Exception):
    """Base of everything that the command line reports in one line, without a traceback.

    Names and values come from outside: whatever is in them, the message is one line that a terminal can show (`one_line`).
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class InputError(DintError, ValueError):
    """What was asked for cannot be done: a wrong argument or an unusable input file."""


class ToolError(DintError, RuntimeError):
    """An external tool is missing, failed, or gave an answer that cannot be trusted."""


def one_line(message: str) -> str:
    """`message` as one line that any terminal shows: no line breaks, control characters escaped, endless words cut."""
    text = re.sub(r"\s*[^\S ]\s*", " ", message.strip())
    text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
    text = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda match: _cut(match[0], _LONGEST_WORD), text)
    return _cut(text, _LONGEST)


def _cut(text: str, longest: int) -> str:
    """Beginning and end of a text that is too long."""
    return text if len(text) <= longest else f"{text[: longest * 3 // 4]}...{text[-longest // 4 :]}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The question "did you mean ...? " with the one of `known` that is most like `name`; empty if none is.

    `cutoff` is the least likeness, from 0 to 1 (`difflib.get_close_matches`).
    """
    from difflib import get_close_matches

    near = get_close_matches(str(name).lower(), list(known), n=1, cutoff=cutoff)
    return f"did you mean {near[0]}? " if near else ""


def unknown(what: str, name: str, known: Iterable[str], way_out: str = "") -> InputError:
    """The error to raise for a `name` that is none of `known`: it suggests the nearest and lists all.

    `what` begins the line: the parameter and its value. `way_out` ends it: what can be given instead of a known name.
    """
    known = list(known)
    return InputError(f"{what}: {nearest(name, known)}known are {', '.join(known)}{way_out and f'; {way_out}'}")
