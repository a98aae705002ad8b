# SPDX-License-Identifier: Apache-2.0
"""Accuracy against silicon: number formats quantized by one recipe, their MAC units found by one search, and who beats whom."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from golden import BlockFormat, Operands, any_format, formats_of
from golden.arguments import check_windows
from golden.artifacts import canonical_json, output_directory, sha256_file, sole_use, write_file
from golden.errors import DintError, InputError, one_line
from golden.tables import print_table

from .fronts import Cost, front, mean_and_error
from .inputs import check_inputs, hardware_inputs, kits_of, model_inputs
from .results import versions
from .stages import (
    QUANTIZATION_PACKAGES,
    Stage,
    Stages,
    file_hashes,
    in_child,
    package_versions,
    source_hash,
)

if TYPE_CHECKING:
    from synth.pdk import Pdk
    from synth.search import Effort

__all__ = ["DRAWS", "FORMATS", "RECIPE", "pareto"]

_PLAIN = ("int8", "int4", "dint4", "fp4_e2m1", "int3", "dint3")
_GROUPS = ("int4_g32", "dint4_g32", "int4_g32_a4", "dint4_g32_a4")  # of 32 as MXFP4's blocks are
_BLOCKS = ("mxfp4", "nvfp4", "lobcq_c8_g64", "mxfp4_a4", "nvfp4_a4", "lobcq_c8_g64_a4")
FORMATS = (*_PLAIN, *_GROUPS, *_BLOCKS)
RECIPE = "every-method"
#: Draws of the calibration windows: 4-bit formats differ by no more than one draw from another.
DRAWS = 3
# What a front is of: the objective that picks a format's unit, the unit's figure, and its samples.
_METRICS = {"area": "area_per_mac_um2", "energy": "energy_per_mac_j", "delay": "delay_ns"}
_COLUMNS = (
    "pdk",
    "lanes",
    "kind",
    "objective",
    "period_ns",
    "format",
    "architecture",
    "pipeline",
    "area_per_mac_um2",
    "delay_ns",
    "energy_per_mac_j",
    "energy_per_mac_standard_error_j",
)


def pareto(
    *,
    out: Path,
    model: str | None = None,
    formats: Sequence[str] = FORMATS,
    recipe: str = RECIPE,
    draws: int = DRAWS,
    text: Path | None = None,
    windows: int | None = None,
    lanes: Sequence[int] = (16,),
    pdks: Sequence[str] = (),
    liberty: tuple[Path, ...] = (),
    platforms: Path | None = None,
    seed: int = 0,
    effort: Effort | None = None,
    cache: Path = Path("build/cache"),
    quiet: bool = False,
) -> dict[str, Any]:
    """Quantize a model in every format, search every format's MAC unit, and write `pareto.json`, `pareto.csv` and a page.

    Parameters
    ----------
    out
        Directory to write; what is finished is kept in `out`/stages, and a run with the same inputs does nothing anew.
    model
        Directory or hub name of an OPT or LLaMA model; default the shipped checkpoint.
    formats
        Number formats of the catalogue, block formats too, two or more; `nvfp4_a4` has activations in NVFP4 as well.
    recipe
        Name or file of the recipe of `quant.recipes` by which all formats are quantized; its own format does not count.
    draws
        Draws of the calibration windows. Accuracy is the mean over them; operands are those of the first.
    text, windows
        A text to measure on besides the held-out part of Python's documentation; at most so many windows of each.
    lanes
        Lane counts of the MAC units.
    pdks, liberty, platforms
        As `pipeline.main_job.main_job` takes them.
    seed
        Of the first draw, and of the choice of operands.
    effort
        How much is tried for every format; default `synth.prices.EFFORT`.
    cache
        Folder of earlier netlists and measurements.
    quiet
        Print nothing.

    Returns
    -------
    The contents of `pareto.json` (shape: `report.given.PARETO`), and `ok`: whether nothing failed.

    Raises
    ------
    InputError, ToolError
        Before anything is written, if an option, a file or a tool cannot be used; and if no format is left. What fails later is
        listed in `failures`; the rest goes on, and the next run tries it again.
    """
    from quant.draws import check_recipe
    from report.pareto import lines, write
    from synth.prices import EFFORT

    console = Console(quiet=quiet)
    formats, lanes = tuple(dict.fromkeys(formats)), tuple(dict.fromkeys(lanes))
    if len(formats) < 2:
        raise InputError(f"formats are {', '.join(formats)}: a front has two or more; name others with --format")
    if draws < 1:
        raise InputError(f"--draws {draws}: it is a number of draws of the calibration windows, 1 or more")
    check_windows(windows)
    for name in formats:
        check_recipe(recipe, name)
    kits = kits_of(pdks, liberty, platforms)
    check_inputs(formats, lanes, kits, model, text)
    root = out / "stages"
    with sole_use(root):
        stages = Stages(root, console)
        failures: list[dict[str, Any]] = []

        def attempt(work: Callable[..., Stage], *arguments: Any, **of: Any) -> Stage | None:
            try:
                return work(stages, *arguments)
            except DintError as error:
                console.print(f"[red]failed:[/] {', '.join(map(str, of.values()))}: {one_line(str(error))}", highlight=False)
                failures.append({"pdk": None, "lanes": None, "format": None, **of, "error": one_line(str(error))})
                return None

        quantized = {}
        for name in formats:
            if stage := attempt(_quantize, name, model, recipe, draws, text, windows, seed, format=name):
                quantized[name] = stage
            elif len(failures) == 1 and model is not None:  # what is no model is none for every format
                in_child(_find, model=model)
        if not quantized:
            raise InputError(f"no format could be quantized, the first because: {failures[0]['error']}")
        priced = []
        for kit, count in product(kits, lanes):
            if stage := attempt(_price, kit, count, quantized, seed, cache, effort or EFFORT, pdk=kit.name, lanes=count):
                priced.append((kit, count, stage))
                failed = stage.json("prices.json")["failures"]
                failures += [{"pdk": kit.name, "lanes": count, "format": name, "error": why} for name, why in failed.items()]
                if failed:
                    stages.forget(stage)
        found = _collect(stages, quantized, priced, failures)
        with output_directory(out) as scratch:
            write_file(scratch / "pareto.json", canonical_json(found))
            write_file(scratch / "pareto.csv", _csv(found))
            write(found, scratch / "index.html")
    print_table(console, _table(found))
    for line in lines(found, out):
        console.print(line, highlight=False)
    return found | {"ok": not failures}


def _find(model: str) -> None:
    """Refuse a model that is not there, or none."""
    from quant.models import find_model

    find_model(model)


def _quantize(
    stages: Stages, name: str, model: str | None, recipe: str, draws: int, text: Path | None, windows: int | None, seed: int
) -> Stage:
    """The model in one format: accuracy of every draw, and the operands of the first."""
    from quant.draws import check_recipe, quantize_by_draws

    inputs = {
        "recipe": check_recipe(recipe, name),
        "draws": draws,
        "model": model_inputs(model),
        "text": sha256_file(text) if text is not None else None,
        "windows": windows,
        "seed": seed,
        "sources": source_hash(["golden", "quant"]),
        "versions": package_versions(QUANTIZATION_PACKAGES),
    }

    def work(directory: Path) -> None:
        with stages.console.status(f"{name}: {draws} draws of the calibration"):
            in_child(
                quantize_by_draws,
                model=model,
                out=directory,
                recipe=recipe,
                format=name,
                draws=draws,
                text=text,
                windows=windows,
                seed=seed,
            )

    return stages.run(f"quantize {name}", inputs, work)


def _price(
    stages: Stages, kit: Pdk, lanes: int, quantized: Mapping[str, Stage], seed: int, cache: Path, effort: Effort
) -> Stage:
    """Area, delay and energy of the units of all formats on one kit."""
    from synth.prices import prices
    from synth.request import progress

    files = {name: stage.path("operands.npz") for name, stage in quantized.items()}
    inputs = hardware_inputs(kit, lanes, files, seed, effort)

    def work(directory: Path) -> None:
        operands = {name: Operands.load(file) for name, file in files.items()}
        with progress(stages.console) as advance:
            found = prices(kit, lanes, list(files), operands, effort, cache, seed=seed, advance=advance)
        write_file(directory / "prices.json", canonical_json(found))

    return stages.run(f"price {kit.name} {lanes}", inputs, work)


def _collect(
    stages: Stages,
    quantized: Mapping[str, Stage],
    priced: Sequence[tuple[Pdk, int, Stage]],
    failures: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Everything as plain data: no times, so that the same inputs give the same bytes."""
    measured = {name: stage.json("accuracy.json") for name, stage in quantized.items()}
    some = next(iter(measured.values()))
    units, fronts, effort = [], [], []
    for kit, lanes, stage in priced:
        found = stage.json("prices.json")
        here = [_per_mac(entry) for entry in found["units"]]
        units += here
        effort += [{"pdk": kit.name, "lanes": lanes, "format": name, **one} for name, one in found["effort"].items()]
        fronts += [one for text in some["protocols"] for one in _fronts(here, measured, text)]
    kits = {kit.name: kit for kit, _, _ in priced}
    return {
        "date": max(stage.date for stage in stages.done),
        "versions": versions(),
        "sources_sha256": source_hash(["golden", "hdl", "sim", "synth", "quant", "pipeline"]),
        "model": some["model"],
        "recipe": {name: value for name, value in some["recipe"].items() if name not in ("weights", "title")},
        "calibration": some["calibration"],
        "protocols": some["protocols"],
        "unquantized": {
            text: {"perplexity": perplexity, "perplexity_standard_error": error}
            for text, (perplexity, error) in some["unquantized"].items()
        },
        "accuracy": [_accuracy(name, quantized[name], one) for name, one in measured.items()],
        "units": units,
        "fronts": fronts,
        "effort": effort,
        "failures": list(failures),
        "pdks": {name: {"corner": kit.corner, "liberty_sha256": list(kit.liberty_sha256)} for name, kit in kits.items()},
    }


