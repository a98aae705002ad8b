"""`make benchmark-accuracy`: every method on INT4 and dINT4 alike, and what the calibration's length changes (SLAC).

    python -m benchmarks.accuracy [MODEL] [--text FILE] [--windows N] [--outliers SEED] [--only grid|slac] [--out DIR]

MODEL is a directory or hub name, by default the shipped checkpoint. The grid is measured in KL divergence to the unquantized
model. The reference paper's claim on SLAC (arXiv 2311.05161, section 3.3) is measured as it is stated: calibrated at each
length, used at a short and at the full length, over several draws of the calibration windows, beside how far the
activations reach at each length.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from golden.artifacts import canonical_json, write_file
from golden.errors import DintError

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

from quant.calibration import CALIBRATION_TOKENS, calibration_windows
from quant.evaluation import Evaluator, Protocol, documentation_protocol, text_protocol
from quant.models import LoadedModel, load_model
from quant.outliers import with_outliers
from quant.output_error import layer_inputs
from quant.recipe import Recipe, quantize_model
from quant.texts import text_of

FORMATS = ("int4", "dint4")
#: By name, what a method adds to rounding to nearest; the paper's AWQ and AQAS include the clipping.
METHODS: dict[str, dict[str, str]] = {
    "RTN": {},
    "clipping": {"clipping": "awq"},
    "SmoothQuant": {"scaling": "smoothquant"},
    "AWQ": {"scaling": "awq"},
    "AQAS": {"scaling": "aqas"},
    "AWQ, clipping": {"scaling": "awq", "clipping": "awq"},
    "AQAS, clipping": {"scaling": "aqas", "clipping": "awq"},
    "OPTQ": {"rounding": "optq"},
    "AQAS, clipping, OPTQ": {"scaling": "aqas", "clipping": "awq", "rounding": "optq"},
}
#: The paper's rows of SLAC, calibrated at each of these lengths (and the model's own), with each of these seeds.
SLAC_METHODS = ("OPTQ", "AQAS, clipping, OPTQ")
LENGTHS = (16, 64, 128)
SEEDS = (0, 1, 2)
#: Length at which the short tasks are used, in tokens.
SHORT = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write `accuracy.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?", help="directory or hub name; default: the shipped checkpoint")
    parser.add_argument("--text", type=Path, help="measure on this text, too (the grid), or on this one (SLAC)")
    parser.add_argument("--windows", type=int, help="at most so many windows of each text")
    parser.add_argument("--outliers", type=int, metavar="SEED", help="make outlier channels first")
    parser.add_argument("--only", choices=("grid", "slac"))
    parser.add_argument("--out", type=Path, default=Path("build/benchmark-accuracy"))
    options = parser.parse_args(arguments)
    console = Console(width=130)
    try:
        loaded = load_model(options.model)
        if options.outliers is not None:
            loaded = with_outliers(loaded, options.outliers)
        protocols = [documentation_protocol(loaded, options.windows)]
        if options.text is not None:
            protocols.append(text_protocol(text_of(options.text, "--text"), loaded, options.windows))
        console.print(f"{loaded.name}: {loaded.parameters:,} parameters", highlight=False)
        results: dict[str, Any] = {
            "model": {"name": loaded.name, "sha256": loaded.sha256, "parameters": loaded.parameters},
            "protocols": {protocol.name: protocol.describe() for protocol in protocols},
        }
        if options.only != "slac":
            results["grid"] = grid(loaded, protocols, console)
        if options.only != "grid":
            results["ranges"] = activation_ranges(loaded, protocols[-1], console)
            results["slac"] = slac(loaded, protocols[-1], console)
        options.out.mkdir(parents=True, exist_ok=True)
        write_file(options.out / "accuracy.json", canonical_json(results))
    except DintError as error:
        raise SystemExit(f"error: {error}") from None


def grid(loaded: LoadedModel, protocols: Sequence[Protocol], console: Console) -> list[dict[str, Any]]:
    """Perplexity and KL divergence of every method and format on every text; prints them."""
    windows = calibration_windows(loaded.tokenizer, loaded.positions).windows
    evaluators = {protocol.name: Evaluator(loaded.model, protocol) for protocol in protocols}
    rows: list[dict[str, Any]] = []
    for name, evaluator in evaluators.items():
        rows.append({"format": None, "method": "unquantized", "text": name, **asdict(evaluator.score(None))})
    for (method, choices), number_format in product(METHODS.items(), FORMATS):
        model = quantize_model(loaded, Recipe(number_format, **choices), windows).model  # type: ignore[arg-type]
        for name, evaluator in evaluators.items():
            rows.append({"format": number_format, "method": method, "text": name, **asdict(evaluator.score(model))})
    found = {(row["method"], row["format"], row["text"]): row for row in rows}
    for name in evaluators:
        plain = found["unquantized", None, name]
        title = f"{name}: KL x 1000 ± standard error, and perplexity; unquantized {plain['perplexity']:.2f}"
        columns = [heading for one in FORMATS for heading in (f"{one}: KL", "perplexity")]
        lines = []
        for method in METHODS:
            cells = [found[method, one, name] for one in FORMATS]
            lines.append([method, *(text for row in cells for text in (_kl(row), f"{row['perplexity']:.2f}"))])
        console.print(_table(title, ["", *columns], lines))
    return rows


def activation_ranges(loaded: LoadedModel, protocol: Protocol, console: Console) -> list[dict[str, Any]]:
    """Largest magnitude of the linear layers' inputs, mean over layers, on the same tokens in windows of each length."""
    rows = []
    tokens = protocol.windows[: max(1, CALIBRATION_TOKENS // protocol.windows.shape[1])]
    for length in _lengths(loaded):
        inputs = layer_inputs(loaded.model, loaded.adapter, tokens.reshape(-1, length))
        largest = [float(x.abs().max()) for x in inputs.values()]
        rows.append({"length": length, "mean_largest_activation": fmean(largest)})
    lines = [[str(row["length"]), f"{row['mean_largest_activation']:.2f}"] for row in rows]
    console.print(_table("Largest activation, mean over layers", ["window, tokens", "max|x|"], lines))
    return rows


def slac(loaded: LoadedModel, protocol: Protocol, console: Console) -> list[dict[str, Any]]:
    """KL divergence by calibration length and length of use, for every seed; prints mean and standard deviation over seeds."""
    short = replace(protocol, windows=protocol.windows.reshape(-1, SHORT))
    uses = {one.windows.shape[1]: Evaluator(loaded.model, one) for one in (short, protocol)}
    rows: list[dict[str, Any]] = []
    for method, number_format, length, seed in product(SLAC_METHODS, FORMATS, _lengths(loaded), SEEDS):
        windows = calibration_windows(loaded.tokenizer, loaded.positions, length, seed=seed).windows
        model = quantize_model(loaded, Recipe(number_format, **METHODS[method]), windows).model  # type: ignore[arg-type]
        for use, evaluator in uses.items():
            measured = {"calibration_length": length, "seed": seed, "length": use, **asdict(evaluator.score(model))}
            rows.append({"format": number_format, "method": method, **measured})
    lines = []
    for method, number_format, use in product(SLAC_METHODS, FORMATS, uses):
        cells = []
        for length in _lengths(loaded):
            wanted = (method, number_format, use, length)
            kls = [
                1e3 * row["kl"]
                for row in rows
                if (row["method"], row["format"], row["length"], row["calibration_length"]) == wanted
            ]
            cells.append(f"{fmean(kls):.2f} ± {stdev(kls):.2f}" if len(kls) > 1 else f"{kls[0]:.2f}")
        lines.append([f"{number_format}, {method}", str(use), *cells])
    headings = ["", "used at", *(f"calibrated at {length}" for length in _lengths(loaded))]
    console.print(_table(f"{protocol.name}: KL x 1000, mean ± standard deviation over {len(SEEDS)} draws", headings, lines))
    return rows


def _lengths(loaded: LoadedModel) -> list[int]:
    return [*(length for length in LENGTHS if length < loaded.window), min(loaded.window, CALIBRATION_TOKENS)]


def _kl(row: dict[str, Any]) -> str:
    return f"{1e3 * row['kl']:.2f} ± {1e3 * row['kl_standard_error']:.2f}"


def _table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table


if __name__ == "__main__":
    main()
