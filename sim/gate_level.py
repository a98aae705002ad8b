# SPDX-License-Identifier: Apache-2.0
"""Gate-level simulation by Icarus Verilog: a mapped netlist replays a stimulus, and its nets are recorded for a power estimate.

Inputs are read from memory files and compared outputs counted inside the simulation, which runs some hundred times faster than
with a bench in Python. Inputs change at the rising clock edge, as if flip-flops without delay drove them: in any other place a
cycle would be evaluated twice, once for the inputs and once for the sum.

    edge k: inputs of row k go out    edge k + 1: registers take them    at edge k + 2: the outputs after that are compared

With delays, a clock period below the critical path shows as a wrong output.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from golden import InputError, ToolError, UnitConfig

from .memory_files import first_difference, places, port_words
from .processes import last_error, run
from .replay import Replay, Rows

__all__ = ["RESET_CYCLES", "SCOPE", "TICKS_PER_NS", "GateLevelRun", "run_gate_level"]

TICKS_PER_NS = 10_000  # resolution of the simulation: 100 fs
SCOPE = "bench.dut"  # where the netlist is in the waveforms
RESET_CYCLES = 3  # brings the registers to a known state before the first operands; the edge that sends them is one more
_INSTALL = "install it (apt install iverilog)"
_TAIL = 1 << 22  # bytes at the end of the waveforms; after the last time they name every net once more


@dataclass(frozen=True)
class GateLevelRun:
    """What a simulation did. The waveforms cover ticks `start` to `end`, `cycles` whole clock periods after the warm-up."""

    sums_compared: int
    cycles: int
    start: int
    end: int
    vcd: Path


def run_gate_level(
    netlist: Path,
    cells: Path,
    config: UnitConfig,
    stimulus: Replay,
    period_ns: float,
    workdir: Path,
    sdf: Path | None = None,
    top: str = "",
    warm_up: int = 4,
    time_limit_s: float = 600.0,
    record: bool = True,
) -> GateLevelRun:
    """Simulate a netlist of module `top` (by default `config.name`) and compare all its outputs in every cycle.

    Parameters
    ----------
    netlist, cells
        Verilog of the netlist and of the cells that it uses.
    config, stimulus
        The unit and what it is given; the outputs expected are `config.respond(...)`.
    period_ns
        Clock period.
    workdir
        Where the waveforms are left (`activity.vcd`); everything else goes to a temporary directory.
    sdf
        Delays, in a form that Icarus applies; without, the simulation has no delays.
    warm_up
        Cycles of the stimulus before recording starts.
    record
        Whether to leave waveforms; without, only outputs are compared.

    Raises
    ------
    InputError
        If the stimulus does not fit the unit or has no cycle beyond the warm-up, or the period is no positive number.
    ToolError
        If Icarus is missing, fails, exceeds the time limit or warns about the delays, or if an output differs or is unknown.
    """
    rows = stimulus.rows(config)
    cycles = stimulus.cycles - warm_up
    if warm_up < 0 or cycles < 1:
        raise InputError(f"the stimulus has {stimulus.cycles} cycles: more than the warm-up of {warm_up} are needed")
    half_period = round(period_ns * TICKS_PER_NS / 2)
    if half_period < 1:
        raise InputError(f"period is {period_ns} ns: a clock has a period of more than 0.0001 ns")
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise ToolError(f"icarus: {program} is not on PATH; {_INSTALL}")
    first_recorded = RESET_CYCLES + warm_up
    # Recording starts one tick before the edge that sends out the first recorded operands, and ends one before the last's end.
    start = (2 * first_recorded + 1) * half_period - 1
    end = start + 2 * half_period * cycles
    vcd = workdir / "activity.vcd"
    try:
        with tempfile.TemporaryDirectory(prefix="dint-gate-level-", dir=workdir) as scratch:
            folder = Path(scratch)
            (folder / "stimulus.hex").write_bytes(port_words(config.inputs, rows.inputs))
            (folder / "expected.hex").write_bytes(port_words(config.outputs, rows.outputs))
            held = port_words(config.inputs, stimulus.reset_row(config)).decode().strip()
            count = stimulus.cycles + config.latency_cycles - 1
            (folder / "bench.v").write_text(
                _bench(config, top or config.name, count, held, half_period, (start, end) if record else None, sdf is not None)
            )
            if sdf is not None:
                (folder / "delays.sdf").write_bytes(sdf.read_bytes())
            compilation = ["iverilog", "-g2012", *(["-gspecify"] if sdf else []), "-s", "bench", "-o", "bench.vvp", "bench.v"]
            _run([*compilation, str(cells.resolve()), str(netlist.resolve())], folder, time_limit_s)
            output = _run(["vvp", "-n", "bench.vvp"], folder, time_limit_s)
            _judge(output, config, stimulus, rows, period_ns, sdf is not None)
            if record:
                _check_whole(folder / "activity.vcd", end)
                (folder / "activity.vcd").replace(vcd)
    except OSError as error:
        raise ToolError(f"icarus: {error.filename or workdir}: {error.strerror}; is there space left?") from None
    return GateLevelRun(stimulus.cycles, cycles, start, end, vcd)


def _check_whole(vcd: Path, end: int) -> None:
    """ToolError unless the waveforms reach the tick after `end`, where the bench ends the recording.

    A simulator whose disk is full goes on without a word, and nets that are not recorded look quiet.
    """
    with vcd.open("rb") as file:
        file.seek(max(0, vcd.stat().st_size - _TAIL))
        times = [int(line[1:]) for line in file.read().splitlines() if line[:1] == b"#" and line[1:].isdigit()]
    if not times or times[-1] != end + 1:
        raise ToolError(
            f"icarus: the waveforms end at {times[-1] if times else 0} instead of {end + 1} x 100 fs; is the disk full?"
        )


def _bench(
    config: UnitConfig, top: str, rows: int, held: str, half_period: int, window: tuple[int, int] | None, delayed: bool
) -> str:
    taken, shown = (sum(port.width for port in ports) for ports in (config.inputs, config.outputs))
    connections = ", ".join(
        f".{port.name}({vector}[{place} +: {port.width}])"
        for vector, ports in (("given", config.inputs), ("shown", config.outputs))
        for place, port in places(ports)
    )
    recording = ""
    if window is not None:
        start, end = window
        recording = f"""
  initial begin
    $dumpfile("activity.vcd");
    #{_ns(start)} $dumpvars(0, dut);
    #{_ns(end - start + 1)} $dumpoff;
  end
