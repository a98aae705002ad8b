# SPDX-License-Identifier: Apache-2.0
"""`dint simulate`: generate a unit, replay operands on it, and hold every sum against the golden model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden import AsymmetricConfig, BlockMacConfig, InputError, MacConfig, Operands, PeConfig, UnitConfig, unit_of_options
from golden.arguments import check_time_limit
from golden.artifacts import canonical_json, output_directory, write_file

from . import asymmetric_stimulus, block_stimulus, column
from .replay import Replay
from .runner import WAVE_SUFFIXES, build
from .simulators import Simulator, find_simulator
from .stimulus import LONGEST_SUM, Stimulus

__all__ = ["simulate", "simulate_verilog", "stimuli_for"]

# Of each random stimulus: some seconds in Icarus for 16 lanes as for one. Faults of a single gate that few operands show,
# such as a carry past both compressor and final adder, take tens of thousands of products to be met (`make mutation`).
_PRODUCTS, _LEAST_CYCLES = 64000, 4000


def simulate(
    format: str = "dint4",
    lanes: int | None = None,
    simulator: str = "auto",
    operands: Path | None = None,
    cycles: int | None = None,
    seed: int = 0,
    waves: Path | None = None,
    architecture: str = "",
    pipeline: int | None = None,
    decoded: bool = False,
    depth: int = 65536,
    shape: str = "mac",
    zero_points: int | None = None,
    activations: str = "int8",
    writable_codebooks: bool = False,
    out: Path | None = None,
    time_limit: float = 1800.0,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Simulate the unit that `dint generate` would write with the same options.

    Parameters
    ----------
    format, lanes, pipeline, architecture, decoded, depth, shape, zero_points, activations, writable_codebooks
        The unit, as for `dint generate`; by default a MAC unit with 16 lanes.
    simulator
        "icarus", "verilator", or "auto": Icarus if it is there, else Verilator.
    operands
        An operand file (`operands.npz`) of a quantized model, replayed beside uniform and corner operands.
    cycles
        Clock cycles of each random stimulus, by default as many as 64000 products take, at least 4000, and at least those of
        the file's longest sum; the corner cases have a number of their own.
    waves
        Record waves in `<name>-<stimulus><suffix>`: `.vcd`, or with Icarus `.fst` too. Existing files are refused.
    out
        Directory for `simulation.json`.
    time_limit
        Seconds after which a compilation or a run is given up.

    Returns
    -------
    One object per stimulus, as in `simulation.json`: what was simulated with what, and how many MACs and sums were compared.

    Raises
    ------
    InputError
        If an option, the operand file or an output cannot be used.
    SimulationMismatch
        At the first sum that is wrong; the message names the operands.
    ToolError
        If the simulator is missing, fails, or takes longer than the time limit.
    """
    config = unit_of_options(
        format,
        lanes=lanes,
        depth=depth,
        pipeline=pipeline,
        architecture=architecture,
        decoded=decoded,
        shape=shape,
        zero_points=zero_points,
        activations=activations,
        writable_codebooks=writable_codebooks,
    )
    stimuli = stimuli_for(config, operands, cycles, seed)
    check_time_limit(time_limit)
    found = find_simulator(simulator)
    if waves is not None:
        _check_waves(waves, stimuli, found)
    with output_directory(out) if out is not None else nullcontext() as scratch:
        from hdl.verilog import generate  # Amaranth is slow to import, and `dint --help` imports this module

        results = simulate_verilog(generate(config), config, stimuli, found, waves=waves, time_limit_s=time_limit, quiet=quiet)
        if scratch is not None:
            write_file(scratch / "simulation.json", canonical_json(results))
    return results


