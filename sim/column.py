# SPDX-License-Identifier: Apache-2.0
"""What an element of a weight-stationary array is given: weights that stay, activations of successive tokens, sums from above.

A column of the array makes the sums of one output channel, an element for each input k of it: weight w[k] stays, activations
a[t][k] of tokens t follow each other, and with each comes, one cycle later (two with a pipeline register), what the elements
above made of the same token,

    partial_sum = sum over j < k of w[j] a[t][j]

the sum of all inputs before, as where an array is as high as the layer is wide, or is given what earlier tiles left.

The weights of the next tile are shifted in from above while the last activations of this one pass: `load` is set for as many
cycles as the array has rows (`ROWS`), and the next weight of an element is in turn that of every element below it, and before
those what was left above it. `swap` comes with the first activation of the new tile. (Kung, "Why systolic architectures?",
1982; two weight registers as in Jouppi et al., ISCA 2017, section 2.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import LayerOperands, Operands, PeConfig

from .operand_sums import checked_sums, drawn_sum
from .replay import PortStimulus, Replay
from .stimulus import check_cycles, de_bruijn, extreme_activations, extreme_codes

__all__ = [
    "ROWS",
    "Tile",
    "column",
    "corners",
    "from_operands",
    "products",
    "tile_of_layer",
    "uniform",
    "uniform_tile",
    "weights_in_use",
]

ROWS = 16  # of the array: cycles that it takes to load weights
_HELD = 24  # cycles of a tile in the bench, where many weights count more than many tokens
_PARTIAL_PRODUCTS = 256  # most products in a partial sum of random operands


@dataclass(frozen=True)
class Tile:
    """What one element meets while a weight stays, one entry a token; and the column of weights that it is one of."""

    weights: NDArray[np.uint8]  # codes of the column's elements, from the top; those of this one and all around it
    row: int  # which of them is this element
    activations: NDArray[np.int64]
    partial_sums: NDArray[np.int64]  # of the elements above, for the same tokens
    sums: NDArray[np.int64] | None = None  # what the operand file states for the whole column, if this is its last element


def column(config: PeConfig, tiles: Sequence[Tile], source: str, cycles: int) -> PortStimulus:
    """The stimulus of one element that works off `tiles`, `cycles` long.

    Before the first, its weight alone is loaded.
    """
    lead: dict[str, list[Any]] = {
        "weight": [int(tiles[0].weights[tiles[0].row])],
        "load": [True],
        "activation": [0],
        "sum": [0],
    }
    columns: dict[str, list[Any]] = {**lead, "swap": [False], "completed": [False], "stated": [0]}
    for tile, following in zip(tiles, [*tiles[1:], None], strict=True):
        held = len(tile.activations)
        passing = _passing(tile, following) if following is not None else []
        idle = held - len(passing)
        columns["weight"] += [config.weight_format.zero_code] * idle + passing
        columns["load"] += [False] * idle + [True] * len(passing)
        columns["swap"] += [True] + [False] * (held - 1)
        columns["activation"] += tile.activations.tolist()
        columns["sum"] += tile.partial_sums.tolist()
        columns["completed"] += [tile.sums is not None] * held
        columns["stated"] += [0] * held if tile.sums is None else tile.sums.tolist()
    wait = config.latency_cycles - 1  # a sum is taken so many cycles after the activation that its product comes from
    late = [0] * wait + columns["sum"]
    names = ("weight", "load", "swap", "activation")
    ports = {name: np.array(columns[name][:cycles], dtype=np.int64) for name in names}
    ports["partial_sum"] = np.array(late[:cycles], dtype=np.int64)
    completed = np.array(columns["completed"][:cycles])
    completed[-wait:] = False  # their partial sums would come after the end
    return PortStimulus(ports, source, completed, np.where(completed, columns["stated"][:cycles], 0))


def _passing(tile: Tile, following: Tile) -> list[int]:
    """The codes that come by while the weights of `following` are shifted in: what is left above, then its own, from below."""
    above = [int(tile.weights[min(place, len(tile.weights) - 1)]) for place in range(following.row)]
    new = [int(code) for code in following.weights[following.row :]]
    passing = above[::-1] + new[::-1]
    return passing[-len(tile.activations) :]


def tile_of_layer(config: PeConfig, layer: LayerOperands, token: int, output: int, place: int, row: int, held: int) -> Tile:
    """The element of input `place`, in row `row` of the array, while `held` tokens pass; after the last comes the first."""
    inputs = layer.weights.shape[1]
    tokens = (token + np.arange(held)) % len(layer.activations)
    first = min(max(0, place - row), max(0, inputs - ROWS))
    above = config.weight_format.decode(layer.weights[output, :place])
    return Tile(
        weights=layer.weights[output, first : first + ROWS],
        row=place - first,
        activations=layer.activations[tokens, place].astype(np.int64),
        partial_sums=layer.activations[tokens, :place].astype(np.int64) @ above,
        sums=layer.accumulators[tokens, output] if place == inputs - 1 else None,
    )


def uniform_tile(config: PeConfig, held: int, random: np.random.Generator) -> Tile:
    """Every code and every activation equally likely, below as many elements as may be."""
    number_format, above = config.weight_format, int(random.integers(min(_PARTIAL_PRODUCTS, config.depth)))
    # Activations first, so that equal seeds give the same ones to every format.
    activations = random.integers(-128, 128, (held, above + 1))
    row = int(random.integers(ROWS))
    codes = random.integers(0, 256, above + ROWS) % len(number_format.values)
    sums = activations[:, :above] @ number_format.decode(codes[:above])
    return Tile(codes[above:].astype(np.uint8), row, activations[:, above], sums)


def from_operands(operands: Operands, config: PeConfig, cycles: int, seed: int) -> PortStimulus:
    """Elements of a quantized model, `cycles` long.

    Every (layer, token, output) triple is equally likely; every other tile is the last element of its column, whose sums the
    file states.

    Raises
    ------
    InputError
        If the file has another format than `config`, zero-points, codes that are none, or sums longer than the depth.
    """
    check_cycles(cycles)
    sums = checked_sums(operands, config)
    random = np.random.default_rng([seed, 4])
    tiles = []
    for count in range(-(-cycles // _HELD)):
        layer, token, output = drawn_sum(operands, sums, random)
        inputs = layer.weights.shape[1]
        place = int(random.integers(inputs)) if count % 2 else inputs - 1
        tiles.append(tile_of_layer(config, layer, token, output, place, int(random.integers(ROWS)), _HELD))
    return column(config, tiles, "opt", cycles)


def uniform(config: PeConfig, cycles: int, seed: int) -> PortStimulus:
    """All operands equally likely, partial sums of all sizes, which wrap; weights are loaded and swapped at random."""
    check_cycles(cycles)
    random, half = np.random.default_rng([seed, 5]), 1 << config.accumulator_bits - 1
    ports = {
        "activation": random.integers(-128, 128, cycles),
        "load": random.random(cycles) < 0.3,
        "swap": random.random(cycles) < 0.3,
        "weight": random.integers(0, len(config.weight_format.values), cycles),
        "partial_sum": random.integers(-half, half, cycles) >> random.integers(0, config.accumulator_bits, cycles),
    }
    return PortStimulus({port.name: ports[port.name] for port in config.inputs}, "uniform")


def products(config: PeConfig) -> PortStimulus:
    """Every code with every activation, each product as a partial sum of its own."""
    codes = np.arange(len(config.weight_format.values)).repeat(257)
    place = np.arange(len(codes)) % 257  # each code is loaded, then swapped in with the first of 256 activations
    activations = np.where(place > 0, place - 129, 0)
    columns = {"weight": codes, "load": place == 0, "swap": place == 1, "activation": activations, "partial_sum": 0 * place}
    return PortStimulus(columns, "products")


def weights_in_use(stimulus: Replay) -> NDArray[np.int64]:
    """The code that each cycle's activation is multiplied by, (cycles,); -1 before the first that was swapped in."""
    ports = {name: column[:, 0].astype(np.int64) for name, column in stimulus.inputs.items()}
    cycle = np.arange(stimulus.cycles)
    loaded, swapped = (np.maximum.accumulate(np.where(ports[name], cycle, -1)) for name in ("load", "swap"))
    before = np.where(swapped > 0, loaded[swapped - 1], -1)  # a swap takes what was loaded by an earlier edge
    return np.where(before >= 0, ports["weight"][before], -1)


