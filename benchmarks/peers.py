# SPDX-License-Identifier: Apache-2.0
"""INT8 x INT8 multipliers that others make, as units with the ports of ours, to hold our baseline against.

Yosys makes one of `*` and `+` (with or without its Booth multiplier); ArithsGen (Klhufek and Mrazek, DDECS 2022) makes signed
multipliers in several structures, each with several adders. All get the ports, the control and the
accumulator's width of `hdl.Mac` at one lane; their product is finished before it is added to the sum.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from golden import INT8, MacConfig
from golden.errors import ToolError

__all__ = ["CONFIG", "peers"]

CONFIG = MacConfig(INT8)

# Without signed signals, which not every reader of netlists knows.
_UNIT = """
module {name} (input clk, input rst, input valid, input first,
    input [7:0] activations, input [7:0] weights, output reg [{top}:0] accumulator);
    wire [15:0] product;
    {multiplier}
    wire [{top}:0] kept = first ? {width}'d0 : accumulator;
    always @(posedge clk)
        if (rst) accumulator <= {width}'d0;
        else if (valid) accumulator <= kept + {{{{{extension}{{product[15]}}}}, product}};
endmodule
"""
# One of each family of the library's carry-propagate adders: ripple, look-ahead, parallel prefix.
_ADDERS = ("UnsignedRippleCarryAdder", "UnsignedCarryLookaheadAdder", "UnsignedBrentKungAdder", "UnsignedKoggeStoneAdder")
_STRUCTURES = ("SignedArrayMultiplier", "SignedDaddaMultiplier", "SignedWallaceMultiplier", "SignedCarrySaveMultiplier")


def peers() -> Iterator[tuple[str, str, bool]]:
    """Name, Verilog of module `CONFIG.name`, and whether the multiplication is left to Yosys.

    Raises
    ------
    ToolError
        If ArithsGen is not installed.
    """
    yield "Yosys acc + a*w", _unit("assign product = $signed(activations) * $signed(weights);"), True
    try:
        from ariths_gen.multi_bit_circuits import adders, multipliers
        from ariths_gen.wire_components import Bus
    except ImportError:
        raise ToolError(
            "ArithsGen: the package ariths-gen is missing; install the extra: pip install 'dint[benchmark]'"
        ) from None

    for structure in _STRUCTURES:
        for adder in _ADDERS if structure != "SignedArrayMultiplier" else ("",):  # an array has no adder to choose
            options = {"unsigned_adder_class_name": getattr(adders, adder)} if adder else {}
            made = getattr(multipliers, structure)(a=Bus(N=8, prefix="a"), b=Bus(N=8, prefix="b"), name="peer", **options)
            with tempfile.TemporaryDirectory(prefix="dint-peer-") as folder:
                path = Path(folder) / "peer.v"
                with path.open("w") as file:
                    made.get_v_code_flat(file)
                text = path.read_text()
            name = " + ".join(filter(None, (_plain(structure), _plain(adder))))
            yield f"ArithsGen {name}", _unit("peer multiplier (activations, weights, product);") + text, False


def _unit(multiplier: str) -> str:
    width = CONFIG.accumulator_bits
    return _UNIT.format(name=CONFIG.name, multiplier=multiplier, width=width, top=width - 1, extension=width - 16)


def _plain(name: str) -> str:
    return name.removeprefix("Signed").removeprefix("Unsigned").removesuffix("Multiplier").removesuffix("Adder")
