# SPDX-License-Identifier: Apache-2.0
"""What units must do, stated without the generator: from the format's list of values and the description of the ports.

As polynomials that registers become at an edge, for `synth.algebra`; and of a MAC unit as Verilog, too, which looks products
up and adds, for a solver.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from golden import AsymmetricConfig, BlockMacConfig, MacConfig, PeConfig, UnitConfig

from .algebra import Polynomial, bits_of, of_table, product, total, word

__all__ = [
    "Transition",
    "as_verilog",
    "decoded_scale",
    "every_scale",
    "in_reset_first",
    "multiplied",
    "transitions",
    "word_register",
]

_ALWAYS: Polynomial = {frozenset(): 1}


@dataclass(frozen=True)
class Transition:
    """What a register takes at every edge, modulo 2^(its bits), by names as `synth.algebra.next_word` gives them.

    Parameters
    ----------
    register
        An output, or a wire within the unit.
    becomes
        A polynomial of registers and inputs; None: it stays as it is.
    delay, through
        How far back inputs are looked for, as for `next_word`.
    where
        It is claimed where this is 1; 0 or 1 otherwise.
    """

    register: str
    becomes: Polynomial | None
    delay: int = 0
    through: str = ""
    where: Polynomial = field(default_factory=lambda: _ALWAYS)


def transitions(config: UnitConfig) -> Iterator[Transition]:
    """What is claimed of a unit; together it determines the outputs."""
    if isinstance(config, PeConfig):
        return _of_element(config)
    if isinstance(config, AsymmetricConfig):
        return _of_asymmetric(config)
    if isinstance(config, BlockMacConfig):
        return _of_block_unit(config)
    assert isinstance(config, MacConfig)
    return _of_mac(config)


def _of_mac(config: MacConfig) -> Iterator[Transition]:
    """The products of a cycle are added."""
    number_format, cycle = config.weight_format, config.pipeline
    weights = bits_of("weights", number_format.bits * config.lanes, cycle)
    added = _products(config, weights, (), number_format.values, cycle)
    yield Transition("accumulator", _sum("accumulator", config.accumulator_bits, added, cycle), cycle)


def _of_element(config: PeConfig) -> Iterator[Transition]:
    """The weight in use stays without `swap`; after one the sum is that with the weight that was next.

    So, by induction, the sum is that with the weight that was swapped in last, in whatever form it is kept.
    """
    in_use = "selects_in_use" if config.decoded else "weight_in_use"
    number_format, total_bits = config.weight_format, config.accumulator_bits
    weight, following = bits_of("weight", number_format.bits), bits_of("weight_out", number_format.bits)
    activation = bits_of("activation", config.activation_bits)
    register, before = ("activation", 2) if config.pipeline else ("activation_out", 0)
    used = bits_of(register, config.activation_bits, before)
    swapped = of_table(bits_of("weight_out", number_format.bits, 1 + config.pipeline), number_format.values)
    added = product(swapped, word(used, signed=True))
    yield Transition("weight_out", total(product(_bit("load"), word(weight)), product(_not("load"), word(following))))
    yield Transition("swap_out", _bit("swap"))
    yield Transition("activation_out", word(activation))
    yield Transition(in_use, None, where=_not("swap"))
    sums = total(word(bits_of("partial_sum", total_bits)), added)
    delay, through = (2, "") if config.pipeline else (1, in_use)
    yield Transition("partial_sum_out", sums, delay, through, where=_bit(f"swap@{delay}"))


def _of_asymmetric(config: AsymmetricConfig) -> Iterator[Transition]:
    """A unit's sum is that of `multiplied` times activations; the offset times the sum of activations is taken off again.

    Claimed for zero-points that the format takes.
    """
    units = [f"unit_{u}.accumulator" for u in range(config.units)]
    sums = ["correction.activation_sum", *(f"correction.activation_sum_{i + 1}" for i in range(config.pipeline))]
    yield from (_unit(config, u, unit) for u, unit in enumerate(units))

    sum_bits = config.activation_sum_bits
    added = total(*(word(activation, signed=True) for activation in _activations(config)))
    yield Transition(sums[0], _sum(sums[0], sum_bits, added, 0))
    yield from (Transition(after, word(bits_of(before, sum_bits))) for before, after in pairwise(sums))

    choice = bits_of("read_unit", max(1, (config.units - 1).bit_length()))
    read = []
    for u, unit in enumerate(units):
        chosen = of_table(choice, [min(i, config.units - 1) == u for i in range(1 << len(choice))])
        read.append(product(chosen, word(bits_of(unit, config.unit.accumulator_bits), signed=True)))
    zero_point, legal, offsets = bits_of("read_zero_point", config.zero_point_bits), _legal(config), _offsets(config)
    minus = of_table(zero_point, [-offset for offset in offsets] + [0] * (len(legal) - len(offsets)))
    corrected = total(*read, product(minus, word(bits_of(sums[-1], sum_bits), signed=True)))
    yield Transition("accumulator", corrected, where=of_table(zero_point, legal))


def _of_block_unit(config: BlockMacConfig) -> Iterator[Transition]:
    """What a block adds is `scaler_addend`, what its scales mean `scale_decoder_...`, and the codeword of lane i's code, where
    there are codebooks, `weight_i_value` and `activation_i_value`: wires that `synth.block_proof` is about.

    Codebooks that are writable are registers `word_register`, by place; what codes stand for in them is left open, likewise.

    `fresh`: no block has begun. `opening`: the block begins a sum. `done`: it has ended with the operands of the edge before.
    """
    rst, first, last, valid = map(_bit, ("rst", "first", "last", "valid"))
    fresh, opening, done, exact, reached = map(_bit, ("fresh", "opening", "done", "exact", "scale_decoder_reached_1"))
    begins, take = _either(first, fresh), product(valid, _no(rst))
    yield Transition("fresh", _either(rst, _choice(valid, last, fresh)))
    yield Transition("opening", _choice(take, _either(first, product(opening, _no(begins))), opening))
    yield Transition("done", product(take, last))
    for name, bits in decoded_scale(config).items():
        yield Transition(f"scale_decoder_{name}_1", word(bits_of(f"scale_decoder_{name}", bits)))

    if config.writable_codebooks:
        values = [value for one in config.blocks.elements for value in one.values]
        yield from (_of_codeword(config, place, value) for place, value in enumerate(values))

    weights, activations = _factors(config, "weight"), _factors(config, "activation")
    products = [product(weight, activation) for weight, activation in zip(weights, activations, strict=True)]
    before = word(bits_of("block.accumulator", config.block_sum.accumulator_bits))
    sums = _choice(valid, total(product(_no(begins), before), *products), before)
    yield Transition("block.accumulator", product(_no(rst), sums))

    added, sum_bits = word(bits_of("scaler_addend", config.accumulator_bits)), config.accumulator_bits
    if config.pipeline:
        registered = bits_of("addend_1", config.addend_bits)
        yield Transition("addend_1", word(bits_of("scaler_addend", config.addend_bits)))
        yield Transition("done_1", product(done, _no(rst)))
        yield Transition("opening_1", opening)
        yield Transition("reached_2", reached)
        done, opening, reached = map(_bit, ("done_1", "opening_1", "reached_2"))
        added = product(_no(rst), word(registered, signed=True))
    yield Transition("exact", _either(rst, _choice(done, product(_either(exact, opening), reached), exact)))
    kept = product(_no(_either(rst, product(done, opening))), word(bits_of("accumulator", sum_bits)))
    yield Transition("accumulator", total(kept, added))


def word_register(place: int) -> str:
    """The register of a codeword that is writable, at selector x 2^b + code."""
    return f"codebook_registers.word_{place}"


def _of_codeword(config: BlockMacConfig, place: int, at_reset: int) -> Transition:
    """The format's in reset; what is written, if that is to this place, whatever `valid`; else it stays."""
    register, bits = word_register(place), config.value_bits
    address = bits_of("codebook_address", config.blocks.selector_bits + config.blocks.bits)
    here = of_table(address, [number == place for number in range(1 << len(address))])
    written = product(_bit("codebook_write"), here)
    taken = _choice(written, word(bits_of("codebook_word", bits), signed=True), word(bits_of(register, bits), signed=True))
    rst = _bit("rst")
    return Transition(register, total(product(rst, {frozenset(): at_reset}), product(_no(rst), taken)))


