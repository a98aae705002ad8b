# SPDX-License-Identifier: Apache-2.0
"""Design folders for OpenROAD-flow-scripts and LibreLane: published variables, existing files, times in the library's unit."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from flows.command import generate
from flows.platforms import PLATFORMS, constraints
from golden import DINT4, INT8, AsymmetricConfig, InputError, MacConfig, PeConfig, UnitConfig
from synth.pdk import TECHNOLOGIES

PUBLISHED = {
    flow: set(section["names"].split())
    for flow, section in tomllib.loads(Path(__file__).with_name("published_variables.toml").read_text()).items()
}
NAME = "mac_dint4_x2"
THRESHOLDS = "".join(
    f"{name}_threshold_pct_{edge} : {percent};\n"
    for edge in ("rise", "fall")
    for name, percent in {"input": 50, "output": 50, "slew_lower": 20, "slew_upper": 80}.items()
)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("flows") / "new"
    generate(flow=["orfs", "librelane"], out=out, lanes=2, period_ns=2.5, quiet=True)
    return out


def test_every_platform_of_each_flow_has_a_folder(out: Path) -> None:
    assert {path.name for path in (out / "orfs").iterdir()} == {"sky130hd", "asap7", "nangate45", "gf180", "ihp-sg13g2"}
    assert {path.name for path in (out / "librelane").iterdir()} == {"sky130hd", "gf180", "ihp-sg13g2"}
    for folder in out.glob(f"*/*/{NAME}"):
        settings = "config.mk" if "orfs" in folder.parts else "config.json"
        assert {path.name for path in folder.iterdir()} == {settings, "constraint.sdc", f"{NAME}.v"}
        assert (folder / f"{NAME}.v").read_bytes() == (out / f"{NAME}.v").read_bytes()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_config_mk_as_make_reads_it(out: Path, platform: str, tmp_path: Path) -> None:
    file = out / "orfs" / platform / NAME / "config.mk"
    names = re.findall(r"^export (\w+) +=", file.read_text(), flags=re.MULTILINE)
    assert names
    assert set(names) <= PUBLISHED["orfs"]
    assert {"DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SDC_FILE"} <= set(names)  # what variables.yaml calls required
    if shutil.which("make") is None:
        pytest.skip("no make here")
    (tmp_path / "Makefile").write_text("include $(DESIGN_CONFIG)\nall:\n" + "".join(f"\t@echo '{n}=$({n})'\n" for n in names))
    command = ["make", "-s", "-C", tmp_path, f"DESIGN_CONFIG={file}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    values = dict(line.split("=", 1) for line in told if "=" in line)
    assert (values["DESIGN_NAME"], values["PLATFORM"]) == (NAME, platform)
    assert Path(values["VERILOG_FILES"]).is_file()
    assert Path(values["SDC_FILE"]).is_file()


@pytest.mark.parametrize(("platform", "pdk"), [("sky130hd", "sky130A"), ("gf180", "gf180mcuD"), ("ihp-sg13g2", "ihp-sg13g2")])
def test_config_json(out: Path, platform: str, pdk: str) -> None:
    folder = out / "librelane" / platform / NAME
    settings = json.loads((folder / "config.json").read_text())
    assert settings.pop("meta") == {"version": 2}
    assert settings.keys() <= PUBLISHED["librelane"]
    assert (settings["PDK"], settings["DESIGN_NAME"], settings["CLOCK_PERIOD"]) == (pdk, NAME, 2.5)
    paths = [value for name in settings for value in ([settings[name]] if "SDC" in name else [])] + settings["VERILOG_FILES"]
    assert len(paths) == 3
    assert all((folder / path.removeprefix("dir::")).is_file() for path in paths)


@pytest.mark.parametrize("name", PLATFORMS)
def test_constraints_are_in_the_unit_of_the_library(out: Path, name: str) -> None:
    text = (out / "orfs" / name / NAME / "constraint.sdc").read_text()
    scale = 1000 if name == "asap7" else 1
    assert f"create_clock -name clk -period {2.5 * scale:g} [get_ports clk]" in text
    for technology in TECHNOLOGIES:
        if technology.name == name:
            assert f"set_input_transition {technology.input_transition_ns * scale:g} " in text


@pytest.mark.parametrize("name", ["sky130hd", "asap7"])
def test_units_of_the_liberty_files(reference: Path, name: str) -> None:
    file = next((reference / "platforms" / name / "lib").rglob("*.lib*"))
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as lines:
        unit = next(line for line in lines if "time_unit" in line)
    assert f'"1{PLATFORMS[name].time_unit}"' in unit.replace(" ", "")


UNITS = [
    MacConfig(DINT4),
    MacConfig(INT8, lanes=4, pipeline=2, depth=64),
    PeConfig(DINT4),
    AsymmetricConfig.of(MacConfig(DINT4, lanes=2), 3),
]


@pytest.mark.parametrize("config", UNITS, ids=lambda config: config.name)
def test_opensta_reads_the_constraints_of_any_unit(config: UnitConfig, tmp_path: Path) -> None:
    """On a module with the unit's ports and nothing inside, in the unit of its default library, ns."""
    if shutil.which("sta") is None:
        pytest.skip("no OpenSTA here")
    ports = config.describe_ports()
    declared = [f"  {port['direction']} [{port['width'] - 1}:0] {port['name']};".replace(" [0:0]", "") for port in ports]
    named = ", ".join(port["name"] for port in ports)
    (tmp_path / "top.v").write_text("\n".join([f"module {config.name}({named});", *declared, "endmodule\n"]))
    (tmp_path / "empty.lib").write_text(
        f"library (empty) {{\ntime_unit : 1ns;\ncapacitive_load_unit (1, pf);\n{THRESHOLDS}}}\n"
    )
    (tmp_path / "constraint.sdc").write_text(constraints(config, 2.5, PLATFORMS["sky130hd"]))
    (tmp_path / "run.tcl").write_text(
        f"read_liberty empty.lib; read_verilog top.v; link_design {config.name}; read_sdc constraint.sdc\n"
        'puts "inputs [llength $data_inputs] outputs [llength $data_outputs]"\nreport_clock_properties\nexit\n'
    )
    command = ["sta", "-no_splash", "run.tcl"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    said = result.stdout + result.stderr
    assert "Error" not in said, said
    assert not re.search(r"^Warning.*constraint\.sdc", said, flags=re.MULTILINE), said
    bits = {
        side: sum(p["width"] for p in ports if p["direction"] == side and p["name"] != "clk") for side in ("input", "output")
    }
    assert f"inputs {bits['input']} outputs {bits['output']}" in said
    assert re.search(r"clk +2\.50", said), said


BAD = [
    (["orf"], [], "--flow is 'orf': did you mean orfs?"),
    (["orfs"], ["sky130"], "--pdk is 'sky130': did you mean sky130hd?"),
    (["orfs", "librelane"], ["asap7"], "librelane does not have it; choose from sky130hd, gf180, ihp-sg13g2"),
]


@pytest.mark.parametrize(("flow", "pdk", "message"), BAD)
def test_bad_input_writes_nothing(flow: list[str], pdk: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        generate(flow=flow, pdk=pdk, out=tmp_path / "out", quiet=True)
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="lanes is 0"):
        generate(flow="orfs", out=tmp_path / "out", lanes=0, quiet=True)
    with pytest.raises(InputError, match="period_ns is nan"):
        generate(flow="orfs", out=tmp_path / "out", period_ns=float("nan"), quiet=True)
    assert not (tmp_path / "out").exists()


def test_what_other_tools_left_in_a_folder_stays(tmp_path: Path) -> None:
    for _ in range(2):
        paths = generate(flow="librelane", pdk="gf180", out=tmp_path, lanes=1, quiet=True)
        run = paths["librelane/gf180/mac_dint4_x1/config.json"].parent / "runs"
        run.mkdir(exist_ok=True)
    assert run.is_dir()
    assert set(paths) >= {"v", "sdc", "json", "core", "librelane/gf180/mac_dint4_x1/constraint.sdc"}
    assert all(path.is_file() for path in paths.values())
