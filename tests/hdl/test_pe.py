# SPDX-License-Identifier: Apache-2.0
"""The processing element: every product, random control in two simulators, and its files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from flows.command import generate
from golden import DINT4, FORMATS, InputError, PeConfig, unit_of_options
from hdl.architectures import ARCHITECTURES
from hdl.verilog import generate as verilog_of

from .conftest import expected, in_amaranth, pairs

EVERY = [(name, one.name, False, 0) for one in ARCHITECTURES.values() for name in one.formats]
WITHOUT_DIGITS = ("baugh-wooley", "baugh-wooley-fast", "multiply")
DECODED = [(name, architecture, True, 0) for name, architecture, *_ in EVERY if architecture not in WITHOUT_DIGITS]
REGISTERED = [(name, architecture, decoded, 1) for name, architecture, decoded, _ in (*EVERY, *DECODED)]


def inputs_of(weight, load, swap, activation, partial_sum):
    return {"weight": weight, "load": load, "swap": swap, "activation": activation, "partial_sum": partial_sum}


@pytest.mark.parametrize(("name", "architecture", "decoded", "pipeline"), [*EVERY, *DECODED, *REGISTERED])
def test_every_product(in_icarus, name, architecture, decoded, pipeline):
    """Each weight is loaded and swapped in, then multiplied by all activations."""
    config = PeConfig(FORMATS[name], architecture=architecture, decoded=decoded, pipeline=pipeline)
    codes, activations = (column.reshape(len(config.weight_format.values), -1) for column in pairs(config.weight_format))
    codes, activations = np.pad(codes, ((0, 0), (1, 1)), "edge"), np.pad(activations, ((0, 0), (1, 1)), constant_values=77)
    place = np.tile(np.arange(codes.shape[1]), len(codes))
    codes, activations = codes.reshape(-1), activations.reshape(-1)
    inputs = inputs_of(codes, place == 0, place == 1, activations, np.zeros(len(codes)))
    seen = in_icarus(config, inputs)
    assert seen == expected(config, inputs)
    products = {(int(code), int(a)) for code, a in zip(codes, activations, strict=True)}
    assert products == set(zip(*(column.tolist() for column in pairs(config.weight_format)), strict=True)) | {
        (code, 77) for code in range(len(config.weight_format.values))
    }
    shown = set(seen["partial_sum_out"])
    assert shown >= {config.weight_format.decode_one(code) * a for code, a in products}


@pytest.mark.parametrize("simulator", ["icarus", "amaranth"])
@pytest.mark.parametrize("pipeline", [0, 1])
@pytest.mark.parametrize("decoded", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_random_sequences(in_icarus, name, decoded, pipeline, simulator):
    """Load and swap in every order, and partial sums of all sizes: they wrap."""
    config = PeConfig(FORMATS[name], decoded=decoded, pipeline=pipeline)
    random, cycles, half = np.random.default_rng(7), 400, 1 << config.accumulator_bits - 1
    inputs = inputs_of(
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
    config = PeConfig(FORMATS["int8"], architecture="booth", decoded=True, depth=1024)
    assert unit_of_options(**facts.pop("options")) == config
    assert facts == config.describe()
    constraints = paths["sdc"].read_text()
    assert "[get_ports {load swap weight[*] activation[*] partial_sum[*]}]" in constraints
    assert "set data_outputs [get_ports {swap_out weight_out[*] activation_out[*] partial_sum_out[*]}]" in constraints
    assert "set_output_delay 0 -clock clk $data_outputs" in constraints
    assert "\nname: dint:pe:pe_int8_booth_decoded_d1024:0.1.0\n" in paths["core"].read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": "pe", "lanes": 4}, "lanes is 4"),
        ({"shape": "pe", "pipeline": 2}, "pipeline is 2: a pe has 0"),
        ({"shape": "systolic"}, "shape is 'systolic': known are mac, pe"),
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