def _factors(config: BlockMacConfig, operand: str) -> list[Polynomial]:
    """What the lanes of an operand multiply: integers, the values of codes, or the wires that codebooks drive."""
    if operand == "activation" and not config.scaled_activations:
        return [word(bits, signed=True) for bits in _lanes(config, "activations", config.activation_bits)]
    if config.selectors:
        wires = [f"{operand}_{i}_value" for i in range(config.lanes)]
        return [word(bits_of(wire, config.value_bits), signed=True) for wire in wires]
    return [of_table(code, config.weight_format.values) for code in _lanes(config, f"{operand}s", config.blocks.bits)]


def decoded_scale(config: BlockMacConfig) -> dict[str, int]:
    """What the scales of a block mean, as wires `scale_decoder_...` of so many bits.

    The shift, whether it is one that there is, and the significand, where scales have a mantissa, and its sign, where they have
    one.
    """
    assert config.span is not None
    mantissa = config.blocks.scales.mantissa_bits
    names = {"shift": max(1, config.span.bit_length()), "reached": 1}
    names |= {"significand": (mantissa + 1) * config.scale_factors} if mantissa else {}
    return names | ({"sign": 1} if config.blocks.scales.negative else {})


def every_scale(config: BlockMacConfig) -> Iterator[tuple[NDArray[np.int64], int]]:
    """All codes that a block's scales can have, (codes, 1), or pairs, (pairs, 2), with each base."""
    codes = np.indices((1 << config.scale_bits,) * config.scale_factors).reshape(config.scale_factors, -1).T
    yield from ((codes, base) for base in range(1 << config.base_bits))


