# SPDX-License-Identifier: Apache-2.0
"""Codebooks that are written: all places with all bits of both values, extremes that no format has, and faults are found."""

from __future__ import annotations

import re

import numpy as np
import pytest

from golden import CODEBOOK_FORMATS, BlockMacConfig
from hdl.verilog import generate
from sim import SimulationMismatch, block_stimulus, find_simulator
from sim.block_columns import joined
from sim.codebook_writes import every_product, every_word
from sim.command import simulate, simulate_verilog
from sim.replay import PortStimulus

UNITS = [
    BlockMacConfig.of(CODEBOOK_FORMATS[name], bits, lanes=4, depth=64, writable_codebooks=True)
    for name, bits in (("lobcq_c2_g16", 8), ("lobcq_c2_g16", 4), ("lobcq_c16_g16", 4))
]
EVERY = pytest.mark.parametrize("config", UNITS, ids=lambda config: config.name)


@EVERY
def test_corners(config: BlockMacConfig) -> None:
    stimulus = block_stimulus.corners(config)
    inputs = stimulus.inputs
    outputs = config.respond(inputs)
    written = inputs["codebook_write"][:, 0] == 1
    places, words = (inputs[name][written, 0] for name in ("codebook_address", "codebook_word"))
    for place in range(len(config.blocks.elements) * 16):
        own = words[places == place]
        assert {-31, 31} <= set(own)
        assert np.bitwise_or.reduce(own) == -1
        assert np.bitwise_and.reduce(own) == 0
    # The greatest and the least products that written words make, with the largest scales, for the whole depth.
    largest = 31 * (31 if config.scaled_activations else 128) * 64 * 14**config.scale_factors << (config.span or 0)
    assert outputs["accumulator"].max() == largest
    assert outputs["accumulator"].min() == -largest
    frozen = config.varied(writable_codebooks=False)
    same = ~np.logical_or.accumulate(written)
    without = block_stimulus.corners(frozen)
    assert same.sum() > 0.5 * without.cycles
    for name, column in without.inputs.items():
        assert np.array_equal(column[: same.sum()], inputs[name][same])


@EVERY
def test_random_operands_leave_codebooks_as_they_are(config: BlockMacConfig) -> None:
    for stimulus in (block_stimulus.uniform(config, 300, 0), block_stimulus.gaussian(config, 300, 0)):
        assert not stimulus.inputs["codebook_write"].any()


FAULTS = {
    "a write without being asked": (r"(?s)\A(.*?)codebook_write & (_\w+_)", r"\1\2"),
    "a word at two places, the higher ones too": (r"(?s)\A(.*?)~ codebook_address\[4\]", r"\g<1>1'h1"),
    "a word at two places, the lower ones too": (r"(?s)\A(.*?)& codebook_address\[4\]", r"\1& 1'h1"),
    "a place that reset spares": (r"rst \? 6'h3b", r"rst ? word_7"),
    "a bit that is not written": (r"codebook_word : word_7", r"{codebook_word[5:1], word_7[0]} : word_7"),
}


@EVERY
def test_every_place_is_read_between_two_writes(config: BlockMacConfig) -> None:
    inputs = every_word(config)
    places = len(config.blocks.elements) * 16
    operands = [("weights", "selectors"), ("activations", "activation_selectors")][: config.scale_factors]
    unread: set[tuple[str, int]] = set()
    resets = 0
    for cycle in range(len(inputs["valid"])):
        if inputs["rst"][cycle, 0]:  # all places
            unread = {(name, place) for name, _ in operands for place in range(places)}
            resets += 1
        elif inputs["codebook_write"][cycle, 0]:
            place = int(inputs["codebook_address"][cycle, 0])
            assert not {(name, place) for name, _ in operands} & unread
            unread |= {(name, place) for name, _ in operands}
        else:
            unread -= {(name, int(inputs[selectors][cycle, 0] * 16 + inputs[name][cycle, 0])) for name, selectors in operands}
    assert not unread
    assert resets == 2 * places
    assert inputs["codebook_write"].sum() == (2 * (2 + places.bit_length() - 1) + 2 + 4) * places


@EVERY
def test_all_pairs_of_places_differ_in_all_bits(config: BlockMacConfig) -> None:
    inputs = every_word(config)
    written = inputs["codebook_write"][:, 0] == 1
    words, places = inputs["codebook_word"][written, 0], len(config.blocks.elements) * 16
    order = inputs["codebook_address"][written, 0].reshape(-1, places)
    up, down = ((order == one).all(axis=1) for one in (np.arange(places), np.arange(places)[::-1]))
    assert (up | down).all()
    contents = np.take_along_axis(words.reshape(-1, places), order.argsort(axis=1), axis=1)
    for place in range(places - 1):
        for ordered in (up, down):
            differ = contents[ordered][:, [place]] ^ contents[ordered][:, place + 1 :]
            assert (np.bitwise_or.reduce(differ) == -1).all()


@EVERY
def test_every_product_of_words(config: BlockMacConfig) -> None:
    """Of words as they lie in the memory when they are read, in every lane."""
    inputs = joined(every_product(config))
    held, met = dict[int, int](), [set[tuple[int, int]]() for _ in range(config.lanes)]
    alike = 0
    operands = [("weights", "selectors"), ("activations", "activation_selectors")]
    for cycle in range(len(inputs["valid"])):
        given = {name: int(column[cycle, 0]) for name, column in inputs.items()}
        lanes = [{name: int(inputs[name][cycle, i]) for name, _ in operands} for i in range(config.lanes)]
        if given["codebook_write"]:
            held[given["codebook_address"]] = given["codebook_word"]
            continue
        assert given["valid"] == given["first"] == given["last"] == 1
        for lane, numbers in enumerate(lanes):
            words = [held[given[selectors] * 16 + numbers[name]] for name, selectors in operands[: config.scale_factors]]
            met[lane].add((words[0], words[1] if config.scaled_activations else numbers["activations"]))
        alike += sum(lanes[0] == other for other in lanes[1:])
    every = range(-31, 32)
    assert alike == 0
    for pairs in met:
        assert pairs == {(x, y) for x in every for y in (every if config.scaled_activations else range(-128, 128))}


@EVERY
def test_reset_is_seen_in_every_bit(config: BlockMacConfig) -> None:
    inputs = every_word(config)
    kept = np.array([word for one in config.blocks.elements for word in one.values])
    reset = np.flatnonzero(inputs["rst"][:, 0])
    firsts = reset[np.diff(reset, prepend=-2) > 1]
    assert len(firsts) == 2
    differ = [inputs["codebook_word"][first - len(kept) : first, 0] ^ kept for first in firsts]
    assert (np.bitwise_or.reduce(differ) == -1).all()


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_memories_fail(fault: str) -> None:
    config = UNITS[1]
    text, count = re.subn(*FAULTS[fault], generate(config))
    assert count == 1
    words = PortStimulus(every_word(config), "corners")
    with pytest.raises(SimulationMismatch, match="corners operands"):
        simulate_verilog(text, config, [words], find_simulator("icarus"), quiet=True)


def test_the_command_takes_such_units() -> None:
    options = {"activations": "lobcq_c2_g16", "depth": 64, "writable_codebooks": True}
    results = simulate("lobcq_c2_g16", 8, "icarus", cycles=100, quiet=True, **options)
    assert [(one["design"], one["source"]) for one in results] == [
        ("mac_lobcq_c2_g16_a4_x8_writable_d64", source) for source in ("uniform", "corners")
    ]
    assert all(one["sums_compared"] == one["cycles"] for one in results)
