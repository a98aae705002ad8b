# SPDX-License-Identifier: Apache-2.0
"""What units are proved to do is what the golden model does, at random inputs, cycle by cycle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from golden import DINT3, DINT4, INT4, INT8, AsymmetricConfig, MacConfig, PeConfig, UnitConfig
from synth.algebra import Polynomial, bits_of
from synth.specification import transitions

_CYCLES = 60
UNITS = [
    MacConfig(DINT4, lanes=2),
    MacConfig(DINT3, pipeline=2),
    PeConfig(DINT4),
    PeConfig(INT8, decoded=True),
    AsymmetricConfig(DINT4, lanes=2, units=3),
    AsymmetricConfig(DINT3, units=2, pipeline=1),
    AsymmetricConfig(INT4, lanes=2, pipeline=2),
]


@pytest.mark.parametrize("config", UNITS, ids=lambda config: config.name)
def test_the_specification_is_the_golden_model(config: UnitConfig) -> None:
    random, claims = np.random.default_rng(5), list(transitions(config))
    inputs = {}
    for port in config.inputs:
        least, beyond = (-(1 << port.bits - 1), 1 << port.bits - 1) if port.signed else (0, 1 << port.bits)
        if isinstance(config, AsymmetricConfig) and port.name in ("zero_points", "read_zero_point", "read_unit"):
            beyond = config.units if port.name == "read_unit" else config.weight_format.steps + 1
        inputs[port.name] = random.integers(least, beyond, (_CYCLES, port.width // port.bits))
    shown = config.respond(inputs)
    widths = {port.name: port.width for port in config.ports} | hidden(config)
    registers = dict.fromkeys(hidden(config), 0) | {port.name: port.initial for port in config.outputs}
    levels = {port.name: port.levels(inputs[port.name]) for port in config.inputs}
    history: list[dict[str, int]] = []
    compared: Counter[str] = Counter()
    for cycle in range(_CYCLES):
        words = {name: int(sum(1 << i for i in np.flatnonzero(rows[cycle]).tolist())) for name, rows in levels.items()}
        history.append(words | registers)
        ones = {
            bit
            for back, state in enumerate(reversed(history[-3:]))
            for name, value in state.items()
            for i, bit in enumerate(bits_of(name, widths[name], back))
            if value >> i & 1
        }
        after = {name: int(shown[name][cycle, 0]) % (1 << widths[name]) for name in shown}
        for claim in claims:
            if claim.becomes is None or not at(claim.where, ones):
                continue
            taken = at(claim.becomes, ones) % (1 << widths[claim.register])
            assert after.setdefault(claim.register, taken) == taken, (cycle, claim.register)
            compared[claim.register] += 1
        registers |= after
    assert {port.name for port in config.outputs} <= set(compared)
    assert min(compared.values()) > _CYCLES / 4


def hidden(config: UnitConfig) -> dict[str, int]:
    """Registers within a unit that its outputs depend on, with their bits."""
    if not isinstance(config, AsymmetricConfig):
        return {}
    sums = ["activation_sum", *(f"activation_sum_{i + 1}" for i in range(config.pipeline))]
    units = {f"unit_{u}.accumulator": config.unit.accumulator_bits for u in range(config.units)}
    return units | {f"correction.{name}": config.activation_sum_bits for name in sums}


def at(form: Polynomial, ones: set[str]) -> int:
    return sum(coefficient for monomial, coefficient in form.items() if monomial <= ones)
