# SPDX-License-Identifier: Apache-2.0
"""Calibration by sequence length (SLAC): calibrated at each length, used at a short and at the full one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import track

from golden.errors import InputError
from quant.calibration import searched
from quant.evaluation import Protocol
from quant.models import LoadedModel
from quant.output_error import layer_inputs
from quant.recipe import Recipe
from report.grid import draws_by_length

from .cells import Cells, without_windows
from .grid import METHODS
from .tables import table

__all__ = ["activation_ranges", "check_lengths", "slac"]

#: Formats that are calibrated, and the seeds of the calibration draws.
STUDIED = ("int4", "dint4")
SEEDS = (0, 1, 2)
#: The paper's rows of SLAC, calibrated at each of these lengths and the model's own.
SLAC_METHODS = ("OPTQ", "AQAS, clipping, OPTQ")
LENGTHS = (16, 64, 128)
#: Of these, the ones that are calibrated on windows of full length cut to each length, too.
CUT_METHODS = ("OPTQ",)
#: Length at which the short tasks are used, in tokens.
SHORT = 64


def check_lengths(loaded: LoadedModel) -> None:
    """Refuse a model whose windows cannot be cut into those of every length."""
    for length in (SHORT, *_lengths(loaded)):
        if loaded.window % length:
            limit = f"windows of {loaded.window} tokens are no multiple of {length}, a length that is compared"
            raise InputError(f"model {loaded.name}: {limit}; give --only grid or --only loss")


def activation_ranges(loaded: LoadedModel, protocol: Protocol, console: Console) -> list[dict[str, Any]]:
    """Largest magnitude of the linear layers' inputs, mean over them, on the same tokens in windows of each length.

    What several layers read, as q, k and v do, counts once.
    """
    rows = []
    tokens = searched(protocol.windows)
    layers = [name for name, _ in loaded.adapter.decoder_layers(loaded.model)]
    names = [f"{layer}.{group.consumers[0]}" for layer in layers for group in loaded.adapter.groups]
    for length in _lengths(loaded):
        inputs = layer_inputs(loaded.model, loaded.adapter, tokens.reshape(-1, length))
        largest = [float(inputs[name].abs().max()) for name in names]
        rows.append({"length": length, "mean_largest_activation": fmean(largest)})
    lines = [[str(row["length"]), f"{row['mean_largest_activation']:.2f}"] for row in rows]
    console.print(table("Largest activation, mean over the layers' inputs", ["window, tokens", "max|x|"], lines))
    return rows


def slac(loaded: LoadedModel, protocol: Protocol, folder: Path, console: Console) -> list[dict[str, Any]]:
    """KL divergence by calibration length and length of use, for every seed; prints mean and standard deviation over seeds."""
    short = replace(protocol, windows=protocol.windows.reshape(-1, SHORT))
    cells, uses = Cells(loaded, (short, protocol), folder), (SHORT, protocol.windows.shape[1])
    lengths = _lengths(loaded)
    wanted = [(*one, False) for one in product(SLAC_METHODS, STUDIED, lengths, SEEDS)]
    wanted += [(*one, True) for one in product(CUT_METHODS, STUDIED, lengths[:-1], SEEDS)]
    rows: list[dict[str, Any]] = []
    for method, number_format, length, seed, cut in track(wanted, "calibrations", console=console, transient=True):
        recipe = Recipe(number_format, **METHODS[method])  # type: ignore[arg-type]
        for use, measured in zip(uses, cells.measure(recipe, length, seed, cut=cut), strict=True):
            calibrated = {"calibration_length": length, "cut": cut, "seed": seed, "length": use}
            rows.append({"format": number_format, "method": method, **calibrated, **without_windows(measured)})
    lengths, found = draws_by_length(rows)
    lines = [[f"{number_format}, {method}", *rest] for (number_format, method), rest in found]
    headings = ["", "used at", *(f"calibrated at {length}" for length in lengths)]
    console.print(table(f"{protocol.name}: KL x 1000, mean ± standard deviation over {len(SEEDS)} draws", headings, lines))
    return rows


def _lengths(loaded: LoadedModel) -> list[int]:
    return [*(length for length in LENGTHS if length < loaded.window), loaded.window]
