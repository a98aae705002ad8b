# SPDX-License-Identifier: Apache-2.0
"""The multiply-accumulate unit as one immutable object, and the exact integers it must produce.

`hdl.Mac(config)` is the circuit of the same object: names, widths, latency and behaviour are derived here once and read by
the generator, the benches and the reports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .number_format import NumberFormat, signed_bits
from .unit import Port, UnitConfig

__all__ = ["MacConfig"]


@dataclass(frozen=True)
class MacConfig(UnitConfig):
    """A MAC unit: `lanes` products of a weight code and a two's complement activation, added to one accumulator a cycle.

    Parameters
    ----------
    weight_format
        Number format of the weights.
    activation_bits
        Width of an activation; 8.
    lanes
        Products per cycle, 1 to 64.
    depth
        Number of products that the accumulator holds without overflow, 1 to 2^24.
    pipeline
        Register stages between the ports and the accumulator: 0 (none), 1 (operand registers), or 2 (operand registers, and
        registers for the compressed products, which are added to the accumulator a cycle later).
    architecture
        Name of the multiplier architecture; empty for the format's default.
    decoded
        Whether the operand registers hold the select lines of the weights' digits instead of their codes: more flip-flops, but
        nothing is decoded between them and the partial products, which then change once a cycle.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    weight_format: NumberFormat
    activation_bits: int = 8
    lanes: int = 1
    depth: int = 65536
    pipeline: int = 0
    architecture: str = ""
    decoded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_activation_bits()
        if not 1 <= self.lanes <= 64:
            raise InputError(f"lanes is {self.lanes}: a MAC has 1 to 64; use several units for more")
        if not self.lanes <= self.depth <= 1 << 24:
            raise InputError(f"depth is {self.depth}: it counts products, from lanes ({self.lanes}) to {1 << 24}")
        if self.pipeline not in (0, 1, 2):
            raise InputError(f"pipeline is {self.pipeline}: 0 (none), 1 (operand registers) or 2 (and compressed products)")
        if self.decoded and not self.pipeline:
            raise InputError("decoded: without operand registers there is nothing to register; give pipeline 1 or 2")
        if not self.architecture:
            object.__setattr__(self, "architecture", self.weight_format.architecture)

    def _check_activation_bits(self) -> None:
        if self.activation_bits != 8:
            raise InputError(f"activation_bits is {self.activation_bits}: only 8 is supported")

    @property
    def name(self) -> str:
        """Name of the top module: `mac_<format>_x<lanes>`; what differs from the default is a suffix."""
        parts = ["mac", self.weight_format.name, f"x{self.lanes}"]
        if self.architecture != self.weight_format.architecture:
            parts.append(self.architecture.replace("-", "_"))
        if self.pipeline:
            parts.append(f"p{self.pipeline}")
        if self.decoded:
            parts.append("decoded")
        if self.depth != 65536:
            parts.append(f"d{self.depth}")
        return "_".join(parts)

    @property
    def shape(self) -> str:
        """What the command line calls it."""
        return "mac"

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports but the clock (`hdl.Mac` says what they do)."""
        return (
            Port("rst"),
            Port("valid"),
            Port("first"),
            Port("activations", self.activation_bits, self.lanes, signed=True),
            Port("weights", self.weight_format.bits, self.lanes),
            Port("accumulator", self.accumulator_bits, signed=True, output=True),
        )

    @property
    def reset(self) -> Mapping[str, int]:
        """`rst` is held, with `valid` operands, which must not count."""
        return {"rst": 1, "valid": 1, "first": 0}

    @property
    def registers_weights(self) -> bool:
        """Only with operand registers."""
        return self.pipeline > 0

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of any sum of `depth` products: +max|product| x depth is the widest of them."""
        return signed_bits(self.weight_format.largest_product(self.activation_bits) * self.depth)

    @property
    def latency_cycles(self) -> int:
        """Rising edges until a sum is visible, the edge that takes its operands being the first."""
        return 1 + self.pipeline

    # The exact answer

    def dot(self, weights: ArrayLike, activations: ArrayLike) -> NDArray[np.int64]:
        """Sum over the last axis of decoded `weights` (codes, (..., n)) times `activations` ((..., n)), in units.

        Leading axes broadcast as in numpy. At most `depth` products; operands out of range are refused.
        """
        codes = self.weight_format.checked_codes(weights)
        values = self.checked_activations(activations)
        if codes.shape[-1:] != values.shape[-1:]:
            raise InputError(f"weights end in {codes.shape[-1:]}, activations in {values.shape[-1:]}: lengths must agree")
        if codes.shape[-1] > self.depth:
            raise InputError(f"{codes.shape[-1]} products exceed the depth {self.depth}: the accumulator may overflow")
        return np.asarray(np.sum(self.weight_format.decode(codes) * values, axis=-1))

    def dot_one(self, weights: list[int], activations: list[int]) -> int:
        """One dot product of Python integers: the scalar twin of `dot`."""
        if len(weights) > self.depth:
            raise InputError(f"{len(weights)} products exceed the depth {self.depth}: the accumulator may overflow")
        total = 0
        for code, activation in zip(weights, activations, strict=True):
            if not -(1 << self.activation_bits - 1) <= activation < 1 << self.activation_bits - 1:
                raise InputError(f"activation {activation} does not fit {self.activation_bits} bits")
            total += self.weight_format.decode_one(code) * activation
        return total

    def run(
        self, weights: ArrayLike, activations: ArrayLike, first: ArrayLike, valid: ArrayLike, reset: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """The accumulator after each rising edge, cycle by cycle: what the circuit must show.

        `weights` and `activations` have shape (cycles, lanes), `first`, `valid` and `reset` (cycles,). The unit starts from
        reset (0). Entry t is the value after edge t has taken the operands of cycle t; with `latency_cycles` above 1 the
        circuit shows it that many edges less one later. Sums wrap at `accumulator_bits`, as the register does.
        """
        products = np.sum(self.weight_format.decode(weights) * self.checked_activations(activations), axis=-1)
        if products.ndim != 1:
            raise InputError(f"weights have shape {np.shape(weights)}: (cycles, lanes) is needed")
        first, valid = np.asarray(first, dtype=bool), np.asarray(valid, dtype=bool)
        cleared = np.zeros_like(valid) if reset is None else np.asarray(reset, dtype=bool)
        half = 1 << (self.accumulator_bits - 1)
        sums, total = np.empty(len(products), dtype=np.int64), 0
        for cycle, product in enumerate(products.tolist()):
            if cleared[cycle]:
                total = 0
            elif valid[cycle]:
                total = product if first[cycle] else total + product
                total = (total + half) % (2 * half) - half
            sums[cycle] = total
        return sums

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The port `accumulator` after each edge: `run`, `latency_cycles` - 1 edges later."""
        controls = (inputs[name][:, 0] for name in ("first", "valid", "rst"))
        sums = self.run(inputs["weights"], inputs["activations"], *controls)
        return {"accumulator": np.concatenate([np.zeros(self.pipeline, np.int64), sums])[: len(sums), None]}

    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data (the keys of the companion JSON file)."""
        return {
            "format": self.weight_format.name,
            "weight_bits": self.weight_format.bits,
            "activation_bits": self.activation_bits,
            "lanes": self.lanes,
            "unit": float(self.weight_format.unit),
            "values": list(self.weight_format.values),
            "accumulator_bits": self.accumulator_bits,
            "depth": self.depth,
            "latency_cycles": self.latency_cycles,
            "architecture": self.architecture,
            "pipeline": self.pipeline,
            "decoded": self.decoded,
            "ports": self.describe_ports(),
        }