def _accuracy(name: str, stage: Stage, measured: Mapping[str, Any]) -> dict[str, Any]:
    """KL and perplexity of a format on every text, with what they are of."""
    texts = {}
    for text, values in measured["texts"].items():
        loss, loss_error = mean_and_error(values["losses"])
        kl, kl_error = mean_and_error(values["divergences"])
        texts[text] = {
            "perplexity": float(np.exp(loss)),
            "perplexity_standard_error": float(np.exp(loss)) * loss_error,
            "kl": kl,
            "kl_standard_error": kl_error,
            "kl_by_draw": [float(np.mean(draw)) for draw in values["divergences"]],
        }
    weights = {file: digest for file, digest in file_hashes(stage.directory).items() if file.endswith(".safetensors")}
    return {
        "format": name,
        "recipe": measured["recipe"],
        "weight_bits": measured["weight_bits"],
        "block": own.block if isinstance(own := any_format(formats_of(name)[0]), BlockFormat) else None,
        "texts": texts,
        "operands_sha256": sha256_file(stage.path("operands.npz")),
        "weights_sha256": weights,
    }


def _per_mac(entry: Mapping[str, Any]) -> dict[str, Any]:
    samples = entry["energy_samples_j"]
    error = float(np.std(samples, ddof=1) / np.sqrt(len(samples))) if samples and len(samples) > 1 else None
    return {**entry, "area_per_mac_um2": entry["area_um2"] / entry["lanes"], "energy_per_mac_standard_error_j": error}


