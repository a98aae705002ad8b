# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-accuracy`: every method on every format of 3 or 4 bits alike, and what calibration's length changes (SLAC).

    python -m benchmarks.accuracy [MODEL] [--text FILE] [--windows N] [--variant NAME ...] [--method NAME ...]
        [--outliers SEED] [--only grid|loss|slac] [--out DIR]

MODEL is a directory or hub name, by default the shipped checkpoint. The grid is measured in KL divergence to the unquantized
model. Two formats meet on the same windows, so that the standard error of their difference is that of the windows' differences:
a difference is called clear where it exceeds two of them. That is the noise of the test text, not that of the calibration.
Methods with and without clipping are counted apart, as they turn out differently, and the best of all methods meet, too.
AQAS is measured with and without quantized activations in its loss, which is what it adds to AWQ by the reference paper
(arXiv 2311.05161, section 3.2). The paper's claim on SLAC (section 3.3) is measured as it is stated: calibrated at each
length, used at a short and at the full length, over several draws of the calibration windows, beside how far the activations
reach at each length. As many tokens in shorter windows come from more places of the text; what that brings by itself shows
beside the windows of full length, cut to each length.

An interrupted run goes on where it was: each quantization's measurements are a file in DIR/cells, and the scales that
several of them share are in DIR/unfinished.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import track
from rich.table import Table

from golden import format_by_name
from golden.artifacts import canonical_json, sha256_of, write_file
from golden.errors import DintError, InputError

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded

from torch import Tensor

from pipeline.stages import source_hash
from quant.calibration import calibration_windows, searched
from quant.evaluation import Evaluator, Protocol, documentation_protocol, text_protocol
from quant.integers import fastest_execution
from quant.kept import key_of
from quant.layers import use_execution
from quant.models import LoadedModel, load_model
from quant.outliers import with_outliers
from quant.output_error import layer_inputs
from quant.recipe import Recipe, quantize_model
from quant.scaling import fold, search_scales
from quant.streamed import discard
from quant.texts import text_of
from report.accuracy import CLEAR, RIVALS, difference
from report.grid import draws_by_length