def stimuli_for(
    config: UnitConfig, operands: Path | None, cycles: int | None, seed: int, longest_sum: int = LONGEST_SUM
) -> list[Replay]:
    """What a unit is simulated with: operands of the file, if there is one, then uniform operands, then the corner cases.

    Each of the first two is `cycles` long (None: as `simulate` says); operands of the file take the cycles of the unit's
    longest sum, if those are more. `longest_sum` is that of the corner cases of units that make sums (`Stimulus.corners`).
    """
    if cycles is None:
        cycles = max(_LEAST_CYCLES, _PRODUCTS // config.lanes)
    file = None if operands is None else Operands.load(operands)
    longest = max((layer.weights.shape[1] for layer in file.layers), default=0) if file is not None else 0
    whole = max(cycles, -(-longest // config.lanes))
    stimuli: list[Replay]
    if isinstance(config, MacConfig):
        stimuli = [Stimulus.uniform(config, cycles, seed), Stimulus.corners(config, longest_sum)]
        return stimuli if file is None else [Stimulus.from_operands(file, config, whole, seed), *stimuli]
    if isinstance(config, PeConfig):
        stimuli = [column.uniform(config, cycles, seed), column.corners(config)]
        return stimuli if file is None else [column.from_operands(file, config, cycles, seed), *stimuli]
    if isinstance(config, BlockMacConfig):
        stimuli = [block_stimulus.uniform(config, cycles, seed), block_stimulus.corners(config, longest_sum)]
        return stimuli if file is None else [block_stimulus.from_operands(file, config, whole, seed), *stimuli]
    assert isinstance(config, AsymmetricConfig)
    stimuli = [asymmetric_stimulus.uniform(config, cycles, seed), asymmetric_stimulus.corners(config, longest_sum)]
    return stimuli if file is None else [asymmetric_stimulus.from_operands(file, config, whole, seed), *stimuli]


def simulate_verilog(
    verilog: str,
    config: UnitConfig,
    stimuli: Sequence[Replay],
    simulator: Simulator,
    *,
    waves: Path | None = None,
    time_limit_s: float = 1800.0,
    quiet: bool = False,
) -> list[dict[str, Any]]:
    """Replay `stimuli` on `verilog`, the text of module `config.name`; parameters, results and errors as in `simulate`."""
    console = Console(quiet=quiet)
    results = []
    with _progress(console, config) as progress:
        compiling = progress.add_task(f"compile for {simulator.name}", total=None)
        suffix = waves.suffix if waves is not None else ""
        with build(verilog, config, simulator, waves=suffix, time_limit_s=time_limit_s) as design:
            progress.remove_task(compiling)
            for stimulus in stimuli:
                bar = progress.add_task(f"{stimulus.source} operands", total=stimulus.cycles)
                trace = _wave_file(waves, stimulus) if waves is not None else None

                def advance(done: int, bar: TaskID = bar) -> None:
                    progress.update(bar, completed=done)

                counts = design.run(stimulus, waves=trace, on_progress=advance)
                progress.update(bar, completed=stimulus.cycles)
                results.append(
                    {
                        "design": config.name,
                        "format": config.format_name,
                        "architecture": config.architecture,
                        "lanes": config.lanes,
                        "simulator": simulator.name,
                        "simulator_version": simulator.version,
                        "level": "rtl",
                        "source": stimulus.source,
                        "cycles": stimulus.cycles,
                        "macs_compared": counts.macs,
                        "sums_compared": counts.sums,
                        "stated_sums_compared": counts.stated_sums,
                        "stimulus_sha256": stimulus.sha256,
                        "verilog_sha256": sha256(verilog.encode()).hexdigest(),
                    }
                )
    console.print(_table(config, simulator, results))
    if waves is not None:
        console.print("Waves: " + ", ".join(str(_wave_file(waves, stimulus)) for stimulus in stimuli))
    return results


def _check_waves(waves: Path, stimuli: Sequence[Replay], simulator: Simulator) -> None:
    if waves.suffix not in (known := WAVE_SUFFIXES[simulator.name]):
        raise InputError(f"--waves {waves}: {simulator.name} writes {' and '.join(known)} files; end the name so")
    if not waves.parent.is_dir() or not os.access(waves.parent, os.W_OK):
        raise InputError(f"--waves {waves}: {waves.parent} is not a directory that can be written; make it first")
    for stimulus in stimuli:
        if (file := _wave_file(waves, stimulus)).exists():
            raise InputError(f"--waves {waves}: {file} exists and is not overwritten; remove it or give another name")


def _wave_file(waves: Path, stimulus: Replay) -> Path:
    return waves.with_name(f"{waves.stem}-{stimulus.source}{waves.suffix}")


@contextmanager
def _progress(console: Console, config: UnitConfig) -> Iterator[Progress]:
    """A bar per stimulus, which goes away when all is done: the table takes its place."""
    columns = (TextColumn(f"{config.name}  {{task.description}}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield progress


def _table(config: UnitConfig, simulator: Simulator, results: Sequence[dict[str, Any]]) -> Table:
    what = "output" if len(config.outputs) > 1 else "sum"
    table = Table(
        title=f"{config.name}: every {what} as in the golden model", caption=f"{config.architecture}, {simulator.version}"
    )
    for heading in ("operands", "cycles", "MACs compared", "sums compared", "with the file's sums"):
        table.add_column(heading, justify="left" if heading == "operands" else "right")
    for result in results:
        stated = result["stated_sums_compared"]
        numbers = (result["cycles"], result["macs_compared"], result["sums_compared"])
        table.add_row(result["source"], *(f"{number:,}" for number in numbers), f"{stated:,}" if stated else "-")
    return table
