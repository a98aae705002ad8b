# SPDX-License-Identifier: Apache-2.0
"""Several units on the same operands at once, each one's outputs compared in every cycle, inside the simulation.

Units that differ only in how they are made, such as the architectures of a format, take the same inputs and owe the same
outputs, so that one simulation can check all of them. Icarus knows unknown values, so that it suits netlists, whose registers
begin unknown; Verilator is faster.

Before the reset the units get valid operands that continue a sum, so that what is unknown stays. One cycle of `rst` must clear
it; units without that port get the levels that stand for a reset as long as it takes.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from golden import InputError, ToolError, UnitConfig

from .memory_files import first_difference, places, port_words
from .processes import last_error, run
from .replay import Replay
from .runner import SimulationMismatch
from .simulators import VERILATOR_OPTIONS, VERILATOR_QUICK, VERILATOR_TIMING, Simulator

__all__ = ["Comparison", "compare_units"]

_BEFORE_RESET = 4  # cycles without a reset
_AGAIN = "install it again"


@dataclass(frozen=True)
class Comparison:
    """What was compared."""

    units: int
    sums: int  # values of the port with the sum, of all units
    unknown_before_reset: int  # units of which an output held an unknown bit until the reset


def compare_units(
    configs: Sequence[UnitConfig],
    sources: Mapping[str, str],
    stimuli: Sequence[Replay],
    simulator: Simulator,
    time_limit_s: float = 1800.0,
) -> list[Comparison]:
    """Compile the modules `config.name` of `configs` once and simulate them on each of `stimuli`.

    Parameters
    ----------
    configs
        Equal but for their architectures.
    sources
        File name to Verilog text: the units, and the cells of netlists.

    Raises
    ------
    InputError
        If the units differ in more than their architecture, or do not take the stimulus.
    SimulationMismatch
        At the first sum that differs from the golden model's or is unknown.
    ToolError
        If the simulator fails, exceeds the time limit, or did not compare all there was.
    """
    first = configs[0]
    alike = all(config.varied(architecture=first.architecture) == first for config in configs)
    if not alike or len({config.name for config in configs}) != len(configs):
        raise InputError("units side by side must be equal but for their architectures, and each another one")
    for stimulus in stimuli:
        stimulus.check(first)
    with tempfile.TemporaryDirectory(prefix="dint-sim-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "bench.v").write_text(
            _bench(configs, max(stimulus.cycles for stimulus in stimuli) + first.latency_cycles - 1)
        )
        for file, text in sources.items():
            (folder / file).write_text(text)
        files = ["bench.v", *sources]
        if simulator.name == "icarus":
            _run(["iverilog", "-g2012", "-s", "bench", "-o", "bench.vvp", *files], folder, simulator, time_limit_s)
            command = [shutil.which("vvp") or "vvp", "-n", str(folder / "bench.vvp")]
        else:
            _verilate(files, folder, simulator, time_limit_s)
            command = [str(folder / "obj_dir" / "bench")]
        results = []
        for number, stimulus in enumerate(stimuli):
            place = folder / f"run-{number}"
            place.mkdir()
            rows = stimulus.rows(first)
            (place / "inputs.hex").write_bytes(port_words(first.inputs, rows.inputs))
            (place / "outputs.hex").write_bytes(port_words(first.outputs, rows.outputs))
            count = stimulus.cycles + first.latency_cycles - 1
            output = _run([*command, f"+rows={count}"], place, simulator, time_limit_s)
            results.append(_judge(output, configs, stimulus, simulator))
    return results


_ONE_LIBRARY = Lock()  # a cache may call twice where two threads miss


@cache
def _library() -> tempfile.TemporaryDirectory[str]:
    """Where this process keeps Verilator's own library as it was compiled first: 7 of the 9 seconds of a compilation."""
    return tempfile.TemporaryDirectory(prefix="dint-verilator-", ignore_cleanup_errors=True)


def _verilate(files: Sequence[str], folder: Path, simulator: Simulator, time_limit_s: float) -> None:
    with _ONE_LIBRARY:
        library = Path(_library().name)
    objects = folder / "obj_dir"
    objects.mkdir()
    options = [*VERILATOR_OPTIONS, *VERILATOR_QUICK, *VERILATOR_TIMING, "--top-module", "bench", "-o", "bench"]
    for one in library.glob("*.o"):
        shutil.copyfile(one, objects / one.name)
        options += ["-MAKEFLAGS", f"--old-file={one.name}"]  # not to be made again
    _run(["verilator", "--binary", *options, *files], folder, simulator, time_limit_s)
    for one in objects.glob("verilated*.o"):
        if not (library / one.name).exists():
            whole = library / f"{folder.name}-{one.name}.new"
            shutil.copyfile(one, whole)
            whole.replace(library / one.name)  # at once, since threads share the folder


