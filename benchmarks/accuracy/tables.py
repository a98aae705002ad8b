# SPDX-License-Identifier: Apache-2.0
"""How the benchmark's results are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

__all__ = ["difference_cell", "table"]


def table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    found = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for index, heading in enumerate(headings):
        found.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for line in lines:
        found.add_row(*line)
    return found


def difference_cell(one: Mapping[str, Any]) -> str:
    """A difference of two KL divergences x 1000 ± its standard error."""
    return f"{1e3 * one['kl']:.2f} ± {1e3 * one['kl_standard_error']:.2f}"
