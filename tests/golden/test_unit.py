# SPDX-License-Identifier: Apache-2.0
"""What units of every shape have in common: ports, reset, responses."""

from __future__ import annotations

import numpy as np
import pytest

from golden import (
    CODEBOOK_FORMATS,
    DINT4,
    FORMATS,
    INT4,
    INT8,
    NVFP4,
    AsymmetricConfig,
    BlockMacConfig,
    CorrectionConfig,
    InputError,
    MacConfig,
    OffsetConfig,
    PeConfig,
    Port,
    UnitConfig,
    format_by_name,
    options_of,
    unit_of_options,
)

UNITS = [
    MacConfig(DINT4, lanes=3, pipeline=2),
    PeConfig(INT8),
    AsymmetricConfig(DINT4, lanes=2, units=3, pipeline=1),
    AsymmetricConfig(INT8, pipeline=2),
    OffsetConfig(DINT4, lanes=2, pipeline=1),
    CorrectionConfig(DINT4, lanes=2),
]


def random_inputs(config, cycles, seed=0):
    random = np.random.default_rng(seed)
    columns = {}
    for port in config.inputs:
        low, high = (-(1 << port.bits - 1), 1 << port.bits - 1) if port.signed else (0, 1 << port.bits)
        if port.name.endswith(("zero_point", "zero_points")):
            high = config.weight_format.steps + 1
        elif port.name == "read_unit":
            high = config.units
        columns[port.name] = random.integers(low, high, (cycles, port.fields))
    return columns


@pytest.mark.parametrize("config", UNITS, ids=lambda c: c.name)
def test_reset_forgets_what_was_before(config):
    """Whatever came first, after reset is held a unit answers as a fresh one does."""
    before, after, held = random_inputs(config, 30), random_inputs(config, 40, 1), config.latency_cycles + 1
    reset = {name: column[:1].repeat(held, axis=0) for name, column in before.items()}
    for name, level in config.reset.items():
        reset[name] = np.full_like(reset[name], level)
    whole = {name: np.concatenate([before[name], reset[name], after[name]]) for name in before}
    fresh = config.respond(after)
    for name, column in config.respond(whole).items():
        assert column[30 + held :].tolist() == fresh[name].tolist(), name
        assert column.shape == (70 + held, 1)
    assert fresh.keys() == {port.name for port in config.outputs}


@pytest.mark.parametrize("config", UNITS, ids=lambda c: c.name)
def test_ports_fit_what_they_show(config):
    assert config.describe()["ports"] == config.describe_ports()
    assert config.describe_ports()[0] == {"name": "clk", "direction": "input", "width": 1}
    assert config.sum_port.bits == config.accumulator_bits
    shown = config.respond(random_inputs(config, 200))
    for port in config.outputs:
        low, high = (-(1 << port.bits - 1), 1 << port.bits - 1) if port.signed else (0, 1 << port.bits)
        assert shown[port.name].min() >= low
        assert shown[port.name].max() < high


def test_levels_are_bits_from_the_lowest_field_up():
    port = next(port for port in MacConfig(DINT4, lanes=2).ports if port.name == "weights")
    assert (port.width, port.fields) == (8, 2)
    assert port.levels(np.array([[1, 8]])).astype(int).tolist() == [[1, 0, 0, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("pipeline", [0, 1, 2])
@pytest.mark.parametrize("name", ["dint4", "dint3"])
def test_parts_make_the_whole(name, pipeline):
    """A unit's sums, corrected, are those of the unit for asymmetric weights."""
    options = {"lanes": 2, "pipeline": pipeline}
    whole = AsymmetricConfig(FORMATS[name], **options)
    inputs = random_inputs(whole, 300)
    unit = OffsetConfig(FORMATS[name], **options)
    columns = {**inputs, "zero_point": inputs["zero_points"]}
    sums = unit.respond({port.name: columns[port.name] for port in unit.inputs})["accumulator"]
    taken = np.pad(sums, ((1, 0), (0, 0)))[:-1]  # by the edge after
    correction = CorrectionConfig(FORMATS[name], **options)
    corrected = correction.respond({**inputs, "accumulator": taken, "zero_point": inputs["read_zero_point"]})["corrected"]
    assert corrected.tolist() == whole.respond(inputs)["accumulator"].tolist()


def test_units_of_options():
    assert unit_of_options("dint4") == MacConfig(DINT4, lanes=16)
    assert unit_of_options("int8", lanes=2, default_lanes=1, zero_points=4) == AsymmetricConfig(INT8, lanes=2, units=4)
    assert unit_of_options("int8", lanes=None, default_lanes=1, shape="pe", decoded=True) == PeConfig(INT8, decoded=True)
    with pytest.raises(InputError, match="lanes is 1: a pe has one product"):
        unit_of_options("int8", lanes=1, default_lanes=1, shape="pe")


@pytest.mark.parametrize(
    "config",
    [
        MacConfig(DINT4, lanes=3, depth=77, pipeline=2, architecture="booth", decoded=False),
        MacConfig(INT8, pipeline=1, architecture="booth", decoded=True),
        MacConfig(format_by_name("dint4_quarter")),
        PeConfig(DINT4, depth=9, decoded=True),
        AsymmetricConfig(INT4, lanes=2, units=5, depth=40, pipeline=1),
        BlockMacConfig.of(NVFP4, 4, lanes=4, pipeline=1),
        BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 8, depth=1024, writable_codebooks=True),
    ],
    ids=lambda one: one.name,
)
def test_options_name_the_unit(config: UnitConfig) -> None:
    assert unit_of_options(**options_of(config)) == config


def test_defaults_of_a_port():
    port = Port("p")
    assert (port.bits, port.fields, port.signed, port.output, port.initial) == (1, 1, False, False, 0)


class Plain(UnitConfig):
    """A unit that states nothing but what it must."""

    depth = architecture = pipeline = shape = name = accumulator_bits = latency_cycles = ports = reset = None
    lanes = 5

    def respond(self, inputs):
        raise NotImplementedError

    def describe(self):
        raise NotImplementedError


def test_facts_that_a_shape_need_not_state():
    assert Plain(DINT4).decoded is False
    assert Plain(DINT4).registers_weights is False
    assert Plain(DINT4).products == 5
    assert Plain(DINT4).multiplied is DINT4
    assert Plain(DINT4).format_name == "dint4"
    assert Plain(DINT4).operand_titles == ("dINT4", "INT8")


def test_the_same_with_other_parameters():
    assert MacConfig(DINT4, lanes=3).varied(lanes=4) == MacConfig(DINT4, lanes=4)


@pytest.mark.parametrize(
    ("activations", "worst"), [([0, 128], 128), ([5, 200, -3], 200), ([-129, 3], -129), ([-130, 300], -130), ([-128, 300], 300)]
)
def test_activations_beyond_their_bits(activations, worst):
    with pytest.raises(InputError, match=f"^activation {worst} does not fit 8 bits: -128 to 127$"):
        Plain(DINT4).checked_activations(activations)


def test_activations_within_their_bits():
    for activations in ([-128, 127], [-128, -128], [127], [], [[1, 2], [3, -128]]):
        taken = Plain(DINT4).checked_activations(np.array(activations, dtype=np.int64))
        assert taken.tolist() == activations
        assert taken.dtype == np.int64
