# SPDX-License-Identifier: Apache-2.0
"""Gate-level simulation: counts, what is recorded, and that a wrong or unknown sum never passes."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden import INT4, InputError, MacConfig, ToolError
from sim.gate_level import RESET_CYCLES, TICKS_PER_NS, run_gate_level
from sim.stimulus import Stimulus

pytestmark = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")

LANES = 2
UNIT = """
module {name}(clk, rst, valid, first, activations, weights, accumulator);
  input clk, rst, valid, first;
  input [15:0] activations;
  input [7:0] weights;
  output reg signed [{msb}:0] accumulator;
  wire signed [{msb}:0] product = $signed(activations[7:0]) * $signed(weights[3:0])
    + $signed(activations[15:8]) * $signed(weights[7:4]);
  {body}
endmodule
"""
GOOD = "always @(posedge clk) if (rst) accumulator <= 0; else if (valid) accumulator <= (first ? 0 : accumulator) + product;"


@pytest.fixture
def config() -> MacConfig:
    return MacConfig(INT4, lanes=LANES)


def unit(folder: Path, config: MacConfig, body: str = GOOD) -> dict[str, Path]:
    (folder / "unit.v").write_text(UNIT.format(name=config.name, msb=config.accumulator_bits - 1, body=body))
    (folder / "cells.v").write_text("`timescale 1ns/100fs\n")
    return {"netlist": folder / "unit.v", "cells": folder / "cells.v"}


def test_every_sum_is_compared_and_the_rest_is_recorded(tmp_path: Path, config: MacConfig) -> None:
    stimulus = Stimulus.uniform(config, 50, seed=1)
    run = run_gate_level(**unit(tmp_path, config), config=config, stimulus=stimulus, period_ns=10, workdir=tmp_path, warm_up=5)
    assert run.sums_compared == 50
    assert run.cycles == 45
    assert run.end - run.start == 45 * 10 * TICKS_PER_NS
    # Recording begins one tick before the edge that sends out cycle 5.
    assert run.start == ((RESET_CYCLES + 5) * 10 + 5) * TICKS_PER_NS - 1
    times = [int(line[1:]) for line in run.vcd.read_text().splitlines() if line.startswith("#")]
    assert times[0] == run.start
    assert times[-1] <= run.end + 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["activity.vcd", "cells.v", "unit.v"]


def test_corners_with_resets_and_pauses(tmp_path: Path, config: MacConfig) -> None:
    stimulus = Stimulus.corners(config)
    assert stimulus.reset.any()
    assert not stimulus.valid.all()
    run = run_gate_level(**unit(tmp_path, config), config=config, stimulus=stimulus, period_ns=2, workdir=tmp_path)
    assert run.sums_compared == len(stimulus.valid)


def test_pipelined_unit(tmp_path: Path) -> None:
    config = MacConfig(INT4, lanes=LANES, pipeline=1)
    body = f"""reg v, f; reg signed [{config.accumulator_bits - 1}:0] p;
  always @(posedge clk) begin
    v <= valid & ~rst; f <= first; p <= product;
    if (rst) accumulator <= 0; else if (v) accumulator <= (f ? 0 : accumulator) + p;
  end"""
    stimulus = Stimulus.uniform(config, 20, seed=3)
    run = run_gate_level(**unit(tmp_path, config, body), config=config, stimulus=stimulus, period_ns=5, workdir=tmp_path)
    assert run.sums_compared == 20
    late = replace(config, pipeline=0)
    with pytest.raises(ToolError, match="accumulator of"):  # one cycle late is wrong
        run_gate_level(
            **unit(tmp_path, config, body), config=late, stimulus=stimulus, period_ns=5, workdir=tmp_path, top=config.name
        )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            GOOD.replace("+ product", "+ product + (activations[3:0] == 5)"),
            r"accumulator of mac_int4_x2 in cycle \d+ is -?\d+, not -?\d+",
        ),
        (
            GOOD.replace("if (rst) accumulator <= 0; else ", "").replace("(first ? 0 : accumulator)", "accumulator"),
            "is unknown",
        ),
        (GOOD.replace("first ? 0 : accumulator", "accumulator"), r"lane 0: code \d+ = -?\d+ x"),
        (GOOD + " initial #40 $finish;", "ended early"),
        ("always @(posedge clk) accumulator <= nothing_of_that_name;", r"icarus: iverilog: failed \(exit code"),
    ],
)
def test_faults_are_found(tmp_path: Path, config: MacConfig, body: str, message: str) -> None:
    random = np.random.default_rng(0)
    stimulus = Stimulus(
        weights=random.integers(0, 16, (400, LANES), dtype=np.uint8),
        activations=random.integers(-128, 128, (400, LANES), dtype=np.int8),
        first=np.arange(400) % 50 == 49,
        valid=np.ones(400, bool),
        source="uniform",
    )
    with pytest.raises(ToolError, match=message) as error:
        run_gate_level(**unit(tmp_path, config, body), config=config, stimulus=stimulus, period_ns=10, workdir=tmp_path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "activity.vcd").exists()


def test_time_limit_and_missing_simulator(tmp_path: Path, config: MacConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    stimulus = Stimulus.uniform(config, 20, seed=1)
    endless = unit(tmp_path, config, GOOD + " initial while (1) #0 ;")
    with pytest.raises(ToolError, match=r"icarus: vvp: no result within 0\.5 s, ended; simulate fewer cycles"):
        run_gate_level(**endless, config=config, stimulus=stimulus, period_ns=10, workdir=tmp_path, time_limit_s=0.5)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="apt install iverilog"):
        run_gate_level(**unit(tmp_path, config), config=config, stimulus=stimulus, period_ns=10, workdir=tmp_path)


def test_waveforms_that_end_early(tmp_path: Path, config: MacConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk leaves: the simulation ends well, its record does not."""
    from sim import gate_level

    def with_cut_record(command: list[str], folder: Path, limit_s: float) -> str:
        output = original(command, folder, limit_s)
        if (vcd := folder / "activity.vcd").exists():
            vcd.write_bytes(vcd.read_bytes()[:-2000])
        return output

    original = gate_level._run
    monkeypatch.setattr(gate_level, "_run", with_cut_record)
    stimulus = Stimulus.uniform(config, 50, seed=1)
    with pytest.raises(ToolError, match="is the disk full"):
        run_gate_level(**unit(tmp_path, config), config=config, stimulus=stimulus, period_ns=10, workdir=tmp_path)
    missing = tmp_path / "missing"
    with pytest.raises(ToolError, match="No such file"):
        run_gate_level(**unit(tmp_path, config), config=config, stimulus=stimulus, period_ns=10, workdir=missing)


def test_bad_requests(tmp_path: Path, config: MacConfig) -> None:
    files = unit(tmp_path, config)
    with pytest.raises(InputError, match="4 cycles"):
        run_gate_level(**files, config=config, stimulus=Stimulus.uniform(config, 4, 1), period_ns=10, workdir=tmp_path)
    with pytest.raises(InputError, match="period is 0"):
        run_gate_level(**files, config=config, stimulus=Stimulus.uniform(config, 9, 1), period_ns=0, workdir=tmp_path)
    other = Stimulus.uniform(MacConfig(INT4, lanes=1), 9, 1)
    with pytest.raises(InputError, match="lane"):
        run_gate_level(**files, config=config, stimulus=other, period_ns=10, workdir=tmp_path)
