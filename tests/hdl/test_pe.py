"""The processing element: every product, random control in two simulators, and its files."""

from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pytest
from amaranth.sim import Simulator

from golden import DINT4, FORMATS, InputError, PeConfig
from hdl import Pe
from hdl.architectures import ARCHITECTURES
from hdl.command import generate
from hdl.verilog import generate as verilog_of

EVERY = [(name, one.name, False) for one in ARCHITECTURES.values() for name in one.formats]
WITHOUT_DIGITS = ("baugh-wooley", "baugh-wooley-fast", "multiply")
DECODED = [(name, architecture, True) for name, architecture, _ in EVERY if architecture not in WITHOUT_DIGITS]
OUTPUTS = ("partial_sum_out", "activation_out", "weight_out", "swap_out")

BENCH = """\
module bench;
  reg [{top}:0] memory [0:{last}];
  reg [{top}:0] now;
  reg clk = 0;
  wire [{bits}:0] weight_out;
  wire signed [7:0] activation_out;
  wire swap_out;
  wire signed [{width}:0] partial_sum_out;
  integer cycle;
  {name} pe(.clk(clk), .load(now[0]), .swap(now[1]), .weight(now[2 +: {bits} + 1]), .activation(now[{bits} + 3 +: 8]),
    .partial_sum(now[{top}:{bits} + 11]), .weight_out(weight_out), .swap_out(swap_out), .activation_out(activation_out),
    .partial_sum_out(partial_sum_out));
  initial begin
    $readmemh("{memory}", memory);
    for (cycle = 0; cycle <= {last}; cycle = cycle + 1) begin
      now = memory[cycle];
      #1 clk = 1;
      #1 $display("%0d %0d %0d %0d", partial_sum_out, activation_out, weight_out, swap_out);
      clk = 0;
    end
  end
endmodule
"""


