# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of formats with block scales and codebooks: the formats, their units, files of codebooks."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np

from golden import SCALED_FORMATS, BlockFormat, BlockMacConfig
from golden.lobcq import LARGEST, frozen_formats
from golden.scale_encoding import E4M3, E8M0, SIGNED_E4M3, ScaleEncoding

from . import mutations
from .engine import Case, Target, garbage, nothing
from .units import spoilt_arguments

__all__ = ["TARGETS"]


def _encoding(_: None, rng: Random, __: Path) -> Case:
    chosen = rng.choice((E4M3, E8M0, SIGNED_E4M3))
    spoilt = spoilt_arguments({field.name: getattr(chosen, field.name) for field in fields(chosen)}, rng)
    return Case(lambda: ScaleEncoding(**spoilt), _sound_encoding)


def _sound_encoding(made: ScaleEncoding) -> None:
    for name in ("signed", "negative"):
        garbage(type(getattr(made, name)) is not bool, f"{name}: {getattr(made, name)!r}")
    for name in ("exponent_bits", "mantissa_bits", "bias"):
        garbage(type(getattr(made, name)) is not int, f"{name}: {getattr(made, name)!r}")
    garbage(not 1 <= made.used_bits <= made.bits <= 8, f"bits: {made.bits}, of which {made.used_bits} are used")
    codes = [code for code in range(1 << made.used_bits) if code & made.nan_code != made.nan_code]
    values = made.decode(codes)
    garbage(not np.isfinite(values).all(), "decode: not finite")
    garbage(made.decode_one(made.nan_code) is not None, "decode_one: NaN is a number")
    garbage(
        [made.decode_one(code) for code in codes] != [Fraction(value) for value in values.tolist()], "decode: not decode_one"
    )
    again = made.encode(values)
    garbage(made.decode(again).tolist() != values.tolist(), "encode: a number is moved")
    numbers = np.concatenate([values * 0.75, values * 1.0625, values * 1.5])
    garbage(made.encode(numbers).tolist() != [made.encode_one(one) for one in numbers.tolist()], "encode: not encode_one")


def _format(_: None, rng: Random, __: Path) -> Case:
    chosen = rng.choice(list(SCALED_FORMATS.values()))
    spoilt = spoilt_arguments({field.name: getattr(chosen, field.name) for field in fields(chosen)}, rng)
    return Case(lambda: BlockFormat(**spoilt), _sound_format)


def _sound_format(made: BlockFormat) -> None:
    garbage(re.fullmatch(r"[a-z][a-z0-9_]*", made.name) is None, "name: no identifier")
    garbage(type(made.block) is not int, f"block: {made.block!r}")
    garbage(not made.bits < made.bits_per_scalar <= made.bits + 12, f"bits_per_scalar: {made.bits_per_scalar}")
    numbers = np.linspace(-3, 2, 2 * made.block, dtype=np.float32)[None]
    codes = made.quantize(numbers)
    found, scale = made.decode(codes), 1.0 if codes.tensor_scales is None else float(codes.tensor_scales)
    garbage(not np.isfinite(found).all(), "decode: not finite")
    for number, block in enumerate(numbers.reshape(2, -1)):
        alone = made.quantize_one(block.tolist(), scale)
        garbage(alone.scale != codes.scales[0, number], "quantize: not quantize_one")
        inside = slice(number * made.block, (number + 1) * made.block)
        if made.selector_block is None:
            garbage(codes.codes[0, inside].tolist() != list(alone.codes), "codes: not those of one")
            continue
        # Codebooks are selected by squared errors in float64: of two that are as good, either.
        exact = np.array([float(one) for one in made.decode_one(alone, scale) or ()])
        errors = [float(np.square(one - block).sum()) for one in (found[0, inside], exact)]
        garbage(errors[0] > errors[1] * (1 + 1e-9), "selectors: worse than those of one")


def _unit(_: None, rng: Random, __: Path) -> Case:
    chosen = rng.choice(list(SCALED_FORMATS.values()))
    arguments = {
        "weight_format": chosen.elements[0],
        "activation_bits": rng.choice((8, 4)),
        "block_format": chosen,
        "lanes": rng.choice((1, 4, 16)),
        "depth": rng.choice((chosen.block, 4096, 65536)),
        "span": rng.choice((0, 5, 12)),
        "architecture": "digit-grid",
        "pipeline": rng.choice((0, 1)),
        "writable_codebooks": chosen.selector_block is not None,
    }
    spoilt = spoilt_arguments(arguments, rng)

    def run() -> BlockMacConfig:
        from hdl.architectures import architecture_of

        unit = BlockMacConfig(**spoilt)
        architecture_of(unit.block_sum)
        return unit

    return Case(run, _sound_unit)


def _sound_unit(unit: BlockMacConfig) -> None:
    garbage(re.fullmatch(r"mac_[a-z0-9_]+", unit.name) is None, f"name: {unit.name!r}")
    for name in ("lanes", "depth", "span", "activation_bits", "pipeline"):
        garbage(type(getattr(unit, name)) is not int, f"{name}: {getattr(unit, name)!r}")
    facts = unit.describe()
    garbage(json.loads(json.dumps(facts, allow_nan=False)) != facts, "describe: no plain data")
    stages = facts["pipeline"], facts["latency_cycles"] - 2
    garbage(stages != (unit.pipeline, unit.pipeline), f"describe: {stages} stages of {unit.pipeline}")
    elements = [abs(value) for one in unit.blocks.elements for value in one.values]
    block, block_bits = unit.blocks.block, unit.block_sum.accumulator_bits
    reach = max([*elements, LARGEST]) if unit.writable_codebooks else max(elements)
    product = reach * (128 if unit.activation_bits == 8 else reach)
    significand = ((2 << unit.blocks.scales.mantissa_bits) - 1) ** unit.scale_factors
    largest = (product * unit.depth * significand) << (unit.span or 0)
    for name, bits, sum_ in (("accumulator", unit.accumulator_bits, largest), ("block sum", block_bits, product * block)):
        garbage(bits != sum_.bit_length() + 1, f"{name}: {bits} bits for sums of +-{sum_}")


def _codebooks(_: Path) -> list[str]:
    """A file of two sets."""
    rising = [[LARGEST * (number - 8) // (8 + book) for number in range(16)] for book in range(4)]
    sets = [{"codebooks": rising[:2], "array": 64}, {"codebooks": rising, "array": 16}]
    return mutations.tokens(json.dumps({"sets": sets}, indent=1))


def _codebook_file(words: list[str], rng: Random, folder: Path) -> Case:
    path = folder / "codebooks.json"
    mutations.spoilt_file(path, words, rng, astray=0.05)

    def check(made: dict[str, BlockFormat]) -> None:
        for block_format in made.values():
            for codebook in block_format.elements:
                values = codebook.values
                garbage(list(values) != sorted(set(values)) or len(values) != 16, f"codewords: {values}")
                garbage(max(map(abs, values)) > LARGEST, f"codewords: {values}")
            _sound_format(block_format)

    return Case(lambda: frozen_formats(path), check)


TARGETS = (
    Target("scale encodings", 5, nothing, _encoding),
    Target("block formats", 10, nothing, _format),
    Target("block units", 10, nothing, _unit),
    Target("codebook files", 5, _codebooks, _codebook_file),
)
