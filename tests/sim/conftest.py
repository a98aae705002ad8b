# SPDX-License-Identifier: Apache-2.0
"""Stand-in units written from the port description alone, and operand files, for the tests of the simulation."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golden import LayerOperands, MacConfig, NumberFormat, Operands


def _behavioural(config: MacConfig) -> str:
    number_format, lanes = config.weight_format, config.lanes
    bits, width = number_format.bits, config.accumulator_bits
    table = "\n".join(f"      {bits}'d{code}: decode = {value};" for code, value in enumerate(number_format.values))
    edge = "always @(posedge clk) stage <=" if config.pipeline else "always @* stage ="
    again = "always @(posedge clk) taken <=" if config.pipeline > 1 else "always @* taken ="
    return f"""
module {config.name} (
  input clk, input rst, input valid, input first,
  input [{8 * lanes - 1}:0] activations, input [{bits * lanes - 1}:0] weights,
  output reg [{width - 1}:0] accumulator
);
  reg [{(8 + bits) * lanes + 2}:0] stage, taken;
  {edge} {{weights, activations, first, valid, rst}};
  {again} stage;
  wire [{bits * lanes - 1}:0] w;
  wire [{8 * lanes - 1}:0] a;
  wire start, take, clear;
  assign {{w, a, start, take, clear}} = taken;
  function signed [31:0] decode;
    input [{bits - 1}:0] code;
    case (code)
{table}
    endcase
  endfunction
  integer lane;
  reg signed [31:0] total;
  reg signed [7:0] operand;
  always @* begin
    total = 0;
    for (lane = 0; lane < {lanes}; lane = lane + 1) begin
      operand = a[8*lane +: 8];
      total = total + decode(w[{bits}*lane +: {bits}]) * operand;
    end
  end
  wire [{width - 1}:0] base = start ? 0 : accumulator;
  wire [{width - 1}:0] sum = base + total;
  always @(posedge clk)
    if (clear) accumulator <= 0;
    else if (take) accumulator <= sum;
endmodule
"""


@pytest.fixture(scope="session")
def behavioural() -> Callable[[MacConfig], str]:
    """The unit as a table and a multiplication: Verilog text of a configuration."""
    return _behavioural


@pytest.fixture(scope="session")
def make_operands() -> Callable[..., Operands]:
    """Operands of one made-up layer, with the accumulators that belong to them."""

    def make(number_format: NumberFormat, outputs: int = 5, products: int = 50, tokens: int = 3) -> Operands:
        random = np.random.default_rng(11)
        weights = random.integers(0, 1 << number_format.bits, (outputs, products), dtype=np.uint8)
        activations = random.integers(-128, 128, (tokens, products), dtype=np.int8)
        accumulators = activations.astype(np.int64) @ number_format.decode(weights).T
        scales = np.ones(outputs, np.float32), np.ones(tokens, np.float32)
        layer = LayerOperands("model.decoder.layers.0.fc1", weights, activations, accumulators, *scales)
        return Operands(number_format, (layer,), {"made": "for a test"})

    return make


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put a shell script in front of the program of the same name."""
    folder = tmp_path / "fake"
    folder.mkdir()

    def fake(name: str, script: str) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\nreal={shutil.which(name)}\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    return fake


@pytest.fixture
def left_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Private temporary files go to a folder of this test; what of it, and which processes that name it, are still there?"""
    private = tmp_path / "private"
    private.mkdir()
    monkeypatch.setenv("TMPDIR", str(private))
    monkeypatch.setattr("tempfile.tempdir", None)

    def running() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                facts = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if f"{private}/dint-sim-".encode() in facts and state != "Z":
                found.append(f"process {process.name}")
        return found

    def look(patience_s: float = 10) -> list[str]:
        deadline = time.monotonic() + patience_s  # a killed process takes a moment to go
        while (found := running()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found + [str(path) for path in private.rglob("*")]

    return look
