"""Errors whose message is meant for the user: one line that names the parameter, its value, the limit and the way out."""

import re

__all__ = ["DintError", "InputError", "ToolError", "one_line"]

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