def _levels(config: UnitConfig) -> tuple[str, str]:
    """Levels of all inputs, the first port in the lowest bits: of valid operands that continue a sum, and of a reset."""
    running = held = ""
    for port in config.inputs:
        going_on = "0" if port.name in ("rst", "first", "load", "swap") else "1" * port.width
        level = config.reset.get(port.name)
        held = (going_on if level is None else format(level & (1 << port.width) - 1, f"0{port.width}b")) + held
        running = going_on + running
    return running, held


def _bench(configs: Sequence[UnitConfig], most_rows: int) -> str:
    config = configs[0]
    taken, shown = (sum(port.width for port in ports) for ports in (config.inputs, config.outputs))
    running, held = _levels(config)
    reset = 1 if "rst" in config.reset else config.latency_cycles + 1
    idle = config.latency_cycles - 1  # rows that show what was before the stimulus
    instances, comparisons, unknown = [], [], []
    for index, one in enumerate(configs):
        connections = ", ".join(
            f".{port.name}({vector}[{place} +: {port.width}])"
            for vector, ports in (("given", config.inputs), (f"shown_{index}", config.outputs))
            for place, port in places(ports)
        )
        instances.append(f"  wire [{shown - 1}:0] shown_{index};\n  {one.name} unit_{index}(.clk(clk), {connections});\n")
        comparisons.append(
            f"      if (shown_{index} !== expected[due]) begin\n"
            f'        $display("MISMATCH {index} %0d %b", due, shown_{index});\n'
            "        $finish;\n"
            "      end else compared = compared + 1;\n"
        )
        unknown.append(f"      if (^shown_{index} === 1'bx) unknown = unknown + 1;\n")
    return f"""`timescale 1ns/1ps
module bench;
  reg clk = 0;
  reg [{taken - 1}:0] given = {taken}'b{running};
  reg [{taken - 1}:0] stimulus [0:{most_rows - 1}];
  reg [{shown - 1}:0] expected [0:{most_rows - 1}];
  integer rows, edges = 0, sent, due, unknown = 0;
  reg [63:0] compared = 0;
{"".join(instances)}
  initial begin
    if (!$value$plusargs("rows=%d", rows)) $finish;
    $readmemh("inputs.hex", stimulus, 0, rows - 1);
    $readmemh("outputs.hex", expected, 0, rows - 1);
    forever #5 clk = ~clk;
  end
  always @(posedge clk) begin
    if (edges == {_BEFORE_RESET}) begin
{"".join(unknown)}    end
    sent = edges - {_BEFORE_RESET + reset};
    due = sent - 2;
    if (due >= {idle}) begin
{"".join(comparisons)}      if (due == rows - 1) begin $display("COMPARED %0d %0d", compared, unknown); $finish; end
    end
    if (sent >= 0 && sent < rows) given <= stimulus[sent];
    else if (sent < 0 && sent >= -{reset}) given <= {taken}'b{held};
    edges = edges + 1;
  end
endmodule
"""


def _judge(output: str, configs: Sequence[UnitConfig], stimulus: Replay, simulator: Simulator) -> Comparison:
    idle = configs[0].latency_cycles - 1
    if found := re.search(r"^MISMATCH (\d+) (\d+) ([01xz]+)$", output, re.MULTILINE):
        config, row = configs[int(found[1])], int(found[2])
        port, got, wanted = first_difference(config.outputs, stimulus.rows(config).outputs, row, found[3])
        operands = stimulus.describe(config, row - idle)
        raise SimulationMismatch(
            f"{config.name}, {stimulus.source} operands, cycle {row - idle}: {port} {got}, expected {wanted}{operands}"
        )
    found = re.search(r"^COMPARED (\d+) (\d+)$", output, re.MULTILINE)
    if found is None:
        raise ToolError(f"{simulator.name}: the simulation ended early: {last_error(output)}")
    if int(found[1]) != (wanted := len(configs) * stimulus.cycles):
        raise ToolError(f"{simulator.name}: the bench compared {found[1]} sums, not all of {wanted}")
    return Comparison(len(configs), int(found[1]), int(found[2]))


def _run(command: list[str], folder: Path, simulator: Simulator, time_limit_s: float) -> str:
    return run(
        command,
        tool=simulator.name,
        install=_AGAIN,
        time_limit_s=time_limit_s,
        if_too_long="use a shorter stimulus, or fewer units",
        cwd=folder,
        environment=simulator.environment,
    )
