# SPDX-License-Identifier: Apache-2.0
"""Which units are checked: shapes, lanes and registers of every format, by what checks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain

from golden import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    FORMATS,
    GROUP_FORMATS,
    SCALED_FORMATS,
    VARIANTS,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    NumberFormat,
    PeConfig,
    UnitConfig,
    format_by_name,
)
from golden.errors import InputError
from hdl.architectures import ARCHITECTURES
from sim.simulators import Simulator

__all__ = [
    "BLOCKS",
    "NAMES",
    "ONE_LANE",
    "Shape",
    "block",
    "default",
    "element",
    "every_architecture",
    "every_unit",
    "in_amaranth",
    "mac",
    "mapped",
    "simulated",
    "with_delays",
    "zero_points",
]

#: These have units of every number of lanes, and netlists. Others have units of one lane in RTL, in Icarus: those of longer
#: groups and arrays differ from these in the width of a block's sum, those of other numbers of codebooks lie between.
BLOCKS = {
    **BLOCK_FORMATS,
    **{name: GROUP_FORMATS[name] for name in ("int4_g32", "dint4_g32")},
    **{name: CODEBOOK_FORMATS[name] for name in ("lobcq_c2_g16", "lobcq_c16_g16")},
}
NAMES = [*FORMATS, *VARIANTS, *SCALED_FORMATS]
Shape = Callable[[str, str], UnitConfig]  # of a format's and an architecture's name


def mac(lanes: int = 1, pipeline: int = 0, decoded: bool = False) -> Shape:
    return lambda name, architecture: MacConfig(
        format_by_name(name), lanes=lanes, pipeline=pipeline, architecture=architecture, decoded=decoded
    )


def element(decoded: bool = False, pipeline: int = 0) -> Shape:
    return lambda name, architecture: PeConfig(FORMATS[name], architecture=architecture, decoded=decoded, pipeline=pipeline)


def zero_points(name: str, architecture: str) -> UnitConfig:
    return AsymmetricConfig(FORMATS[name], lanes=1, units=2, architecture=architecture)


def block(activation_bits: int, lanes: int = 1, pipeline: int = 0, written: bool = False) -> Shape:
    return lambda name, architecture: BlockMacConfig.of(
        SCALED_FORMATS[name],
        activation_bits,
        lanes=lanes,
        architecture=architecture,
        pipeline=pipeline,
        writable_codebooks=written,
    )


ONE_LANE = mac()
# Shapes in each simulator. Icarus takes minutes where Verilator takes seconds, but compiles at once.
_LANES = mac(4)  # of INT8, which takes five minutes in all, in its default architecture; Verilator has 16 lanes of each
_IN_ICARUS = (ONE_LANE, _LANES, element())
_IN_VERILATOR = (
    ONE_LANE,
    mac(16),
    mac(4, 1),
    mac(4, 2),
    mac(4, 1, True),
    mac(4, 2, True),
    element(),
    element(True),
    element(pipeline=1),
    zero_points,
)
_RTL: dict[str, tuple[Shape, ...]] = {"icarus": _IN_ICARUS, "verilator": _IN_VERILATOR}
_VARIANTS = {"icarus": (ONE_LANE, mac(4)), "verilator": (mac(4),)}  # default architectures only; 10 s a unit in Verilator
_INTEGERS, _IN_FORMAT = _BLOCKS_SMALL = (block(8), block(4))  # in Icarus default architectures only
_BLOCKS = (*_BLOCKS_SMALL, *(block(bits, lanes) for bits in (8, 4) for lanes in (4, 16)))
_BLOCKS_REGISTERED = (block(8, 4, 1), block(4, 4, 1))  # in Verilator, default architectures only
# In every architecture. The products of groups by integers are those of plain formats; in the format, activations are narrower,
# and codebooks have integers of 6 bits multiplied, which are no format of the catalogue: one lane shows those.
_IN_FULL = {
    **dict.fromkeys(BLOCK_FORMATS, _BLOCKS),
    **dict.fromkeys(("int4_g32", "dint4_g32"), (_IN_FORMAT,)),
    "lobcq_c2_g16": _BLOCKS_SMALL,
}
# With codebooks that are written, in default architectures, in Verilator; the first is mapped, too.
_WRITTEN: dict[str, tuple[Shape, ...]] = {
    "lobcq_c2_g16": (block(8, written=True), block(4, 16, written=True), block(4, 4, 1, written=True)),
    "lobcq_c16_g16": (block(8, written=True),),
}
# In default architectures; one lane is mapped in all.
_MAPPED: tuple[Shape, ...] = (mac(4), element())
_MAPPED_REGISTERED: tuple[Shape, ...] = (mac(4, 1), mac(4, 2), element(pipeline=1))
# Of block formats, half a minute each: scales without a sign, and on the first kit with one.
_DELAYED, _DELAYED_ON_FIRST = "nvfp4", "dint4_g32"


def every_architecture(name: str, shape: Shape = ONE_LANE) -> list[UnitConfig]:
    """The units of a format, one for each architecture that can do it."""
    found = []
    for architecture in ARCHITECTURES.values():
        if architecture.can_do(_weights(name)):
            with suppress(InputError):  # a format that takes no zero-point in hardware
                unit = shape(name, architecture.name)
                if architecture.decodes(unit.weight_format) or not unit.decoded:
                    found.append(unit)
    return found


def default(name: str, shape: Shape) -> UnitConfig:
    return shape(name, _weights(name).architecture)


def _weights(name: str) -> NumberFormat:
    """What weights, or the elements of their blocks, are multiplied in."""
    return BlockMacConfig.of(SCALED_FORMATS[name]).multiplied if name in SCALED_FORMATS else format_by_name(name)


def in_amaranth(name: str) -> list[list[UnitConfig]]:
    """The units of a format that Amaranth simulates, those of a shape together."""
    if name in FORMATS:
        return [every_architecture(name)]
    if name in VARIANTS:
        return [[default(name, ONE_LANE)]]
    # Those of LO-BCQ in every architecture would take a minute, sixteen codebooks two.
    make = every_architecture if name in BLOCK_FORMATS else lambda *given: [default(*given)]
    return [make(name, shape) for shape in _BLOCKS_SMALL] if name in BLOCKS and name != "lobcq_c16_g16" else []


def simulated(name: str, simulator: Simulator) -> list[list[UnitConfig]]:
    """The units of a format that are simulated side by side as Verilog."""
    if name in FORMATS:
        wide = simulator.name == "icarus" and FORMATS[name].bits > 4
        return [
            [default(name, shape)] if wide and shape is _LANES else every_architecture(name, shape)
            for shape in _RTL[simulator.name]
        ]
    if name in VARIANTS:
        return [[default(name, shape)] for shape in _VARIANTS[simulator.name]]
    if simulator.name == "icarus":
        return [[default(name, shape)] for shape in _BLOCKS_SMALL]
    shapes = (*_BLOCKS, *_BLOCKS_REGISTERED, *_WRITTEN.get(name, ()))
    return [_of_blocks(name, shape) for shape in shapes] if name in BLOCKS else []


def _of_blocks(name: str, shape: Shape) -> list[UnitConfig]:
    """In every architecture where these multiply what no other unit does, else in the default one."""
    return every_architecture(name, shape) if shape in _IN_FULL.get(name, ()) else [default(name, shape)]


def mapped(name: str, *, registered: bool) -> list[list[UnitConfig]]:
    """The units of a format that are mapped, those of a shape together; `registered`: those with pipeline registers, too."""
    if name not in FORMATS and name not in BLOCKS:
        return []
    plain, pipelined = _MAPPED, _MAPPED_REGISTERED
    if name in BLOCKS:
        plain, pipelined = _BLOCKS_SMALL, (block(8, pipeline=1), *_WRITTEN.get(name, ())[:1])
    found = [[default(name, shape)] for shape in (*plain, *(pipelined if registered else ()))]
    return [every_architecture(name), *found] if name in FORMATS else found


def with_delays(name: str, *, first: bool) -> list[MacConfig | BlockMacConfig]:
    """The units whose netlists are simulated with delays; `first`: on the first kit."""
    if name == _DELAYED or (first and name == _DELAYED_ON_FIRST):
        return [BlockMacConfig.of(BLOCKS[name])]
    return [MacConfig(FORMATS[name], lanes=4)] if name in FORMATS else []


def every_unit(formats: Iterable[str], simulators: Sequence[Simulator]) -> list[UnitConfig]:
    """Every unit whose Verilog the checks need."""
    units: list[UnitConfig] = []
    for name in formats:
        together = [configs for simulator in simulators for configs in simulated(name, simulator)]
        units += chain(*together, *mapped(name, registered=True), with_delays(name, first=True))
    return list(dict.fromkeys(units))