def _unit(config: AsymmetricConfig, u: int, register: str) -> Transition:
    """The sum of unit u; without special codes it takes no zero-point."""
    number_format, width, cycle = config.weight_format, config.zero_point_bits, config.pipeline
    count = number_format.bits * config.lanes
    weights = bits_of("weights", count * config.units, cycle)[count * u : count * (u + 1)]
    zero_point, where, values = list[str](), _ALWAYS, list(number_format.values)
    if number_format.special_codes:
        zero_point = bits_of("zero_points", width * config.units, cycle)[width * u : width * (u + 1)]
        where = of_table(zero_point, _legal(config))
        values = [value for row in multiplied(config) for value in row]
        values += [0] * ((1 << width + number_format.bits) - len(values))
    added = _products(config, weights, zero_point, values, cycle)
    return Transition(register, _sum(register, config.unit.accumulator_bits, added, cycle), cycle, where=where)


def _legal(config: AsymmetricConfig) -> list[bool]:
    """Whether the format takes a number as a zero-point."""
    return [number <= config.weight_format.steps for number in range(1 << config.zero_point_bits)]


def multiplied(config: AsymmetricConfig) -> list[list[int]]:
    """What a unit multiplies activations by, for each zero-point, by code: the weight less zero-point, plus the offset.

    For codes of the grid that is their value; special codes, which the zero-point does not move, are higher by the offset.
    """
    rows = [config.weight_format.with_zero_point(point).values for point in range(config.weight_format.steps + 1)]
    return [[value + offset for value in values] for values, offset in zip(rows, _offsets(config), strict=True)]


def _offsets(config: AsymmetricConfig) -> list[int]:
    """For each zero-point, what the sum of activations is multiplied by, in units: the zero-point as a value of the grid."""
    number_format = config.weight_format
    least = min(value for code, value in enumerate(number_format.values) if code not in number_format.special_codes)
    return [int(point / number_format.unit) + least for point in range(number_format.steps + 1)]


def _products(
    config: MacConfig | AsymmetricConfig, weights: Sequence[str], zero_point: Sequence[str], values: Sequence[int], cycle: int
) -> Polynomial:
    """The sum of values[zero-point, weight] x activation."""
    bits = config.weight_format.bits
    tables = [of_table([*weights[bits * i : bits * (i + 1)], *zero_point], values) for i in range(config.lanes)]
    activations = [word(activation, signed=True) for activation in _activations(config, cycle)]
    return total(*(product(table, activation) for table, activation in zip(tables, activations, strict=True)))


def _activations(config: MacConfig | AsymmetricConfig, cycle: int = 0) -> list[list[str]]:
    return _lanes(config, "activations", config.activation_bits, cycle)


