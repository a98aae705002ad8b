# SPDX-License-Identifier: Apache-2.0
"""The page: one self-contained `index.html`, with `metrics.json` and `results.json` beside it, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golden.artifacts import canonical_json, output_directory, write_file

from . import accuracy, brief, display, download, grid, ledger, pareto, schema, silicon, summary, verification
from .templates import environment

__all__ = ["render", "write"]

#: The sections by their ids.
_CONTENTS = {
    "brief": "In short",
    "headline": "Headline ratios",
    "ratios": "Ratios",
    "area": "Area",
    "energy": "Energy",
    "accuracy": "Accuracy",
    "pareto": "Accuracy against silicon",
    "silicon": "Peers and other shapes",
    "verification": "Verification",
    "ledger": "Fairness ledger",
    "provenance": "Provenance",
}


def write(results: dict[str, Any], out: Path) -> Path:
    """Check `results` (shape: `schema.RESULTS`) and write the report into `out`; returns the path of `index.html`.

    Raises InputError when a key is missing, a ratio is not baseline / candidate, or `out` cannot be written.
    """
    from .metrics import metrics

    schema.check(results)
    with output_directory(out) as scratch:
        write_file(scratch / "index.html", render(results))
        write_file(scratch / "metrics.json", canonical_json(metrics(results)))
        write_file(scratch / "results.json", canonical_json(results))
    return out / "index.html"


def render(results: Mapping[str, Any]) -> str:
    """The HTML text of checked results: same results, same bytes, whatever the order of their keys."""
    from .charts import charts
    from .grid_charts import grid_charts
    from .layer_charts import layer_charts
    from .metrics import identity, metrics
    from .ratio_charts import ratio_charts

    results = json.loads(canonical_json(results))
    ranges, paretos = summary.headline(results), pareto.sections(results)
    return (
        environment()
        .get_template("template.html")
        .render(
            results=results,
            contents=_CONTENTS,
            brief=brief.brief(results, ranges, [said for section in paretos for said in section.places]),
            ranges=ranges,
            interval=brief.interval_factor(results),
            kinds=summary.KINDS,
            paper=summary.PAPER,
            charts=charts(results) | ratio_charts(results) | layer_charts(results) | grid_charts(results),
            comparisons=_comparison_tables(results),
            layers=_layers(results),
            verification=verification.verification(results),
            grids=grid.sections(results),
            accuracy_pairs=accuracy.pairs(results["accuracy"]),
            set_by=lambda row: summary.set_by(row, results),
            ledger=ledger.ledger(results),
            paretos=paretos,
            silicon=silicon.parts(results),
            artefacts={entry["artefact"]: f"artefact-{index}" for index, entry in enumerate(results["provenance"])},
            results_sha256=identity(results),
            packed=download.packed_address(results),
            packed_metrics=download.packed_address(metrics(results)),
        )
    )


def _comparison_tables(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The comparison rows, split by reference and kind in the order of the headline: those that lead, and all of them."""
    tables: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in results["comparisons"]:
        tables.setdefault((row["reference"], row["kind"]), []).append(row)
    kinds = list(summary.KINDS)
    found = []
    for reference, kind in sorted(tables, key=lambda key: (key[0] != "int8", key[0], kinds.index(key[1]))):
        rows = sorted(tables[reference, kind], key=_row_order)
        leading = sorted(summary.leading(rows), key=_row_order)
        found.append(
            {
                "reference": reference,
                "kind": kind,
                "rows": rows,
                "leading": leading,
                "candidates": list(dict.fromkeys(row["candidate"]["format"] for row in rows)),
                "conditions": list(dict.fromkeys(display.condition(*_condition(row)) for row in leading)),
            }
        )
    return found


def _row_order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    where = row["pdk"], row["lanes"], row["period_ns"] or 0, row["objective"], row["candidate"]["format"]
    return *where, *(word or "" for word in _condition(row))


def _condition(row: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    return row["operands"], row["dataflow"], row["activity"]


def _layers(results: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """Error split by layer, by method."""
    layers: dict[str, list[Mapping[str, Any]]] = {}
    for entry in results["accuracy"]["layers"]:
        layers.setdefault(entry["row"], []).append(entry)
    return layers
