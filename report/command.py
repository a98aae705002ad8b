# SPDX-License-Identifier: Apache-2.0
"""Render the report again from its own `results.json`, without running anything."""

from __future__ import annotations

from pathlib import Path

from golden.artifacts import read_user_json

from . import page, summary

__all__ = ["render"]


def render(results_file: Path, out: Path, quiet: bool = False) -> Path:
    """Write the report into `out` from an earlier run's `results.json`; returns the path of the page."""
    results = read_user_json(results_file, "results", "`dint report` makes it")
    index = page.write(results, out)
    if not quiet:
        from rich.console import Console

        console = Console(highlight=False)
        for line in summary.lines(results, index):
            console.print(line, markup=False, soft_wrap=True)
    return index
