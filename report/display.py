# SPDX-License-Identifier: Apache-2.0
"""How figures are written for people: fixed units, four significant digits, and "not measured" for null."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

__all__ = [
    "NOT_MEASURED",
    "condition",
    "count",
    "femtojoules",
    "format_name",
    "lanes",
    "period",
    "plural",
    "ratio",
    "score",
    "significant",
]

NOT_MEASURED = "not measured"

_ACTIVITY = {"sdf": "with gate delays (SDF)", "zero-delay": "zero-delay", "vectorless": "vectorless"}
#: "opt" is what results call operands of the quantized model, whichever it is.
_OPERANDS = {"opt": "model's operands", "opt-fc2": "model's operands of fc2 (post-ReLU)", "uniform": "uniform operands"}


def significant(value: float | None, digits: int = 4) -> str:
    """A number with that many significant digits, grouped by thousands, never in exponent form: 12345.6 -> '12,346'."""
    if value is None:
        return NOT_MEASURED
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def femtojoules(joules: float | None, error: float | None = None) -> str:
    """An energy in J and its standard error, written in fJ without the unit: '56,695 ± 410'."""
    if joules is None:
        return NOT_MEASURED
    return significant(joules * 1e15) + ("" if error is None else f" ± {significant(error * 1e15, 2)}")


def ratio(value: float | None, error: float | None = None) -> str:
    """1.934 -> '1.93×'; with a standard error of 0.04 '1.93 ± 0.04×', with as many digits as show the error."""
    if value is None:
        return NOT_MEASURED
    if error is None:
        return f"{value:.2f}×"
    decimals = min(4, max(2, -math.floor(math.log10(error)))) if error > 0 else 2
    return f"{value:.{decimals}f} ± {error:.{decimals}f}×"


def score(row: Mapping[str, Any]) -> str:
    """Share of what was tried, and is not exempt, that held; never rounded up to all of it."""
    counted = row["tried"] - row["exempt"]
    if not counted:
        return "–"
    return "100%" if row["held"] == counted else f"{math.floor(1000 * row['held'] / counted) / 10:.1f}%"


def count(value: int | None) -> str:
    """An integer grouped by thousands."""
    return NOT_MEASURED if value is None else f"{value:,d}"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """1 lane, 16 lanes; `nouns` is an irregular plural."""
    return f"{number:,d} {noun if number == 1 else nouns or f'{noun}s'}"


def lanes(number: int) -> str:
    """The lane count in words."""
    return plural(number, "lane")


def period(nanoseconds: float | None) -> str:
    """A clock period with its unit."""
    return "no clock target" if nanoseconds is None else f"{significant(nanoseconds, 3)} ns"


def format_name(name: str) -> str:
    """Name as it is written in prose: 'dint4' -> 'dINT4', 'fp4_e2m1' -> 'FP4 E2M1', 'nvfp4_a4' -> 'NVFP4 W4A4'.

    Of groups 'int4_g32' -> 'INT4 groups of 32', of codebooks 'lobcq_c8_g64' -> 'LO-BCQ c8 g64'.
    """
    name = re.sub(r"_a(\d+)$", r" W\1A\1", name)
    if codebooks := re.fullmatch(r"lobcq_(c\d+)_(g\d+)(.*)", name, re.IGNORECASE):
        return f"LO-BCQ {codebooks[1].lower()} {codebooks[2].lower()}{codebooks[3]}"
    base, group, rest = re.fullmatch(r"(.*?)(?:_g(\d+))?( W\d+A\d+)?", name).groups()  # type: ignore[union-attr]
    upper = base.upper().replace("_", " ") + (f" groups of {group}" if group else "") + (rest or "")
    return f"d{upper[1:]}" if name.lower().startswith("dint") else upper


def condition(operands: str | None, dataflow: str | None, activity: str | None) -> str:
    """Under what an energy was measured: "model's operands, streaming, with gate delays (SDF)"."""
    parts = [_OPERANDS.get(operands or "", operands), dataflow, _ACTIVITY.get(activity or "", activity)]
    return ", ".join(part for part in parts if part)
