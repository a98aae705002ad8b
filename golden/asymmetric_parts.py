# SPDX-License-Identifier: Apache-2.0
"""The two parts of units for asymmetric weights, each by itself: what one unit costs, and what all of them share once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .asymmetric import AsymmetricConfig
from .unit import Port, UnitConfig

__all__ = ["CorrectionConfig", "OffsetConfig"]


@dataclass(frozen=True)
class _Part(UnitConfig):
    """A part of units for asymmetric weights; parameters as those of `AsymmetricConfig`."""

    lanes: int = 1
    depth: int = 65536
    pipeline: int = 0
    architecture: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "architecture", self.whole.architecture)

    @property
    def whole(self) -> AsymmetricConfig:
        """One unit with its correction."""
        return AsymmetricConfig(**_shared(self))

    @classmethod
    def of(cls, config: AsymmetricConfig) -> Self:
        """The part of such units."""
        return cls(**_shared(config))

    @property
    def shape(self) -> str:
        """What the command line calls it."""
        return "mac"

    @property
    def _operands(self) -> tuple[Port, ...]:
        controls = (Port("rst"), Port("valid"), Port("first"))
        return (*controls, Port("activations", self.activation_bits, self.lanes, signed=True))

    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data."""
        own = {
            "accumulator_bits": self.accumulator_bits,
            "latency_cycles": self.latency_cycles,
            "zero_point_bits": self.whole.zero_point_bits,
            "ports": self.describe_ports(),
        }
        return self.whole.mac.describe() | own


def _shared(config: _Part | AsymmetricConfig) -> dict[str, Any]:
    """The parameters that parts and whole have in common."""
    return {field.name: getattr(config, field.name) for field in fields(_Part)}


@dataclass(frozen=True)
class OffsetConfig(_Part):
    """A MAC unit whose decoder is given the zero-point; of formats with special codes (`AsymmetricConfig.recode`)."""

    @property
    def name(self) -> str:
        """Name of the top module."""
        return f"{self.whole.mac.name}_offset"

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of a sum of recoded weights times activations."""
        return self.whole.unit.accumulator_bits

    @property
    def latency_cycles(self) -> int:
        """As of the unit for symmetric weights."""
        return self.whole.unit.latency_cycles

    @property
    def ports(self) -> tuple[Port, ...]:
        """Those of a MAC unit, and the zero-point."""
        return (
            *self._operands,
            Port("weights", self.weight_format.bits, self.lanes),
            Port("zero_point", self.whole.zero_point_bits),
            Port("accumulator", self.accumulator_bits, signed=True, output=True),
        )

    @property
    def reset(self) -> Mapping[str, int]:
        """As of a MAC unit."""
        return {"rst": 1, "valid": 1, "first": 0}

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The sum after each edge."""
        recoded = self.whole.recode(inputs["weights"], inputs["zero_point"][:, 0])
        return self.whole.unit.respond({**inputs, "weights": recoded})


@dataclass(frozen=True)
class CorrectionConfig(_Part):
    """The sum of activations, and a unit's sum less the offset times that."""

    @property
    def name(self) -> str:
        """Name of the top module."""
        return f"{self.whole.mac.name}_correction"

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of a corrected sum."""
        return self.whole.accumulator_bits

    @property
    def latency_cycles(self) -> int:
        """Edges until activations are in a corrected sum."""
        return self.pipeline + 2

    @property
    def ports(self) -> tuple[Port, ...]:
        """The operands, a unit's sum and its zero-point; the corrected sum."""
        return (
            *self._operands,
            Port("accumulator", self.whole.unit.accumulator_bits, signed=True),
            Port("zero_point", self.whole.zero_point_bits),
            Port("corrected", self.accumulator_bits, signed=True, output=True),
        )

    @property
    def reset(self) -> Mapping[str, int]:
        """The sum of activations is cleared."""
        return {"rst": 1, "valid": 1, "first": 0}

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The corrected sum after each edge, of the given sum and the activations that were summed before it."""
        controls = (inputs[name][:, 0] for name in ("first", "valid", "rst"))
        offsets = np.array([self.whole.offset(int(z)) for z in inputs["zero_point"][:, 0]], dtype=np.int64)
        sums = self.whole.activation_sums(inputs["activations"], *controls)
        seen = [0] * (1 + self.pipeline) + sums
        step, half = int(1 / self.weight_format.unit), 1 << self.accumulator_bits - 1
        totals = inputs["accumulator"][:, 0] - offsets * step * np.array(seen[: len(sums)], dtype=np.int64)
        return {"corrected": ((totals + half) % (2 * half) - half)[:, None]}
