# SPDX-License-Identifier: Apache-2.0
"""AQAS with and without quantized activations in its loss, which is what it adds to AWQ by the reference paper."""

from __future__ import annotations

from itertools import product
from typing import Any

from rich.console import Console
from rich.progress import track

from quant.recipe import Recipe
from report.accuracy import difference

from .cells import Cells
from .tables import difference_cell, table

__all__ = ["loss_of_aqas"]

#: Formats whose scales are searched, and the seeds of the calibration draws.
STUDIED = ("int4", "dint4")
SEEDS = (0, 1, 2)


def loss_of_aqas(cells: Cells, console: Console) -> list[dict[str, Any]]:
    """KL of AQAS with and without quantized activations in its loss, and their difference, for every seed; prints them."""
    rows: list[dict[str, Any]] = []
    for number_format, seed in track(list(product(STUDIED, SEEDS)), "searches", console=console, transient=True):
        recipe = Recipe(number_format, scaling="aqas")
        with_q, without_q = (cells.measure(recipe, seed=seed, loss=loss) for loss in (None, "fp32"))
        for with_it, without in zip(with_q, without_q, strict=True):
            met = difference(without["divergences"], with_it["divergences"])
            kls = {"kl": with_it["kl"], "kl_without": without["kl"]}
            rows.append({"format": number_format, "seed": seed, "text": with_it["text"], **kls, "difference": met})
    lines = []
    for row in rows:
        shown = difference_cell(row["difference"])
        both = [f"{1e3 * row[name]:.2f}" for name in ("kl", "kl_without")]
        lines.append([f"{row['format']}; {row['text']}", str(row["seed"]), *both, shown])
    title = "AQAS with and without Q(X) in its loss: KL x 1000; difference ± standard error (positive: Q(X) helps)"
    console.print(table(title, ["", "calibration seed", "with", "without", "difference"], lines))
    return rows
