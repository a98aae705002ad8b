"""The designs that stand for a side of a comparison, in the RTL bench.

Which these are is known after the comparison only; most are not of the default architecture, which is simulated before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden import MacConfig, format_by_name
from golden.artifacts import canonical_json, sha256_file, write_file
from golden.errors import ToolError
from report.selection import winners

from .results import HARDWARE_PACKAGES
from .stages import Stage, Stages, package_versions, source_hash

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CYCLES", "simulate_compared", "unit_of"]

# Of random and of the model's operands each: the default architectures have shown by then that flow and operands are right.
CYCLES = 500
_JOBS = 2


def simulate_compared(
    stages: Stages, compared: Iterable[Stage], simulated: Iterable[Stage], quantized: Mapping[str, Stage], seed: int
) -> Stage | None:
    """The cocotb bench on every design of a reported comparison whose Verilog is not in `simulated`; None if all are.

    Operands are those of the model, uniform ones and corners, as for the default architectures.

    Raises
    ------
    SimulationMismatch
        At the first sum that is wrong.
    ToolError
        If the simulator fails, or the Verilog of a design is not that which was compared.
    """
    from hdl.verilog import generate
    from sim.command import simulate_verilog, stimuli_for
    from sim.processes import children_end_with_us
    from sim.simulators import find_simulator

    done = {run["verilog_sha256"] for stage in simulated for run in stage.json("simulation.json")}
    designs = {
        design["verilog_sha256"]: design
        for stage in compared
        for design in winners(stage.json("comparison.json"))
        if design["verilog_sha256"] not in done
    }
    if not designs:
        return None
    simulator = find_simulator()
    operands = {name: quantized[name].path("operands.npz") for name in sorted({d["format"] for d in designs.values()})}
    inputs = {
        "verilog": sorted(designs),
        "operands": {name: sha256_file(file) for name, file in operands.items()},
        "seed": seed,
        "cycles": CYCLES,
        "simulator": [simulator.name, simulator.version],
        "sources": source_hash(["golden", "hdl", "sim"]),
        "versions": package_versions(HARDWARE_PACKAGES),
    }

    def work(directory: Path) -> None:
        columns = (TextColumn("simulate compared designs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=stages.console, transient=True) as progress:
            bar = progress.add_task("", total=len(designs))
            tasks = []
            for design in sorted(designs.values(), key=lambda design: (-design["lanes"], design["design"])):  # longest first
                config = unit_of(design)
                verilog = generate(config)  # here, since Amaranth is not for threads
                if sha256(verilog.encode()).hexdigest() != design["verilog_sha256"]:
                    raise ToolError(f"the Verilog of {config.name} is not what was compared as {design['design']}; run it anew")
                tasks.append((verilog, config, stimuli_for(config, operands[design["format"]], CYCLES, seed)))

            def simulate(task: tuple[str, MacConfig, list[Any]]) -> list[dict[str, Any]]:
                runs = simulate_verilog(*task, simulator, quiet=True)
                progress.update(bar, advance=1)
                return runs

            # Threads are enough, since each only waits for its simulator.
            with ThreadPoolExecutor(_JOBS) as pool, children_end_with_us():
                runs = [run for found in pool.map(simulate, tasks) for run in found]
        stages.console.print(_table(runs))
        write_file(directory / "simulation.json", canonical_json(runs))

    return stages.run("simulate compared designs", inputs, work)


def unit_of(design: Mapping[str, Any]) -> MacConfig:
    """The unit of an entry of `designs`; what the entry does not say is the default."""
    told = {name: design[name] for name in ("lanes", "depth", "architecture", "structure") if name in design}
    return MacConfig(format_by_name(design["format"]), **told)


def _table(runs: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(title="designs of the comparisons: every sum as in the golden model")
    for heading in ("design", "operands", "cycles", "MACs compared", "sums compared"):
        table.add_column(heading, justify="left" if heading in ("design", "operands") else "right")
    for run in runs:
        numbers = (run["cycles"], run["macs_compared"], run["sums_compared"])
        table.add_row(run["design"], run["source"], *(f"{number:,}" for number in numbers))
    return table
