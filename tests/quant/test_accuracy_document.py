# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/accuracy.md say what the measurements beside it say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import pytest

from benchmarks.accuracy.grid import verdicts
from report import given
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
LINES = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in DOCUMENT.splitlines() if line.startswith("|")}
TEXTS = {"python-documentation": "documentation", "test.txt": "WikiText-2"}


def measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / "accuracy" / f"{name}.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", ["opt", "llama", "llama-groups"])
def test_tables_of_the_grids(name: str) -> None:
    results = measured(name)
    given.check_grid(results, name)
    shown = {(row["variant"], row["text"], row["method"], row["format"]): row for row in results["grid"]}
    formats = ("int4", "dint4", "fp4_e2m1", "int3", "dint3")
    for variant, text, method in dict.fromkeys(key[:3] for key in shown if key[0] == next(iter(shown))[0]):
        rows = [shown[variant, text, method, one] for one in formats]
        cells = [f"{1e3 * row['kl']:.1f} ± {1e3 * row['kl_standard_error']:.1f}; {row['perplexity']:.2f}" for row in rows]
        assert (method, *cells) in LINES
    assert verdicts(results["differences"]) == results["verdicts"]
    columns = {
        "int4": ((2, 3, 5), (3, 4)),
        "fp4_e2m1": ((4, 3, 6), (5, 6)),
        "int3": ((7, 8, 9), (7, 8)),
    }  # rival, dINT, difference
    for entry in results["best"]:
        cells = [f"{1e3 * entry['rival_kl']:.1f}", f"{1e3 * entry['dint_kl']:.1f}"]
        cells.append(f"{1e3 * entry['kl']:.2f} ± {1e3 * entry['kl_standard_error']:.2f}")
        assert stands(entry, (), columns[entry["rival"]][0], cells)
    for entry in results["verdicts"]:
        cells = [f"{entry['lower']}, {entry['not_clear']}, {entry['higher']}", f"{entry['mean_ratio']:.3f}"]
        assert stands(entry, ("yes" if entry["clipped"] else "no",), columns[entry["rival"]][1], cells)


def stands(entry: dict[str, Any], more: tuple[str, ...], columns: Sequence[int], cells: list[str]) -> bool:
    """Whether a line of a table has these cells in these columns."""
    begin = (entry["variant"], TEXTS[entry["text"]], *more)
    return any(
        line[: len(begin)] == begin and len(line) > max(columns) and [line[i] for i in columns] == cells for line in LINES
    )


def test_the_table_of_what_was_chosen_on_another_text() -> None:
    rows = measured("opt")["grid"]
    for variant in dict.fromkeys(row["variant"] for row in rows):
        cells = []
        for name in ("int4", "dint4", "fp4_e2m1", "int3", "dint3"):
            here = [row for row in rows if (row["variant"], row["format"]) == (variant, name)]
            chosen = min(
                (row for row in here if row["text"] == "python-documentation"), key=lambda row: row["kl"], default=None
            )
            kls = [row["kl"] for row in here if chosen and (row["text"], row["method"]) == ("test.txt", chosen["method"])]
            cells.append("".join(f"{1e3 * kl:.1f}" for kl in kls))
        assert (variant, *cells) in LINES


def test_tables_of_other_parts() -> None:
    results = measured("llama-slac")
    draws: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in results["slac"]:
        heading = f"{row['format'].upper().replace('DINT', 'dINT')}, {row['method']}" + (", cut" if row["cut"] else "")
        by_length = draws.setdefault((heading, str(row["length"])), {})
        by_length.setdefault(row["calibration_length"], []).append(1e3 * row["kl"])
    for begin, by_length in draws.items():
        cells = [f"{fmean(kls):.1f} ± {stdev(kls):.1f}" for _, kls in sorted(by_length.items())]
        assert any(line[: 2 + len(cells)] == (*begin, *cells) for line in LINES), (begin, cells)
    first, *_, last = (f"{row['mean_largest_activation']:.2f}" for row in results["ranges"])
    assert f"from {first} in windows of 16 tokens to {last} in windows of 256" in DOCUMENT
    for row in measured("opt")["loss"]:
        assert f"{1e3 * row['kl']:.2f}" in DOCUMENT
        assert f"{1e3 * row['kl_without']:.2f}" in DOCUMENT
