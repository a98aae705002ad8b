# SPDX-License-Identifier: Apache-2.0
"""Units in the RTL bench: the default architectures, and the designs that stand for a side of a comparison.

Which the latter are is known after the comparison only; most are not of the default architecture, which is simulated before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden import MacConfig, format_by_name
from golden.artifacts import canonical_json, sha256_file, write_file
from golden.errors import ToolError
from golden.tables import print_table
from report.selection import winners

from .stages import HARDWARE_PACKAGES, Stage, Stages, package_versions, source_hash

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["simulate_compared", "simulate_units", "unit_of"]

# Of random and of the model's operands each; the corner cases run whole. The second for what is simulated besides the default
# architectures, which have shown by then that flow and operands are right.
CYCLES, CYCLES_COMPARED = 2000, 500
# Of the corner cases: reaches the ends of the accumulator with 16 lanes. One lane takes 65536 cycles to each of them, which
# `dint simulate` goes through.
_LONGEST_SUM = 4096
_JOBS = 2


def simulate_units(
    stages: Stages,
    name: str,
    configs: Sequence[MacConfig],
    quantized: Mapping[str, Stage],
    seed: int,
    cycles: int = CYCLES,
    compared: Mapping[str, str] | None = None,
) -> Stage:
    """The stage `name`: the cocotb bench on every unit, with operands of the model, uniform ones and corners.

    `compared`: by unit, the SHA-256 that its Verilog must have.

    Raises
    ------
    SimulationMismatch
        At the first sum that is wrong.
    ToolError
        If the simulator fails, or the Verilog of a unit is another than was compared.
    """
    from sim.command import simulate_verilog, stimuli_for
    from sim.processes import children_end_with_us
    from sim.simulators import find_simulator
    from synth.mapping import generate_all, verilog_of

    simulator = find_simulator()
    formats = sorted({config.weight_format.name for config in configs})
    operands = {one: quantized[one].path("operands.npz") for one in formats}
    inputs = {
        "units": sorted(config.name for config in configs),
        "compared": compared,
        "operands": {one: sha256_file(file) for one, file in operands.items()},
        "seed": seed,
        "cycles": cycles,
        "simulator": [simulator.name, simulator.version],
        "sources": source_hash(["golden", "hdl", "sim"]),
        "versions": package_versions(HARDWARE_PACKAGES),
    }

    def work(directory: Path) -> None:
        generate_all(configs, _JOBS)
        verilog = {config: verilog_of(config) for config in configs}
        for config, text in verilog.items():
            if compared and sha256(text.encode()).hexdigest() != compared[config.name]:
                raise ToolError(f"the Verilog of {config.name} is not what was compared; run the comparison anew")
        columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=stages.console, transient=True) as progress:
            bar = progress.add_task("", total=len(configs))

            def simulate(config: MacConfig) -> list[dict[str, Any]]:
                stimuli = stimuli_for(config, operands[config.weight_format.name], cycles, seed, _LONGEST_SUM)
                runs = simulate_verilog(verilog[config], config, stimuli, simulator, quiet=True)
                progress.update(bar, advance=1)
                return runs

            # Threads are enough, since each only waits for its simulator; the longest first.
            ordered = sorted(configs, key=lambda config: (-config.lanes, config.name))
            with ThreadPoolExecutor(_JOBS) as pool, children_end_with_us():
                runs = [run for found in pool.map(simulate, ordered) for run in found]
        print_table(stages.console, _table(name, runs))
        write_file(directory / "simulation.json", canonical_json(runs))

    return stages.run(name, inputs, work)


def simulate_compared(
    stages: Stages, compared: Iterable[Stage], simulated: Stage, quantized: Mapping[str, Stage], seed: int
) -> Stage | None:
    """The same for every design of a reported comparison whose Verilog is not in `simulated`; None if all are."""
    done = {run["verilog_sha256"] for run in simulated.json("simulation.json")}
    designs = {
        unit_of(design): design["verilog_sha256"]
        for stage in compared
        for design in winners(stage.json("comparison.json"))
        if design["verilog_sha256"] not in done
    }
    if not designs:
        return None
    digests = {config.name: digest for config, digest in designs.items()}
    return simulate_units(stages, "simulate compared designs", list(designs), quantized, seed, CYCLES_COMPARED, digests)


def unit_of(design: Mapping[str, Any]) -> MacConfig:
    """The unit of an entry of `designs`; what the entry does not say is the default."""
    told = {name: design[name] for name in ("lanes", "depth", "architecture", "pipeline", "decoded") if name in design}
    return MacConfig(format_by_name(design["format"]), **told)


def _table(name: str, runs: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(title=f"{name}: every sum as in the golden model")
    for heading in ("design", "operands", "cycles", "MACs compared", "sums compared"):
        table.add_column(heading, justify="left" if heading in ("design", "operands") else "right")
    for run in runs:
        numbers = (run["cycles"], run["macs_compared"], run["sums_compared"])
        table.add_row(run["design"], run["source"], *(f"{number:,}" for number in numbers))
    return table
