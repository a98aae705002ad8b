# SPDX-License-Identifier: Apache-2.0
"""What units are proved to do is what the golden model does, at random inputs, cycle by cycle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from golden import (
    CODEBOOK_FORMATS,
    DINT3,
    DINT4,
    GROUP_FORMATS,
    INT4,
    INT8,
    MXFP4,
    NVFP4,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    PeConfig,
    UnitConfig,
)
from synth.algebra import Polynomial, bits_of
from synth.specification import decoded_scale, transitions, word_register

_CYCLES = 60
UNITS = [
    MacConfig(DINT4, lanes=2),
    MacConfig(DINT3, pipeline=2),
    PeConfig(DINT4),
    PeConfig(INT8, decoded=True),
    PeConfig(DINT4, pipeline=1),
    AsymmetricConfig(DINT4, lanes=2, units=3),
    AsymmetricConfig(DINT3, units=2, pipeline=1),
    AsymmetricConfig(INT4, lanes=2, pipeline=2),
    BlockMacConfig.of(NVFP4, lanes=2),
    BlockMacConfig.of(NVFP4, 4, pipeline=1),
    BlockMacConfig.of(MXFP4, 4),
    BlockMacConfig.of(GROUP_FORMATS["dint4_g32"], 4, lanes=2, pipeline=1),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 4, lanes=2),
    BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], lanes=2, writable_codebooks=True, pipeline=1),
]


@pytest.mark.parametrize("config", UNITS, ids=lambda config: config.name)
def test_the_specification_is_the_golden_model(config: UnitConfig) -> None:
    random, claims = np.random.default_rng(5), list(transitions(config))
    inputs = {}
    for port in config.inputs:
        least, beyond = (-(1 << port.bits - 1), 1 << port.bits - 1) if port.signed else (0, 1 << port.bits)
        if isinstance(config, AsymmetricConfig) and port.name in ("zero_points", "read_zero_point", "read_unit"):
            beyond = config.units if port.name == "read_unit" else config.weight_format.steps + 1
        if isinstance(config, BlockMacConfig) and config.base_bits and port.name in ("scale", "activation_scale", "base"):
            beyond = 12 if port.name == "base" else 14  # most in reach, as at random few are
        inputs[port.name] = random.integers(least, beyond, (_CYCLES, port.width // port.bits))
    if isinstance(config, BlockMacConfig):
        inputs["rst"] = (random.random((_CYCLES, 1)) < 1 / 16).astype(int)
        inputs["rst"][:2] = 1  # what registers hold before is not the golden model's
        for name in config.write_ports[2:]:
            inputs[name] = np.maximum(inputs[name], -config.largest_value)
    shown = config.respond(inputs)
    widths = {port.name: port.width for port in config.ports} | hidden(config) | wires(config)
    registers = dict.fromkeys(hidden(config), 0) | {port.name: port.initial for port in config.outputs}
    levels = {port.name: port.levels(inputs[port.name]) for port in config.inputs}
    history: list[dict[str, int]] = []
    compared: Counter[str] = Counter()
    for cycle in range(_CYCLES):
        words = {name: int(sum(1 << i for i in np.flatnonzero(rows[cycle]).tolist())) for name, rows in levels.items()}
        history.append(words | registers | within(config, words, registers))
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
    if isinstance(config, BlockMacConfig):
        found = {"fresh": 1, "opening": 1, "done": 1, "block.accumulator": config.block_sum.accumulator_bits}
        found |= {f"scale_decoder_{name}_1": bits for name, bits in decoded_scale(config).items()}
        found |= {"addend_1": config.addend_bits, "done_1": 1, "opening_1": 1, "reached_2": 1} if config.pipeline else {}
        words = range(config.blocks.codewords if config.writable_codebooks else 0)
        return found | {word_register(place): config.value_bits for place in words}
    if not isinstance(config, AsymmetricConfig):
        return {}
    sums = ["activation_sum", *(f"activation_sum_{i + 1}" for i in range(config.pipeline))]
    units = {f"unit_{u}.accumulator": config.unit.accumulator_bits for u in range(config.units)}
    return units | {f"correction.{name}": config.activation_sum_bits for name in sums}


def wires(config: UnitConfig) -> dict[str, int]:
    """Wires within a unit that the specification leaves to `synth.block_proof`, with their bits."""
    if not isinstance(config, BlockMacConfig):
        return {}
    found = {f"scale_decoder_{name}": bits for name, bits in decoded_scale(config).items()}
    operands = ("weight", "activation")[: len(config.selector_ports)]
    found |= {f"{operand}_{i}_value": config.value_bits for operand in operands for i in range(config.lanes)}
    return found | {"scaler_addend": config.accumulator_bits}


def within(config: UnitConfig, ports: dict[str, int], registers: dict[str, int]) -> dict[str, int]:
    """What these show: scales and codewords as the golden model decodes them, and the sum of a block that is due, scaled."""
    if not isinstance(config, BlockMacConfig):
        return {}
    significands, shifts, reached = config.scaling([[ports[name] for name in config.scale_ports]], ports.get("base", 0))
    known = bool(reached[0])
    meant = {"reached": known, "shift": known * int(shifts[0]), "significand": abs(int(significands[0]))}
    meant["sign"] = significands[0] < 0
    found = {f"scale_decoder_{name}": int(meant[name]) for name in decoded_scale(config)}
    for operand, selectors in zip(("weight", "activation"), config.selector_ports, strict=False):
        for i in range(config.lanes):
            place = ports[selectors] * 16 + (ports[f"{operand}s"] >> 4 * i & 15)  # one selector for both lanes
            value = config.blocks.elements[place >> 4].values[place & 15]
            held = registers[word_register(place)] if config.writable_codebooks else value
            found[f"{operand}_{i}_value"] = held % (1 << config.value_bits)
    sum_bits = config.block_sum.accumulator_bits
    block = (registers["block.accumulator"] + (1 << sum_bits - 1)) % (1 << sum_bits) - (1 << sum_bits - 1)
    factor = registers.get("scale_decoder_significand_1", 1) * (-1 if registers.get("scale_decoder_sign_1") else 1)
    due = registers["done"] and registers["scale_decoder_reached_1"] and not ports["rst"]
    addend = block * factor << registers["scale_decoder_shift_1"] if due else 0
    return found | {"scaler_addend": addend % (1 << config.accumulator_bits)}


def at(form: Polynomial, ones: set[str]) -> int:
    return sum(coefficient for monomial, coefficient in form.items() if monomial <= ones)
