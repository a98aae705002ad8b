"""Several units on the same operands at once, each one's sum compared in every cycle, inside the simulation.

Units that differ only in how they are made, such as the architectures of a format, take the same inputs and owe the same sums,
so that one simulation can check all of them. Icarus knows unknown values, so that it suits netlists, whose registers begin
unknown; Verilator is faster.

Before the reset the units get valid operands that continue a sum, so that what is unknown stays; one cycle of reset must
clear it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from golden import InputError, MacConfig, ToolError

from .memory_files import packed, words
from .processes import last_error, run
from .runner import SimulationMismatch
from .simulators import VERILATOR_OPTIONS, VERILATOR_TIMING, Simulator
from .stimulus import Stimulus

__all__ = ["Comparison", "compare_units"]

_BEFORE_RESET = 4  # cycles without a reset
_AGAIN = "install it again"


@dataclass(frozen=True)
class Comparison:
    """What was compared."""

    units: int
    sums: int  # accumulator values, of all units
    unknown_before_reset: int  # units whose accumulator held an unknown bit until the reset


def compare_units(
    configs: Sequence[MacConfig],
    sources: Mapping[str, str],
    stimuli: Sequence[Stimulus],
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
    interfaces = {(c.weight_format.name, c.lanes, c.depth, c.pipeline) for c in configs}
    if len(interfaces) != 1 or len({config.name for config in configs}) != len(configs):
        raise InputError("units side by side must be equal but for their architectures, and each another one")
    for stimulus in stimuli:
        stimulus.check(configs[0])
    with tempfile.TemporaryDirectory(prefix="dint-sim-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "bench.v").write_text(_bench(configs, max(stimulus.cycles for stimulus in stimuli)))
        for file, text in sources.items():
            (folder / file).write_text(text)
        files = ["bench.v", *sources]
        if simulator.name == "icarus":
            _run(["iverilog", "-g2012", "-s", "bench", "-o", "bench.vvp", *files], folder, simulator, time_limit_s)
            command = [shutil.which("vvp") or "vvp", "-n", str(folder / "bench.vvp")]
        else:
            options = [*VERILATOR_OPTIONS, *VERILATOR_TIMING, "--top-module", "bench", "-o", "bench"]
            _run(["verilator", "--binary", *options, *files], folder, simulator, time_limit_s)
            command = [str(folder / "obj_dir" / "bench")]
        results = []
        for number, stimulus in enumerate(stimuli):
            place = folder / f"run-{number}"
            place.mkdir()
            _write_memories(place, configs[0], stimulus)
            output = _run([*command, f"+cycles={stimulus.cycles}"], place, simulator, time_limit_s)
            results.append(_judge(output, configs, stimulus, simulator))
    return results


def _write_memories(folder: Path, config: MacConfig, stimulus: Stimulus) -> None:
    controls = np.stack([stimulus.first, stimulus.valid, stimulus.reset], axis=1).astype(np.uint8)
    columns = {
        "weights": packed(stimulus.weights, config.weight_format.bits),
        "activations": packed(stimulus.activations.view(np.uint8), config.activation_bits),
        "controls": packed(controls, 1),
        "expected": stimulus.expected(config) & (1 << config.accumulator_bits) - 1,
    }
    for name, column in columns.items():
        (folder / f"{name}.hex").write_bytes(words(column))


def _bench(configs: Sequence[MacConfig], most_cycles: int) -> str:
    config = configs[0]
    weights, activations = config.weight_format.bits * config.lanes, config.activation_bits * config.lanes
    width, latency = config.accumulator_bits, config.latency_cycles
    instances, comparisons, unknown = [], [], []
    for index, one in enumerate(configs):
        shown = f"sum_{index}"
        instances.append(
            f"  wire [{width - 1}:0] {shown};\n"
            f"  {one.name} unit_{index}(.clk(clk), .rst(rst), .valid(valid), .first(first),\n"
            f"    .activations(activations), .weights(weights), .accumulator({shown}));\n"
        )
        comparisons.append(
            f"      if ({shown} !== expected[due]) begin\n"
            f'        $display("MISMATCH {index} %0d %b", due, {shown});\n'
            "        $finish;\n"
            "      end else compared = compared + 1;\n"
        )
        unknown.append(f"      if (^{shown} === 1'bx) unknown = unknown + 1;\n")
    return f"""`timescale 1ns/1ps
module bench;
  reg clk = 0, rst = 0, valid = 1, first = 0;
  reg [{weights - 1}:0] weights = {{{weights}{{1'b1}}}};
  reg [{activations - 1}:0] activations = {{{activations}{{1'b1}}}};
  reg [{weights - 1}:0] weight_memory [0:{most_cycles - 1}];
  reg [{activations - 1}:0] activation_memory [0:{most_cycles - 1}];
  reg [2:0] control_memory [0:{most_cycles - 1}];
  reg [{width - 1}:0] expected [0:{most_cycles - 1}];
  integer cycles, edges = 0, sent, due, unknown = 0;
  reg [63:0] compared = 0;
{"".join(instances)}
  initial begin
    if (!$value$plusargs("cycles=%d", cycles)) $finish;
    $readmemh("weights.hex", weight_memory, 0, cycles - 1);
    $readmemh("activations.hex", activation_memory, 0, cycles - 1);
    $readmemh("controls.hex", control_memory, 0, cycles - 1);
    $readmemh("expected.hex", expected, 0, cycles - 1);
    forever #5 clk = ~clk;
  end
  always @(posedge clk) begin
    if (edges == {_BEFORE_RESET}) begin
{"".join(unknown)}    end
    sent = edges - {_BEFORE_RESET + 1};
    due = sent - {1 + latency};
    if (due >= 0) begin
{"".join(comparisons)}      if (due == cycles - 1) begin $display("COMPARED %0d %0d", compared, unknown); $finish; end
    end
    rst <= sent == -1;
    if (sent >= 0 && sent < cycles) begin
      weights <= weight_memory[sent];
      activations <= activation_memory[sent];
      {{rst, valid, first}} <= control_memory[sent];
    end
    edges = edges + 1;
  end
endmodule
"""


def _judge(output: str, configs: Sequence[MacConfig], stimulus: Stimulus, simulator: Simulator) -> Comparison:
    if found := re.search(r"^MISMATCH (\d+) (\d+) ([01xz]+)$", output, re.MULTILINE):
        config, cycle, bits = configs[int(found[1])], int(found[2]), found[3]
        got = bits if set(bits) - {"0", "1"} else int(bits, 2) - (1 << len(bits) if bits[0] == "1" else 0)
        raise SimulationMismatch(
            f"{config.name}, {stimulus.source} operands, cycle {cycle}: accumulator {got}, expected "
            f"{stimulus.expected(config)[cycle]}, with weight codes {stimulus.weights[cycle].tolist()} and activations "
            f"{stimulus.activations[cycle].tolist()}"
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