"""
    annotate = '    $sdf_annotate("delays.sdf", dut);\n' if delayed else ""
    return f"""`timescale 1ns/100fs
module bench;
  reg clk = 0;
  reg [{taken - 1}:0] given = {taken}'h{held};
  wire [{shown - 1}:0] shown;
  reg [{taken - 1}:0] stimulus [0:{rows - 1}];
  reg [{shown - 1}:0] expected [0:{rows - 1}];
  integer edges = 0, sent, due, compared = 0;

  {top} dut (.clk(clk), {connections});

  initial begin
{annotate}    $readmemh("stimulus.hex", stimulus);
    $readmemh("expected.hex", expected);
    forever #{_ns(half_period)} clk = ~clk;
  end
{recording}
  always @(posedge clk) begin
    sent = edges - {RESET_CYCLES};
    due = sent - 2;
    if (due >= 0) begin
      if (shown !== expected[due]) begin
        $display("MISMATCH %0d %b", due, shown);
        $finish;
      end
      compared = compared + 1;
      if (compared == {rows}) begin
        $display("COMPARED %0d", compared);
        $finish;
      end
    end
    if (sent >= 0 && sent < {rows})
      given <= stimulus[sent];
    edges = edges + 1;
  end
endmodule
"""


def _ns(ticks: int) -> str:
    return f"{ticks // TICKS_PER_NS}.{ticks % TICKS_PER_NS:04d}"


def _judge(output: str, config: UnitConfig, stimulus: Replay, rows: Rows, period_ns: float, delayed: bool) -> None:
    """ToolError unless all outputs agree and nothing was complained about."""
    if mismatch := re.search(r"^MISMATCH (\d+) ([01xz]+)$", output, re.MULTILINE):
        row = int(mismatch[1])
        cycle = row - (config.latency_cycles - 1)
        told = f"; {stimulus.describe(config, cycle)}" if cycle >= 0 else ""
        cause = f"; the period of {period_ns:g} ns may be shorter than the critical path" if delayed else ""
        port, got, wanted = first_difference(config.outputs, rows.outputs, row, mismatch[2])
        raise ToolError(f"gate level: {port} of {config.name} in cycle {cycle} is {got}, not {wanted}{told}{cause}")
    if complaint := re.search(r"^.*SDF (?:WARNING|ERROR).*$", output, re.MULTILINE):
        raise ToolError(f"icarus: the delays were not applied as given: {complaint[0].strip()}")
    compared = re.search(r"^COMPARED (\d+)$", output, re.MULTILINE)
    if compared is None or int(compared[1]) != len(next(iter(rows.inputs.values()))):
        raise ToolError(f"icarus: the simulation ended early: {last_error(output)}")


def _run(command: list[str], folder: Path, time_limit_s: float) -> str:
    """Output of a program of Icarus, run in `folder`."""
    tool = f"icarus: {command[0]}"
    return run(command, tool=tool, install=_INSTALL, time_limit_s=time_limit_s, if_too_long="simulate fewer cycles", cwd=folder)
