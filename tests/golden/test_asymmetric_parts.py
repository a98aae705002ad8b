# SPDX-License-Identifier: Apache-2.0
"""The parts of units for asymmetric weights: their ports, and that together they are the exact sum."""

from __future__ import annotations

import numpy as np
import pytest

from golden import DINT3, DINT4, INT4, AsymmetricConfig, CorrectionConfig, MacConfig, OffsetConfig


def facts(config):
    return [(port.name, port.bits, port.fields, port.signed, port.output) for port in config.ports]


def operands(config, cycles, seed=0):
    random = np.random.default_rng(seed)
    inputs = {
        "activations": random.integers(-128, 128, (cycles, config.lanes)),
        "weights": random.integers(0, 1 << config.weight_format.bits, (cycles, config.lanes)),
    }
    return inputs | {name: np.zeros((cycles, 1), dtype=np.int64) for name in ("rst", "valid", "first", "zero_point")}


def test_parameters():
    for part in (OffsetConfig, CorrectionConfig):
        plain = part(DINT4)
        assert (plain.lanes, plain.depth, plain.pipeline, plain.shape) == (1, 65536, 0, "mac")
        assert plain.architecture == AsymmetricConfig(DINT4).architecture != ""
        config = part.of(AsymmetricConfig(DINT3, lanes=3, units=5, depth=100, pipeline=2))
        assert config == part(DINT3, lanes=3, depth=100, pipeline=2)
        assert config.whole == AsymmetricConfig(DINT3, lanes=3, depth=100, pipeline=2)
        assert config.reset == {"rst": 1, "valid": 1, "first": 0}
        with pytest.raises(ValueError, match="depth is '9'"):
            part(DINT4, depth="9")
    assert [OffsetConfig(DINT4, pipeline=stages).latency_cycles for stages in (0, 1, 2)] == [1, 2, 3]
    assert [CorrectionConfig(DINT4, pipeline=stages).latency_cycles for stages in (0, 1, 2)] == [2, 3, 4]


def test_ports():
    offset, correction = OffsetConfig(DINT4, lanes=3), CorrectionConfig(DINT4, lanes=3)
    operands = [("rst", 1, 1, False, False), ("valid", 1, 1, False, False), ("first", 1, 1, False, False)]
    operands.append(("activations", 8, 3, True, False))
    sum_bits, bits = offset.whole.unit.accumulator_bits, offset.whole.accumulator_bits
    assert facts(offset) == [
        *operands,
        ("weights", 4, 3, False, False),
        ("zero_point", 4, 1, False, False),
        ("accumulator", sum_bits, 1, True, True),
    ]
    assert facts(correction) == [
        *operands,
        ("accumulator", sum_bits, 1, True, False),
        ("zero_point", 4, 1, False, False),
        ("corrected", bits, 1, True, True),
    ]
    assert (offset.accumulator_bits, correction.accumulator_bits) == (sum_bits, bits)
    assert (offset.name, correction.name) == ("mac_dint4_x3_offset", "mac_dint4_x3_correction")


def test_description():
    for config in (OffsetConfig(DINT3, lanes=2, pipeline=1), CorrectionConfig(DINT3, lanes=2, pipeline=1)):
        described = config.describe()
        assert {name: described[name] for name in ("accumulator_bits", "latency_cycles", "zero_point_bits", "ports")} == {
            "accumulator_bits": config.accumulator_bits,
            "latency_cycles": config.latency_cycles,
            "zero_point_bits": 3,
            "ports": config.describe_ports(),
        }
        assert described["lanes"] == 2
        assert described["format"] == config.whole.mac.describe()["format"]


@pytest.mark.parametrize(("number_format", "pipeline"), [(DINT4, 0), (DINT4, 2), (DINT3, 1), (INT4, 0)])
def test_together_they_are_the_exact_sum(number_format, pipeline):
    """The values of the format with its zero-point, times activations, for every zero-point."""
    unit = OffsetConfig if number_format.special_codes else MacConfig  # which needs no zero-point then
    summing = unit(number_format, lanes=2, pipeline=pipeline)
    correction = CorrectionConfig(number_format, lanes=2, pipeline=pipeline)
    for zero_point in range(number_format.steps + 1):
        inputs = operands(correction, 12, zero_point)
        inputs["zero_point"][:] = zero_point
        inputs["valid"][:5], inputs["first"][0] = 1, 1
        values = number_format.with_zero_point(zero_point).decode(inputs["weights"][:5])
        settled = np.repeat(summing.respond(inputs)["accumulator"][-1:], 12, axis=0)
        shown = correction.respond({**inputs, "accumulator": settled})["corrected"]
        assert shown.shape == (12, 1)
        assert int(shown[-1, 0]) == int((values * inputs["activations"][:5]).sum())


@pytest.mark.parametrize("pipeline", [0, 1, 2])
def test_the_correction_cycle_by_cycle(pipeline):
    """The sum of activations as a register of Python integers, so many cycles later; the result wraps as its register does."""
    config = CorrectionConfig(DINT4, lanes=2, pipeline=pipeline)
    random, inputs = np.random.default_rng(3), operands(config, 60)
    for name, chance in (("valid", 0.8), ("first", 0.2), ("rst", 0.1)):
        inputs[name] = (random.random((60, 1)) < chance).astype(np.int64)
    inputs["zero_point"] = random.integers(0, 14, (60, 1))
    low, high = -(1 << config.whole.unit.accumulator_bits - 1), 1 << config.whole.unit.accumulator_bits - 1
    inputs["accumulator"] = random.integers(low, high, (60, 1))
    inputs["accumulator"][::7], inputs["accumulator"][1::7] = low, high - 1
    shown = config.respond(inputs)["corrected"][:, 0].tolist()
    sums, total = [0] * (pipeline + 1), 0
    for cycle in range(60):
        added = int(inputs["activations"][cycle].sum())
        if inputs["rst"][cycle, 0]:
            total = 0
        elif inputs["valid"][cycle, 0]:
            total = added if inputs["first"][cycle, 0] else total + added
        sums.append(total)
    wrapped = 0
    for cycle in range(60):
        # Step of dINT4: two units; offset: what its codes are beyond the zero-point's values.
        exact = (
            int(inputs["accumulator"][cycle, 0]) - config.whole.offset(int(inputs["zero_point"][cycle, 0])) * 2 * sums[cycle]
        )
        half = 1 << config.accumulator_bits - 1
        wrapped += not -half <= exact < half
        assert shown[cycle] == (exact + half) % (2 * half) - half
    assert wrapped


def test_the_offset_unit_takes_each_cycles_zero_point():
    config = OffsetConfig(DINT4, lanes=2)
    inputs = operands(config, 28)
    inputs["valid"][:], inputs["first"][:] = 1, 1
    inputs["zero_point"][:, 0] = np.arange(28) % 14
    sums = config.respond(inputs)["accumulator"][:, 0]
    for cycle in range(28):
        zero_point = int(inputs["zero_point"][cycle, 0])
        values = DINT4.with_zero_point(zero_point).decode(inputs["weights"][cycle])
        shifted = 2 * config.whole.offset(zero_point) * int(inputs["activations"][cycle].sum())
        assert int(sums[cycle]) == int((values * inputs["activations"][cycle]).sum()) + shifted
