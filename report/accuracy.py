"""What the differences in accuracy can say: whether two methods differ by more than the noise of the measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from . import display

__all__ = ["pairs"]


def pairs(accuracy: Mapping[str, Any]) -> list[dict[str, str]]:
    """INT4 beside dINT4 wherever all else is equal, a text at a time, with a verdict on the KL divergence.

    The combined standard error is the root of the sum of both squares. Both are measured on the same tokens, so it is an upper
    bound where their errors go together; a difference below it is called noise, whoever it favours.
    """
    found = []
    for text in accuracy["protocols"]:
        for int4 in (row for row in accuracy["rows"] if row["weights"] == "int4"):
            for dint4 in (row for row in accuracy["rows"] if row["weights"] == "dint4" and _alike(row, int4)):
                found.append(
                    {
                        "text": text,
                        "int4": int4["name"],
                        "dint4": dint4["name"],
                        "perplexity": _perplexity(int4, dint4, text),
                        "kl": _kl(int4, dint4, text),
                        "output_error": _of(int4, dint4, "total"),
                        "underflow": _of(int4, dint4, "underflow"),
                    }
                )
    return found


def _alike(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    names = ("activations", "scaling", "clipping", "rounding", "form", "group_size", "attention")
    return _values(row) == _values(other) and all(row.get(name) == other.get(name) for name in names)


def _values(row: Mapping[str, Any]) -> str | None:
    """Format of the attention's values; in that of the weights, both rows are treated alike."""
    return "as the weights" if row.get("value_format") == row["weights"] else row.get("value_format")


def _kl(int4: Mapping[str, Any], dint4: Mapping[str, Any], text: str) -> str:
    first, second = ((row["kl"] or {}).get(text) for row in (int4, dint4))
    if first is None or second is None:
        return display.NOT_MEASURED
    values = f"{display.significant(first, 3)} and {display.significant(second, 3)}"
    return f"{values}: {_verdict(first, second, _combined(int4, dint4, 'kl_standard_error', text))}"


def _perplexity(int4: Mapping[str, Any], dint4: Mapping[str, Any], text: str) -> str:
    first, second = (row["perplexity"].get(text) for row in (int4, dint4))
    if first is None or second is None:
        return display.NOT_MEASURED
    values = f"{display.significant(first)} and {display.significant(second)}"
    return f"{values}: {_verdict(first, second, _combined(int4, dint4, 'perplexity_standard_error', text))}"


def _combined(int4: Mapping[str, Any], dint4: Mapping[str, Any], name: str, text: str) -> float | None:
    first, second = ((row[name] or {}).get(text) for row in (int4, dint4))
    return None if first is None or second is None else math.hypot(first, second)


def _verdict(first: float, second: float, error: float | None) -> str:
    if error is None:
        return "standard error not measured, so neither is lower"
    if abs(first - second) <= error:
        return f"within noise (combined standard error {display.significant(error, 2)})"
    lower = "dINT4" if second < first else "INT4"
    return f"{lower} lower by {abs(first - second) / error:.1f} combined standard errors"


def _of(int4: Mapping[str, Any], dint4: Mapping[str, Any], part: str) -> str:
    figures = [None if row["output_error"] is None else row["output_error"][part] for row in (int4, dint4)]
    if None in figures:
        return display.NOT_MEASURED
    return " and ".join(display.significant(figure, 3) for figure in figures)
