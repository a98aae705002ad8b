# SPDX-License-Identifier: Apache-2.0
"""What a MAC unit must do, stated without the generator: from the format's list of values and the description of the ports.

Stated twice: as Verilog, which looks products up and adds, for a solver; and as the polynomial of the inputs that the
accumulator becomes, for `synth.algebra`.
"""

from __future__ import annotations

from golden import MacConfig

from .algebra import Polynomial, of_table, product, total, word

__all__ = ["as_polynomial", "as_verilog"]


def as_polynomial(config: MacConfig) -> Polynomial:
    """The accumulator after an edge, modulo 2^(its bits), of itself before and of the inputs, by names like `weights[3]`.

    (1 - rst) ((1 - valid) accumulator + valid ((1 - first) accumulator + sum of values[weight] x activation))
    """
    bits, width = config.weight_format.bits, config.activation_bits
    accumulator = word([f"accumulator[{i}]" for i in range(config.accumulator_bits)])
    products = []
    for lane in range(config.lanes):
        weight = [f"weights[{bits * lane + i}]" for i in range(bits)]
        activation = [f"activations[{width * lane + i}]" for i in range(width)]
        products.append(product(of_table(weight, config.weight_format.values), word(activation, signed=True)))
    taken = total(product(_not("first"), accumulator), *products)
    held_or_taken = total(product(_not("valid"), accumulator), product({frozenset({"valid"}): 1}, taken))
    modulus = 1 << config.accumulator_bits
    result = product(_not("rst"), held_or_taken)
    return {monomial: c % modulus for monomial, c in result.items() if c % modulus}


def _not(name: str) -> Polynomial:
    return {frozenset(): 1, frozenset({name}): -1}


def as_verilog(config: MacConfig) -> str:
    """A module `config.name` whose products are looked up by code: multiples of the activation, made of shifts and `+`."""
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


def _multiple(value: int) -> str:
    shifted = [f"(x << {place})" for place in range(abs(value).bit_length()) if abs(value) >> place & 1]
    return f"{'-' if value < 0 else ''}({' + '.join(shifted) or '0'})"
