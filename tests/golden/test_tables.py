# SPDX-License-Identifier: Apache-2.0
"""Tables on the terminal show every figure whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from golden.tables import print_table


@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_figure_is_cut_or_folded(width: int) -> None:
    written = io.StringIO()
    console = Console(file=written, width=width)
    table = Table("format", *(f"figure {index}" for index in range(8)), box=None, title="a title that is long enough to fold")
    cells = ["W4A8 dINT4, asymmetric", *(f"{index}.123 ± 0.456" for index in range(8))]
    table.add_row(*cells)
    print_table(console, table)
    *_, row = written.getvalue().splitlines()
    assert [cell.strip() for cell in row.split("  ") if cell.strip()] == cells
    assert console.width == width


def test_silence() -> None:
    written = io.StringIO()
    print_table(Console(file=written, quiet=True), Table("a"))
    assert not written.getvalue()