def _fronts(units: Sequence[Mapping[str, Any]], measured: Mapping[str, Any], text: str) -> list[dict[str, Any]]:
    """A front for each condition and metric: the units that are the best for that metric."""
    groups: dict[tuple[str, float | None, str], list[Mapping[str, Any]]] = {}
    for unit in units:
        groups.setdefault((unit["kind"], _clock(unit), unit["objective"]), []).append(unit)
    found = []
    for (kind, period_ns, metric), group in groups.items():
        costs = {
            unit["format"]: Cost(unit[_METRICS[metric]], tuple(unit["energy_samples_j"]) if metric == "energy" else ())
            for unit in group
        }
        divergences = {name: measured[name]["texts"][text]["divergences"] for name in costs}
        where = {name: group[0][name] for name in ("pdk", "lanes")}
        points = front(costs, divergences)
        found.append({**where, "kind": kind, "period_ns": period_ns, "metric": metric, "text": text, "points": points})
    return found


def _table(found: Mapping[str, Any]) -> Table:
    table = Table("format", "bits", "KL x 1000", "of each draw", "perplexity", box=None, pad_edge=False)
    for one in found["accuracy"]:
        for values in one["texts"].values():
            draws = ", ".join(f"{1e3 * kl:.2f}" for kl in values["kl_by_draw"])
            kl = f"{1e3 * values['kl']:.2f} ± {1e3 * values['kl_standard_error']:.2f}"
            perplexity = f"{values['perplexity']:.2f} ± {values['perplexity_standard_error']:.2f}"
            table.add_row(one["format"], f"{one['weight_bits']:.3g}", kl, draws, perplexity)
    return table


def _clock(unit: Mapping[str, Any]) -> float | None:
    """The clock that a unit has in common with others; the fastest have one each."""
    return None if unit["objective"] == "delay" else unit["period_ns"]


def _csv(found: Mapping[str, Any]) -> str:
    """A line for each unit, with the accuracy of its format on every text."""
    accuracy = {one["format"]: one["texts"] for one in found["accuracy"]}
    bits = {one["format"]: one["weight_bits"] for one in found["accuracy"]}
    figures = ("kl", "kl_standard_error", "perplexity", "perplexity_standard_error")
    on_front = {
        (one["pdk"], one["lanes"], one["kind"], one["period_ns"], one["metric"], one["text"], point["format"]): point[
            "on_front"
        ]
        for one in found["fronts"]
        for point in one["points"]
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, "weight_bits", "text", *figures, "on_front", "netlist_sha256"])
    for unit in found["units"]:
        for name, values in accuracy[unit["format"]].items():
            key = (unit["pdk"], unit["lanes"], unit["kind"], _clock(unit), unit["objective"], name, unit["format"])
            row = [*(unit[column] for column in _COLUMNS), bits[unit["format"]]]
            writer.writerow([*row, name, *(values[one] for one in figures), on_front[key], unit["netlist_sha256"]])
    return text.getvalue()