@pytest.fixture
def in_icarus(tmp_path):
    """in_icarus(config, inputs): what the Verilog shows after each edge."""

    def run(config, inputs):
        bits, width = config.weight_format.bits, config.accumulator_bits
        words = [
            int(load) | int(swap) << 1 | code << 2 | (a & 255) << (bits + 2) | (s & (1 << width) - 1) << (bits + 10)
            for code, load, swap, a, s in zip(*(np.asarray(column).tolist() for column in inputs), strict=True)
        ]
        memory, source, bench = tmp_path / "memory.hex", tmp_path / "pe.v", tmp_path / "bench.v"
        memory.write_text("\n".join(f"{word:x}" for word in words))
        source.write_text(verilog_of(config))
        top, last = bits + width + 9, len(words) - 1
        bench.write_text(BENCH.format(top=top, last=last, bits=bits - 1, width=width - 1, name=config.name, memory=memory))
        command = ["iverilog", "-g2001", "-Wall", "-o", tmp_path / "bench.vvp", bench, source]
        build = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (build.returncode, build.stderr) == (0, "")
        command = ["vvp", "-n", tmp_path / "bench.vvp"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        return [[int(word) for word in line.split()] for line in result.stdout.splitlines()]

    return run


def in_amaranth(config, inputs):
    """What the component shows in Amaranth's simulator after each edge."""
    pe, seen = Pe(config), []
    ports = (pe.weight, pe.load, pe.swap, pe.activation, pe.partial_sum)
    rows = list(zip(*(np.asarray(column).tolist() for column in inputs), strict=True))

    async def bench(ctx):
        for row in rows:
            for port, value in zip(ports, row, strict=True):
                ctx.set(port, int(value) & (1 << len(port)) - 1)
            await ctx.delay(1e-6)
            ctx.set(pe.clk, 1)
            await ctx.delay(1e-6)
            words = [ctx.get(getattr(pe, name)) for name in OUTPUTS]
            for place, width in ((0, config.accumulator_bits), (1, 8)):
                words[place] -= words[place] >> (width - 1) << width
            seen.append(words)
            ctx.set(pe.clk, 0)

    simulator = Simulator(pe)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def expected(config, inputs):
    outputs = config.run(*inputs)
    return np.stack([np.asarray(column, dtype=np.int64) for column in outputs], axis=1).tolist()


@pytest.mark.parametrize(("name", "architecture", "decoded"), [*EVERY, *DECODED])
def test_every_product(in_icarus, name, architecture, decoded):
    """Each weight is loaded and swapped in, then multiplied by all activations."""
    config = PeConfig(FORMATS[name], architecture=architecture, decoded=decoded)
    codes = np.repeat(np.arange(len(config.weight_format.values)), 258)
    place = np.arange(len(codes)) % 258
    activations = np.resize(np.concatenate([[77], np.arange(-128, 128), [5]]), len(codes))
    inputs = codes, place == 0, place == 1, activations, np.zeros(len(codes), np.int64)
    seen = in_icarus(config, inputs)
    assert seen == expected(config, inputs)
    products = {(int(code), int(a)) for code, a in zip(codes, activations, strict=True)}
    assert len(products) == 256 << config.weight_format.bits
    shown = {row[0] for row in seen}
    assert shown >= {config.weight_format.decode_one(code) * a for code, a in products}


@pytest.mark.parametrize("simulator", ["icarus", "amaranth"])
@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_random_sequences(in_icarus, name, decoded, simulator):
    """Load and swap in every order, and partial sums of all sizes: they wrap."""
    config = PeConfig(FORMATS[name], decoded=decoded)
    random, cycles, half = np.random.default_rng(7), 400, 1 << config.accumulator_bits - 1
    inputs = (
        random.integers(0, len(config.weight_format.values), cycles),
        random.random(cycles) < 0.3,
        random.random(cycles) < 0.3,
        random.integers(-128, 128, cycles),
        random.integers(-half, half, cycles),
    )
    run = in_icarus if simulator == "icarus" else in_amaranth
    assert run(config, inputs) == expected(config, inputs)


def test_registers_of_a_decoded_weight():
    """dINT4's next weight is a code of 4 bits; the one in use is 1 sign, and 3 + 3 selects."""
    text = verilog_of(PeConfig(DINT4, decoded=True))
    assert re.search(r"^  reg \[6:0\] selects_in_use = ", text, flags=re.MULTILINE)
    assert re.search(r"^  reg \[3:0\] weight_out = ", text, flags=re.MULTILINE)
    assert "weight_in_use" not in text
    assert re.search(r"^  reg \[3:0\] weight_in_use = ", verilog_of(PeConfig(DINT4)), flags=re.MULTILINE)


def test_four_files(tmp_path):
    paths = generate("int8", out=tmp_path, shape="pe", architecture="booth", decoded=True, depth=1024, quiet=True)
    assert {path.name for path in paths.values()} == {f"pe_int8_booth_decoded_d1024.{s}" for s in ("v", "json", "sdc", "core")}
    facts = json.loads(paths["json"].read_text())
    assert facts == PeConfig(FORMATS["int8"], architecture="booth", decoded=True, depth=1024).describe()
    constraints = paths["sdc"].read_text()
    assert "[get_ports {load swap weight[*] activation[*] partial_sum[*]}]" in constraints
    assert (
        "set_output_delay 0 -clock clk [get_ports {swap_out weight_out[*] activation_out[*] partial_sum_out[*]}]" in constraints
    )
    assert "\nname: dint:pe:pe_int8_booth_decoded_d1024:0.1.0\n" in paths["core"].read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "pe", "lanes": 4}, "lanes is 4"),
        ({"shape": "pe", "pipeline": 0}, "pipeline is 0"),
        ({"shape": "systolic"}, "shape is systolic"),
        ({"decoded": True}, "decoded: without operand registers"),
        ({"pipeline": 1, "architecture": "multiply", "decoded": True}, "has nothing to decode"),
        ({"shape": "pe", "format": "int4", "architecture": "baugh-wooley", "decoded": True}, "has nothing to decode"),
        ({"shape": "pe", "architecture": "multiply", "decoded": True}, "has nothing to decode"),
        ({"shape": "pe", "architecture": "booth"}, "cannot do dINT4"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message) as raised:
        generate(out=tmp_path / "out", quiet=True, **arguments)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_it_says_what_it_wrote(tmp_path, capsys):
    generate("int4", out=tmp_path, shape="pe")
    assert "pe_int4: INT4 x INT8, processing element, booth-carry, 28-bit accumulator" in capsys.readouterr().out
