# SPDX-License-Identifier: Apache-2.0
"""What leaves the page as data: each table's values, and the whole results."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from html import unescape
from typing import Any
from urllib.parse import unquote

from report import download, page
from report.metrics import metrics

from .conftest import no_charts

HEAD = '<thead><tr><th scope="col" rowspan="2">clock</th><th scope="colgroup" colspan="2">INT8 × INT8</th></tr>'
HEAD += '<tr><th scope="col">energy, fJ</th><th scope="col">share</th></tr></thead>'


def values(table: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(download.comma_separated(table))))


def row(*cells: str) -> str:
    return f"<tr><th scope='row'>{cells[0]}</th>{''.join(f'<td>{cell}</td>' for cell in cells[1:])}</tr>"


def test_units_go_to_the_heading_and_errors_to_a_column() -> None:
    body = (
        row("6.00 ns", "34,597 ± 928", "15.6 %") + row("10.0 ns", "1,210.5", "–") + row("no clock target", "not measured", "")
    )
    assert values(f"{HEAD}<tbody>{body}</tbody>") == [
        ["clock, ns", "INT8 × INT8: energy, fJ", "INT8 × INT8: energy, fJ, standard error", "INT8 × INT8: share, %"],
        ["6.00", "34597", "928", "15.6"],
        ["10.0", "1210.5", "", "–"],
        ["no clock target", "not measured", "", ""],
    ]


def test_what_is_more_than_a_number_stays_as_it_is() -> None:
    body = row("6.00 ns <small>set by dINT4</small>", "1 &lt; 2, x", "1.5×") + row("0.4 ns", "12ab34", "-0.25×")
    assert values(f"{HEAD}<tbody>{body}</tbody>")[1:] == [
        ["6.00 ns set by dINT4", "1 < 2, x", "1.5"],
        ["0.4 ns", "12ab34", "-0.25"],
    ]


def test_units_that_differ_stay_with_their_numbers() -> None:
    assert values(f"{HEAD}<tbody>{row('6 ns', '1 pJ', '1')}{row('9 ns', '2 fJ', '2')}</tbody>")[1][1] == "1 pJ"


def test_a_table_without_rows_is_its_headings() -> None:
    assert values(f"{HEAD}<tbody></tbody>") == [["clock", "INT8 × INT8: energy, fJ", "INT8 × INT8: share"]]


@no_charts
def test_every_table_of_the_page_has_its_values_with_it(results: dict[str, Any]) -> None:
    html = page.render(results)
    links = re.findall(r'<a download="([^"]+)" href="([^"]+)"', html)
    tables = [link for link in links if link[0].endswith(".csv")]
    assert len({name for name, _ in tables}) == len(tables) == html.count("<table")
    read = {name: list(csv.reader(io.StringIO(unquote(unescape(link).partition(",")[2])))) for name, link in tables}
    found = read["table-comparisons-against-int8-int8-equal-clock.csv"]
    first = next(row for row in results["comparisons"] if (row["pdk"], row["lanes"]) == ("asap7", 1))
    line = next(line for line in found if line[0] == "asap7")
    assert line[found[0].index("ratio: area")] == f"{first['area_ratio']:.2f}"
    files = {name: json.loads(gzip.decompress(base64.b64decode(link.partition(",")[2]))) for name, link in links[len(tables) :]}
    assert files == {"results.json.gz": results, "metrics.json.gz": metrics(results)}
