# SPDX-License-Identifier: Apache-2.0
"""What the differences in accuracy can say: whether two methods differ by more than the noise of the test text.

Both are measured on the same windows, which differ in difficulty by far more than methods do: the noise is that of the
differences, window by window. It does not hold what another draw of the calibration would change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from . import display

__all__ = ["CLEAR", "RIVALS", "alike", "difference", "pairs"]

#: A difference of more than so many standard errors is called clear.
CLEAR = 2.0

#: Formats of as many bits, the second of them dINT.
RIVALS = (("int4", "dint4"), ("fp4_e2m1", "dint4"), ("int3", "dint3"))


def pairs(accuracy: Mapping[str, Any]) -> list[dict[str, str]]:
    """An integer or floating-point format beside dINT of as many bits wherever all else is equal, with a verdict on each text.

    KL and perplexity as they are, then the difference of the KL and the ratio of the perplexities ± their standard errors.
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


def difference(rival: Sequence[float], dint: Sequence[float]) -> dict[str, float]:
    """KL of the rival less that of dINT, two windows or more: mean, its standard error, and the ratio of the means."""
    mean, error = _paired(rival, dint)
    return {"kl": mean, "kl_standard_error": error, "ratio": fmean(rival) / fmean(dint)}


def _paired(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Mean of the windows' differences and its standard error."""
    differences = [one - other for one, other in zip(first, second, strict=True)]
    return fmean(differences), stdev(differences) / math.sqrt(len(differences))


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
    if (windows := _by_window(other, dint, "divergences", text)) is None:
        return f"{values}; {_UNPAIRED}"
    mean, error = _paired(*windows)
    shown = f"difference {display.significant(mean, 2)} ± {display.significant(error, 2)}"
    return f"{values}; {shown}: {_verdict(other, dint, mean, error)}"


def _perplexity(other: Mapping[str, Any], dint: Mapping[str, Any], text: str) -> str:
    first, second = (row["perplexity"].get(text) for row in (other, dint))
    if first is None or second is None:
        return display.NOT_MEASURED
    values = f"{display.significant(first)} and {display.significant(second)}"
    if (windows := _by_window(other, dint, "losses", text)) is None:
        return f"{values}; {_UNPAIRED}"
    mean, error = _paired(*windows)
    ratio = math.exp(mean)
    return f"{values}; ratio {ratio:.4f} ± {ratio * error:.4f}: {_verdict(other, dint, mean, error)}"


_UNPAIRED = "not measured by window, so neither is called lower"


def _by_window(
    other: Mapping[str, Any], dint: Mapping[str, Any], name: str, text: str
) -> tuple[Sequence[float], Sequence[float]] | None:
    """What both have on each window; None where that is not there, or on one window only."""
    first, second = ((row.get(name) or {}).get(text) or () for row in (other, dint))
    return (first, second) if len(first) == len(second) > 1 else None


def _verdict(other: Mapping[str, Any], dint: Mapping[str, Any], mean: float, error: float) -> str:
    if abs(mean) <= CLEAR * error:
        return "not clear"
    return f"{display.format_name((dint if mean > 0 else other)['weights'])} lower"


def _of(other: Mapping[str, Any], dint: Mapping[str, Any], part: str) -> str:
    figures = [None if row["output_error"] is None else row["output_error"][part] for row in (other, dint)]
    if None in figures:
        return display.NOT_MEASURED
    return " and ".join(display.significant(figure, 3) for figure in figures)
