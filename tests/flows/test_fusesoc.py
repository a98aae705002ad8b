# SPDX-License-Identifier: Apache-2.0
"""FuseSoC itself runs lint, the bench, and the generator core."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.command import generate
from flows.fusesoc import main
from golden import ToolError, unit_of_options
from sim.simulators import find_simulator
from tests.conftest import ROOT

NAME = "mac_int3_x1_d64"
BLOCK_UNIT = "mac_mxfp4_a4_x2_d64"
SOC = """\
CAPI=2:
name: example:example:soc:1.0
filesets:
  rtl:
    depend: ["dint:generators:dint"]
    files: [soc.v]
    file_type: verilogSource-2005
generate:
  mac:
    generator: dint
    parameters: {format: int4, lanes: 2, pipeline: 1, depth: 64}
targets:
  lint:
    filesets: [rtl]
    generate: [mac]
    toplevel: soc
    flow: lint
    flow_options: {tool: verilator}
"""
SOC_V = """\
module soc(input clk, input rst, input [15:0] a, input [7:0] w, output [17:0] y);
  mac_int4_x2_p1_d64 mac(
    .clk(clk), .rst(rst), .valid(1'b1), .first(1'b0), .activations(a), .weights(w), .accumulator(y)
  );
endmodule
"""


@pytest.fixture(scope="module")
def cores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cores")
    generate(flow="fusesoc", out=out, format="int3", lanes=1, depth=64, quiet=True)
    generate(flow="fusesoc", out=out, format="mxfp4", activations="mxfp4", lanes=2, depth=64, quiet=True)
    return out


def test_files_of_a_block_format(tmp_path: Path) -> None:
    generate(flow=("fusesoc", "orfs"), out=tmp_path, format="nvfp4", activations="nvfp4", lanes=16, depth=16, quiet=True)
    name = "mac_nvfp4_a4_x16_d16"
    assert "description: NVFP4 x NVFP4 multiply-accumulate unit" in (tmp_path / f"{name}.core").read_text()
    assert (tmp_path / "orfs" / "sky130hd" / name / "config.mk").is_file()
    facts = json.loads((tmp_path / f"{name}.json").read_text())
    assert unit_of_options(**facts["options"]).name == name  # what its bench makes


def fusesoc(folder: Path, target: str, core: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("fusesoc") is None:
        pytest.skip("no FuseSoC here: it comes with the extra dev")
    try:
        environment = find_simulator("icarus" if target == "sim" else "verilator").environment
    except ToolError as error:
        pytest.skip(str(error))
    path = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.environ["PATH"])])
    surroundings = os.environ | environment | {"PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
    surroundings["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [
        sys.executable,
        "-c",
        "from fusesoc.main import main; main()",
        "--cores-root",
        ".",
        "run",
        "--target",
        target,
        core,
    ]
    return subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.parametrize("name", [NAME, BLOCK_UNIT])
def test_lint(cores: Path, name: str) -> None:
    result = fusesoc(cores, "lint", f"dint:mac:{name}")
    assert result.returncode == 0, result.stderr
    assert "%Warning" not in result.stdout + result.stderr


@pytest.mark.parametrize("core", ["mac", "bench"])
def test_the_bench_runs_and_notices_a_fault(core: str, cores: Path, tmp_path: Path) -> None:
    result = fusesoc(cores, "sim", f"dint:{core}:{NAME}")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "every sum as in the golden model" in result.stdout
    broken = tmp_path / "broken"
    shutil.copytree(cores, broken, ignore=shutil.ignore_patterns("build"))
    verilog = broken / f"{NAME}.v"
    verilog.write_text(verilog.read_text().replace("sum = a ^ b ^ c", "sum = a ^ b"))
    result = fusesoc(broken, "sim", f"dint:{core}:{NAME}")
    assert result.returncode != 0
    assert f"error: {NAME}, uniform operands" in result.stdout + result.stderr


def test_synthesis_for_an_fpga(cores: Path) -> None:
    if shutil.which("yosys") is None:
        pytest.skip("no yosys program here: apt install yosys")
    result = fusesoc(cores, "synth", f"dint:mac:{NAME}")
    assert result.returncode == 0, result.stdout + result.stderr
    (log,) = cores.glob(f"build/*{NAME}*/synth/yosys.log")
    assert "Found and reported 0 problems" in log.read_text()
    assert re.search(r"SB_LUT4 +\d+", log.read_text())


def test_the_generator_makes_what_parameters_say(cores: Path, tmp_path: Path) -> None:
    for name in ("dint_generator.core", "dint_generator.py"):
        shutil.copy(cores / name, tmp_path)
    (tmp_path / "soc.core").write_text(SOC)
    (tmp_path / "soc.v").write_text(SOC_V)
    result = fusesoc(tmp_path, "lint", "example:example:soc")
    assert result.returncode == 0, result.stdout + result.stderr


def request(tmp_path: Path, parameters: str) -> str:
    pytest.importorskip("yaml")
    file = tmp_path / "request.yml"
    file.write_text(f"gapi: '1.0'\nvlnv: a:b:c:1\nparameters: {parameters}\n")
    return str(file)


def test_a_request_without_fusesoc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", request(tmp_path, "{format: dint3, lanes: 1}")]) == 0
    [core] = tmp_path.glob("*.core")
    assert "name: a:b:c:1\n" in core.read_text()
    assert (tmp_path / "mac_dint3_x1.v").is_file()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("{lanes: four}", "lanes is 'four'"),
        ("{period_ns: fast}", "period_ns is 'fast'"),
        ("{format: dint5}", "did you mean dint"),
    ],
)
def test_bad_parameters_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], parameters: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", request(tmp_path, parameters)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("*.v"))
