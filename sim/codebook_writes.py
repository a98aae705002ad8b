# SPDX-License-Identifier: Apache-2.0
"""Codebooks that are written while a unit works: all places, with contents that tell them apart, and the largest codewords."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig

from .block_columns import Columns, columns, joined, scales_of_one

__all__ = ["every_word", "largest_words", "random_writes"]

_RANDOM = 2  # backgrounds of random words
_WRITTEN = 0.5  # of the cycles among control sequences


def random_writes(config: BlockMacConfig, cycles: int, random: np.random.Generator) -> Columns:
    """The ports that write codewords, (cycles, 1) each: any word at any place, in every other cycle or so."""
    if not config.writable_codebooks:
        return {}
    places = len(config.blocks.elements) << config.blocks.bits
    written = (
        random.random(cycles) < _WRITTEN,
        random.integers(0, places, cycles),
        random.integers(-config.largest_value, config.largest_value + 1, cycles),
    )
    return {name: column.astype(np.int64)[:, None] for name, column in zip(config.write_ports, written, strict=True)}


def every_word(config: BlockMacConfig) -> Columns:
    """All places are written, one after the other, and then read, each by weights and, if they read codewords, by activations.

    Contents, each followed by the opposite of each bit: random words, and for each bit of the address words that differ in
    all bits where that bit does, so that any two places are told apart; the largest of both signs. As in a march test (van
    de Goor, "Testing Semiconductor Memories", 1991) with the backgrounds of a decoder's test. Then no bit of a place is that
    of the format's codebooks, and all are reset, while words are written to them. The other operand is the largest there is.
    """
    kept = np.array([word for one in config.blocks.elements for word in one.values])
    places, largest = np.arange(len(kept)), config.largest_value
    random = np.random.default_rng(17)
    backgrounds = [random.integers(-largest, largest, len(kept)) for _ in range(_RANDOM)]
    bits = (places >> bit & 1 for bit in range(int(places[-1]).bit_length()))
    backgrounds += [random.integers(-largest, largest) ^ -bit for bit in bits]
    ends = np.full(len(kept), largest)
    contents = [*(words for drawn in backgrounds for words in (drawn, ~drawn)), ends, -ends]
    pieces = [piece for words in contents for piece in (_write(config, places, words), *_read_all(config, words))]
    for words in (np.where(kept == largest, 0, ~kept), np.where(kept == largest, -1, ~kept)):
        written = _write(config, places, words)
        pieces += [written, {**written, "rst": np.ones_like(written["rst"])}, *_read_all(config, kept)]
    whole = joined(pieces)
    idle = whole["codebook_write"] == 0  # what the other ports say then must not matter
    others = random_writes(config, len(idle), random)
    return whole | {name: np.where(idle, others[name], whole[name]) for name in config.write_ports[1:]}


def largest_words(config: BlockMacConfig) -> tuple[Columns, dict[str, Columns], dict[str, int]]:
    """What writes the largest codewords of both signs; then the operands that make extreme products, and what these are."""
    largest = config.largest_value
    writes = _write(config, np.arange(2), np.array((largest, -largest)))
    product = config.largest_product
    least = _read(config, 0, 1 if config.scaled_activations else None)
    greatest = _read(config, 0 if config.scaled_activations else 1, 0 if config.scaled_activations else None)
    operands = {"greatest": greatest, "least": least}
    return writes, operands, {"greatest": product * config.lanes, "least": -product * config.lanes}


def _write(config: BlockMacConfig, places: NDArray[np.int64], words: NDArray[np.int64]) -> Columns:
    return columns(config, {**dict(zip(config.write_ports, (1, places, words), strict=True)), "valid": 0}, len(places))


def _read_all(config: BlockMacConfig, words: NDArray[np.int64]) -> Iterator[Columns]:
    """All places, which hold `words`."""
    places, known = np.arange(len(words)), int(np.abs(words).argmax())
    yield _read(config, places, known if config.scaled_activations else None)
    if config.scaled_activations:
        yield _read(config, known, places)


def _read(config: BlockMacConfig, weights: NDArray[np.int64] | int, activations: NDArray[np.int64] | int | None) -> Columns:
    """Products of the words at some places with those at others, or, None, with the least activation; each a sum of its own."""
    given: dict[str, ArrayLike] = {"activations": -(1 << config.activation_bits - 1), "first": 1, "last": 1}
    read = [("weights", "selectors", weights)]
    if activations is not None:
        read.append(("activations", "activation_selectors", activations))
    for name, selectors, places in read:
        given |= {name: np.asarray(places) & (1 << config.blocks.bits) - 1, selectors: np.asarray(places) >> config.blocks.bits}
    count = max(np.size(places) for _, _, places in read)
    return columns(config, {**scales_of_one(config), **given}, count)
