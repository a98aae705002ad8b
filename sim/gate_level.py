"""Gate-level simulation by Icarus Verilog: a mapped netlist replays a stimulus, and its nets are recorded for a power estimate.

Operands are read from memory files and compared sums counted inside the simulation, which runs some hundred times faster than
with a bench in Python. Inputs change at the rising clock edge, as if flip-flops without delay drove them: in any other place a
cycle would be evaluated twice, once for the inputs and once for the sum.

    edge k: inputs of cycle k go out    edge k + 1: registers take them    at edge k + 1 + latency: their sum is compared

With delays, a clock period below the critical path shows as a wrong sum.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden import InputError, MacConfig, ToolError

from .memory_files import words
from .processes import last_error, run
from .stimulus import Stimulus

__all__ = ["RESET_CYCLES", "SCOPE", "TICKS_PER_NS", "GateLevelRun", "run_gate_level"]

TICKS_PER_NS = 10_000  # resolution of the simulation: 100 fs
SCOPE = "bench.dut"  # where the netlist is in the waveforms
RESET_CYCLES = 3  # clears the registers before the first operands
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
    config: MacConfig,
    stimulus: Stimulus,
    period_ns: float,
    workdir: Path,
    sdf: Path | None = None,
    top: str = "",
    warm_up: int = 4,
    time_limit_s: float = 600.0,
) -> GateLevelRun:
    """Simulate a netlist of module `top` (by default `config.name`) and compare its sum in every cycle.

    Parameters
    ----------
    netlist, cells
        Verilog of the netlist and of the cells that it uses.
    config, stimulus
        The unit and what it is given; the sums expected are `config.run(...)`.
    period_ns
        Clock period.
    workdir
        Where the waveforms are left (`activity.vcd`); everything else goes to a temporary directory.
    sdf
        Delays, in a form that Icarus applies; without, the simulation has no delays.
    warm_up
        Cycles of the stimulus before recording starts.

    Raises
    ------
    InputError
        If the stimulus does not fit the unit or has no cycle beyond the warm-up, or the period is no positive number.
    ToolError
        If Icarus is missing, fails, exceeds the time limit or warns about the delays, or if a sum differs or is unknown.
    """
    stimulus.check(config)
    cycles = len(stimulus.valid) - warm_up
    if warm_up < 0 or cycles < 1:
        raise InputError(f"the stimulus has {len(stimulus.valid)} cycles: more than the warm-up of {warm_up} are needed")
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
            _write_memories(folder, config, stimulus)
            (folder / "bench.v").write_text(
                _bench(config, top or config.name, len(stimulus.valid), half_period, start, end, sdf is not None)
            )
            if sdf is not None:
                (folder / "delays.sdf").write_bytes(sdf.read_bytes())
            compilation = ["iverilog", "-g2012", *(["-gspecify"] if sdf else []), "-s", "bench", "-o", "bench.vvp", "bench.v"]
            _run([*compilation, str(cells.resolve()), str(netlist.resolve())], folder, time_limit_s)
            output = _run(["vvp", "-n", "bench.vvp"], folder, time_limit_s)
            compared = _judge(output, config, stimulus, period_ns, sdf is not None)
            _check_whole(folder / "activity.vcd", end)
            (folder / "activity.vcd").replace(vcd)
    except OSError as error:
        raise ToolError(f"icarus: {error.filename or workdir}: {error.strerror}; is there space left?") from None
    return GateLevelRun(compared, cycles, start, end, vcd)


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


def _write_memories(folder: Path, config: MacConfig, stimulus: Stimulus) -> None:
    """One hexadecimal word per cycle: {rst, valid, first, weights, activations}, and the sum after the cycle's edge."""
    bits = config.weight_format.bits
    columns = [
        *_bits(stimulus.activations.astype(np.int64), config.activation_bits),
        *_bits(stimulus.weights.astype(np.int64), bits),
        stimulus.first,
        stimulus.valid,
        stimulus.reset,
    ]
    rows = np.packbits(np.stack(columns, axis=1), axis=1, bitorder="little")
    expected = config.run(stimulus.weights, stimulus.activations, stimulus.first, stimulus.valid, stimulus.reset)
    (folder / "stimulus.hex").write_bytes(words(rows))
    (folder / "expected.hex").write_bytes(words(expected & (1 << config.accumulator_bits) - 1))


