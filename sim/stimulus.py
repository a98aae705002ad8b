# SPDX-License-Identifier: Apache-2.0
"""Operand streams: what a MAC unit is given, cycle by cycle, and which sums must come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product as cartesian
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from golden import InputError, MacConfig, NumberFormat, Operands, UnitConfig

from .carry_runs import crossings
from .operand_sums import checked_sums, drawn_sum
from .replay import Replay, checked_column

__all__ = [
    "LONGEST_SUM",
    "Stimulus",
    "check_cycles",
    "de_bruijn",
    "extreme_activations",
    "extreme_codes",
    "within_depth",
]

_SUM_PRODUCTS = 256  # length of the sums of random operands: the width of a small model's layers
LONGEST_SUM = 65536  # cycles of one sum of extreme products; reaches the accumulator's extremes if depth <= this x lanes
_ARRAYS = ("weights", "activations", "first", "valid", "reset", "completed", "stated")


@dataclass(frozen=True, eq=False)
class Stimulus(Replay):
    """The inputs of a MAC unit, one row per clock cycle, and the sums that an operand file states for them.

    Parameters
    ----------
    weights
        Codes, (cycles, lanes), uint8.
    activations
        Two's complement integers, (cycles, lanes), int8.
    first, valid
        The control inputs of the same names, (cycles,), bool.
    source
        Where the operands come from: "opt" (an operand file), "opt-fc2" (some of its layers), "uniform", "corners", "products",
        "orders" or "extremes".
    reset
        The input `rst`, (cycles,), bool; empty for never.
    completed
        (cycles,) bool: the cycle ends a sum whose result the operand file states; empty where there is no such file.
    stated
        (cycles,) int64: that result, in units of the format; 0 where `completed` is not set.

    Raises
    ------
    InputError
        If shapes disagree, or a value does not fit its type (nothing is ever truncated).
    """

    weights: NDArray[np.uint8]
    activations: NDArray[np.int8]
    first: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    source: str
    reset: NDArray[np.bool_] = None  # type: ignore[assignment]  # replaced by an array below
    completed: NDArray[np.bool_] = None  # type: ignore[assignment]
    stated: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        shape = np.shape(self.weights)
        if len(shape) != 2 or shape[0] == 0:
            raise InputError(f"weights of a stimulus have shape {shape}: (cycles, lanes) with at least one cycle is needed")
        types: dict[str, DTypeLike] = {"weights": np.uint8, "activations": np.int8, "stated": np.int64}
        for name in _ARRAYS:
            wanted = shape if name in ("weights", "activations") else shape[:1]
            given = getattr(self, name)
            array = checked_column(name, np.zeros(wanted, bool) if given is None else given, types.get(name, np.bool_))
            if array.shape != wanted:
                raise InputError(f"{name} of a stimulus has shape {array.shape}: {wanted} is needed")
            object.__setattr__(self, name, array)

    # Where operands come from

    @classmethod
    def from_operands(cls, operands: Operands, config: MacConfig, cycles: int, seed: int) -> Stimulus:
        """Real sums of a quantized model, `cycles` long (the last sum may be cut short).

        Every (layer, token, output) triple of the file is equally likely. The K products of a sum enter in consecutive
        cycles, `lanes` at a time, `first` with the first of them; the last cycle is filled up with zeros. `completed` marks
        the last one, where the accumulator must be what the file states.

        Raises
        ------
        InputError
            If the file has another format than `config`, zero-points, codes that are none, or sums longer than the depth.
        """
        check_cycles(cycles)
        sums = checked_sums(operands, config)
        result = _Builder(config)
        random = np.random.default_rng([seed, 1])
        while result.cycles < cycles:
            layer, token, output = drawn_sum(operands, sums, random)
            stated = int(layer.accumulators[token, output])
            result.add_sum(layer.weights[output], layer.activations[token], stated)
        return result.build("opt").head(cycles)

    @classmethod
    def uniform(cls, config: MacConfig, cycles: int, seed: int) -> Stimulus:
        """Every code and every activation equally likely, valid in each cycle, in sums of 256 products (or the depth)."""
        check_cycles(cycles)
        random = np.random.default_rng([seed, 2])
        # Activations first, so that equal seeds give the same ones to every format.
        activations = random.integers(-128, 128, (cycles, config.lanes), dtype=np.int8)
        weights = random.integers(0, 1 << config.weight_format.bits, (cycles, config.lanes), dtype=np.uint8)
        length = max(1, min(_SUM_PRODUCTS, config.depth) // config.lanes)
        first = np.arange(cycles) % length == 0
        return cls(weights, activations, first, np.ones(cycles, bool), "uniform")

    @classmethod
    def corners(cls, config: MacConfig, longest_sum: int = LONGEST_SUM) -> Stimulus:
        """The cases that random operands rarely meet; the same for every call.

        1. Every extreme weight with every extreme activation (-128 among them) in every lane, as back-to-back sums of one
           cycle; formats of up to 4 bits with all codes.
        2. Sums of the greatest and of the least products, to the depth or `longest_sum` cycles, and a walk across zero, where
           the carry runs through the whole accumulator.
        3. Sums that cross multiples of powers of two again and again, so that carries run between any two places
           (`sim.carry_runs`).
        4. `first`, `valid` and `rst` in every order: all sequences of three cycles (a de Bruijn sequence), which contains
           holds, reset in mid-sum, `first` without `valid`, and reset together with valid operands.
        """
        result = _Builder(config)
        _add_products(result, config)
        _add_extreme_sums(result, config, longest_sum)
        _add_crossings(result, config, longest_sum)
        _add_control(result, config, length=3)
        return result.build("corners")

    @classmethod
    def products(cls, config: MacConfig, seed: int) -> Stimulus:
        """Every code with every activation in every lane, each pair once, as sums of one cycle.

        Lane 0 takes the pairs in order and every other lane in a random order of its own, so that the lanes beside the one
        looked at carry random operands.
        """
        codes = len(config.weight_format.values)
        random = np.random.default_rng([seed, 4])
        order = [np.arange(codes * 256), *(random.permutation(codes * 256) for _ in range(config.lanes - 1))]
        weights, activations = np.divmod(np.stack(order, axis=1), 256)
        always = np.ones(codes * 256, bool)
        return cls(weights, activations - 128, always, always, "products")

    @classmethod
    def orders(cls, config: MacConfig, length: int) -> Stimulus:
        """`first`, `valid` and `rst` in every order: all sequences of up to `length` cycles, with operands at random."""
        result = _Builder(config)
        _add_control(result, config, length)
        return result.build("orders")

    @classmethod
    def extremes(cls, config: MacConfig) -> Stimulus:
        """A sum of `depth` times the greatest product, then one of the least: what the accumulator must just hold."""
        values = np.array(config.weight_format.values)[:, None] * np.arange(-128, 128)
        cycles = config.depth // config.lanes
        pairs = [np.unravel_index(int(place), values.shape) for place in (values.argmax(), values.argmin())]
        weights, activations = (np.repeat([int(pair[i]) for pair in pairs], cycles) for i in (0, 1))
        lanes = np.ones((1, config.lanes), int)
        first = np.arange(2 * cycles) % cycles == 0
        return cls(weights[:, None] * lanes, (activations[:, None] - 128) * lanes, first, np.ones_like(first), "extremes")

    # What it is worth

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        """The input ports, each (cycles, fields)."""
        controls = {"rst": self.reset, "valid": self.valid, "first": self.first}
        columns = {name: column[:, None] for name, column in controls.items()}
        return columns | {"activations": self.activations, "weights": self.weights}

    @property
    def lanes(self) -> int:
        """Products per cycle."""
        return self.weights.shape[1]

    @property
    def macs(self) -> int:
        """Number of products that take part in sums."""
        return int(np.count_nonzero(self.valid & ~self.reset)) * self.lanes

    @property
    def _hashed(self) -> Mapping[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in _ARRAYS}

    def expected(self, config: MacConfig) -> NDArray[np.int64]:
        """The accumulator after each cycle's edge, (cycles,), by the golden model; operands that `config` lacks are refused."""
        self.check(config)
        return config.run(self.weights, self.activations, self.first, self.valid, self.reset)

    def check(self, config: UnitConfig) -> None:
        """Refuse operands that `config` cannot take: another number of lanes, or codes wider than its weights."""
        if self.lanes != config.lanes:
            raise InputError(f"the stimulus has {self.lanes} lanes, {config.name} has {config.lanes}: make it for this unit")
        config.weight_format.checked_codes(self.weights)
        super().check(config)

    def describe(self, config: UnitConfig, cycle: int) -> str:
        """The operands and controls of a cycle, in words."""
        first, valid, reset = (int(column[cycle]) for column in (self.first, self.valid, self.reset))
        lanes = "; ".join(
            f"lane {lane}: code {code} = {config.weight_format.decode_one(code)} x {activation}"
            for lane, (code, activation) in enumerate(
                zip(self.weights[cycle].tolist(), self.activations[cycle].tolist(), strict=True)
            )
        )
        return f"first={first} valid={valid} rst={reset}; {lanes}"

    def head(self, cycles: int) -> Stimulus:
        """The first `cycles` cycles."""
        return replace(self, **{name: getattr(self, name)[:cycles] for name in _ARRAYS})


