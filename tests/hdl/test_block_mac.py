# SPDX-License-Identifier: Apache-2.0
"""The MAC unit of a block format: every product, every scale, random control in two simulators, and its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dint
from golden import CODEBOOK_FORMATS, GROUP_FORMATS, MXFP4, NVFP4, BlockMacConfig, InputError
from tests.golden.test_block_format import CLUSTERED
from tests.golden.test_block_mac import LOBCQ, THREE, random_inputs

from .conftest import expected, in_amaranth

DINT4_G128 = GROUP_FORMATS["dint4_g128"]
EVERY = pytest.mark.parametrize(
    "config",
    [BlockMacConfig.of(one, bits) for one in (MXFP4, NVFP4, GROUP_FORMATS["int4_g32"]) for bits in (8, 4)],
    ids=lambda config: config.name,
)
#: Formats of weights, whether activations are in them, too, and how many products of two elements there are.
PRODUCTS = [
    *((one, scaled, 256 if scaled else 4096) for one in (MXFP4, NVFP4, DINT4_G128) for scaled in (False, True)),
    (LOBCQ, False, 1 << 7 + 8),
    (LOBCQ, True, 1 << 7 + 7),
    (THREE, True, 48 * 48),
    (CLUSTERED, True, 8 * 8),
]


def one_a_cycle(config, **columns):
    """Each cycle a block and a sum of its own; what is not given is 1, or the code of 1."""
    cycles = max(len(column) for column in columns.values())
    unit = config.blocks.scales.encode_one(1)
    given = {"rst": 0, "valid": 1, "first": 1, "last": 1, "scale": unit, "activation_scale": unit} | columns
    given |= {"base": unit * config.scale_factors - 3} if "base" not in columns else {}
    return {port.name: np.broadcast_to(given[port.name], cycles).reshape(-1, 1) for port in config.inputs}


def every_product(config):
    """Every code, with codebooks of every codebook, of either operand."""
    blocks = config.blocks
    codes = np.arange(blocks.codewords)
    activations = codes if config.scaled_activations else np.arange(-128, 128)
    weights, activations = (axis.ravel() for axis in np.meshgrid(codes, activations, indexing="ij"))
    columns = {"weights": weights % (1 << blocks.bits), "activations": activations}
    if config.scaled_activations:
        columns |= {"activations": activations % (1 << blocks.bits), "activation_selectors": activations >> blocks.bits}
    return one_a_cycle(config, **columns, selectors=weights >> blocks.bits)


@pytest.mark.parametrize(("block_format", "scaled", "count"), PRODUCTS, ids=lambda one: getattr(one, "name", one))
def test_every_product_of_elements(in_icarus, block_format, scaled, count):
    """Every element, of every codebook, times every INT8 activation or every element."""
    config = BlockMacConfig.of(block_format, block_format.bits if scaled else 8)
    inputs = every_product(config)
    seen = in_icarus(config, inputs)
    values = [value for one in block_format.elements for value in one.values]
    others = values if scaled else range(-128, 128)
    shift = 3 if config.base_bits else 9 * config.scale_factors  # the scale of 1, counted from the least exponent
    products = [value * other << shift for value in values for other in others]
    assert len(products) == count
    assert seen["accumulator"][1:] == products[:-1]
    assert set(seen["exact"]) == {1}
    if scaled and block_format in (NVFP4, CLUSTERED):  # one of them with codebooks
        assert in_amaranth(config, inputs) == seen


@pytest.mark.parametrize(
    ("block_format", "activation_bits", "lanes"),
    [(LOBCQ, 8, 16), (LOBCQ, 4, 4), (THREE, 4, 8), (CLUSTERED, 2, 2), (DINT4_G128, 8, 16)],
    ids=lambda one: getattr(one, "name", one),
)
def test_random_sequences_of_other_formats(in_icarus, block_format, activation_bits, lanes):
    """With codebooks as many lanes as share a selector, fewer, and more."""
    config = BlockMacConfig.of(block_format, activation_bits, lanes=lanes)
    inputs = random_inputs(config, 300, lanes)
    assert in_icarus(config, inputs) == expected(config, inputs)
    if lanes == 2:
        inputs = random_inputs(config, 60, 1)
        assert in_amaranth(config, inputs) == expected(config, inputs)


@pytest.mark.parametrize(("block_format", "activation_bits", "lanes"), [(THREE, 8, 16), (CLUSTERED, 2, 4)])
def test_codebooks_that_are_written(in_icarus, block_format, activation_bits, lanes):
    """Words are written while the unit works, in idle cycles and in reset, which puts the format's back."""
    config = BlockMacConfig.of(block_format, activation_bits, lanes=lanes, writable_codebooks=True)
    inputs = random_inputs(config, 300, 3)
    seen = in_icarus(config, inputs)
    assert seen == expected(config, inputs)
    assert seen != expected(config.varied(writable_codebooks=False), inputs)
    if block_format is CLUSTERED:
        assert in_amaranth(config, inputs) == seen


