# SPDX-License-Identifier: Apache-2.0
"""The processing element of a weight-stationary systolic array as one immutable object, and the exact integers it passes on.

The element of Kung and Leiserson's arrays (H. T. Kung, "Why systolic architectures?", IEEE Computer 15, 1982) with the second
weight register that lets an array load weights while it multiplies by others (Jouppi et al., "In-datacenter performance
analysis of a tensor processing unit", ISCA 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .mac import MacConfig
from .number_format import NumberFormat
from .unit import Port, UnitConfig

__all__ = ["PeConfig", "PeOutputs"]


class PeOutputs(NamedTuple):
    """What an element shows after each rising edge, each (cycles,)."""

    partial_sum: NDArray[np.int64]
    activation: NDArray[np.int64]
    weight: NDArray[np.int64]
    swap: NDArray[np.bool_]


@dataclass(frozen=True)
class PeConfig(UnitConfig):
    """A processing element: it adds weight x activation to a partial sum on its way, once a cycle.

    Parameters
    ----------
    weight_format
        Number format of the weights.
    activation_bits
        Width of an activation; 8.
    depth
        Number of products that a partial sum holds without overflow, 1 to 2^24.
    architecture
        Name of the multiplier architecture; empty for the format's default.
    decoded
        Whether the weight in use is registered as the select lines of its digits instead of its code, so that nothing is
        decoded while it stays.
    pipeline
        1: the compressed product is registered before the partial sum is added, which is taken a cycle later; 0: it is not.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    weight_format: NumberFormat
    activation_bits: int = 8
    depth: int = 65536
    architecture: str = ""
    decoded: bool = False
    pipeline: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pipeline not in (0, 1):
            raise InputError(f"pipeline is {self.pipeline}: a pe has 0 (none) or 1 (the compressed product registered)")
        object.__setattr__(self, "architecture", self.mac.architecture)

    @property
    def mac(self) -> MacConfig:
        """The unit of one lane that has the element's multiplier and width."""
        return MacConfig(self.weight_format, self.activation_bits, depth=self.depth, architecture=self.architecture)

    @property
    def name(self) -> str:
        """Name of the top module: `pe_<format>`; what differs from the default is a suffix."""
        parts = ["pe", self.weight_format.name]
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
        return "pe"

    @property
    def lanes(self) -> int:
        """One product a cycle."""
        return 1

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports but the clock (`hdl.Pe` says what they do)."""
        code, operand, total = self.weight_format.bits, self.activation_bits, self.accumulator_bits
        return (
            Port("weight", code),
            Port("load"),
            Port("swap"),
            Port("activation", operand, signed=True),
            Port("partial_sum", total, signed=True),
            Port("weight_out", code, output=True, initial=self.weight_format.zero_code),
            Port("swap_out", output=True),
            Port("activation_out", operand, signed=True, output=True),
            Port("partial_sum_out", total, signed=True, output=True),
        )

    @property
    def reset(self) -> Mapping[str, int]:
        """There is no reset input: a zero is loaded, and swapped in by the next edge; one or two later its product is added."""
        return {"weight": self.weight_format.zero_code, "load": 1, "swap": 1, "activation": 0, "partial_sum": 0}

    @property
    def registers_weights(self) -> bool:
        """The weight in use is a register."""
        return True

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of a partial sum: any sum of `depth` products fits."""
        return self.mac.accumulator_bits

    @property
    def latency_cycles(self) -> int:
        """Rising edges until an activation's product is in the partial sum, the edge that takes the activation being the first.

        The partial sum that it is added to is taken by the last of them.
        """
        return 2 + self.pipeline

    def run(
        self, weights: ArrayLike, load: ArrayLike, swap: ArrayLike, activations: ArrayLike, partial_sums: ArrayLike
    ) -> PeOutputs:
        """The outputs after each rising edge, cycle by cycle, from the inputs of each cycle, all (cycles,).

        An edge takes `weights` (codes) into the next weight if `load` is set, the next weight as it was before into the
        weight in use if `swap` is set, and the activation; the sum of `partial_sums` and the product of what the two registers
        held before, `pipeline` edges earlier, goes to the output, and wraps at `accumulator_bits` as the register does. Both
        weights are zero in the beginning, and the activation too.

        Raises
        ------
        InputError
            If an operand does not fit its port.
        """
        codes = self.weight_format.checked_codes(weights)
        operands = self.checked_activations(activations)
        half = 1 << (self.accumulator_bits - 1)
        sums = np.asarray(partial_sums, dtype=np.int64)
        if sums.size and not -half <= sums.min() <= sums.max() < half:
            raise InputError(f"partial_sums do not fit {self.accumulator_bits} bits: {-half} to {half - 1}")
        loads, swaps = np.asarray(load, dtype=bool), np.asarray(swap, dtype=bool)
        if codes.ndim != 1 or any(np.shape(column) != codes.shape for column in (operands, sums, loads, swaps)):
            raise InputError(f"weights have shape {codes.shape}: all inputs need the same, (cycles,)")
        following = in_use = self.weight_format.zero_code
        activation = 0
        products, passed = np.empty(len(codes), dtype=np.int64), np.empty(len(codes), dtype=np.int64)
        for cycle, code in enumerate(codes.tolist()):
            products[cycle] = self.weight_format.decode_one(in_use) * activation
            activation = int(operands[cycle])
            in_use = following if swaps[cycle] else in_use
            passed[cycle] = following = code if loads[cycle] else following
        added = np.concatenate([np.zeros(self.pipeline, dtype=np.int64), products])[: len(codes)]
        shown = (sums + added + half) % (2 * half) - half
        return PeOutputs(shown, operands, passed, swaps)

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The output ports after each edge: `run` on the input ports of each cycle."""
        names = ("weight", "load", "swap", "activation", "partial_sum")
        outputs = self.run(*(inputs[name][:, 0] for name in names))
        return {f"{name}_out": np.asarray(column, dtype=np.int64)[:, None] for name, column in outputs._asdict().items()}

    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data (the keys of the companion JSON file)."""
        facts = self.mac.describe()
        del facts["lanes"]
        own = {"latency_cycles": self.latency_cycles, "decoded": self.decoded, "pipeline": self.pipeline}
        return {"shape": self.shape} | facts | own | {"ports": self.describe_ports()}
