# SPDX-License-Identifier: Apache-2.0
"""What units for asymmetric weights are given: sums of several output channels at once, read one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, CorrectionConfig, LayerOperands, OffsetConfig, Operands

from .operand_sums import checked_sums, drawn_sum
from .replay import PortStimulus
from .stimulus import LONGEST_SUM, Stimulus, check_cycles, de_bruijn, extreme_activations, extreme_codes

__all__ = ["corners", "from_operands", "of_part", "products", "uniform"]

_LONGEST_WALK = 1024  # cycles


def from_operands(operands: Operands, config: AsymmetricConfig, cycles: int, seed: int) -> PortStimulus:
    """Real sums of a quantized model, `cycles` long or a little more: as many output channels at once as there are units.

    Every (layer, token, first output) triple is equally likely. When the last products of a sum have been taken, the units are
    read one after the other; the next sum begins as soon as that lets it. A file of symmetric weights is one whose zero-points
    take nothing off.

    Raises
    ------
    InputError
        If the file has another format than `config`, codes that are none, or sums longer than the depth.
    """
    check_cycles(cycles)
    sums = checked_sums(operands, config)
    random = np.random.default_rng([seed, 6])
    pieces: list[_Columns] = []
    while sum(len(piece["valid"]) for piece in pieces) < cycles:
        layer, token, output = drawn_sum(operands, sums, random)
        pieces.append(_sum(config, layer, token, (output + np.arange(config.units)) % layer.accumulators.shape[1]))
    late = config.latency_cycles - 1  # a sum's first reading is so many edges after its last operands
    whole = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    read = {name: np.pad(whole[name], ((late, 0), *[(0, 0)] * (whole[name].ndim - 1))) for name in _READ}
    taken = {name: np.pad(column, ((0, late), *[(0, 0)] * (column.ndim - 1))) for name, column in whole.items()}
    return _stimulus(config, taken | read, "opt", taken["completed"].astype(bool), taken["stated"])


_Columns = dict[str, NDArray[np.int64]]
_READ = ("read_unit", "read_zero_point")


def _sum(config: AsymmetricConfig, layer: LayerOperands, token: int, outputs: NDArray[np.int64]) -> _Columns:
    """One sum of every unit; what is read is beside the cycle that it is complete in, and those after it."""
    lanes, units = config.lanes, config.units
    rows = -(-layer.weights.shape[1] // lanes)
    missing = rows * lanes - layer.weights.shape[1]
    codes = np.pad(layer.weights[outputs], ((0, 0), (0, missing)), constant_values=config.weight_format.zero_code)
    zero_points = np.full(units, _none_off(config)) if layer.zero_points is None else layer.zero_points[outputs]
    length = rows + units - 1  # while the last units are read nothing new may begin
    reading = np.arange(length) - (rows - 1)
    which = np.clip(reading, 0, units - 1)
    completed = reading >= 0

    def padded(array: NDArray[np.integer]) -> NDArray[np.int64]:
        return np.pad(array.astype(np.int64), ((0, units - 1), *[(0, 0)] * (array.ndim - 1)))

    activations = np.pad(layer.activations[token], (0, missing)).reshape(rows, lanes)
    # What fills up the last cycle is a zero activation: whatever the zero-point, it adds nothing.
    return {
        "valid": padded(np.ones(rows, np.int64)),
        "first": padded(np.arange(rows) == 0),
        "rst": np.zeros(length, np.int64),
        "activations": padded(activations),
        "weights": padded(codes.reshape(units, rows, lanes).transpose(1, 0, 2)),
        "zero_points": np.repeat(zero_points[None].astype(np.int64), length, axis=0),
        "read_unit": np.where(completed, which, 0),
        "read_zero_point": np.where(completed, zero_points[which], 0),
        "completed": completed.astype(np.int64),
        "stated": np.where(completed, layer.accumulators[token, outputs[which]], 0),
    }


def of_part(config: OffsetConfig | CorrectionConfig, given: Stimulus, seed: int) -> PortStimulus:
    """What a part is given in a unit that works on `given`, a stimulus of its MAC unit; each sum has its own zero-point."""
    whole, inputs = config.whole, given.inputs
    sums = np.cumsum(given.first)
    chosen = np.random.default_rng([seed, 8]).integers(0, whole.weight_format.steps + 1, int(sums[-1]) + 1)
    columns: dict[str, NDArray[Any]] = {**inputs, "zero_point": chosen[sums][:, None]}
    if isinstance(config, CorrectionConfig):
        recoded = whole.recode(inputs["weights"], chosen[sums])
        shown = whole.unit.respond({**inputs, "weights": recoded})["accumulator"]
        columns["accumulator"] = np.pad(shown, ((1, 0), (0, 0)))[:-1]  # taken by the edge after
    return PortStimulus({port.name: columns[port.name] for port in config.inputs}, given.source)


def products(config: AsymmetricConfig, seed: int) -> PortStimulus:
    """Every code with every activation and every zero-point, as sums of one cycle, in units that are read by turns.

    Of formats wider than 4 bits, which have too many, as many at random as one zero-point has.
    """
    random, number_format = np.random.default_rng([seed, 9]), config.weight_format
    codes, zero_points = len(number_format.values), number_format.steps + 1
    if number_format.bits <= 4:
        # The units that are not read meanwhile have operands at random.
        order = np.arange(config.units * codes * 256 * zero_points) // config.units
    else:
        order = random.integers(0, codes * 256 * zero_points, codes * 256)
    weights = random.integers(0, codes, (len(order), config.units, config.lanes))
    taken = random.integers(0, zero_points, (len(order), config.units))
    read = np.arange(len(order)) % config.units
    pairs, chosen = np.divmod(order, zero_points)
    weights[np.arange(len(order)), read] = (pairs // 256)[:, None]
    taken[np.arange(len(order)), read] = chosen
    # A sum is read `late` cycles after its operands were given: so many cycles more, with nothing new.
    late, going_on = config.pipeline + 1, np.ones(len(order), bool)
    given = {
        "activations": (pairs % 256 - 128)[:, None].repeat(config.lanes, axis=1),
        "weights": weights,
        "zero_points": taken,
        "first": going_on,
        "valid": going_on,
        "rst": ~going_on,
    }
    reading = {"read_unit": read, "read_zero_point": chosen}
    columns = {name: np.concatenate([column, np.zeros_like(column[:late])]) for name, column in given.items()}
    columns |= {name: np.concatenate([np.zeros_like(column[:late]), column]) for name, column in reading.items()}
    return _stimulus(config, columns, "products")


def uniform(config: AsymmetricConfig, cycles: int, seed: int) -> PortStimulus:
    """All operands and zero-points equally likely; sums of 1 to 1024 cycles, pauses and resets, any unit read in any cycle."""
    check_cycles(cycles)
    random = np.random.default_rng([seed, 7])
    number_format = config.weight_format
    # Lengths in equal numbers for each power of two; every fourth sum ends in a reset.
    ends = np.cumsum(np.exp2(random.uniform(0, 10, cycles)).astype(np.int64))
    first, rst = np.zeros(cycles, bool), np.zeros(cycles, bool)
    first[np.append(0, ends[ends < cycles])] = True
    rst[ends[3::4][ends[3::4] <= cycles] - 1] = True
    columns = {
        "activations": random.integers(-128, 128, (cycles, config.lanes)),
        "first": first,
        "valid": random.random(cycles) < 0.8,
        "rst": rst,
        "read_unit": random.integers(0, config.units, cycles),
        "read_zero_point": random.integers(0, number_format.steps + 1, cycles),
        "zero_points": random.integers(0, number_format.steps + 1, (cycles, config.units)),
        "weights": random.integers(0, len(number_format.values), (cycles, config.units, config.lanes)),
    }
    return _stimulus(config, columns, "uniform")


def corners(config: AsymmetricConfig, longest_sum: int = LONGEST_SUM) -> PortStimulus:
    """The cases that random operands rarely meet; the same for every call.

    1. Every extreme weight (all codes of up to 4 bits) with every extreme activation and the zero-points 0, in the middle and
       the last, as sums of one cycle.
    2. Sums of the greatest and of the least products, to the depth or `longest_sum` cycles.
    3. Walks to every power of two and its negative that `_LONGEST_WALK` cycles reach, and to and fro across it, where carries
       run through the sums.
    4. `first`, `valid` and `rst` in every order of three cycles (a de Bruijn sequence).

    While a sum is held the units are read by turns; otherwise which one is read changes without a period, so that a fault that
    comes and goes with one is seen.
    """
    number_format, lanes, units = config.weight_format, config.lanes, config.units
    last = number_format.steps
    rows: list[tuple[int, int, int, int, int, int]] = []  # code, activation, zero-point, first, valid, rst
    for zero_point in sorted({0, 1, (last + 1) // 2, last}):
        rows += [(code, a, zero_point, 1, 1, 0) for code in extreme_codes(number_format) for a in extreme_activations()]
    length = min(config.depth // lanes, longest_sum)
    for zero_point in (0, last):
        values = number_format.with_zero_point(zero_point).values
        heaviest = values.index(max(values, key=abs))
        rows += [(heaviest, -128, zero_point, i == 0, 1, 0) for i in range(length)]
        rows += [(heaviest, -128, zero_point, 0, 0, 0)] * units  # held until all units have been read
    # Every value is a power of two, so that both sums come to one.
    code = max((1 << place for place in range(8)), key=lambda size: size * (size in number_format.values))
    for walk in _walks(min(length, _LONGEST_WALK), lanes):
        # The zero-point takes the sum of activations off once, so that it shows, too.
        rows += [(number_format.encode_one(code), a, _none_off(config) + 1, i == 0, 1, 0) for i, a in enumerate(walk)]
    rows.append((0, 0, 0, 0, 0, 1))
    codes, activations = extreme_codes(number_format), extreme_activations()
    in_sum = 0
    for i, order in enumerate(de_bruijn(symbols=8, length=3)):
        first, valid, reset = order & 1, order >> 1 & 1, order >> 2
        first |= in_sum == config.depth // lanes  # no sum beyond the depth
        in_sum = 0 if reset else (1 if first else in_sum + 1) if valid else in_sum
        rows.append((codes[i % len(codes)], activations[i % 16], i % (last + 1), first, valid, reset))
    code, activation, zero_point, first, valid, reset = np.array(rows, dtype=np.int64).T
    cycle = np.arange(len(rows))
    ahead = (cycle[:, None] + 7 * np.arange(lanes)) % len(rows)  # so that the lanes of a cycle differ
    alike = np.abs(number_format.decode(code)) == np.abs(number_format.decode(code)).max()
    columns = {
        "activations": np.where(alike[:, None], activation[:, None], activation[ahead]),
        "weights": np.where(alike[:, None], code[:, None], code[ahead])[:, None].repeat(units, axis=1),
        "zero_points": zero_point[:, None].repeat(units, axis=1),
        "first": first,
        "valid": valid,
        "rst": reset,
        "read_unit": np.where(valid == 0, cycle, np.bitwise_count(cycle)) % units,  # Thue and Morse's sequence
        "read_zero_point": np.concatenate([[0] * (config.pipeline + 1), zero_point])[: len(rows)],
    }
    return _stimulus(config, columns, "corners")


def _none_off(config: AsymmetricConfig) -> int:
    """The zero-point that takes nothing off."""
    return next(z for z in range(config.weight_format.steps + 1) if config.offset(z) == 0)


def _walks(length: int, lanes: int) -> Iterator[list[int]]:
    """Activations, the same in all lanes, that sum up to each power of two, or its negative, and go to and fro across it."""
    across = [1, -1, -1, 1, 8, -8, -8, 8, -128, 127]
    for place in count(7):
        for farthest in (127, -128):
            target = (1 << place) // lanes * (1 if farthest > 0 else -1)
            steps, rest = divmod(target, farthest)
            if steps + 1 + len(across) > length:
                return
            yield [*[farthest] * steps, rest, *across]


def _stimulus(
    config: AsymmetricConfig,
    columns: Mapping[str, NDArray[Any]],
    source: str,
    completed: NDArray[np.bool_] | None = None,
    stated: NDArray[np.int64] | None = None,
) -> PortStimulus:
    ports = {port.name: columns[port.name] for port in config.inputs}
    if completed is None or stated is None:
        return PortStimulus(ports, source)
    return PortStimulus(ports, source, completed, stated)
