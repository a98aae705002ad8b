# SPDX-License-Identifier: Apache-2.0
"""What units of block formats are given: operands, and the scales of blocks where these end.

Stimuli are made for the ports that a unit has. Of a port that is not known here every value is tried where operands are tried
one by one, and taken at random elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from golden import BlockMacConfig, LayerOperands, Operands, Port

from .block_carries import crossing_sums, sums_anywhere
from .block_columns import (
    CONTROLS,
    SCALES,
    Columns,
    bases_of,
    blocks_of_sum,
    codes_in_reach,
    columns,
    count_of,
    joined,
    random_operands,
    random_port,
    random_scales,
    scale_ports,
    scale_signs,
    scales_of_one,
)
from .codebook_writes import every_product, every_word, largest_words, random_writes
from .operand_sums import checked_sums, drawn_sum
from .replay import PortStimulus
from .stimulus import LONGEST_SUM, check_cycles, de_bruijn, extreme_activations, within_depth

__all__ = ["corners", "from_operands", "gaussian", "long_paths", "runs", "uniform"]

_KNOWN = {*CONTROLS, *SCALES, "activations", "weights", "base"}
_SHORTER = 16  # times shorter than the depth: sums of extreme blocks that do not make the extremes of the accumulator
_MISSED = 0.4  # of the scales among control sequences: NaN or any code, so that most are out of reach


def uniform(config: BlockMacConfig, cycles: int, seed: int) -> PortStimulus:
    """Every code and every activation equally likely, valid in each cycle, in whole blocks and sums of 256 products.

    Scales are in reach: every shift and, of the scales that make it, every code, of either sign where there are signs, is
    equally likely. Where there is a `base`, each sum has its own.
    """
    check_cycles(cycles)
    random = np.random.default_rng([seed, 10])
    return PortStimulus(random_operands(config, cycles, random) | random_scales(config, cycles, random), "uniform")


def gaussian(config: BlockMacConfig, cycles: int, seed: int) -> PortStimulus:
    """As `uniform`, but with the scales that the quantizer gives to normally distributed numbers, as weights are.

    Each sum's numbers are a tensor of their own.
    """
    check_cycles(cycles)
    random = np.random.default_rng([seed, 13])
    operands = random_operands(config, cycles, random)
    block, count = config.blocks.block // config.lanes, blocks_of_sum(config)
    blocks = np.arange(cycles) // block
    sums = int(blocks[-1]) // count + 1
    drawn = random.normal(size=(config.scale_factors, sums, count * config.blocks.block))
    codes = np.stack([config.blocks.quantize(numbers, by_row=True).scales for numbers in drawn], axis=-1).astype(np.int64)
    bases = bases_of(config, codes).repeat(count)
    scales = scale_ports(codes.reshape(-1, config.scale_factors)[blocks]) | (
        {"base": bases[blocks]} if config.base_bits else {}
    )
    return PortStimulus(operands | {name: column[:, None] for name, column in scales.items()}, "uniform")


def from_operands(operands: Operands, config: BlockMacConfig, cycles: int, seed: int) -> PortStimulus:
    """Real sums of a quantized model, `cycles` long (the last sum may be cut short).

    Every (layer, token, output) triple of the file is equally likely. The sum must be what the file states where all of its
    scales are in reach of one `base`; else those of the largest blocks are, and nothing is stated.

    Raises
    ------
    InputError
        If the file has other formats than `config`, codes that are none, or sums longer than the depth.
    """
    check_cycles(cycles)
    sums = checked_sums(operands, config)
    random = np.random.default_rng([seed, 14])
    pieces: list[Columns] = []
    while sum(len(piece["first"]) for piece in pieces) < cycles:
        layer, token, output = drawn_sum(operands, sums, random)
        pieces.append(_sum(config, layer, token, output))
    whole = {name: column[:cycles] for name, column in joined(pieces).items()}
    completed, stated = (whole.pop(name)[:, 0] for name in ("completed", "stated"))
    return PortStimulus(whole, "opt", completed.astype(bool), stated)


def runs(
    config: BlockMacConfig, places: Sequence[tuple[LayerOperands, int, int, float]], length: int, source: str, cycles: int
) -> PortStimulus:
    """Runs of at least `length` cycles, whole blocks, from `places` of a model: layer, token, output, and where in the sum.

    A run that begins amid a sum goes on from the sum that is there, unless that has another `base`. After the end of a sum
    comes that of the next output.
    """
    block = config.blocks.block // config.lanes
    pieces = []
    for layer, token, output, place in places:
        blocks = layer.weights.shape[1] // config.blocks.block
        start, outputs = int(place * blocks), layer.accumulators.shape[1]
        ends = -(-length // block) + start
        following = [_sum(config, layer, token, (output + number) % outputs) for number in range(-(-ends // blocks))]
        pieces.append({name: column[start * block : ends * block] for name, column in joined(following).items()})
    whole = {name: column[:cycles] for name, column in joined(pieces).items() if name not in ("completed", "stated")}
    first = whole["first"][:, 0].astype(bool)
    if config.base_bits:
        first |= np.diff(whole["base"][:, 0], prepend=-1) != 0
    within_depth(first, config.depth // config.lanes)
    whole["first"] = first[:, None].astype(np.int64)
    return PortStimulus(whole, source)


def _sum(config: BlockMacConfig, layer: LayerOperands, token: int, output: int) -> Columns:
    """One whole sum, and `completed` and `stated` beside the ports."""
    lanes, block = config.lanes, config.blocks.block // config.lanes
    assert layer.block_scales is not None
    assert layer.exponents is not None
    factors = [layer.block_scales[output]]
    if layer.activation_block_scales is not None:
        factors.append(layer.activation_block_scales[token])
    codes = np.stack(factors, axis=-1).astype(np.int64)
    base = 0
    if config.base_bits:
        operands = (layer.weights[output] != config.weight_format.zero_code) & (layer.activations[token] != 0)
        counts = operands.reshape(len(codes), -1).any(axis=1)  # blocks of zeros may be out of reach
        base = int(bases_of(config, codes[None, counts])[0]) if counts.any() else 0
    above = int(layer.exponents[token, output]) - base
    rows = len(codes) * block
    step = np.arange(rows)
    given: dict[str, ArrayLike] = {
        "weights": layer.weights[output].reshape(rows, lanes),
        "activations": layer.activations[token].reshape(rows, lanes),
        "first": step == 0,
        "last": step % block == block - 1,
        "base": base,
        **scale_ports(codes.repeat(block, axis=0)),
    }
    selected = {"selectors": (layer.selectors, output), "activation_selectors": (layer.activation_selectors, token)}
    for port in config.inputs:
        table, row_number = selected.get(port.name, (None, 0))
        if table is not None:
            row = table[row_number]
            given[port.name] = row.repeat(rows * lanes // len(row)).reshape(rows, lanes)[:, :: lanes // port.fields]
    completed = (step == rows - 1) & (above >= 0)
    stated = int(layer.accumulators[token, output]) << above if above >= 0 else 0
    return columns(config, given) | {"completed": completed[:, None], "stated": np.where(completed, stated, 0)[:, None]}


def corners(config: BlockMacConfig, longest_sum: int = LONGEST_SUM) -> PortStimulus:
    """The cases that random operands rarely meet; the same for every call.

    1. Every code of a weight with every code or extreme value of an activation in every lane (with every codebook, where
       there are some), each cycle a block and a sum of its own.
    2. Every code of a scale, NaN and negative ones among them, with the greatest and the least block; where there are two
       scales, with the extremes of the other, and every significand with every one; where there is a `base`, at its extremes,
       in its middle, and where the largest scales are in reach: so scales are in reach, beyond it, and next to either end.
    3. Sums of the greatest and of the least blocks at the largest scales, of either sign where there are signs; those that
       make the extremes to the depth or `longest_sum` cycles. Walks across zero, where the carry runs through the whole
       accumulator.
    4. Whole blocks whose sums lie anywhere from the least to the greatest, at any scale in reach: of random operands they are
       near zero, and leave the upper places of what multiplies and shifts them alone. In most of them carries run far.
    5. Sums that cross multiples of powers of two again and again, so that carries run from any place to any.
    6. `first`, `last`, `valid` and `rst` in every order: all sequences of three cycles, which contain holds, resets and new
       sums in mid-block, blocks that end with every cycle, and scales that are out of reach on the way.

    Where codebooks are written: all words of all places, every product of words, and the third again with the largest ones,
    before the sixth; in that, words are written at random. Otherwise codebooks are those of the format.
    """
    operands, sums = _rows(config)
    every = columns(config, {**operands, **scales_of_one(config), "first": 1, "last": 1})
    rows = {
        "greatest": sums.argmax(),
        "least": sums.argmin(),
        "up": np.where(sums > 0, sums, sums.max()).argmin(),
        "down": np.where(sums < 0, sums, sums.min()).argmax(),
    }
    chosen = {name: {port: column[[row]] for port, column in operands.items()} for name, row in rows.items()}
    pieces = [
        every,
        _every_scale(config, chosen["greatest"], chosen["least"]),
        *_extreme_sums(config, chosen, {name: int(sums[rows[name]]) for name in ("greatest", "least")}, longest_sum),
        *_walks(config, chosen),
        sums_anywhere(config, operands, sums),
        crossing_sums(config, operands, sums, longest_sum),
        *_with_words(config, longest_sum),
        _reset(config),  # codebooks must not stay as they were written
        _every_order(config),
    ]
    return PortStimulus(joined(pieces), "corners")


def long_paths(config: BlockMacConfig, longest_sum: int = LONGEST_SUM) -> PortStimulus:
    """Of the corner cases what takes a unit long, carries between any two places, and every order of control signals."""
    return PortStimulus(
        joined([crossing_sums(config, *_rows(config), longest_sum), _reset(config), _every_order(config)]), "corners"
    )


def _rows(config: BlockMacConfig) -> tuple[Columns, NDArray[np.int64]]:
    """Operands of single cycles, every pair in every lane among them, and the sums of their products."""
    operands, late = joined(_every_operand(config)), config.latency_cycles - 1
    one = scales_of_one(config)
    every = columns(config, {**operands, **one, "first": 1, "last": 1})
    # What a row is worth is seen some edges later.
    longer = {name: np.pad(column, ((0, late), (0, 0))) for name, column in every.items()}
    shown = config.respond(longer)["accumulator"][late:, 0]
    significands, shifts, _ = config.scaling([[one[name] for name in config.scale_ports]], one.get("base", 0))
    return operands, shown // int(significands[0] << shifts[0])


def _reset(config: BlockMacConfig) -> Columns:
    return columns(config, {"rst": 1, "valid": 0}, 1)


def _values(port: Port) -> NDArray[np.int64]:
    """Every code; of plain activations the extreme values."""
    return np.array(extreme_activations()) if port.signed else np.arange(1 << port.bits)


def _every_operand(config: BlockMacConfig) -> Iterator[Columns]:
    """Every pair of operands, first the same in all lanes, then different ones; for every value of further ports."""
    ports = {port.name: port for port in config.inputs}
    pairs = np.array(list(product(_values(ports["weights"]), _values(ports["activations"]))))
    lanes = np.arange(config.lanes)
    others = [port for port in config.inputs if port.name not in (*_KNOWN, *config.write_ports)]
    for value in range(max((count_of(config, port) for port in others), default=1)):
        same = {port.name: np.full((len(pairs), port.fields), value % count_of(config, port)) for port in others}
        for ahead in dict.fromkeys((0, 7 if config.lanes > 1 else 0)):
            rows = (np.arange(len(pairs))[:, None] + ahead * lanes) % len(pairs)
            yield {"weights": pairs[rows, 0], "activations": pairs[rows, 1], **same}


def _every_scale(config: BlockMacConfig, *blocks: Columns) -> Columns:
    """Every scale with one of `blocks`, each cycle a block and a sum of its own."""
    encoding = config.blocks.scales
    codes = np.arange(1 << encoding.used_bits)
    pairs = codes[:, None]
    if config.scaled_activations:
        ends = np.array([0, encoding.encode_one(1), encoding.nan_code - 1, encoding.nan_code])
        others = np.concatenate([ends + sign for sign in scale_signs(config)])
        crossed = np.array(list(product(codes, others)))
        lowest = np.arange(2 << encoding.mantissa_bits)  # every significand
        pairs = np.concatenate([crossed, crossed[:, ::-1], list(product(lowest, lowest))])
    assert config.span is not None
    bases = np.array([0])
    if config.base_bits:
        bases = np.array([0, config.exponents // 2, config.exponents - config.span, (1 << config.base_bits) - 1])
    count = len(pairs) * len(bases)
    chosen = np.random.default_rng(11).integers(0, len(blocks), count)
    given: dict[str, ArrayLike] = {name: column[chosen] for name, column in joined(list(blocks)).items()}
    given |= scale_ports(np.tile(pairs, (len(bases), 1)))
    return columns(config, {**given, "base": np.repeat(bases, len(pairs)), "first": 1, "last": 1})


def _extreme_sums(
    config: BlockMacConfig, chosen: dict[str, Columns], worth: dict[str, int], longest_sum: int
) -> Iterator[Columns]:
    assert config.span is not None
    block, largest = config.blocks.block // config.lanes, config.blocks.scales.nan_code - 1
    longest = max(1, min(config.depth // config.lanes, longest_sum) // block)
    sums = [(-worth[name] if sign else worth[name], name, sign) for name in worth for sign in scale_signs(config)]
    for one in sums:
        _, name, sign = one
        blocks = longest if one in (min(sums), max(sums)) else max(1, longest // _SHORTER)
        step = np.arange(blocks * block)
        same = {port: column.repeat(len(step), axis=0) for port, column in chosen[name].items()}
        ends = {"first": step == 0, "last": step % block == block - 1}
        scales = scales_of_one(config, largest, config.span)
        yield columns(config, {**same, **ends, **scales, "scale": scales["scale"] + sign})


def _walks(config: BlockMacConfig, chosen: dict[str, Columns]) -> Iterator[Columns]:
    assert config.span is not None
    least = 1 if config.blocks.scales.mantissa_bits else 0  # the least that is not zero
    largest = config.blocks.scales.nan_code - 1
    for names, scales in (
        (("down", "up", "up", "down"), scales_of_one(config, least)),
        (("least", "greatest"), scales_of_one(config, largest, config.span)),
    ):
        count = min(config.depth // config.blocks.block, 16)
        order = np.resize(np.arange(len(names)), count)
        whole = joined([chosen[name] for name in names])
        walk = {port: column[order] for port, column in whole.items()}
        yield columns(config, {**walk, **scales, "first": np.arange(count) == 0, "last": 1})


def _with_words(config: BlockMacConfig, longest_sum: int) -> Iterator[Columns]:
    if config.writable_codebooks:
        writes, operands, worth = largest_words(config)
        yield from (every_word(config), *every_product(config), writes)
        yield from _extreme_sums(config, operands, worth, longest_sum)


def _every_order(config: BlockMacConfig) -> Columns:
    order = np.array(de_bruijn(symbols=1 << len(CONTROLS), length=3))
    controls = {name: order >> place & 1 for place, name in enumerate(CONTROLS)}
    first, last, valid, reset = controls.values()
    in_block, in_sum, block = 0, 0, config.blocks.block // config.lanes
    for cycle in range(len(order)):  # no block too long, and no sum: another one begins instead
        if reset[cycle]:
            in_block = in_sum = 0
        elif valid[cycle]:
            first[cycle] |= in_sum == config.depth // config.lanes
            in_sum = 1 if first[cycle] else in_sum + 1
            in_block = 1 if first[cycle] else in_block + 1
            last[cycle] |= in_block == block
            in_block = 0 if last[cycle] else in_block
    random = np.random.default_rng(12)
    drawn = {port.name: random_port(config, port, len(order), random) for port in config.inputs if port.name not in controls}
    drawn |= random_writes(config, len(order), random)
    assert config.span is not None
    bases = np.full(len(order), (config.exponents - config.span) // 2)
    shifts = random.integers(0, config.span + 1, len(order))
    reached = scale_ports(codes_in_reach(config, bases, shifts, random))
    missed = random.random(len(order)) < _MISSED
    scales = {}
    for name, codes in reached.items():  # where there is no base, NaN alone is out of reach
        others = np.where(random.random(len(order)) < 1 / 2, config.blocks.scales.nan_code, drawn[name][:, 0])
        scales[name] = np.where(missed, others, codes)
    return columns(config, {**drawn, **controls, **scales, "base": bases})
