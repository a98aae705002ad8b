# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/pareto.md are those of docs/pareto.json, a run of `dint pareto` that comes along."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from golden import any_format
from report.display import format_name
from tests.conftest import ROOT

FOUND = json.loads((ROOT / "docs" / "pareto.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "pareto.md").read_text(encoding="utf-8")
TEXT = "python-documentation"


def significant(value: float, digits: int) -> str:
    """So many significant digits, with thousands apart."""
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else f"{value:#.{digits}g}".rstrip(".")


def by_kl() -> list[Mapping[str, Any]]:
    return sorted(FOUND["accuracy"], key=lambda one: -one["texts"][TEXT]["kl"])


def accuracy_rows() -> Iterator[str]:
    for one in by_kl():
        values = one["texts"][TEXT]
        decimals = 3 if values["kl"] < 1e-3 else 1 if values["kl"] > 0.05 else 2
        kl, error = (f"{1e3 * values[name]:.{decimals}f}" for name in ("kl", "kl_standard_error"))
        draws = ", ".join(f"{1e3 * draw:.{decimals}f}" for draw in values["kl_by_draw"])
        bits, perplexity = f"{one['weight_bits']:.3g}", f"{values['perplexity']:.2f}"
        yield f"| {format_name(one['format'])} | {bits} | {kl} ± {error} | {draws} | {perplexity} |"


def unit_rows(pdk: str) -> Iterator[str]:
    """A row for each format: areas, energies and shortest clock, bold where the format is on the front."""
    fronts = sorted((one for one in FOUND["fronts"] if one["pdk"] == pdk and one["text"] == TEXT), key=_order)
    for one in by_kl():
        cells = [format_name(one["format"])]
        for front in fronts:
            point = next((point for point in front["points"] if point["format"] == one["format"]), None)
            if point is None:
                cells.append("-")
                continue
            cost = {"area": 1.0, "energy": 1e15, "delay": 1.0}[front["metric"]] * point["cost"]
            shown = significant(cost, 4 if front["metric"] == "area" else 3)
            cells.append(f"**{shown}**" if point["on_front"] else shown)
        yield f"| {' | '.join(cells)} |"


def _order(front: Mapping[str, Any]) -> tuple[int, float]:
    clock = 0.0 if front["kind"] == "minimum-area" else front["period_ns"] or 0.0
    return ["area", "energy", "delay"].index(front["metric"]), clock


def rows_below(heading: str) -> list[str]:
    """The rows of the first table after a line that begins so."""
    _, _, rest = PAGE.partition(f"\n{heading}")
    table = re.search(r"^\|(?:---\|)+\n((?:\|.*\|\n)+)", rest, flags=re.MULTILINE)
    assert table is not None, heading
    return table[1].splitlines()


def test_accuracy() -> None:
    assert rows_below("**Accuracy**") == list(accuracy_rows())


@pytest.mark.parametrize("pdk", FOUND["pdks"])
def test_units(pdk: str) -> None:
    assert rows_below(f"**{pdk}**") == list(unit_rows(pdk))


def test_formats_of_the_run_are_those_of_the_catalogue() -> None:
    assert all(any_format(one["format"].removesuffix("_a4")) for one in FOUND["accuracy"])
    assert not FOUND["failures"]
