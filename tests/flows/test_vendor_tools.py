# SPDX-License-Identifier: Apache-2.0
"""What Verilator and Yosys can foresee of the warnings of Vivado and Quartus, over a sample of every shape and structure."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from golden import (
    CODEBOOK_FORMATS,
    FORMATS,
    GROUP_FORMATS,
    MXFP4,
    NVFP4,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    PeConfig,
    UnitConfig,
)
from golden.errors import ToolError
from hdl.verilog import generate
from sim.simulators import find_simulator

# Left by `verilator -Wall`, and nothing that FPGA tools warn of: registers that begin with a value, which is the flip-flops'
# power-up value there, and the carry beyond the highest bit of a sum that cannot overflow.
HARMLESS = {"PROCASSINIT", "UNUSEDSIGNAL"}

UNITS: list[UnitConfig] = [
    MacConfig(FORMATS["dint4"], lanes=3, depth=64, pipeline=2, decoded=True),
    MacConfig(FORMATS["int8"], lanes=2, depth=64),
    MacConfig(FORMATS["fp4_e2m1"], depth=64, pipeline=1, architecture="baugh-wooley-fast"),
    MacConfig(FORMATS["int8"], depth=64, architecture="sign-magnitude"),
    PeConfig(FORMATS["dint4"], depth=64),
    AsymmetricConfig.of(MacConfig(FORMATS["int4"], lanes=2, depth=64), 2),
    MacConfig(FORMATS["dint4"], lanes=16),
    BlockMacConfig.of(NVFP4, 4, lanes=16, pipeline=1),
    BlockMacConfig.of(MXFP4, lanes=2),
    BlockMacConfig.of(GROUP_FORMATS["dint4_g32"], lanes=4),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c8_g64"], 4, lanes=8),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], lanes=2, writable_codebooks=True),
]
# Undriven wires, several drivers, loops; then latches, which a missing branch makes of a register, and memories.
YOSYS = """
from pyosys import libyosys
for line in open("units"):
    file, top = line.split()
    design = libyosys.Design()
    for step in (f"read_verilog {file}", f"hierarchy -check -top {top}", "proc", "check -assert", "flatten",
                 "select -assert-none t:$dlatch t:$adlatch t:$dlatchsr t:$sr t:$mem*"):
        libyosys.run_pass(step, design)
print("checked", sum(1 for _ in open("units")))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units")
    for config in UNITS:
        (folder / f"{config.name}.v").write_text(generate(config))
    (folder / "units").write_text("".join(f"{config.name}.v {config.name}\n" for config in UNITS))
    return folder


def test_verilator_warns_of_nothing_that_matters(sources: Path) -> None:
    try:
        environment = os.environ | find_simulator("verilator").environment
    except ToolError as error:
        pytest.skip(str(error))
    for config in UNITS:
        command = ["verilator_bin", "--lint-only", "-Wall", "--top-module", config.name, f"{config.name}.v"]
        # The file holds the parts of the unit, too: that modules have files of their names is a style.
        command.insert(3, "-Wno-DECLFILENAME")
        result = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, timeout=60, check=False)
        said = set(re.findall(r"^%(?:Warning|Error)(?:-(\w+))?:(?! Exiting)", result.stderr, flags=re.MULTILINE))
        assert said <= HARMLESS, result.stderr


def test_yosys_finds_no_latch_loop_or_undriven_wire(sources: Path) -> None:
    pytest.importorskip("pyosys")
    command = [sys.executable, "-c", YOSYS]
    result = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    assert f"checked {len(UNITS)}" in result.stdout
    assert "Warning:" not in result.stdout + result.stderr


def test_it_would_notice(tmp_path: Path) -> None:
    """A latch, an undriven wire and a memory in place of the unit do fail."""
    pytest.importorskip("pyosys")
    memory = "reg [3:0] m [0:3]; always @(posedge a) m[{a, y}] <= 4'd3; always @* y = m[{y, a}][2];"
    for body in ("always @* if (a) y = a;", "wire b; always @* y = b;", memory):
        (tmp_path / "bad.v").write_text(f"module bad(input a, output reg y);\n{body}\nendmodule\n")
        (tmp_path / "units").write_text("bad.v bad\n")
        command = [sys.executable, "-c", YOSYS]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert "checked" not in result.stdout, body