def _runs(bits: int) -> list[int]:
    """2^n - 1 and each 2^n - 1 - 2^i with i < n as two's complement numbers of so many bits, and their inverses."""
    full = [(1 << ones) - 1 for ones in range(1, bits)]
    runs = [*full, *(run - (1 << place) for run in full for place in range(run.bit_length()))]
    return [*runs, *(~run for run in runs)]


def corners(config: PeConfig) -> PortStimulus:
    """The cases that random operands rarely meet; the same for every call.

    1. Every extreme weight (all codes of up to 4 bits) with every extreme activation, on partial sums of zero.
    2. The greatest and the least product on the greatest and least partial sums, where sums wrap, and around zero, where the
       carry runs through the whole sum.
    3. A run of ones from the lowest place to any other, with and without a zero at any place in it, and the inverse of each:
       where the carry of a product of either sign must stop, and where it must not.
    4. `load` and `swap` in every order: all sequences of four cycles (a de Bruijn sequence), with another weight every cycle.
    """
    number_format, half = config.weight_format, 1 << config.accumulator_bits - 1
    rows: list[tuple[int, int, int, int, int]] = []
    for code in extreme_codes(number_format):
        rows += [(code, 1, 0, 0, 0), *((0, 0, i == 0, a, 0) for i, a in enumerate(extreme_activations()))]
    smallest = min(value for value in number_format.values if value > 0)
    for value in (number_format.minimum, number_format.maximum, smallest):
        rows += [(number_format.encode_one(value), 1, 0, 0, 0), (0, 0, 1, 0, 0)]
        for a in (-128, 127, 1, -1):
            # The activation is taken by one edge, its partial sum by the next, or the one after.
            wait = [(0, 0, 0, 0, 0)] * config.pipeline
            rows += [row for s in (-half, half - 1, 0, -1, 1) for row in ((0, 0, 0, a, 0), *wait, (0, 0, 0, 0, s))]
    runs = _runs(config.accumulator_bits)
    for value, a in ((smallest, 1), (smallest, -1), (number_format.maximum, 127), (number_format.minimum, 127)):
        rows += [(number_format.encode_one(value), 1, 0, 0, 0), (0, 0, 1, a, 0), *((0, 0, 0, a, run) for run in runs)]
    codes = [code for code in extreme_codes(number_format) if number_format.values[code]]
    activations = [a for a in extreme_activations() if a]
    for i, order in enumerate(de_bruijn(symbols=4, length=4)):
        rows.append((codes[i % len(codes)], order & 1, order >> 1, activations[i % len(activations)], 0))
    names = ("weight", "load", "swap", "activation", "partial_sum")
    return PortStimulus(dict(zip(names, np.array(rows, dtype=np.int64).T, strict=True)), "corners")