class _Builder:
    """Rows of a stimulus, appended piece by piece."""

    def __init__(self, config: MacConfig) -> None:
        self._config = config
        self._pieces: list[dict[str, NDArray[Any]]] = []
        self.cycles = 0

    def add(self, weights: NDArray[Any], activations: NDArray[Any], **controls: NDArray[Any]) -> None:
        """Append rows; `valid` is set unless given, everything else is zero."""
        rows = len(weights)
        piece: dict[str, NDArray[Any]] = {name: np.zeros(rows, bool) for name in _ARRAYS[2:-1]}
        piece |= {"valid": np.ones(rows, bool), "stated": np.zeros(rows, np.int64)} | controls
        self._pieces.append(piece | {"weights": weights, "activations": activations})
        self.cycles += rows

    def add_sum(self, codes: NDArray[np.uint8], activations: NDArray[np.int8], stated: int) -> None:
        """Append one sum of K products, `lanes` a cycle; the sum must be `stated`."""
        lanes = self._config.lanes
        rows = -(-len(codes) // lanes)
        padding = (0, rows * lanes - len(codes))
        zero = self._config.weight_format.zero_code
        completed = np.arange(rows) == rows - 1
        self.add(
            np.pad(codes, padding, constant_values=zero).reshape(rows, lanes),
            np.pad(activations, padding).reshape(rows, lanes),
            first=np.arange(rows) == 0,
            completed=completed,
            stated=np.where(completed, np.int64(stated), np.int64(0)),
        )

    def build(self, source: str) -> Stimulus:
        """All rows so far."""
        return Stimulus(source=source, **{name: np.concatenate([piece[name] for piece in self._pieces]) for name in _ARRAYS})


def _add_products(result: _Builder, config: MacConfig) -> None:
    number_format = config.weight_format
    codes, activations = extreme_codes(config.weight_format), extreme_activations()
    pairs = np.stack(np.meshgrid(codes, activations, indexing="ij"), axis=-1).reshape(-1, 2)
    # Lane i is i rows ahead, so that the lanes of a cycle differ and each sees every pair.
    rows = (np.arange(len(pairs))[:, None] + np.arange(config.lanes) * 7) % len(pairs)
    result.add(number_format.checked_codes(pairs[rows, 0]).astype(np.uint8), pairs[rows, 1], first=np.ones(len(pairs), bool))


def _add_extreme_sums(result: _Builder, config: MacConfig, longest_sum: int) -> None:
    number_format, lanes = config.weight_format, config.lanes
    least, greatest = number_format.encode_one(number_format.minimum), number_format.encode_one(number_format.maximum)
    rows = min(config.depth // lanes, longest_sum)
    heaviest = least if -number_format.minimum >= number_format.maximum else greatest  # it decides the accumulator's width
    for activation in (-128, 127):
        weights = np.full((rows, lanes), heaviest, np.uint8)
        result.add(weights, np.full((rows, lanes), activation), first=np.arange(rows) == 0)
    # 0, then +1 and -1 products by turns in lane 0: every carry position from the lowest to the sign toggles.
    smallest = min(value for value in number_format.values if value > 0)
    rows = min(config.depth // lanes, 16)
    weights = np.full((rows, lanes), number_format.zero_code, np.uint8)
    activations = np.zeros((rows, lanes), np.int64)
    weights[:, 0] = number_format.encode_one(smallest)
    activations[:, 0] = np.resize([-1, 1, 1, -1], rows)
    result.add(weights, activations, first=np.arange(rows) == 0)
    for code in (least, greatest):  # the same across zero with large products
        weights = np.full((rows, lanes), code, np.uint8)
        signs = np.resize([-128, 127], rows)[:, None]
        result.add(weights, np.broadcast_to(signs, (rows, lanes)), first=np.arange(rows) == 0)


def _add_crossings(result: _Builder, config: MacConfig, longest_sum: int) -> None:
    number_format, lanes = config.weight_format, config.lanes
    pairs = np.array(list(cartesian(extreme_codes(number_format), extreme_activations())))
    codes, activations = np.tile(pairs, (2, 1)).T[:, :, None]
    # One operand in all lanes makes the greatest sums, in lane 0 alone the small ones.
    counted = np.arange(lanes) < np.array([[lanes], [1]]).repeat(len(pairs), axis=0)
    weights = np.where(counted, codes, number_format.zero_code)
    products = np.array(number_format.values)[codes] * activations
    addends, rows = np.unique((products * counted).sum(axis=1), return_index=True)
    for way in crossings(addends, min(config.depth // lanes, longest_sum), np.random.default_rng(18)):
        chosen = rows[way]
        result.add(weights[chosen].astype(np.uint8), np.where(counted, activations, 0)[chosen], first=np.arange(len(way)) == 0)


def _add_control(result: _Builder, config: MacConfig, length: int) -> None:
    order = np.array(de_bruijn(symbols=8, length=length))
    first, valid, reset = (order & 1).astype(bool), (order & 2).astype(bool), (order & 4).astype(bool)
    in_sum, longest = 0, config.depth // config.lanes
    for cycle in range(len(order)):  # no sum beyond the depth: small depths start a new one instead
        if reset[cycle]:
            in_sum = 0
        elif valid[cycle]:
            first[cycle] |= in_sum == longest
            in_sum = 1 if first[cycle] else in_sum + 1
    idle = np.zeros((1, config.lanes), np.uint8)
    result.add(idle, idle, reset=np.ones(1, bool))  # the sum before must not go on
    random = np.random.default_rng(3)
    shape = (len(order), config.lanes)
    nonzero = np.array([code for code in extreme_codes(config.weight_format) if config.weight_format.values[code]], np.uint8)
    activations = np.array([value for value in extreme_activations() if value], np.int8)
    result.add(random.choice(nonzero, shape), random.choice(activations, shape), first=first, valid=valid, reset=reset)


def extreme_codes(number_format: NumberFormat) -> list[int]:
    """All codes of up to four bits; of wider ones those at the ends, around zero, around powers of two, alternating bits."""
    if number_format.bits <= 4:
        return list(range(1 << number_format.bits))
    near = {sign * (1 << bit) + offset for bit in range(number_format.bits) for sign in (-1, 1) for offset in (-1, 0, 1)}
    alternating = {value for value in number_format.values if value & 255 in (0x55, 0xAA, 0x33, 0xCC)}
    chosen = (near | alternating | {0, number_format.minimum, number_format.maximum}) & set(number_format.values)
    return sorted(number_format.encode_one(value) for value in chosen) + sorted(number_format.special_codes)


def extreme_activations() -> list[int]:
    """The ends, zero, around powers of two, alternating bits."""
    return [-128, -127, -126, -86, -65, -64, -2, -1, 0, 1, 2, 63, 64, 85, 126, 127]


def de_bruijn(symbols: int, length: int) -> list[int]:
    """A cyclic word in which each sequence of `length` symbols occurs once (N. G. de Bruijn, 1946): Lyndon words in order."""
    word, result = [0], []
    while word:
        if length % len(word) == 0:
            result += word
        word = (word * length)[:length]
        while word and word[-1] == symbols - 1:
            word.pop()
        if word:
            word[-1] += 1
    return result + result[: length - 1]


def within_depth(first: NDArray[np.bool_], longest: int) -> None:
    """Begin a sum in the first cycle, and wherever one would become longer than `longest` cycles."""
    began = -longest
    for cycle in range(len(first)):
        first[cycle] |= cycle - began >= longest
        began = cycle if first[cycle] else began


def check_cycles(cycles: int) -> None:
    """Refuse a stimulus without cycles."""
    if cycles < 1:
        raise InputError(f"cycles is {cycles}: a stimulus has at least 1")
