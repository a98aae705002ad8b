# SPDX-License-Identifier: Apache-2.0
"""A unit's Verilog in Icarus, and its component in Amaranth's simulator: input ports in, what every output port shows out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from golden import MacConfig, NumberFormat, UnitConfig
from hdl.verilog import generate
from sim.in_amaranth import respond
from sim.memory_files import places, port_words

Inputs = Mapping[str, Any]  # by port, (cycles, ...)
Outputs = dict[str, list[int]]  # by port, after each edge
Run = Callable[[UnitConfig, Inputs], Outputs]
Simulate = Callable[..., NDArray[np.int64]]

BENCH = """\
module bench;
  reg [{top}:0] memory [0:{last}];
  reg [{top}:0] now;
  reg clk = 0;
  {wires}
  integer cycle;
  {name} unit(.clk(clk), {ports});
  initial begin
    $readmemh("{memory}", memory);
    for (cycle = 0; cycle <= {last}; cycle = cycle + 1) begin
      now = memory[cycle];
      #1 clk = 1;
      #1 $display("{formats}", {shown});
      clk = 0;
    end
  end
endmodule
"""


@pytest.fixture(scope="session")
def verilog() -> Callable[[UnitConfig], str]:
    """verilog(config): generated once for all tests."""
    return cache(generate)


@pytest.fixture
def in_icarus(tmp_path: Path, verilog: Callable[[UnitConfig], str]) -> Run:
    """in_icarus(config, inputs): what the Verilog shows; a warning of the compiler fails."""

    def run(config: UnitConfig, inputs: Inputs) -> Outputs:
        given, connections = _columns(config, inputs), []
        for place, port in places(config.inputs):
            connections.append(f".{port.name}(now[{place} +: {port.width}])")
        memory, source, bench = tmp_path / "memory.hex", tmp_path / "unit.v", tmp_path / "bench.v"
        words = port_words(config.inputs, given)
        memory.write_bytes(words)
        cycles = len(next(iter(given.values())))
        source.write_text(verilog(config))
        names = [port.name for port in config.outputs]
        wires = [f"wire{' signed' * port.signed} [{port.width - 1}:0] {port.name};" for port in config.outputs]
        bench.write_text(
            BENCH.format(
                name=config.name,
                memory=memory,
                top=4 * words.index(b"\n") - 1,
                last=cycles - 1,
                wires="\n  ".join(wires),
                ports=", ".join([*connections, *(f".{name}({name})" for name in names)]),
                formats=" ".join(["%0d"] * len(names)),
                shown=", ".join(names),
            )
        )
        command = ["iverilog", "-g2001", "-Wall", "-o", tmp_path / "bench.vvp", bench, source]
        build = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (build.returncode, build.stderr) == (0, "")
        command = ["vvp", "-n", tmp_path / "bench.vvp"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        rows = [[int(word) for word in line.split()] for line in result.stdout.splitlines()]
        assert len(rows) == cycles, result.stdout[-200:]
        return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

    return run


def in_amaranth(config: UnitConfig, inputs: Inputs) -> Outputs:
    """What the component shows in Amaranth's simulator."""
    return _shown(respond(config, _columns(config, inputs)))


def expected(config: UnitConfig, inputs: Inputs) -> Outputs:
    """What the golden model says."""
    return _shown(config.respond(_columns(config, inputs)))


def _columns(config: UnitConfig, inputs: Inputs) -> dict[str, NDArray[np.int64]]:
    return {port.name: fields(port.fields, inputs[port.name]) for port in config.inputs}


def _shown(outputs: Mapping[str, NDArray[np.int64]]) -> Outputs:
    return {name: column[:, 0].tolist() for name, column in outputs.items()}


def pairs(number_format: NumberFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes and activations: all pairs of formats of up to 4 bits.

    Of INT8 every code, with activations around all powers of two and a few more: all pairs of every shape are a matter of
    `python -m benchmarks.verification`, in Verilator, and those of one lane of `test_products`.
    """
    activations = np.arange(-128, 128)
    if number_format.bits > 4:
        near = {sign * (1 << bit) + step for sign in (1, -1) for bit in range(8) for step in (-1, 0, 1)} | {0, 85, -86, 51, -52}
        activations = np.array(sorted(near & set(activations.tolist())))
    codes, activations = np.meshgrid(np.arange(len(number_format.values)), activations, indexing="ij")
    return codes.reshape(-1), activations.reshape(-1)


def fields(count: int, column: ArrayLike) -> NDArray[np.int64]:
    """A port's numbers as (cycles, fields)."""
    return np.asarray(column).astype(np.int64).reshape(-1, count)


@pytest.fixture
def simulate(in_icarus: Run) -> Simulate:
    """simulate(config, weights, activations, first, valid, reset=None): the accumulator as `MacConfig.run` gives it.

    The unit is reset before; what `latency_cycles` delays is lined up again.
    """

    def run(
        config: MacConfig, weights: ArrayLike, activations: ArrayLike, first: ArrayLike, valid: ArrayLike, reset: Any = None
    ) -> NDArray[np.int64]:
        lead = 2  # cycles of reset, long enough for pipeline registers
        columns = {"weights": weights, "activations": activations, "first": first, "valid": valid}
        columns["rst"] = np.zeros(len(np.asarray(weights))) if reset is None else reset
        inputs = {
            port.name: np.pad(fields(port.fields, columns[port.name]), ((lead, config.pipeline), (0, 0)))
            for port in config.inputs
        }
        inputs["rst"][:lead] = 1
        return np.array(in_icarus(config, inputs)["accumulator"][lead + config.pipeline :])

    return run
