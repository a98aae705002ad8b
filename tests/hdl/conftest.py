"""A MAC unit's Verilog in Icarus: operands in, the accumulator after every rising edge out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from golden import MacConfig
from hdl.verilog import generate

Simulate = Callable[..., NDArray[np.int64]]

BENCH = """\
module bench;
  reg [{top}:0] memory [0:{last}];
  reg [{top}:0] now;
  reg clk = 0;
  wire signed [{accumulator_top}:0] accumulator;
  integer cycle;
  {name} mac(.clk(clk), .rst(now[{top}]), .valid(now[{valid}]), .first(now[{first}]),
    .activations(now[{activation_top}:{activation_low}]), .weights(now[{weight_top}:0]), .accumulator(accumulator));
  initial begin
    $readmemh("{memory}", memory);
    for (cycle = 0; cycle <= {last}; cycle = cycle + 1) begin
      now = memory[cycle];
      #1 clk = 1;
      #1 $display("%0d", accumulator);
      clk = 0;
    end
  end
endmodule
"""


@pytest.fixture(scope="session")
def verilog() -> Callable[[MacConfig], str]:
    """verilog(config): generated once for all tests."""
    return cache(generate)


@pytest.fixture
def simulate(tmp_path: Path, verilog: Callable[[MacConfig], str]) -> Simulate:
    """simulate(config, weights, activations, first, valid, reset=None): the accumulator as `config.run` gives it.

    The unit is reset before; what `latency_cycles` delays is lined up again.
    """

    def run(
        config: MacConfig, weights: ArrayLike, activations: ArrayLike, first: ArrayLike, valid: ArrayLike, reset: Any = None
    ) -> NDArray[np.int64]:
        number_format, lanes = config.weight_format, config.lanes
        words = _packed(np.asarray(weights), number_format.bits)
        width = number_format.bits * lanes
        words += _packed(np.asarray(activations) & 255, 8) << width
        activation_low, width = width, width + 8 * lanes
        controls = (first, valid, np.zeros(len(words)) if reset is None else reset)
        for place, control in enumerate(controls):
            words += np.asarray(control).astype(int).astype(object) << (width + place)
        initial = [1 << (width + 2)] * 2  # reset, long enough for pipeline registers
        stream = [*initial, *words, *[0] * config.pipeline]
        memory = tmp_path / f"{config.name}.hex"
        memory.write_text("\n".join(f"{word:x}" for word in stream))
        bench = BENCH.format(
            name=config.name,
            memory=memory,
            last=len(stream) - 1,
            top=width + 2,
            valid=width + 1,
            first=width,
            activation_top=width - 1,
            activation_low=activation_low,
            weight_top=activation_low - 1,
            accumulator_top=config.accumulator_bits - 1,
        )
        sources = [tmp_path / "bench.v", tmp_path / f"{config.name}.v"]
        sources[0].write_text(bench)
        sources[1].write_text(verilog(config))
        binary = tmp_path / "bench.vvp"
        build = subprocess.run(
            ["iverilog", "-g2001", "-Wall", "-o", binary, *sources], capture_output=True, text=True, timeout=60
        )
        assert (build.returncode, build.stderr) == (0, "")  # not a warning
        result = subprocess.run(["vvp", "-n", binary], capture_output=True, text=True, timeout=300, check=True)
        lines = result.stdout.split()
        assert len(lines) == len(stream), result.stdout[-200:]
        return np.array([int(line) for line in lines[len(initial) + config.pipeline :]])

    return run


def _packed(operands: NDArray[Any], bits: int) -> NDArray[Any]:
    """Operands (cycles, lanes) as one integer per cycle, lane 0 in the lowest bits."""
    places = np.array([1 << (bits * lane) for lane in range(operands.shape[1])], dtype=object)
    return np.asarray((operands.astype(object) * places).sum(axis=1))
