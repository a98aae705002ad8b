# SPDX-License-Identifier: Apache-2.0
"""The headline chart by itself, for the README: `python -m report.headline build/report/results.json --out docs`.

That writes `headline.json`, the ratios as they were measured and what they come from, and `headline.svg`, drawn from nothing
but that record by the same code as the page's chart, in the light or dark colours that the reader's system asks for.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from golden.artifacts import canonical_json, output_directory, read_user_json, write_file

from . import schema, summary
from .metrics import identity

__all__ = ["picture", "record"]

_GAP = 24
_ROW = ("pdk", "lanes", "period_ns", "objective", "kind", "reference", "area_ratio", "energy_ratio", "operands", "dataflow")


def record(results: Mapping[str, Any]) -> dict[str, Any]:
    """What the picture shows of results (shape: `schema.RESULTS`): every ratio against INT8 and INT4, and from where."""
    from .ratio_charts import REFERENCES

    rows = [row for row in results["comparisons"] if row["reference"] in REFERENCES]
    return {
        "date": results["date"],
        "versions": results["versions"],
        "results_sha256": identity(results),
        "clocks": results.get("clocks") or [],
        "comparisons": [
            {name: row[name] for name in (*_ROW, "activity")}
            | {"candidate": {"format": row["candidate"]["format"]}, "energy_ratio_standard_error": summary.ratio_error(row)}
            for row in rows
        ],
    }


def picture(recorded: Mapping[str, Any]) -> str:
    """A record as an SVG file: the panels side by side, with heading and legend."""
    from .ratio_charts import ratios

    chart = ratios(recorded)
    if chart is None:
        return _file(340, 40, "No ratio was measured", _text(_GAP, 25, "No ratio was measured", "fill: var(--muted)"))
    width, y, parts = 0, 84, []
    for start in range(0, len(chart.panels), 2):
        x, tallest = _GAP, 0
        for panel in chart.panels[start : start + 2]:
            wide, high = (round(float(value)) for value in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', panel.svg)[0])
            parts.append(_text(x, y, panel.title, "font-weight: 600"))
            parts.append(panel.svg.replace("<svg ", f'<svg x="{x}" y="{y + 8}" ', 1))
            x, tallest = x + wide + _GAP, max(tallest, high)
        width, y = max(width, x), y + tallest + 36
    keys = (
        f'<tspan dx="{14 if index else 0}" style="fill: var(--{key.colour})">{escape(key.symbol)}</tspan> {escape(key.label)}'
        for index, key in enumerate(chart.legend)
    )
    title = "dINT4 × INT8 beside the best INT8 × INT8 and INT4 × INT8 unit"
    origin = f"{chart.note} Cells only, no wires; {recorded['date']}."
    leading = [entry for entry in summary.headline(recorded) if entry.leading]
    ranges = "; ".join(f"{entry.reference}, {entry.metric}, {summary.KINDS[entry.kind]}: {entry.text}" for entry in leading)
    return _file(
        width,
        y + 8,
        f"{title}. Ratios to {ranges}.",
        _text(_GAP, 30, title, "font-size: 15px; font-weight: 600"),
        f'<text x="{_GAP}" y="56">{"".join(keys)}</text>',
        *parts,
        _text(_GAP, y - 10, origin, "fill: var(--muted)"),
    )


def _file(width: float, height: float, description: str, *parts: str) -> str:
    """A file of its own has the page's colours in it."""
    style = (Path(__file__).with_name("style.css")).read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    rules = f":root {{{light}}} @media (prefers-color-scheme: dark) {{ :root {{{dark}}} }}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-labelledby="about">\n<title id="about">{escape(description)}</title>\n'
        f"<style>{' '.join(rules.split())} text {{ font: 12px var(--font); fill: var(--ink); }}</style>\n"
        f'<rect width="100%" height="100%" rx="8" style="fill: var(--surface)"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" style="{style}">{escape(words)}</text>'


def main() -> None:
    parser = argparse.ArgumentParser(description="The headline chart by itself, for the README.")
    parser.add_argument("results", type=Path, help="results.json of `dint report`")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder for headline.json and headline.svg")
    asked = parser.parse_args()
    results = read_user_json(asked.results, "results", "`dint report` makes it")
    schema.check(results)
    recorded = record(results)
    with output_directory(asked.out) as scratch:
        write_file(scratch / "headline.json", canonical_json(recorded))
        write_file(scratch / "headline.svg", picture(recorded))


if __name__ == "__main__":
    main()
