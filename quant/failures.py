"""What other libraries raise, told in one line: dozens of kinds of exceptions, some with messages of many lines."""

from __future__ import annotations

__all__ = ["reason"]


def reason(error: BaseException) -> str:
    """The first line of an exception's message; its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