@EVERY
def test_every_scale(in_icarus, config):
    """All codes, NaN too, in all pairs where there are two of E4M3; of E8M0, all of one and those in reach of the other.

    Where there are signs, all of one and the ends of the other: `synth.block_proof` shows all pairs.
    """
    codes = np.append(np.arange(1 << config.scale_bits), 0)  # a sum is shown a cycle later
    others = np.arange(1)
    if config.scaled_activations:
        others = np.array([0, 100, 126, 127, 128, 254, 255]) if config.scale_bits == 8 else codes
    scales, activation_scales = (axis.ravel() for axis in np.meshgrid(codes, others, indexing="ij"))
    own = config.weight_format
    weight = own.encode_one(-3)
    activation = own.encode_one(max(own.values, key=abs)) if config.scaled_activations else -128
    columns = {"scale": scales, "activation_scale": activation_scales, "weights": [weight], "activations": [activation]}
    inputs = one_a_cycle(config, **columns, base=[100 * config.scale_factors])
    seen = in_icarus(config, inputs)
    assert seen == expected(config, inputs)
    assert set(seen["exact"]) == {0, 1}


@EVERY
def test_random_sequences(in_icarus, config):
    """Several lanes, and few shifts or a pipeline register, in one simulator; one lane and all shifts in the other."""
    for unit in (config.varied(lanes=4, span=5), config.varied(lanes=2, pipeline=1)):
        inputs = random_inputs(unit, 400, 4)
        assert in_icarus(unit, inputs) == expected(unit, inputs)
    inputs = random_inputs(config, 60, 1)
    assert in_amaranth(config, inputs) == expected(config, inputs)


@pytest.mark.parametrize("architecture", ["multiply", "direct-grid-fast"])
def test_other_architectures(in_icarus, architecture):
    config = BlockMacConfig.of(NVFP4, 4, lanes=2, architecture=architecture)
    inputs = random_inputs(config, 200, 5)
    assert in_icarus(config, inputs) == expected(config, inputs)


def test_files(tmp_path: Path):
    written = dint.generate("nvfp4", lanes=2, out=tmp_path, activations="nvfp4", quiet=True)
    assert written["v"].name == "mac_nvfp4_a4_x2.v"
    facts = json.loads(written["json"].read_text())
    assert (facts["format"], facts["activation_format"], facts["block"], facts["scale"]) == ("nvfp4", "nvfp4", 16, "e4m3")
    assert "NVFP4 weights x NVFP4 activations, 2 lanes" in written["v"].read_text()


def test_files_of_a_format_with_codebooks(tmp_path: Path):
    options = {"activations": "lobcq_c2_g64", "writable_codebooks": True}
    written = dint.generate("lobcq_c2_g64", lanes=2, out=tmp_path, quiet=True, **options)
    assert written["v"].name == "mac_lobcq_c2_g64_a4_x2_writable.v"
    facts = json.loads(written["json"].read_text())
    tables = [list(one.values) for one in CODEBOOK_FORMATS["lobcq_c2_g64"].elements]
    assert facts["codebooks"] == tables
    widths = {port["name"]: port["width"] for port in facts["ports"]}
    assert (widths["selectors"], widths["activation_selectors"], widths["codebook_address"]) == (1, 1, 5)
    assert f"codebook 1, by code: {' '.join(map(str, tables[1]))}\n" in written["v"].read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "mxfp4", "activations": "nvfp4"}, r"--activations nvfp4: did you mean mxfp4\? known are int8, mxfp4"),
        ({"format": "int4", "activations": "mxfp4"}, "--activations mxfp4: with --format int4 they are int8; leave it out"),
        ({"format": "nvfp4_a4"}, "--format nvfp4_a4: names both operands' format; give --format nvfp4 --activations nvfp4"),
        ({"format": "lobcq_c8_g65"}, r"unknown format 'lobcq_c8_g65': did you mean lobcq_c8_g64\?"),
        ({"format": "mxfp4", "pipeline": 2}, r"pipeline is 2: units of MXFP4 have 0 \(none\) or 1 \(scaled sums registered\)"),
        ({"format": "mxfp4", "decoded": True}, "--decoded: units of MXFP4 have no such choice"),
        ({"format": "mxfp4", "shape": "pe"}, "--shape pe: units of MXFP4 have no such choice"),
        ({"format": "mxfp4", "zero_points": 2}, "--zero-points 2: units of MXFP4 have no such choice"),
        ({"format": "mxfp4", "writable_codebooks": True}, "--writable-codebooks: MXFP4 has no codebooks; leave it out"),
        ({"format": "dint4", "writable_codebooks": True}, "--writable-codebooks: dint4 has no codebooks; leave it out"),
        ({"format": "mxfp4", "lanes": 3}, "lanes is 3: give a divisor of MXFP4's block, 32"),
    ],
)
def test_choices_that_there_are_not(tmp_path: Path, options, message):
    with pytest.raises(InputError, match=message):
        dint.generate(**options, out=tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