def _lanes(config: MacConfig | AsymmetricConfig | BlockMacConfig, port: str, width: int, cycle: int = 0) -> list[list[str]]:
    """A port's bits, those of each lane together."""
    bits = bits_of(port, width * config.lanes, cycle)
    return [bits[width * i : width * (i + 1)] for i in range(config.lanes)]


def _sum(register: str, bits: int, added: Polynomial, cycle: int) -> Polynomial:
    """(1 - rst) ((1 - valid) register + valid ((1 - first) register + added)), with controls of so many cycles before."""
    (rst,), (valid,), (first,) = (bits_of(name, 1, cycle) for name in ("rst", "valid", "first"))
    before = word(bits_of(register, bits))
    taken = total(product(_not(first), before), added)
    return product(_not(rst), total(product(_not(valid), before), product(_bit(valid), taken)))


def _bit(name: str) -> Polynomial:
    return {frozenset({name}): 1}


def _not(name: str) -> Polynomial:
    return {frozenset(): 1, frozenset({name}): -1}


def _no(bit: Polynomial) -> Polynomial:
    return total(_ALWAYS, {monomial: -c for monomial, c in bit.items()})


def _either(left: Polynomial, right: Polynomial) -> Polynomial:
    return _no(product(_no(left), _no(right)))


def _choice(bit: Polynomial, one: Polynomial, other: Polynomial) -> Polynomial:
    return total(product(bit, one), product(_no(bit), other))


def as_verilog(config: MacConfig) -> str:
    """A MAC unit as a module whose products are looked up by code: multiples of the activation, made of shifts and `+`."""
    bits, width, lanes = config.weight_format.bits, config.accumulator_bits, config.lanes
    table = "\n".join(
        f"        {bits}'d{code}: product = {_multiple(v)};" for code, v in enumerate(config.weight_format.values)
    )
    products = [f"product(w[{bits * i + bits - 1}:{bits * i}], a[{8 * i + 7}:{8 * i}])" for i in range(lanes)]
    stages = "\n".join(
        f"  reg [{(8 + bits) * lanes + 2}:0] stage_{i + 1}; always @(posedge clk) stage_{i + 1} <= stage_{i};"
        for i in range(config.pipeline)
    )
    return f"""\
module {config.name}(input clk, input rst, input valid, input first,
    input [{8 * lanes - 1}:0] activations, input [{bits * lanes - 1}:0] weights, output reg [{width - 1}:0] accumulator);
  function [{width - 1}:0] product(input [{bits - 1}:0] code, input [7:0] activation);
    reg [{width - 1}:0] x;
    begin
      x = {{{{{width - 8}{{activation[7]}}}}, activation}};
      case (code)
{table}
      endcase
    end
  endfunction
  wire [{(8 + bits) * lanes + 2}:0] stage_0 = {{weights, activations, first, valid, rst}};
{stages}
  wire [{bits * lanes - 1}:0] w;
  wire [{8 * lanes - 1}:0] a;
  wire start, take, clear;
  assign {{w, a, start, take, clear}} = stage_{config.pipeline};
  always @(posedge clk)
    if (clear) accumulator <= 0;
    else if (take) accumulator <= (start ? 0 : accumulator) + {" + ".join(products)};
endmodule
"""


def in_reset_first(config: MacConfig) -> str:
    """A module `dint_around` with a MAC unit that is in reset at the first edge; its sum is shown when that has reached it."""
    inputs = {"valid": 1, "first": 1, "activations": 8 * config.lanes, "weights": config.weight_format.bits * config.lanes}
    ports = ", ".join(f"input [{width - 1}:0] {name}" for name, width in inputs.items())
    connections = ", ".join(f".{name}({name})" for name in inputs)
    width, edges = config.accumulator_bits, config.latency_cycles
    return f"""
module dint_around(input clk, input rst, {ports}, output [{width - 1}:0] shown);
  reg [1:0] edges = 0;
  wire [{width - 1}:0] sum;
  always @(posedge clk) if (edges != {edges}) edges <= edges + 1;
  {config.name} unit(.clk(clk), .rst(rst | edges == 0), {connections}, .accumulator(sum));
  assign shown = edges == {edges} ? sum : 0;
endmodule
"""


def _multiple(value: int) -> str:
    shifted = [f"(x << {place})" for place in range(abs(value).bit_length()) if abs(value) >> place & 1]
    return f"{'-' if value < 0 else ''}({' + '.join(shifted) or '0'})"
