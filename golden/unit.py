# SPDX-License-Identifier: Apache-2.0
"""What units of every shape have in common: data ports, and the outputs that follow from inputs, cycle by cycle.

The generator, the benches and the measurements know a unit through this alone, whatever its shape.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .number_format import NumberFormat
from .parameters import check_types

__all__ = ["Port", "UnitConfig"]


@dataclass(frozen=True)
class Port:
    """A data port: `fields` numbers of `bits` each, the first in the lowest bits.

    `initial` is what an output register begins with where flip-flops have initial values.
    """

    name: str
    bits: int = 1
    fields: int = 1
    signed: bool = False
    output: bool = False
    initial: int = 0

    @property
    def width(self) -> int:
        """Bits of the whole port."""
        return self.bits * self.fields

    def levels(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """`values`, (cycles, fields), as the level of every bit, (cycles, width), the least significant first."""
        places = np.arange(self.bits)
        return (values.astype(np.int64)[:, :, None] >> places & 1).astype(bool).reshape(len(values), self.width)


@dataclass(frozen=True)
class UnitConfig(ABC):
    """A unit: its parameters, its ports beside the clock `clk`, and its behaviour.

    Subclasses are the shapes. `weight_format` is that of the weights, `activation_bits` the width of an activation.
    """

    weight_format: NumberFormat
    activation_bits: int = 8

    def __post_init__(self) -> None:
        """Refuse parameters of a wrong type; shapes check the rest."""
        if not isinstance(self.weight_format, NumberFormat):
            raise InputError(f"weight_format is {self.weight_format!r}: a NumberFormat is needed, as format_by_name gives it")
        check_types(self)

    # Parameters that every shape has, as a field or as a fact.

    @property
    @abstractmethod
    def depth(self) -> int:
        """Products that a sum holds without overflow."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Name of the multiplier architecture."""

    @property
    @abstractmethod
    def lanes(self) -> int:
        """Products that are added up in a cycle."""

    @property
    @abstractmethod
    def pipeline(self) -> int:
        """Register stages between ports and sum that were chosen."""

    @property
    def decoded(self) -> bool:
        """Whether weights are registered as the select lines of their digits, where that is a choice."""
        return False

    # Facts

    @property
    @abstractmethod
    def shape(self) -> str:
        """What the command line calls it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the top module."""

    @property
    def multiplied(self) -> NumberFormat:
        """What multipliers take for a weight."""
        return self.weight_format

    @property
    def format_name(self) -> str:
        """What tells its number formats from those of other units: the weights' name, and more where activations vary."""
        return self.weight_format.name

    @property
    def operand_titles(self) -> tuple[str, str]:
        """The formats of weights and activations, as they are written in prose."""
        return self.weight_format.title, f"INT{self.activation_bits}"

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Two's complement bits of a sum."""

    @property
    @abstractmethod
    def latency_cycles(self) -> int:
        """Rising edges until a sum is visible, the edge that takes its activations being the first."""

    @property
    def registers_weights(self) -> bool:
        """Whether weights are registered, so that `decoded` is a choice."""
        return False

    @property
    def products(self) -> int:
        """Products a cycle of the whole unit, which its energy is shared by."""
        return self.lanes

    @property
    @abstractmethod
    def ports(self) -> tuple[Port, ...]:
        """All ports but the clock, in order."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The input ports."""
        return tuple(port for port in self.ports if not port.output)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The output ports."""
        return tuple(port for port in self.ports if port.output)

    @property
    def sum_port(self) -> Port:
        """The output that shows sums."""
        return max(self.outputs, key=lambda port: port.bits)

    @property
    @abstractmethod
    def reset(self) -> Mapping[str, int]:
        """Levels of input ports that, held for `latency_cycles` + 1 edges, bring all registers to where `respond` begins."""

    @abstractmethod
    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The output ports after each rising edge, each (cycles, fields), from the input ports of each cycle, likewise.

        From reset on. Sums wrap as their registers do; operands that do not fit their port are refused.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data (the keys of the companion JSON file)."""

    def checked_activations(self, activations: ArrayLike) -> NDArray[np.int64]:
        """`activations` as integers; anything beyond `activation_bits` is refused, never truncated."""
        array = np.asarray(activations)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"activations have dtype {array.dtype}: integers are needed")
        array = array.astype(np.int64)
        half = 1 << (self.activation_bits - 1)
        if array.size and not -half <= array.min() <= array.max() < half:
            worst = array.min() if array.min() < -half else array.max()
            raise InputError(f"activation {worst} does not fit {self.activation_bits} bits: {-half} to {half - 1}")
        return array

    def describe_ports(self) -> list[dict[str, Any]]:
        """All ports, the clock too, as plain data: name, direction, width."""
        clock = {"name": "clk", "direction": "input", "width": 1}
        sides = {False: "input", True: "output"}
        return [clock, *({"name": port.name, "direction": sides[port.output], "width": port.width} for port in self.ports)]

    def varied(self, **changes: Any) -> Self:
        """The same unit with other parameters."""
        return replace(self, **changes)
