# SPDX-License-Identifier: Apache-2.0
"""The ways to build a unit, by name: which formats each can do, and the bit heap that it makes of a weight and an activation.

Every way to multiply comes in two structures. The plain name is the small one; `<name>-fast` spends gates where they shorten
the critical path (`hdl.mac`, `hdl.compressor`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from amaranth.hdl import Signal, Value

from golden import FORMATS, InputError, NumberFormat, UnitConfig
from golden.errors import nearest

from .baugh_wooley import baugh_wooley, has_array, twos_complement
from .bit_heap import BitHeap
from .booth import booth, booth_carry, booth_carry_inverted, booth_direct
from .digit_grid import digit_grid, direct_grid, has_grid
from .sign_magnitude import sign_magnitude

__all__ = ["ARCHITECTURES", "Architecture", "architecture_of"]


@dataclass(frozen=True)
class Architecture:
    """One way to multiply.

    Parameters
    ----------
    name
        As used on the command line.
    summary
        What it is, in one line.
    can_do
        Whether it can multiply by weights of a format.
    partial_products
        Gives the bit heap of number format, weight (code) and activation; None for the behavioural description, which leaves
        the multiplication to synthesis.
    for_speed
        Whether gates are spent for speed around the partial products.
    fast
        Name of the architecture to take instead where speed counts; empty: none is better.
    """

    name: str
    summary: str
    can_do: Callable[[NumberFormat], bool]
    partial_products: Callable[[NumberFormat, Value, Value], BitHeap] | None
    for_speed: bool = False
    fast: str = ""

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the catalogue's formats that it can do."""
        return tuple(name for name, number_format in FORMATS.items() if self.can_do(number_format))

    def decodes(self, number_format: NumberFormat) -> bool:
        """Whether partial products are selected by lines that are decoded from the weight's code."""
        if self.partial_products is None:
            return False
        heap = self.partial_products(number_format, Signal(number_format.bits), Signal(8))
        return any(one.selects for one in heap.signals)


def _pairs(number_format: NumberFormat) -> bool:
    return number_format.bits % 2 == 0 and twos_complement(number_format)


_IN_TWO_STRUCTURES = (
    Architecture("booth", "radix-4 Booth rows, digits -2 to 2", _pairs, booth),
    Architecture("booth-direct", "the digits of booth, every multiple selected for itself", _pairs, booth_direct),
    Architecture("booth-carry", "radix-4 rows with digits -1 to 2 and a carry, -2 to 2 at the top", _pairs, booth_carry),
    Architecture("baugh-wooley", "an array of and gates", has_array, baugh_wooley),
    Architecture("sign-magnitude", "an array of and gates for the weight's magnitude", twos_complement, sign_magnitude),
    Architecture("digit-grid", "two digits a code, signs shared where that is smaller", has_grid, digit_grid),
    Architecture("direct-grid", "two digits a code, every multiple selected for itself", has_grid, direct_grid),
)
_SMALL = tuple(replace(one, fast=f"{one.name}-fast") for one in _IN_TWO_STRUCTURES)
_FAST = tuple(
    replace(one, name=f"{one.name}-fast", summary=f"{one.summary}; built for speed", for_speed=True)
    for one in _IN_TWO_STRUCTURES
)
_OTHERS = (
    # Which cells rows are made of does not matter where full adders become gates.
    Architecture(
        "booth-carry-inverted",
        "the rows of booth-carry, built of and-or-invert cells",
        _pairs,
        booth_carry_inverted,
        fast="booth-carry-fast",
    ),
    Architecture("multiply", "decode, then * and +, left to synthesis: the careless baseline", lambda _: True, None),
)

ARCHITECTURES: dict[str, Architecture] = {one.name: one for one in (*_SMALL, *_FAST, *_OTHERS)}


def architecture_of(config: UnitConfig) -> Architecture:
    """The architecture that a configuration names.

    Raises
    ------
    InputError
        If there is none of that name, it cannot do the format, or it has nothing to decode.
    """
    name, number_format = config.architecture, config.multiplied
    able = [architecture.name for architecture in ARCHITECTURES.values() if architecture.can_do(number_format)]
    if name not in ARCHITECTURES:
        hint = nearest(name, ARCHITECTURES)
        raise InputError(f"unknown architecture {name!r}: {hint}{number_format.title} takes {', '.join(able)}")
    if name not in able:
        hint, title = nearest(name, able, cutoff=0), number_format.title
        raise InputError(f"architecture {name} cannot do {title}: {hint}{title} takes {', '.join(able)}")
    found = ARCHITECTURES[name]
    if config.decoded and not found.decodes(number_format):
        raise InputError(f"decoded: architecture {name} has nothing to decode; leave it out, or take another architecture")
    return found