PARTS = ("grid", "loss", "slac")
FORMATS = ("int4", "dint4", "fp4_e2m1", "int3", "dint3")
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
    "SmoothQuant, OPTQ": {"scaling": "smoothquant", "rounding": "optq"},
    "AWQ, OPTQ": {"scaling": "awq", "rounding": "optq"},
    "AQAS, OPTQ": {"scaling": "aqas", "rounding": "optq"},
    "clipping, OPTQ": {"clipping": "awq", "rounding": "optq"},
    "AWQ, clipping, OPTQ": {"scaling": "awq", "clipping": "awq", "rounding": "optq"},
    "AQAS, clipping, OPTQ": {"scaling": "aqas", "clipping": "awq", "rounding": "optq"},
}
#: Methods of variants that are not tried with all of them.
FEW = ("RTN", "OPTQ", "AQAS, clipping, OPTQ")
#: By name, what the layers are, and the methods tried on them. With INT8 attention the values are in the weights' format.
VARIANTS: dict[str, tuple[dict[str, Any], Sequence[str]]] = {
    "symmetric": ({}, tuple(METHODS)),
    "asymmetric": ({"form": "asymmetric"}, tuple(METHODS)),
    "symmetric, groups of 128": ({"group_size": 128}, FEW),
    "asymmetric, groups of 128": ({"form": "asymmetric", "group_size": 128}, FEW),
    "weights only": ({"activations": "fp32"}, FEW),
    "values and INT8 attention": ({"attention": "int8"}, FEW),
}
#: Calibrations are drawn with each of these seeds, where another draw could change what is found.
SEEDS = (0, 1, 2)
#: Formats whose AQAS is measured with another loss, and calibrated at other lengths.
STUDIED = ("int4", "dint4")
#: The paper's rows of SLAC, calibrated at each of these lengths and the model's own.
SLAC_METHODS = ("OPTQ", "AQAS, clipping, OPTQ")
LENGTHS = (16, 64, 128)
#: Of these, the ones that are calibrated on windows of full length cut to each length, too.
CUT_METHODS = ("OPTQ",)
#: Length at which the short tasks are used, in tokens.
SHORT = 64


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write `accuracy.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=(__doc__ or "").splitlines()[0])
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
        variants, methods = options.variant or tuple(VARIANTS), options.method or tuple(METHODS)
        if not (wanted := _wanted(variants, methods)):
            raise InputError(f"--method {', '.join(methods)}: not tried with --variant {', '.join(variants)}; leave out one")
        if options.only in (None, "slac") and loaded.window % SHORT:
            limit = f"windows of {loaded.window} tokens are no multiple of {SHORT}, the length of short use"
            raise InputError(f"model {loaded.name}: {limit}; give --only grid or --only loss")
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
                {"text": protocol.name, **_without_windows(asdict(Evaluator(loaded.model, protocol).score(None)))}
                for protocol in protocols
            ]
            results["grid"], results["differences"], results["best"] = grid(cells, wanted, console)
            results["verdicts"] = verdicts(results["differences"])
            print_grid(results["grid"], results["best"], results["verdicts"], console)
        if options.only in (None, "loss"):
            if loaded.stream is not None:
                limit = "is too large to be changed in memory"
                raise InputError(f"--only loss: {loaded.name} {limit}; give a smaller model, or grid or slac")
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


class Cells:
    """Measurements of quantizations of one model on the same texts, each kept in a file."""

    def __init__(self, loaded: LoadedModel, protocols: Sequence[Protocol], folder: Path) -> None:
        self._loaded, self._folder = loaded, folder
        self.evaluators = [Evaluator(loaded.model, protocol) for protocol in protocols]
        self._protocols = [sha256_of([one.name, one.windows.tolist()]) for one in protocols]
        folder.mkdir(parents=True, exist_ok=True)

    def measure(
        self, recipe: Recipe, length: int | None = None, seed: int = 0, *, cut: bool = False, loss: str | None = None
    ) -> list[dict[str, Any]]:
        """Scores of a recipe, an entry for each text; calibrated at `length` tokens.

        The calibration windows are drawn at that length, or at full length and then `cut` to it. The scales are searched with
        the activations in `loss`, int8 or fp32, by default as the recipe has them.
        """
        described: dict[str, Any] = {"recipe": recipe.describe(), "length": length, "seed": seed}
        described |= ({"loss": loss} if loss else {}) | ({"cut": True} if cut else {})
        file = self._folder / f"{key_of(self._loaded, protocols=self._protocols, **described)}.json"
        if not file.is_file():
            loaded = self._loaded
            windows = calibration_windows(loaded.tokenizer, loaded.positions, None if cut else length, seed=seed).windows
            if cut:
                windows = windows.reshape(-1, length or -1)
            if loss is not None:
                loaded, recipe = self._scaled(recipe, windows, loss), replace(recipe, scaling="none")
            quantized = quantize_model(loaded, recipe, windows, work=self._folder.parent / "unfinished")
            model = quantized.model
            if recipe.activations == "int8":
                use_execution(model, fastest_execution(loaded.model.device.type))
            found = []
            for evaluator in self.evaluators:
                found.append({"text": evaluator.protocol.name, **asdict(evaluator.score(model))})
            write_file(file, canonical_json(found))
            discard(quantized.files)
        measured: list[dict[str, Any]] = json.loads(file.read_text())
        return measured

    def _scaled(self, recipe: Recipe, windows: Tensor, loss: str) -> LoadedModel:
        """The unquantized model with the recipe's scales folded in, which are searched with the activations in `loss`."""
        scheme = replace(recipe.scheme, activations=loss)
        model = copy.deepcopy(self._loaded.model)
        fold(model, search_scales(self._loaded.model, self._loaded.adapter, windows, recipe.scaling, scheme))
        return replace(self._loaded, model=model)


def _wanted(variants: Sequence[str], methods: Sequence[str]) -> list[tuple[str, str, str]]:
    """Variant, method and format of every quantization of the grid."""
    return [
        (variant, method, number_format)
        for variant in variants
        for number_format, method in product(FORMATS, VARIANTS[variant][1])
        if method in methods and ("form" not in VARIANTS[variant][0] or format_by_name(number_format).has_zero_points)
    ]


def grid(
    cells: Cells, wanted: Sequence[tuple[str, str, str]], console: Console
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Perplexity and KL of every quantization on every text; dINT's differences to its rivals, by method and best to best."""
    measured = {}
    for variant, method, number_format in track(wanted, "quantizations", console=console, transient=True):
        choices = {**METHODS[method], **VARIANTS[variant][0]}
        if "attention" in choices:
            choices["value_format"] = number_format
        measured[variant, method, number_format] = cells.measure(Recipe(number_format, **choices))
    rows, divergences = [], {}
    for (variant, method, number_format), texts in measured.items():
        for row in texts:
            divergences[variant, method, number_format, row["text"]] = row["divergences"]
            rows.append({"variant": variant, "method": method, "format": number_format, **_without_windows(row)})
    differences = [
        {
            "variant": variant,
            "method": method,
            "rival": rival,
            "dint": number_format,
            "text": text,
            **difference(divergences[variant, method, rival, text], dint),
        }
        for (variant, method, number_format, text), dint in divergences.items()
        for rival, other in RIVALS
        if other == number_format and (variant, method, rival, text) in divergences
    ]
    return rows, differences, best(rows, divergences)


def best(
    rows: Sequence[dict[str, Any]], divergences: Mapping[tuple[str, str, str, str], Sequence[float]]
) -> list[dict[str, Any]]:
    """By variant and text, dINT's method of lowest KL beside that of each rival, which may be another one."""
    lowest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["variant"], row["text"], row["format"]
        lowest[key] = min(lowest.get(key, row), row, key=lambda one: one["kl"])
    found = []
    for variant, text in dict.fromkeys((row["variant"], row["text"]) for row in rows):
        for rival, dint in RIVALS:
            if not {(variant, text, rival), (variant, text, dint)} <= lowest.keys():
                continue
            entry: dict[str, Any] = {"variant": variant, "text": text, "rival": rival, "dint": dint}
            for side in ("rival", "dint"):
                row = lowest[variant, text, entry[side]]
                entry |= {f"{side}_method": row["method"], f"{side}_kl": row["kl"]}
            by_window = (divergences[variant, entry[f"{side}_method"], entry[side], text] for side in ("rival", "dint"))
            found.append({**entry, **difference(*by_window)})
    return found


def verdicts(differences: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By variant, text, pair of formats and clipping: by how many methods dINT's KL is clearly lower, and the ratios.

    The methods share calibration, test text and most of their steps: counts are a summary of them, no repeated trials.
    """
    pairs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in differences:
        clipped = "clipping" in METHODS[one["method"]]
        pairs.setdefault((one["variant"], one["text"], one["rival"], one["dint"], clipped), []).append(one)
    found = []
    for (variant, text, rival, dint, clipped), met in pairs.items():
        lower = sum(one["kl"] > CLEAR * one["kl_standard_error"] for one in met)
        higher = sum(-one["kl"] > CLEAR * one["kl_standard_error"] for one in met)
        ratios = [one["ratio"] for one in met]
        mean = math.exp(fmean(math.log(ratio) for ratio in ratios))
        counts = {"lower": lower, "not_clear": len(met) - lower - higher, "higher": higher}
        ends = {"mean_ratio": mean, "least_ratio": min(ratios), "greatest_ratio": max(ratios)}
        found.append({"variant": variant, "text": text, "rival": rival, "dint": dint, "clipped": clipped, **counts, **ends})
    return found


def print_grid(rows: list[dict[str, Any]], bests: list[dict[str, Any]], found: list[dict[str, Any]], console: Console) -> None:
    """A table for each variant and text, one of the best methods, and one of the verdicts."""
    by_cell = {(row["variant"], row["text"], row["method"], row["format"]): row for row in rows}
    for variant, text in dict.fromkeys((row["variant"], row["text"]) for row in rows):
        lines = []
        for method in dict.fromkeys(row["method"] for row in rows if row["variant"] == variant):
            cells = [by_cell.get((variant, text, method, one)) for one in FORMATS]
            lines.append([method, *(shown for cell in cells for shown in (_kl(cell), _perplexity(cell)))])
        headings = ["", *(heading for one in FORMATS for heading in (f"{one}: KL", "perplexity"))]
        console.print(_table(f"{variant}; {text}: KL x 1000 ± standard error, and perplexity", headings, lines))
    lines = []
    for one in bests:
        methods = [f"{1e3 * one[f'{side}_kl']:.2f}, {one[f'{side}_method']}" for side in ("dint", "rival")]
        lines.append([f"{one['variant']}; {one['text']}", f"{one['dint']}, {one['rival']}", *methods, _difference(one)])
    title = "Best of all methods: KL x 1000; rival - dINT ± standard error"
    console.print(_table(title, ["", "dINT and its rival", "dINT", "rival", "difference"], lines))
    lines = []
    for one in found:
        counts = [str(one[name]) for name in ("lower", "not_clear", "higher")]
        ends = f"{one['least_ratio']:.2f} to {one['greatest_ratio']:.2f}"
        names = [f"{one['variant']}; {one['text']}", "yes" if one["clipped"] else "no", f"{one['dint']}, {one['rival']}"]
        lines.append([*names, *counts, f"{one['mean_ratio']:.3f}", ends])
    headings = ["", "clipping", "dINT and its rival", "lower", "not clear", "higher", "KL rival / dINT", "of single methods"]
    title = f"dINT against the format of as many bits: methods by which its KL differs by more than {CLEAR:g} standard errors"
    console.print(_table(title, headings, lines))


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
        shown = _difference(row["difference"])
        both = [f"{1e3 * row[name]:.2f}" for name in ("kl", "kl_without")]
        lines.append([f"{row['format']}; {row['text']}", str(row["seed"]), *both, shown])
    title = "AQAS with and without Q(X) in its loss: KL x 1000; difference ± standard error (positive: Q(X) helps)"
    console.print(_table(title, ["", "calibration seed", "with", "without", "difference"], lines))
    return rows


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
    console.print(_table("Largest activation, mean over the layers' inputs", ["window, tokens", "max|x|"], lines))
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
            rows.append({"format": number_format, "method": method, **calibrated, **_without_windows(measured)})
    lengths, found = draws_by_length(rows)
    lines = [[f"{number_format}, {method}", *rest] for (number_format, method), rest in found]
    headings = ["", "used at", *(f"calibrated at {length}" for length in lengths)]
    console.print(_table(f"{protocol.name}: KL x 1000, mean ± standard deviation over {len(SEEDS)} draws", headings, lines))
    return rows


def _lengths(loaded: LoadedModel) -> list[int]:
    return [*(length for length in LENGTHS if length < loaded.window), loaded.window]


def _without_windows(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("losses", "divergences")}


def _difference(one: dict[str, Any]) -> str:
    return f"{1e3 * one['kl']:.2f} ± {1e3 * one['kl_standard_error']:.2f}"


def _kl(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{1e3 * row['kl']:.2f} ± {1e3 * row['kl_standard_error']:.2f}"


def _perplexity(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['perplexity']:.2f}"


def _table(title: str, headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, box=SIMPLE, padding=(0, 1, 0, 0))
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table


if __name__ == "__main__":
    main()
