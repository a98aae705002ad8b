# SPDX-License-Identifier: Apache-2.0
"""Render the report again from its own `results.json`, without running anything."""

from __future__ import annotations

from pathlib import Path

from golden.artifacts import read_json
from golden.errors import InputError

from . import page, summary

__all__ = ["render"]


def render(results_file: Path, out: Path, quiet: bool = False) -> Path:
    """Write the report into `out` from an earlier run's `results.json`; returns the path of the page."""
    try:
        results = read_json(results_file)
    except OSError as error:
        raise InputError(f"results {results_file}: cannot be read ({error.strerror}); make it with `dint report`") from None
    except ValueError as error:
        raise InputError(f"results {results_file}: is not JSON ({error}); make it anew with `dint report`") from None
    index = page.write(results, out)
    if not quiet:
        from rich.console import Console

        console = Console(highlight=False)
        for line in summary.lines(results, index):
            console.print(line, markup=False, soft_wrap=True)
    return index
