# SPDX-License-Identifier: Apache-2.0
"""Data out of the page: each table as a file of comma-separated values in a link, and the whole results, packed.

A link holds its file (a `data:` address), so that the page needs no other file, no server and no script.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import quote

from golden.artifacts import canonical_json

__all__ = ["comma_separated", "csv_address", "file_name", "packed_address"]

_ROW = re.compile(r"<tr\b[^>]*>(.*?)</tr>", re.S)
_CELL = re.compile(r"<t([hd])\b([^>]*)>(.*?)</t\1>", re.S)
_NUMBER = re.compile(r"([-+]?\d[\d,]*(?:\.\d+)?)(?: ± ([\d,.]+))? ?(×|%|[A-Za-zµ²/]+)?")


def csv_address(table: str) -> str:
    """The `data:` address of a table's values."""
    return "data:text/csv;charset=utf-8," + quote(comma_separated(table), safe="!*()/:;,+=@$-_.~")


def packed_address(results: Mapping[str, Any]) -> str:
    """The `data:` address of a file of JSON, packed by gzip."""
    packed = gzip.compress(canonical_json(results).encode(), mtime=0)
    return f"data:application/gzip;base64,{b64encode(packed).decode()}"


def file_name(words: str) -> str:
    """A file name of letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def comma_separated(table: str) -> str:
    """The rows between `<thead>` and the end of the `<tbody>` of a table (HTML as the templates here write it) as text.

    A column of numbers has its unit in its heading and the errors after ± in a column of their own; numbers are not grouped.
    """
    head, _, body = table.partition("</thead>")
    headings, rows = _headings(head), [_texts(row) for row in _ROW.findall(body)]
    columns = [[row[x] for row in rows] for x in range(len(headings))]
    lines = [line for heading, column in zip(headings, columns, strict=True) for line in _as_numbers(heading, column)]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(zip(*lines, strict=True))
    return written.getvalue()


def _texts(row: str) -> list[str]:
    return [_text(inner) for _, _, inner in _CELL.findall(row)]


def _text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split()).replace(" ,", ",")


def _headings(head: str) -> list[str]:
    """One heading a column: those of the cells above it, of which some span rows or columns."""
    rows = _ROW.findall(head)
    found: dict[int, list[str]] = {}
    taken: set[tuple[int, int]] = set()
    for y, row in enumerate(rows):
        x = 0
        for _, attributes, inner in _CELL.findall(row):
            while (y, x) in taken:
                x += 1
            wide, high = (_span(attributes, name) for name in ("colspan", "rowspan"))
            for column in range(x, x + wide):
                taken |= {(y + below, column) for below in range(high)}
                found.setdefault(column, []).append(_text(inner))
    return [": ".join(found[x]) for x in sorted(found)]


def _span(attributes: str, name: str) -> int:
    match = re.search(rf'{name}="(\d+)"', attributes)
    return int(match[1]) if match else 1


def _as_numbers(heading: str, column: Sequence[str]) -> list[list[str]]:
    """The column under its heading, and a second one where it has errors; as it is if some figure is more than a number."""
    matches = [_NUMBER.fullmatch(cell) for cell in column]
    units = {match[3] for match in matches if match and match[3]}
    other = any(match is None and re.match(r"[-+]?\d", cell) for match, cell in zip(matches, column, strict=True))
    if other or len(units) > 1 or not any(matches):
        return [[heading, *column]]
    unit = "".join(f", {one}" for one in units if one != "×")
    numbers = [match[1].replace(",", "") if match else cell for match, cell in zip(matches, column, strict=True)]
    lines = [[heading + unit, *numbers]]
    if any(match and match[2] for match in matches):
        errors = [(match[2] or "").replace(",", "") if match else "" for match in matches]
        lines.append([f"{heading}, standard error{unit}", *errors])
    return lines
