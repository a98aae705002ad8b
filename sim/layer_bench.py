# SPDX-License-Identifier: Apache-2.0
"""Replay of whole linear layers inside the simulator: the Verilog around a MAC unit, and the cocotb bench that controls it.

All operands of a layer lie in memories of the simulation, and a state machine in Verilog feeds the unit a row of operands a
cycle: token by token, for each of them output by output, the rows of a sum one after the other. Where a sum ends, its value is
compared with the one expected. Python loads a layer, gives the reset, starts the replay, shows its progress and collects what
was found; it is not called from cycle to cycle.

The folder of a run, named in the environment variable `DINT_BENCH`, holds `plan.json`, a list of layers with the number of
`rows` in a sum, of `outputs`, of `tokens` and of `products` in a sum, and for layer i the memory files `i.weights.hex` (outputs
x rows), `i.activations.hex` (tokens x rows) and `i.expected.hex` (tokens x outputs). `result.json` says for each layer how many
sums were compared, and the first that differs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

from golden import MacConfig

__all__ = ["HARNESS", "harness", "replay_layers"]

HARNESS = "layer_harness"
_POLL_CYCLES = 10_000
_IN_FLIGHT = 10  # cycles: more than a row takes from the memories to the comparison, or a reset to clear all registers
_TICKS_PER_CYCLE = 2
_PUBLIC = "/*verilator public_flat_rw*/"  # all that Python sees; the rest is free for Verilator to optimize


@cocotb.test()
async def replay_layers(dut: Any) -> None:
    """Replay every layer of the plan; stop at the first sum that differs."""
    folder = Path(os.environ["DINT_BENCH"])
    results: list[dict[str, Any]] = []
    products = 0
    for index, layer in enumerate(json.loads((folder / "plan.json").read_text())):
        sums = layer["outputs"] * layer["tokens"]
        dut.index.value = index
        dut.rows.value = layer["rows"]
        dut.outputs.value = layer["outputs"]
        dut.tokens.value = layer["tokens"]
        dut.load.value = 1
        await Timer(_IN_FLIGHT * _TICKS_PER_CYCLE, unit="ns")  # the unit is in reset
        dut.load.value = 0
        dut.run.value = 1
        while not (int(dut.finished.value) or int(dut.failed.value)):
            left = (sums - int(dut.compared.value)) * layer["rows"] + _IN_FLIGHT
            await Timer(min(left, _POLL_CYCLES) * _TICKS_PER_CYCLE, unit="ns")
            (folder / "progress").write_text(str(products + int(dut.compared.value) * layer["products"]))
        compared, failed = int(dut.compared.value), bool(int(dut.failed.value))
        results.append({"compared": compared, "got": str(dut.got.value) if failed else None})
        if failed:
            break
        dut.run.value = 0
        products += sums * layer["products"]
    (folder / "result.json").write_text(json.dumps(results))


def harness(config: MacConfig, weight_rows: int, activation_rows: int, sums: int) -> str:
    """Verilog of module `layer_harness` around a unit `config.name`, with memories for so many rows and sums of a layer."""
    weights, activations = config.weight_format.bits * config.lanes, config.activation_bits * config.lanes
    width, latency = config.accumulator_bits, config.latency_cycles
    return f"""
module {HARNESS};
  reg load {_PUBLIC} = 0;  // rises: read the memory files of layer `index`
  reg run {_PUBLIC} = 0;  // 0: reset
  reg [31:0] index {_PUBLIC} = 0;
  reg [31:0] rows {_PUBLIC} = 1, outputs {_PUBLIC} = 1, tokens {_PUBLIC} = 1;
  reg [63:0] compared {_PUBLIC} = 0;  // sums that were as expected
  reg finished {_PUBLIC} = 0, failed {_PUBLIC} = 0;
  reg [{width - 1}:0] got {_PUBLIC} = 0;

  reg [{weights - 1}:0] weight_memory [0:{weight_rows - 1}];
  reg [{activations - 1}:0] activation_memory [0:{activation_rows - 1}];
  reg [{width - 1}:0] expected [0:{sums - 1}];

  reg clk = 0, rst = 1, valid = 0, first = 0;
  reg [{weights - 1}:0] weights = 0;
  reg [{activations - 1}:0] activations = 0;
  wire [{width - 1}:0] accumulator;
  {config.name} dut(.clk(clk), .rst(rst), .valid(valid), .first(first),
    .activations(activations), .weights(weights), .accumulator(accumulator));

  reg [31:0] row = 0, out = 0, token = 0, weight_at = 0, token_at = 0;
  reg [{latency}:0] ends = 0;  // bit i: a sum ended in the cycle i + 1 edges ago
  wire sending = token != tokens;
  wire last_row = row == rows - 1, last_output = out == outputs - 1;

  always @(posedge load) begin
    $readmemh($sformatf("%0d.weights.hex", index), weight_memory, 0, outputs * rows - 1);
    $readmemh($sformatf("%0d.activations.hex", index), activation_memory, 0, tokens * rows - 1);
    $readmemh($sformatf("%0d.expected.hex", index), expected, 0, tokens * outputs - 1);
  end

  always #1 clk = ~clk;

  always @(posedge clk) begin
    rst <= !run;
    ends <= {{ends[{latency - 1}:0], run && sending && last_row}};
    if (!run) begin
      row <= 0; out <= 0; token <= 0; weight_at <= 0; token_at <= 0;
      compared <= 0; finished <= 0; failed <= 0; ends <= 0;
    end else begin
      valid <= sending;
      first <= row == 0;
      if (sending) begin
        weights <= weight_memory[weight_at];
        activations <= activation_memory[token_at + row];
        row <= last_row ? 0 : row + 1;
        weight_at <= last_row && last_output ? 0 : weight_at + 1;
        if (last_row) out <= last_output ? 0 : out + 1;
        if (last_row && last_output) begin token <= token + 1; token_at <= token_at + rows; end
      end
      if (ends[{latency}] && !failed) begin
        if (accumulator !== expected[compared]) begin
          failed <= 1;
          got <= accumulator;
        end else begin
          compared <= compared + 1;
          finished <= compared + 1 == tokens * outputs;
        end
      end
    end
  end
endmodule
"""