def _bits(values: NDArray[np.int64], width: int) -> list[NDArray[np.bool_]]:
    """Columns of bits of `values` (cycles, lanes), lane 0 first, least significant bit first."""
    return [(values[:, lane] >> bit & 1).astype(bool) for lane in range(values.shape[1]) for bit in range(width)]


def _bench(config: MacConfig, top: str, cycles: int, half_period: int, start: int, end: int, delayed: bool) -> str:
    activations, weights = config.activation_bits * config.lanes, config.weight_format.bits * config.lanes
    annotate = '    $sdf_annotate("delays.sdf", dut);\n' if delayed else ""
    return f"""`timescale 1ns/100fs
module bench;
  reg clk = 0, rst = 1, valid = 0, first = 0;
  reg [{activations - 1}:0] activations = 0;
  reg [{weights - 1}:0] weights = 0;
  wire [{config.accumulator_bits - 1}:0] accumulator;
  reg [{activations + weights + 2}:0] stimulus [0:{cycles - 1}];
  reg [{config.accumulator_bits - 1}:0] expected [0:{cycles - 1}];
  integer edges = 0, sent, due, compared = 0;

  {top} dut (.clk(clk), .rst(rst), .valid(valid), .first(first),
    .activations(activations), .weights(weights), .accumulator(accumulator));

  initial begin
{annotate}    $readmemh("stimulus.hex", stimulus);
    $readmemh("expected.hex", expected);
    forever #{_ns(half_period)} clk = ~clk;
  end

  initial begin
    $dumpfile("activity.vcd");
    #{_ns(start)} $dumpvars(0, dut);
    #{_ns(end - start + 1)} $dumpoff;
  end

  always @(posedge clk) begin
    sent = edges - {RESET_CYCLES};
    due = sent - {1 + config.latency_cycles};
    if (due >= 0) begin
      if (accumulator !== expected[due]) begin
        $display("MISMATCH %0d %b %b", due, accumulator, expected[due]);
        $finish;
      end
      compared = compared + 1;
      if (compared == {cycles}) begin
        $display("COMPARED %0d", compared);
        $finish;
      end
    end
    if (sent >= 0 && sent < {cycles})
      {{rst, valid, first, weights, activations}} <= stimulus[sent];
    edges = edges + 1;
  end
endmodule
"""


def _ns(ticks: int) -> str:
    return f"{ticks // TICKS_PER_NS}.{ticks % TICKS_PER_NS:04d}"


def _judge(output: str, config: MacConfig, stimulus: Stimulus, period_ns: float, delayed: bool) -> int:
    """Number of sums compared; ToolError unless all agree and nothing was complained about."""
    if mismatch := re.search(r"^MISMATCH (\d+) ([01xz]+) ([01xz]+)$", output, re.MULTILINE):
        cycle, got, expected = int(mismatch[1]), mismatch[2], mismatch[3]
        shown = str(_signed(got)) if set(got) <= {"0", "1"} else f"unknown ({got})"
        cause = f"; the period of {period_ns:g} ns may be shorter than the critical path" if delayed else ""
        raise ToolError(
            f"gate level: the sum of {config.name} in cycle {cycle} is {shown}, not {_signed(expected)}, with weight codes "
            f"{stimulus.weights[cycle].tolist()} and activations {stimulus.activations[cycle].tolist()}{cause}"
        )
    if complaint := re.search(r"^.*SDF (?:WARNING|ERROR).*$", output, re.MULTILINE):
        raise ToolError(f"icarus: the delays were not applied as given: {complaint[0].strip()}")
    compared = re.search(r"^COMPARED (\d+)$", output, re.MULTILINE)
    if compared is None or int(compared[1]) != len(stimulus.valid):
        raise ToolError(f"icarus: the simulation ended early: {last_error(output)}")
    return int(compared[1])


def _signed(bits: str) -> int:
    return int(bits, 2) - (1 << len(bits) if bits[0] == "1" else 0)


def _run(command: list[str], folder: Path, time_limit_s: float) -> str:
    """Output of a program of Icarus, run in `folder`."""
    tool = f"icarus: {command[0]}"
    return run(command, tool=tool, install=_INSTALL, time_limit_s=time_limit_s, if_too_long="simulate fewer cycles", cwd=folder)
