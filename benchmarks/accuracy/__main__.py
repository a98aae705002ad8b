# SPDX-License-Identifier: Apache-2.0
"""The command: measure, print and write `accuracy.json`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from golden.artifacts import canonical_json, write_file
from golden.errors import DintError, InputError
from pipeline.stages import source_hash
from quant.calibration import calibration_windows
from quant.evaluation import documentation_protocol, text_protocol
from quant.models import load_model
from quant.outliers import with_outliers
from quant.texts import text_of

from . import __doc__ as description
from .aqas_loss import loss_of_aqas
from .cells import Cells, without_windows
from .grid import METHODS, VARIANTS, grid, print_grid, verdicts, wanted_of
from .slac import activation_ranges, check_lengths, slac

PARTS = ("grid", "loss", "slac")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write `accuracy.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(description or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="directory or hub name; default: the shipped checkpoint")
    parser.add_argument("--text", type=Path, help="measure on this text, too (the grid), or on this one (SLAC)")
    parser.add_argument("--windows", type=int, help="at most so many windows of each text")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS), help="of the grid; several times for several")
    parser.add_argument("--method", action="append", choices=tuple(METHODS), help="of the grid; several times for several")
    parser.add_argument("--outliers", type=int, metavar="SEED", help="make outlier channels first")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, default=Path("build/benchmark-accuracy"))
    options = parser.parse_args(arguments)
    console = Console(width=150)
    try:
        loaded = load_model(options.model)
        if options.outliers is not None:
            loaded = with_outliers(loaded, options.outliers)
        wanted = wanted_of(options.variant, options.method)
        if options.only in (None, "slac"):
            check_lengths(loaded)
        if options.only in (None, "loss") and loaded.stream is not None:
            limit = "is too large for --only loss, which changes it in memory"
            raise InputError(f"model {loaded.name}: {limit}; give --only grid or --only slac")
        protocols = [documentation_protocol(loaded, options.windows)]
        if options.text is not None:
            protocols.append(text_protocol(text_of(options.text, "--text"), loaded, options.windows))
        for protocol in protocols:
            if len(protocol.windows) < 2:
                raise InputError(f"text {protocol.name}: one window has no standard error; give a longer text, more --windows")
        console.print(f"{loaded.name}: {loaded.parameters:,} parameters", highlight=False)
        about = {
            "model": {"name": loaded.name, "sha256": loaded.sha256, "parameters": loaded.parameters},
            "protocols": {protocol.name: protocol.describe() for protocol in protocols},
            "calibration": calibration_windows(loaded.tokenizer, loaded.positions).describe(),
            "sources_sha256": source_hash(["golden", "quant"]),
        }
        results = _measured_before(options.out / "accuracy.json", about) | about
        cells = Cells(loaded, protocols, options.out / "cells")
        if options.only in (None, "grid"):
            results["unquantized"] = [
                {"text": evaluator.protocol.name, **without_windows(asdict(evaluator.score(None)))}
                for evaluator in cells.evaluators
            ]
            results["grid"], results["differences"], results["best"] = grid(cells, wanted, console)
            results["verdicts"] = verdicts(results["differences"])
            print_grid(results["grid"], results["best"], results["verdicts"], console)
        if options.only in (None, "loss"):
            results["loss"] = loss_of_aqas(cells, console)
        if options.only in (None, "slac"):
            results["ranges"] = activation_ranges(loaded, protocols[-1], console)
            results["slac"] = slac(loaded, protocols[-1], options.out / "cells", console)
        write_file(options.out / "accuracy.json", canonical_json(results))
    except DintError as error:
        raise SystemExit(f"error: {error}") from None


def _measured_before(file: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What `file` has of other parts, if it is about the same model, texts, calibration and sources."""
    try:
        before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return before if all(before[name] == value for name, value in about.items()) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


if __name__ == "__main__":
    main()
