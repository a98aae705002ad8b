# SPDX-License-Identifier: Apache-2.0
"""Tables of figures on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["print_table"]

_WIDEST = 10_000


def print_table(console: Console, table: Table) -> None:
    """Print `table` as wide as its cells are: a figure cut short, by a narrow terminal or a pipe, is no figure."""
    from rich.measure import Measurement

    narrow = console.width
    console.width = max(narrow, Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum)
    try:
        console.print(table, highlight=False)
    finally:
        console.width = narrow
