# SPDX-License-Identifier: Apache-2.0
"""What the differences in accuracy can say: whether two methods differ by more than the noise of the measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from . import display

__all__ = ["CLEAR", "RIVALS", "alike", "pairs"]

#: A difference of so many standard errors is called one.
CLEAR = 2.0

#: Formats of as many bits, the second of them dINT.
RIVALS = (("int4", "dint4"), ("fp4_e2m1", "dint4"), ("int3", "dint3"))


def pairs(accuracy: Mapping[str, Any]) -> list[dict[str, str]]:
    """An integer or floating-point format beside dINT of as many bits wherever all else is equal, with a verdict on the KL.

    A text at a time. The combined standard error is the root of the sum of both squares. Both are measured on the same tokens,
    so it is an upper bound where their errors go together; a difference below `CLEAR` of it is called noise.
    """
    found = []
    for text in accuracy["protocols"]:
        for other, dint in RIVALS:
            for first in (row for row in accuracy["rows"] if row["weights"] == other):
                for second in (row for row in accuracy["rows"] if row["weights"] == dint and alike(row, first)):
                    found.append(
                        {
                            "text": text,
                            "other": first["name"],
                            "dint": second["name"],
                            "perplexity": _perplexity(first, second, text),
                            "kl": _kl(first, second, text),
                            "output_error": _of(first, second, "total"),
                            "underflow": _of(first, second, "underflow"),
                        }
                    )
    return found


def alike(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two quantizations differ in the format of the weights only."""
    names = ("activations", "scaling", "clipping", "rounding", "form", "group_size", "attention")
    return _values(row) == _values(other) and all(row.get(name) == other.get(name) for name in names)


def _values(row: Mapping[str, Any]) -> str | None:
    """Format of the attention's values; in that of the weights, both rows are treated alike."""
    return "as the weights" if row.get("value_format") == row["weights"] else row.get("value_format")


def _kl(other: Mapping[str, Any], dint: Mapping[str, Any], text: str) -> str:
    first, second = ((row["kl"] or {}).get(text) for row in (other, dint))
    if first is None or second is None:
        return display.NOT_MEASURED
    values = f"{display.significant(first, 3)} and {display.significant(second, 3)}"
    return f"{values}: {_verdict(other, dint, first, second, _combined(other, dint, 'kl_standard_error', text))}"


def _perplexity(other: Mapping[str, Any], dint: Mapping[str, Any], text: str) -> str:
    first, second = (row["perplexity"].get(text) for row in (other, dint))
    if first is None or second is None:
        return display.NOT_MEASURED
    values = f"{display.significant(first)} and {display.significant(second)}"
    return f"{values}: {_verdict(other, dint, first, second, _combined(other, dint, 'perplexity_standard_error', text))}"


def _combined(other: Mapping[str, Any], dint: Mapping[str, Any], name: str, text: str) -> float | None:
    first, second = ((row[name] or {}).get(text) for row in (other, dint))
    return None if first is None or second is None else math.hypot(first, second)


def _verdict(other: Mapping[str, Any], dint: Mapping[str, Any], first: float, second: float, error: float | None) -> str:
    if error is None:
        return "standard error not measured, so neither is lower"
    if abs(first - second) <= CLEAR * error:
        return f"within noise ({CLEAR:g} combined standard errors are {display.significant(CLEAR * error, 2)})"
    lower = display.format_name((dint if second < first else other)["weights"])
    return f"{lower} lower by {abs(first - second) / error:.1f} combined standard errors"


def _of(other: Mapping[str, Any], dint: Mapping[str, Any], part: str) -> str:
    figures = [None if row["output_error"] is None else row["output_error"][part] for row in (other, dint)]
    if None in figures:
        return display.NOT_MEASURED
    return " and ".join(display.significant(figure, 3) for figure in figures)
