# SPDX-License-Identifier: Apache-2.0
"""Codebooks that are written while a unit works: all places, with contents that tell them apart, and the largest codewords."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig

from .block_columns import Columns, columns, joined, scales_of_one
from .stimulus import extreme_activations

__all__ = ["every_product", "every_word", "largest_words", "random_writes"]

_RANDOM = 2  # backgrounds of random words
_LEAST = min(extreme_activations())
_WRITTEN = 0.5  # of the cycles among control sequences


def random_writes(config: BlockMacConfig, cycles: int, random: np.random.Generator) -> Columns:
    """The ports that write codewords, (cycles, 1) each: any word at any place, in every other cycle or so."""
    if not config.writable_codebooks:
        return {}
    places = config.blocks.codewords
    written = (
        random.random(cycles) < _WRITTEN,
        random.integers(0, places, cycles),
        random.integers(-config.largest_value, config.largest_value + 1, cycles),
    )
    return {name: column.astype(np.int64)[:, None] for name, column in zip(config.write_ports, written, strict=True)}


def every_word(config: BlockMacConfig) -> Columns:
    """All places are written, one after the other, and then read in that order, by weights and, if they read codewords,
    by activations.

    Contents, each followed by the opposite of each bit: random words, and for each bit of the address words that differ in
    all bits where that bit does, so that any two places are told apart; the largest of both signs. The opposite is written
    from the last place to the first, since a word that goes to a second place shows only where that was written before. (March
    tests with data backgrounds: van de Goor, "Testing Semiconductor Memories", 1991.) Then no bit of a place is that of the
    format's codebooks, and all are reset, while words are written to them. The other operand is the largest there is.
    """
    kept = np.array([word for one in config.blocks.elements for word in one.values])
    places, largest = np.arange(len(kept)), config.largest_value
    random = np.random.default_rng(17)
    backgrounds = [random.integers(-largest, largest, len(kept)) for _ in range(_RANDOM)]
    bits = (places >> bit & 1 for bit in range(int(places[-1]).bit_length()))
    backgrounds += [random.integers(-largest, largest) ^ -bit for bit in bits]
    ends = np.full(len(kept), largest)
    pieces = []
    for up, down in (*((words, ~words) for words in backgrounds), (ends, -ends)):
        for order, words in ((places, up), (places[::-1], down)):
            pieces += [_write(config, order, words[order]), *_read_all(config, order, words)]
    for words in (np.where(kept == largest, 0, ~kept), np.where(kept == largest, -1, ~kept)):
        written = _write(config, places, words)
        pieces += [written, {**written, "rst": np.ones_like(written["rst"])}, *_read_all(config, places, kept)]
    whole = joined(pieces)
    idle = whole["codebook_write"] == 0  # what the other ports say then must not matter
    others = random_writes(config, len(idle), random)
    return whole | {name: np.where(idle, others[name], whole[name]) for name in config.write_ports[1:]}


def every_product(config: BlockMacConfig) -> Iterator[Columns]:
    """Every codeword that can be written with every one, or with every plain activation, in every lane, which differ."""
    words = np.arange(-config.largest_value, config.largest_value + 1)
    places, codes = config.blocks.codewords, 1 << config.blocks.bits
    if config.scaled_activations:  # both codewords of a product are in the memory: two parts of all at a time
        parts = np.array_split(words, -(-len(words) // (places // 2)))
        fills = [np.concatenate(pair) for pair in combinations(parts, 2)] or parts
    else:
        fills = np.array_split(words, -(-len(words) // places))
    for held in fills:
        whole = np.resize(held, -(-len(held) // codes) * codes)  # codebooks whose codes every lane goes through
        own = range(len(whole))
        pairs = np.array(list(product(own, own if config.scaled_activations else range(-128, 128))))
        yield from (_write(config, np.arange(len(whole)), whole), _read(config, *_turned(config, *pairs.T)))


def _turned(
    config: BlockMacConfig, weights: NDArray[np.int64], activations: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places, (n,), and other places or plain activations, as operands (n, lanes): of each lane other codes."""
    lanes, codes = np.arange(config.lanes), 1 << config.blocks.bits

    def ahead(numbers: NDArray[np.int64], step: int, beyond: int) -> NDArray[np.int64]:
        return numbers[:, None] // beyond * beyond + (numbers[:, None] + step * lanes) % beyond

    if config.scaled_activations:
        return ahead(weights, 1, codes), ahead(activations, 3, codes)
    return ahead(weights, 1, codes), ahead(activations + 128, 37, 256) - 128


def largest_words(config: BlockMacConfig) -> tuple[Columns, dict[str, Columns], dict[str, int]]:
    """What writes the largest codewords of both signs; then the operands that make extreme products, and what these are."""
    largest = config.largest_value
    writes = _write(config, np.arange(2), np.array((largest, -largest)))
    most = config.largest_product
    least = _read(config, 0, 1 if config.scaled_activations else _LEAST)
    greatest = _read(config, 0, 0) if config.scaled_activations else _read(config, 1, _LEAST)
    operands = {"greatest": greatest, "least": least}
    return writes, operands, {"greatest": most * config.lanes, "least": -most * config.lanes}


def _write(config: BlockMacConfig, places: NDArray[np.int64], words: NDArray[np.int64]) -> Columns:
    return columns(config, {**dict(zip(config.write_ports, (1, places, words), strict=True)), "valid": 0}, len(places))


def _read_all(config: BlockMacConfig, order: NDArray[np.int64], words: NDArray[np.int64]) -> Iterator[Columns]:
    """All places in an order; they hold `words`."""
    known = int(np.abs(words).argmax())
    yield _read(config, order, known if config.scaled_activations else _LEAST)
    if config.scaled_activations:
        yield _read(config, known, order)


def _read(config: BlockMacConfig, weights: NDArray[np.int64] | int, activations: NDArray[np.int64] | int) -> Columns:
    """Products of the words at places `weights` with those at `activations`, or with plain ones; each a sum of its own."""
    given: dict[str, ArrayLike] = {"activations": activations, "first": 1, "last": 1}
    read = {"weights": weights} | ({"activations": activations} if config.scaled_activations else {})
    for (name, places), selectors in zip(read.items(), ("selectors", "activation_selectors"), strict=False):
        numbers = np.asarray(places)
        first = numbers[:, 0] if numbers.ndim > 1 else numbers  # lanes differ in their codes alone
        given |= {name: numbers & (1 << config.blocks.bits) - 1, selectors: first >> config.blocks.bits}
    return columns(config, {**scales_of_one(config), **given}, max(map(len, map(np.atleast_1d, (weights, activations)))))
