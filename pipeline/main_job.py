# SPDX-License-Identifier: Apache-2.0
"""The main job: from a trained model to the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from golden import MacConfig, Operands, format_by_name
from golden.artifacts import canonical_json, sha256_file, sole_use, write_file

from .inputs import check_inputs, hardware_inputs, kits_of, model_inputs
from .results import collect
from .simulations import simulate_compared, simulate_units
from .stages import (
    HARDWARE_PACKAGES,
    QUANTIZATION_PACKAGES,
    Stage,
    Stages,
    in_child,
    package_versions,
    source_hash,
)

if TYPE_CHECKING:
    from synth.pdk import Pdk
    from synth.search import Effort

__all__ = ["main_job"]

FORMATS = ("int8", "int4", "dint4")
# INT8 weights need no scaling; both 4-bit formats get the same one.
SCALING = {"int8": "none", "int4": "aqas", "dint4": "aqas"}


def main_job(
    *,
    out: Path,
    model: str | None = None,
    lanes: tuple[int, ...] = (1, 16),
    pdks: tuple[str, ...] = (),
    liberty: tuple[Path, ...] = (),
    platforms: Path | None = None,
    text: Path | None = None,
    accuracy: tuple[Path, ...] = (),
    paretos: tuple[Path, ...] = (),
    silicon: Path | None = None,
    seed: int = 0,
    effort: Effort | None = None,
    quiet: bool = False,
) -> Path:
    """Quantize, generate, simulate, synthesize, compare and report; returns the path of `index.html`.

    Parameters
    ----------
    out
        Directory of the report; the stages' files are kept in `out`/stages.
    model
        Directory or hub name of an OPT or LLaMA model; default the shipped checkpoint.
    lanes
        Lane counts to compare.
    pdks
        Names of the PDKs to compare on; empty: the default and those of `platforms`, $FLOW_HOME and $PDK_ROOT.
    liberty, platforms
        Where PDKs are, besides the usual places (see `synth.pdk`).
    text
        A further text to measure accuracy on.
    accuracy
        Files of `make benchmark-accuracy` that the page shows, too.
    paretos
        The same of `dint pareto`.
    silicon
        Directory of `make benchmark-silicon`, likewise.
    seed
        Of everything random.
    effort
        How much the comparison tries; default `synth.search.Effort()`.
    quiet
        Print nothing.

    Raises
    ------
    InputError, ToolError
        Before anything is written, if an option, a file or a tool cannot be used; later from the stage that could not do
        its work: earlier stages stay and are reused.
    """
    from report import given
    from report.page import write
    from report.summary import lines

    console = Console(quiet=quiet)
    lanes = tuple(dict.fromkeys(lanes))
    kits = kits_of(pdks, liberty, platforms)
    check_inputs(FORMATS, lanes, kits, model, text)
    beside = {
        "grids": [given.read_grid(file) for file in accuracy],
        "paretos": [given.read_pareto(file) for file in paretos],
        "silicon": given.read_silicon(silicon) if silicon else {},
    }
    root = out / "stages"
    with sole_use(root):
        stages = Stages(root, console)
        quantized = {name: _quantize(stages, name, model, text, seed, quiet) for name in reversed(FORMATS)}
        units = _generate(stages, lanes)
        configs = [MacConfig(format_by_name(name), lanes=count) for name in FORMATS for count in lanes]
        simulated = [simulate_units(stages, "simulate", configs, quantized, seed)]
        compared = [_compare(stages, kit, lanes, quantized, seed, out / "cache", effort) for kit in kits]
        if (of_the_compared := simulate_compared(stages, compared, simulated[0], quantized, seed)) is not None:
            simulated.append(of_the_compared)
        results = collect(stages, kits, quantized, units, simulated, compared)
        index = write(results | {name: files for name, files in beside.items() if files}, out)
    for line in lines(results, index):
        console.print(line, highlight=False)
    return index


def _quantize(stages: Stages, number_format: str, model: str | None, text: Path | None, seed: int, quiet: bool) -> Stage:
    """The quantized model and its operands; with dINT4 comes the accuracy table of all methods."""
    from quant.command import quantize

    inputs = {
        "format": number_format,
        "model": model_inputs(model),
        "text": sha256_file(text) if text is not None else None,
        "seed": seed,
        "sources": source_hash(["golden", "quant"]),
        "versions": package_versions(QUANTIZATION_PACKAGES),
    }

    table = number_format == "dint4"

    def work(directory: Path) -> None:
        in_child(
            quantize,
            model=model,
            out=directory,
            format=number_format,
            scaling=SCALING[number_format],
            text=text if table else None,
            table=table,
            seed=seed,
            quiet=quiet,
        )

    return stages.run(f"quantize {number_format}", inputs, work)


def _generate(stages: Stages, lanes: tuple[int, ...]) -> Stage:
    """Verilog and companion files of every unit, in the default architecture."""
    from hdl.unit_files import write_unit

    inputs = {
        "formats": FORMATS,
        "lanes": lanes,
        "sources": source_hash(["golden", "hdl"]),
        "versions": package_versions(HARDWARE_PACKAGES),
    }

    def work(directory: Path) -> None:
        for number_format in FORMATS:
            for count in lanes:
                write_unit(MacConfig(format_by_name(number_format), lanes=count), directory, quiet=True)

    return stages.run("generate", inputs, work)


def _compare(
    stages: Stages,
    kit: Pdk,
    lanes: tuple[int, ...],
    quantized: dict[str, Stage],
    seed: int,
    cache: Path,
    effort: Effort | None,
) -> Stage:
    """Area, delay and energy of both sides on one PDK, by the rule of fair comparison."""
    from synth.comparison import compare
    from synth.request import progress

    files = {name: stage.path("operands.npz") for name, stage in quantized.items()}
    inputs = hardware_inputs(kit, lanes, files, seed, effort)

    def work(directory: Path) -> None:
        operands = {name: Operands.load(file) for name, file in files.items()}
        with progress(stages.console) as advance:
            compared = compare([kit], lanes=lanes, operands=operands, effort=effort, seed=seed, cache=cache, advance=advance)
        write_file(directory / "comparison.json", canonical_json(compared))

    return stages.run(f"compare {kit.name}", inputs, work)
