# SPDX-License-Identifier: Apache-2.0
"""MAC units for asymmetric weights as one immutable object, and the exact integers they must produce.

The reference paper's weights are (q - z) s with a zero-point z for each output channel (arXiv 2311.05161, section 4). A channel
is a sum, so that z is taken off at its end, and the multipliers do not know it:

    sum of (k_i - z) a_i  =  sum of k_i a_i  -  z x sum of a_i

The sum of activations is the same for all units that work on the same activations: it is made once, and the correction with it,
which reads one unit at a time. (This is how integer inference handles zero-points: Jacob et al., CVPR 2018, section 2.3.)

dINT's special values do not move with z: +-1/2 stays +-1/2 of a step. The sum above counts them as z +-1/2, so their decoder is
given z (`AsymmetricConfig.recode`): a unit multiplies by codes of one bit more, the *offset format*, in which the top bit adds
half a step to a value of the grid. z + 1/2 is the code of z with that bit, z - 1/2 the code of z - 1 with it.

Values are counted from the middle as in the format itself, not from its least code, which keeps sums short: with the grid's
least value g, k is q + g, and what is taken off at the end is (z + g) times the sum of activations, z + g being a two's
complement number as wide as a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .mac import MacConfig
from .number_format import NumberFormat, signed_bits
from .unit import Port, UnitConfig

__all__ = ["AsymmetricConfig"]

_MOST_UNITS = 64


@dataclass(frozen=True)
class AsymmetricConfig(UnitConfig):
    """MAC units for asymmetric weights that share activations, their sum, and the correction by it.

    Parameters
    ----------
    weight_format
        Number format of the weights; one that takes zero-points.
    activation_bits, lanes, depth, pipeline, architecture
        Of each unit, as for `MacConfig`.
    units
        Number of units, 1 to 64.

    Raises
    ------
    InputError
        If a parameter is out of its range, or the format takes no zero-point.
    """

    weight_format: NumberFormat
    activation_bits: int = 8
    lanes: int = 1
    units: int = 1
    depth: int = 65536
    pipeline: int = 0
    architecture: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "architecture", self.mac.architecture)
        if not 1 <= self.units <= _MOST_UNITS:
            raise InputError(f"units is {self.units}: 1 to {_MOST_UNITS} share a sum of activations")
        number_format = self.weight_format
        number_format.with_zero_point(0)  # refuses formats whose values are not evenly spaced
        special = {number_format.values[code] for code in number_format.special_codes}
        if special and (special != {1, -1} or number_format.unit != Fraction(1, 2)):
            raise InputError(
                f"{number_format.title} takes no zero-point in hardware: its special values are not +-1/2 of a step"
            )

    @classmethod
    def of(cls, mac: MacConfig, units: int) -> AsymmetricConfig:
        """Units like `mac`.

        Raises
        ------
        InputError
            If it registers select lines.
        """
        if mac.decoded:
            raise InputError("decoded: units for asymmetric weights register codes; leave out --decoded or --zero-points")
        return cls(mac.weight_format, mac.activation_bits, mac.lanes, units, mac.depth, mac.pipeline, mac.architecture)

    @property
    def mac(self) -> MacConfig:
        """The unit for symmetric weights of the same format."""
        return MacConfig(self.weight_format, self.activation_bits, self.lanes, self.depth, self.pipeline, self.architecture)

    @cached_property
    def offset_format(self) -> NumberFormat:
        """What a unit multiplies by: the format itself, or, if it has special codes, its grid and a bit that adds half a step.

        The grid goes on below where the special codes are: the first, that of +1/2, stands for one step less than the least
        value (needed for z - 1/2 where z is 0), the other, which does not occur, for two: dINT4's digits are then those of its
        codes as they are. (One more than the greatest would spare the accumulator a bit, and costs more in decoders.)
        """
        own = self.weight_format
        if not own.special_codes:
            return own
        step, least = int(1 / own.unit), self._least
        special = {own.encode_one(1): least - step, own.encode_one(-1): least - 2 * step}
        grid = [special.get(code, value) for code, value in enumerate(own.values)]
        values = (*grid, *(value + 1 for value in grid))
        return NumberFormat(own.name, own.title, own.bits + 1, values, own.unit, architecture=own.architecture)

    @property
    def unit(self) -> MacConfig:
        """The MAC unit that is used: for formats without special codes the one for symmetric weights."""
        return MacConfig(self.offset_format, self.activation_bits, self.lanes, self.depth, self.pipeline, self.architecture)

    @property
    def name(self) -> str:
        """Name of the top module: that of the unit for symmetric weights, and `z<units>`."""
        return f"{self.mac.name}_z{self.units}"

    @property
    def shape(self) -> str:
        """What the command line calls it."""
        return "mac"

    @property
    def products(self) -> int:
        """Products a cycle of all units."""
        return self.lanes * self.units

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports but the clock (`hdl.Asymmetric` says what they do)."""
        ports = (
            Port("rst"),
            Port("valid"),
            Port("first"),
            Port("activations", self.activation_bits, self.lanes, signed=True),
            Port("weights", self.weight_format.bits, self.lanes * self.units),
            Port("read_unit", max(1, (self.units - 1).bit_length())),
            Port("read_zero_point", self.zero_point_bits),
            Port("accumulator", self.accumulator_bits, signed=True, output=True),
        )
        zero_points = Port("zero_points", self.zero_point_bits, self.units)
        return (*ports, zero_points) if self.weight_format.special_codes else ports

    @property
    def reset(self) -> Mapping[str, int]:
        """`rst` is held, with `valid` operands, which must not count."""
        return {"rst": 1, "valid": 1, "first": 0, "read_unit": 0}

    @property
    def zero_point_bits(self) -> int:
        """Width of a zero-point, an unsigned number from 0 to the format's `steps`."""
        return self.weight_format.steps.bit_length()

    @property
    def activation_sum_bits(self) -> int:
        """Two's complement bits of any sum of `depth` activations."""
        return signed_bits(-self.depth << (self.activation_bits - 1))

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of any sum of `depth` products of a weight minus its zero-point."""
        largest = int(self.weight_format.steps / self.weight_format.unit) << (self.activation_bits - 1)
        return signed_bits(largest * self.depth)

    @property
    def latency_cycles(self) -> int:
        """Rising edges until a sum is visible, the edge that takes its operands being the first, and the last reading it."""
        return self.unit.latency_cycles + 1

    # What the decoder makes of a code, and what is taken off

    def offset(self, zero_point: int) -> int:
        """What the sum of activations is multiplied by and taken off, in steps: the zero-point as a value of the grid."""
        if not 0 <= zero_point <= self.weight_format.steps:
            raise InputError(f"zero_point is {zero_point}: {self.weight_format.name} takes 0 to {self.weight_format.steps}")
        return zero_point + int(self._least * self.weight_format.unit)

    def near_zero(self, zero_point: int) -> tuple[int, int]:
        """Codes of the offset format, without its top bit, for the zero-point itself and for one step less."""
        value, step = int(self.offset(zero_point) / self.weight_format.unit), int(1 / self.weight_format.unit)
        return self.offset_format.encode_one(value), self.offset_format.encode_one(value - step)

    def recode(self, weights: ArrayLike, zero_points: ArrayLike) -> NDArray[np.int64]:
        """Codes of the offset format for `weights` (codes (..., n)) with `zero_points` (...): what a unit multiplies by."""
        codes = self.weight_format.checked_codes(weights)
        return self._recoding[self._checked_zero_points(zero_points)[..., None], codes]

    # The exact answer

    def dot(self, weights: ArrayLike, activations: ArrayLike, zero_points: ArrayLike) -> NDArray[np.int64]:
        """Sum over the last axis of `weights` (codes, (..., n)) with `zero_points` (...) times `activations` ((..., n)).

        In units of the format; leading axes broadcast as in numpy. At most `depth` products; operands out of range are refused.
        """
        codes, values = self.weight_format.checked_codes(weights), self.checked_activations(activations)
        if codes.shape[-1:] != values.shape[-1:]:
            raise InputError(f"weights end in {codes.shape[-1:]}, activations in {values.shape[-1:]}: lengths must agree")
        if codes.shape[-1] > self.depth:
            raise InputError(f"{codes.shape[-1]} products exceed the depth {self.depth}: the accumulator may overflow")
        shifted = [self.weight_format.with_zero_point(z).values for z in range(self.weight_format.steps + 1)]
        decoded = np.array(shifted, dtype=np.int64)[self._checked_zero_points(zero_points)[..., None], codes]
        return np.asarray(np.sum(decoded * values, axis=-1))

    def dot_one(self, weights: list[int], activations: list[int], zero_point: int) -> int:
        """One dot product of Python integers by the correction, sum k' a - (z + g) x sum a: the scalar twin of `dot`."""
        offset = self.offset(zero_point) * int(1 / self.weight_format.unit)
        if len(weights) > self.depth:
            raise InputError(f"{len(weights)} products exceed the depth {self.depth}: the accumulator may overflow")
        total, half = 0, 1 << (self.activation_bits - 1)
        for code, activation in zip(weights, activations, strict=True):
            if not -half <= activation < half:
                raise InputError(f"activation {activation} does not fit {self.activation_bits} bits")
            special = code in self.weight_format.special_codes
            total += (self.weight_format.decode_one(code) + special * offset) * activation
        return total - offset * sum(activations)

    def run(
        self,
        weights: ArrayLike,
        activations: ArrayLike,
        zero_points: ArrayLike,
        first: ArrayLike,
        valid: ArrayLike,
        read_unit: ArrayLike,
        read_zero_point: ArrayLike,
        reset: ArrayLike | None = None,
    ) -> NDArray[np.int64]:
        """The corrected sum after each rising edge, cycle by cycle: what the circuit must show.

        `weights` has shape (cycles, units, lanes), `activations` (cycles, lanes), `zero_points` (cycles, units), all others
        (cycles,). The units start from reset. An edge takes the sum of unit `read_unit` as it was before, pipeline registers
        included, and corrects it by `read_zero_point`. Sums wrap as their registers do.

        Raises
        ------
        InputError
            If an operand does not fit its port.
        """
        codes = np.asarray(weights)
        if codes.ndim != 3 or codes.shape[1:] != (self.units, self.lanes):
            raise InputError(f"weights have shape {codes.shape}: (cycles, {self.units} units, {self.lanes} lanes) is needed")
        recoded = self.recode(codes, zero_points)
        sums = [self.unit.run(recoded[:, u], activations, first, valid, reset) for u in range(self.units)]
        activation_sums = self.activation_sums(activations, first, valid, reset)
        chosen, half = np.asarray(read_unit, dtype=np.int64), 1 << (self.accumulator_bits - 1)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < self.units:
            worst = chosen.min() if chosen.min() < 0 else chosen.max()
            raise InputError(f"read_unit is {worst}: units are 0 to {self.units - 1}")
        taken = self._checked_zero_points(read_zero_point).tolist()
        step, shown = int(1 / self.weight_format.unit), np.zeros(len(codes), dtype=np.int64)
        for cycle in range(len(codes)):
            seen = cycle - 1 - self.pipeline  # the operands that are in the sum before this edge are those up to here
            total, activation_sum = (int(sums[chosen[cycle]][seen]), activation_sums[seen]) if seen >= 0 else (0, 0)
            total -= self.offset(taken[cycle]) * step * activation_sum
            shown[cycle] = (total + half) % (2 * half) - half
        return shown

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The port `accumulator` after each edge: `run` on the input ports of each cycle."""
        cycles = len(inputs["weights"])
        zero_points = inputs.get("zero_points", np.zeros((cycles, self.units), np.int64))
        weights = inputs["weights"].reshape(cycles, self.units, self.lanes)
        names = ("first", "valid", "read_unit", "read_zero_point", "rst")
        shown = self.run(weights, inputs["activations"], zero_points, *(inputs[name][:, 0] for name in names))
        return {"accumulator": shown[:, None]}

    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data (the keys of the companion JSON file)."""
        facts = {
            "units": self.units,
            "zero_point_bits": self.zero_point_bits,
            "largest_zero_point": self.weight_format.steps,
            "accumulator_bits": self.accumulator_bits,
            "latency_cycles": self.latency_cycles,
            "ports": self.describe_ports(),
        }
        return self.mac.describe() | facts

    @property
    def _least(self) -> int:
        """The least value that is not special, in units."""
        own = self.weight_format
        return min(value for code, value in enumerate(own.values) if code not in own.special_codes)

    @cached_property
    def _recoding(self) -> NDArray[np.int64]:
        """Code of the offset format for every zero-point and code."""
        own, half_step = self.weight_format, 1 << self.weight_format.bits
        table = np.tile(np.arange(half_step), (own.steps + 1, 1))
        if own.special_codes:
            for zero_point in range(own.steps + 1):
                at, below = self.near_zero(zero_point)
                table[zero_point, own.encode_one(1)] = at | half_step
                table[zero_point, own.encode_one(-1)] = below | half_step
        return table

    def activation_sums(self, activations: ArrayLike, first: ArrayLike, valid: ArrayLike, reset: ArrayLike | None) -> list[int]:
        """The sum of `activations`, (cycles, lanes), after each edge, wrapped; controls are (cycles,)."""
        totals = self.checked_activations(activations).sum(axis=-1).tolist()
        cleared = [False] * len(totals) if reset is None else np.asarray(reset, dtype=bool).tolist()
        half, sums, total = 1 << (self.activation_sum_bits - 1), [], 0
        for added, starts, takes, clears in zip(
            totals, np.asarray(first).tolist(), np.asarray(valid).tolist(), cleared, strict=True
        ):
            if clears:
                total = 0
            elif takes:
                total = (added if starts else total + added) + half & 2 * half - 1
                total -= half
            sums.append(total)
        return sums

    def _checked_zero_points(self, zero_points: ArrayLike) -> NDArray[np.int64]:
        array = np.asarray(zero_points)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"zero_points have dtype {array.dtype}: integers are needed")
        if array.size and not 0 <= array.min() <= array.max() <= self.weight_format.steps:
            worst = array.min() if array.min() < 0 else array.max()
            raise InputError(f"zero_point is {worst}: {self.weight_format.name} takes 0 to {self.weight_format.steps}")
        return array.astype(np.int64)
