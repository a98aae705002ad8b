# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of formats and units, as a user of the package makes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from golden import FORMATS, AsymmetricConfig, MacConfig, NumberFormat, PeConfig, UnitConfig, unit_of_options

from . import mutations
from .engine import Case, Target, garbage, nothing

__all__ = ["TARGETS", "spoilt_arguments"]

_ODD = (*mutations.VALUES[:-1], Fraction(1, 3), 1j, b"x", np.int64(4), np.float32(0.5), np.array([1, 2]), object(), range(3))


def spoilt_arguments(arguments: dict[str, Any], rng: Random) -> dict[str, Any]:
    """One or two arguments odd, or slightly off; now and then one that does not exist."""
    spoilt = dict(arguments)
    for name in rng.sample(sorted(arguments), rng.choice((1, 1, 2))):
        value = spoilt[name]
        if isinstance(value, tuple) and rng.random() < 0.7:
            items = list(value)
            place = rng.randrange(len(items))
            beside = (-items[place], items[place] + 1) if isinstance(items[place], int) else ()
            items[place] = rng.choice((*_ODD, items[place - 1], *beside))
            spoilt[name] = tuple(items[: rng.choice((None, None, -1))])
        elif isinstance(value, int) and rng.random() < 0.5:
            spoilt[name] = rng.choice((value + 1, value - 1, -value, value * 64, value + 0.5, str(value), float(value)))
        else:
            spoilt[name] = rng.choice(_ODD)
    return spoilt


def _format(_: None, rng: Random, __: Path) -> Case:
    chosen = rng.choice(list(FORMATS.values()))
    arguments = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    spoilt = spoilt_arguments(arguments, rng)

    def check(made: NumberFormat) -> None:
        garbage(re.fullmatch(r"[a-z][a-z0-9_]*", made.name) is None, "name: no identifier")
        garbage(type(made.bits) is not int or not 2 <= made.bits <= 8, "bits: out of range")
        garbage(any(type(value) is not int for value in made.values), "values: not integers")
        codes = np.arange(1 << made.bits)
        values = made.decode(codes)
        garbage(values.tolist() != list(made.values), "values: not those decoded")
        garbage(bool((made.decode(made.encode(values)) != values).any()), "encode: not the inverse of decode")
        steps = [value * float(made.unit) for value in made.values]
        garbage(made.round(steps).tolist() != [made.round_one(step) for step in steps], "round: not round_one")
        garbage([made.decode_one(made.round_one(step)) for step in steps] != list(made.values), "round: a value is moved")
        bits = made.product_bits(8)
        garbage(max(abs(value) for value in made.values) * 128 >= 1 << bits, "product_bits: too few")

    return Case(lambda: NumberFormat(**spoilt), check)


_UNIT = {"lanes": 4, "depth": 4096, "pipeline": 1, "architecture": "digit-grid", "decoded": False}


def _unit(_: None, rng: Random, __: Path) -> Case:
    maker: Callable[..., UnitConfig]
    chosen = FORMATS["dint4"]
    match rng.randrange(4):
        case 0:
            maker, arguments = MacConfig, {"weight_format": chosen, "activation_bits": 8, **_UNIT}
        case 1:
            names = ("depth", "architecture", "decoded")
            maker, arguments = PeConfig, {"weight_format": chosen, "activation_bits": 8} | {name: _UNIT[name] for name in names}
        case 2:
            arguments = {"weight_format": chosen, "activation_bits": 8, "units": 4, **_UNIT}
            del arguments["decoded"]
            maker = AsymmetricConfig
        case _:
            arguments = {"format": "dint4", "default_lanes": 4, "shape": "mac", "zero_points": None, **_UNIT}
            maker = unit_of_options
    spoilt = spoilt_arguments(arguments, rng)

    def run() -> UnitConfig:
        from hdl.architectures import architecture_of

        unit = maker(**spoilt)
        architecture_of(unit.unit if isinstance(unit, AsymmetricConfig) else unit)
        return unit

    return Case(run, _sound_unit)


def _sound_unit(unit: UnitConfig) -> None:
    numbers = {"lanes": (1, 64), "depth": (1, 1 << 24), "pipeline": (0, 2), "activation_bits": (8, 8)}
    for name, (least, most) in numbers.items():
        value = getattr(unit, name)
        garbage(type(value) is not int or not least <= value <= most, f"{name}: {value!r}")
    garbage(type(unit.decoded) is not bool, f"decoded: {unit.decoded!r}")
    garbage(re.fullmatch(r"(mac|pe)_[a-z0-9_]+", unit.name) is None, f"name: {unit.name!r}")
    facts = unit.describe()
    garbage(json.loads(json.dumps(facts, allow_nan=False)) != facts, "describe: no plain data")
    if isinstance(unit, MacConfig):
        largest = max(abs(value) for value in unit.weight_format.values) * 128 * unit.depth
        garbage(not largest < 1 << (unit.accumulator_bits - 1), "accumulator_bits: too few")


TARGETS = (
    Target("number formats", 10, nothing, _format),
    Target("units", 15, nothing, _unit),
)
