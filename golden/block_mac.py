# SPDX-License-Identifier: Apache-2.0
"""The MAC unit of a block format as one immutable object, and the exact integers it must produce.

Two accumulators: a small one sums the integer products of one block, as a `MacConfig` does; where a block ends, its sum is
multiplied by the significands of its scales, shifted by their exponents, and added to the large one, which is wide enough for
every shift there is: nothing is ever rounded. What does not fit is left out as a whole, and said so (`exact`).

Where there are codebooks, codes and selectors are decoded first, and integers multiplied. The codebooks are part of the
circuit, or in registers that all lanes share and that are written word by word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .block_format import BlockFormat
from .block_registers import begins_of_blocks, opened_by, sums_of_blocks
from .block_sum import BlockSumConfig
from .codebook_memory import codebooks_in_time, element_values
from .errors import InputError
from .number_format import NumberFormat, signed_bits
from .parameters import integer
from .unit import Port, UnitConfig

__all__ = ["BlockMacConfig", "BlockMacOutputs", "BlockSumConfig"]

#: Shifts that a unit has unless told otherwise, where the exponents of scales span more: sums of blocks whose scales are up to
#: 2^15 apart.
_SPAN = 15
#: The widest accumulator that arrays of 64-bit integers can show.
_WIDEST = 64
#: Ports that write a codeword.
_WRITES = ("codebook_write", "codebook_address", "codebook_word")


class BlockMacOutputs(NamedTuple):
    """What a unit shows after each rising edge, each (cycles,)."""

    accumulator: NDArray[np.int64]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class BlockMacConfig(UnitConfig):
    """A MAC unit: `lanes` products a cycle, scaled block by block, added to one accumulator.

    Parameters
    ----------
    weight_format
        Format of the weights' elements; that of `block_format`, its first codebook where it has several.
    activation_bits
        8: plain two's complement integers; or the bits of the block format: activations are in it, too.
    block_format
        Format of the weights.
    lanes
        Products per cycle, a divisor of the block; and a divisor or a multiple of what selects a codebook together.
    depth
        Number of products that the accumulator holds without overflow, whole blocks, 1 to 2^24.
    span
        The unit shifts a block by 0 to so many bits: exponents of scales (sums of two where activations have scales) from
        `base` to `base + span` are in reach. By default all there are, but 15 at most where they are powers of two alone.
    architecture
        Name of the multiplier architecture; empty for the default of what is multiplied: elements, or integers of codebooks.
    writable_codebooks
        Codebooks are in registers, and there are ports to write them; reset puts the format's there.
    pipeline
        0, or 1: the scaled sum of a block is registered before it is added.

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    weight_format: NumberFormat
    activation_bits: int = 8
    block_format: BlockFormat | None = None
    lanes: int = 1
    depth: int = 65536
    span: int | None = None
    architecture: str = ""
    writable_codebooks: bool = False
    pipeline: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        blocks = self.block_format
        if not isinstance(blocks, BlockFormat) or blocks.elements[0] != self.weight_format:
            given = getattr(blocks, "name", blocks)
            raise InputError(f"block_format is {given!r}: a format whose elements are {self.weight_format.name} is needed")
        if blocks.bits > 7:  # activations of 8 bits are integers
            raise InputError(f"block_format {blocks.name} has elements of {blocks.bits} bits: units take up to 7")
        if self.activation_bits not in (8, blocks.bits):
            raise InputError(
                f"activation_bits is {self.activation_bits}: 8 (integers) or {blocks.bits} (in {blocks.title}, too)"
            )
        if self.lanes < 1 or blocks.block % self.lanes:
            raise InputError(f"lanes is {self.lanes}: give a divisor of {blocks.title}'s block, {blocks.block}")
        if (shared := blocks.selector_block) is not None and max(self.lanes, shared) % min(self.lanes, shared):
            raise InputError(f"lanes is {self.lanes}: {shared} of {blocks.title} share a selector; give a divisor or multiple")
        if self.writable_codebooks and shared is None:
            raise InputError(f"writable_codebooks: {blocks.title} has no codebooks; leave it out")
        if self.pipeline not in (0, 1):
            raise InputError(
                f"pipeline is {self.pipeline}: units of {blocks.title} have 0 (none) or 1 (scaled sums registered)"
            )
        if not blocks.block <= self.depth <= 1 << 24 or self.depth % blocks.block:
            raise InputError(f"depth is {self.depth}: it counts products, whole blocks of {blocks.block}, up to {1 << 24}")
        span = self.exponents if self.span is None else integer("span", self.span)
        if self.span is None and not blocks.scales.mantissa_bits:
            span = min(span, _SPAN)
        if not 0 <= span <= self.exponents:
            raise InputError(f"span is {span}: exponents of scales are at most {self.exponents} apart")
        object.__setattr__(self, "span", span)
        object.__setattr__(self, "architecture", self.block_sum.architecture)
        if self.accumulator_bits > _WIDEST:
            raise InputError(f"depth {self.depth} and span {span} need {self.accumulator_bits} bits: {_WIDEST} are supported")

    @classmethod
    def of(cls, block_format: BlockFormat, activation_bits: int = 8, **choices: Any) -> BlockMacConfig:
        """The unit of a block format; other parameters by name."""
        return cls(block_format.elements[0], activation_bits, block_format, **choices)

    # Facts

    @property
    def blocks(self) -> BlockFormat:
        """The weights' format."""
        assert self.block_format is not None
        return self.block_format

    @property
    def scaled_activations(self) -> bool:
        """Whether activations are in the block format, with scales of their own."""
        return self.activation_bits != 8

    @property
    def selectors(self) -> int:
        """Selectors of an operand in each cycle: one for all lanes that share it, none without codebooks."""
        shared = self.blocks.selector_block
        return 0 if shared is None else -(-self.lanes // shared)

    @property
    def value_bits(self) -> int:
        """Bits of an element as a two's complement integer."""
        return max(signed_bits(extreme) for one in self.blocks.elements for extreme in (one.minimum, one.maximum))

    @property
    def largest_value(self) -> int:
        """Largest magnitude of an element, in units; of codewords that can be written, what their bits hold of either sign."""
        if self.writable_codebooks:
            return (1 << self.value_bits - 1) - 1
        return max(max(-one.minimum, one.maximum) for one in self.blocks.elements)

    @property
    def multiplied(self) -> NumberFormat:
        """What the multipliers are made for: the elements, or the integers that hold what codebooks decode to."""
        if self.selectors == 0:
            return self.weight_format
        return replace(NumberFormat.integers(self.value_bits), unit=self.blocks.unit)

    @property
    def operand_bits(self) -> int:
        """Bits of an activation as a two's complement integer."""
        return self.value_bits if self.scaled_activations else self.activation_bits

    @property
    def largest_product(self) -> int:
        """Largest magnitude of a product of elements, in units."""
        return self.largest_value * (self.largest_value if self.scaled_activations else 1 << self.activation_bits - 1)

    @property
    def block_sum(self) -> BlockSumConfig:
        """The MAC unit that sums a block's products."""
        block, largest = self.blocks.block, self.largest_product
        return BlockSumConfig(
            self.multiplied, self.operand_bits, self.lanes, block, architecture=self.architecture, largest=largest
        )

    @property
    def scale_factors(self) -> int:
        """Scales of a block's products: the weights', and perhaps the activations'."""
        return 1 + self.scaled_activations

    @property
    def exponents(self) -> int:
        """The largest exponent of scales (sum of two where activations have scales), from the least on."""
        scales = self.blocks.scales
        _, exponents = scales.parts(np.array([0, scales.nan_code - 1]))
        return int(exponents[1] - exponents[0]) * self.scale_factors

    @property
    def scale_bits(self) -> int:
        """Bits of a scale's code, without a sign where scales have none."""
        return self.blocks.scales.used_bits

    @property
    def base_bits(self) -> int:
        """Bits of the port `base`; 0 where all exponents are in reach."""
        return 0 if self.span == self.exponents else self.exponents.bit_length()

    @property
    def shape(self) -> str:
        """What the command line calls it."""
        return "mac"

    @property
    def format_name(self) -> str:
        """`nvfp4`; with activations in the format, too, `nvfp4_a4`."""
        return f"{self.blocks.name}_a{self.activation_bits}" if self.scaled_activations else self.blocks.name

    @property
    def operand_titles(self) -> tuple[str, str]:
        """The formats of weights and activations, as they are written in prose."""
        title = self.blocks.title
        return title, title if self.scaled_activations else f"INT{self.activation_bits}"

    @property
    def name(self) -> str:
        """Name of the top module: `mac_<block format>_x<lanes>`; what differs from the default is a suffix."""
        parts = ["mac", self.format_name, f"x{self.lanes}"]
        if self.architecture != self.multiplied.architecture:
            parts.append(self.architecture.replace("-", "_"))
        if self.writable_codebooks:
            parts.append("writable")
        if self.pipeline:
            parts.append(f"p{self.pipeline}")
        if self.span != BlockMacConfig.of(self.blocks, self.activation_bits).span:
            parts.append(f"s{self.span}")
        if self.depth != 65536:
            parts.append(f"d{self.depth}")
        return "_".join(parts)

    @property
    def ports(self) -> tuple[Port, ...]:
        """All ports but the clock (`hdl.BlockMac` says what they do)."""
        ports = [Port(name) for name in ("rst", "valid", "first", "last")]
        ports.append(Port("activations", self.activation_bits, self.lanes, signed=not self.scaled_activations))
        ports.append(Port("weights", self.weight_format.bits, self.lanes))
        ports += [Port(name, self.blocks.selector_bits, self.selectors) for name in self.selector_ports]
        ports += [Port(name, self.scale_bits) for name in self.scale_ports]
        if self.base_bits:
            ports.append(Port("base", self.base_bits))
        widths = 1, self.blocks.selector_bits + self.blocks.bits, self.value_bits
        ports += [Port(name, bits, signed=name == _WRITES[2]) for name, bits in zip(self.write_ports, widths, strict=False)]
        total = Port("accumulator", self.accumulator_bits, signed=True, output=True)
        return (*ports, total, Port("exact", output=True, initial=1))

    @property
    def write_ports(self) -> tuple[str, ...]:
        """Names of the ports that write codewords: whether, where and what; only where codebooks are writable."""
        return _WRITES if self.writable_codebooks else ()

    @property
    def scale_ports(self) -> tuple[str, ...]:
        """Names of the ports of scales: the weights', and perhaps the activations'."""
        return ("scale", "activation_scale")[: self.scale_factors]

    @property
    def selector_ports(self) -> tuple[str, ...]:
        """Names of the ports of selectors: the weights', and perhaps the activations'; none without codebooks."""
        return ("selectors", "activation_selectors")[: self.scale_factors] if self.selectors else ()

    @property
    def sum_port(self) -> Port:
        """The accumulator."""
        return next(port for port in self.ports if port.name == "accumulator")

    @property
    def reset(self) -> Mapping[str, int]:
        """`rst` is held, with `valid` operands, which must not count."""
        return {"rst": 1, "valid": 1, "first": 0}

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of any sum of `depth` products whose scales are in reach."""
        assert self.span is not None
        significand = ((2 << self.blocks.scales.mantissa_bits) - 1) ** self.scale_factors
        return signed_bits((self.largest_product * self.depth * significand) << self.span)

    @property
    def addend_bits(self) -> int:
        """Two's complement bits of what a block adds: as the accumulator has, or with a pipeline register those that differ."""
        assert self.span is not None
        if not self.pipeline:
            return self.accumulator_bits
        mantissa = self.blocks.scales.mantissa_bits
        significand_bits = (mantissa + 1) * self.scale_factors if mantissa else 0
        return min(self.accumulator_bits, self.block_sum.accumulator_bits + significand_bits + self.span)

    @property
    def latency_cycles(self) -> int:
        """Rising edges until a block is in the sum, the edge that takes its last operands being the first."""
        return 2 + self.pipeline

    @property
    def sum_unit(self) -> Fraction:
        """What the accumulator's last bit stands for where `base` is 0 or not there: `golden.dot`'s unit."""
        unit = self.blocks.unit**self.scale_factors
        return unit * (Fraction(2) ** self.blocks.scales.least_exponent) ** self.scale_factors

    # The exact answer

    def scaling(self, scales: ArrayLike, base: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Significand, shift, and whether both are in reach, of the products of `scales` (codes, (cycles, 1 or 2)).

        The significand has the sign of the product. The shift is the exponent, from the least on, less `base` (cycles,). NaN is
        not in reach.
        """
        encoding = self.blocks.scales
        codes = encoding.checked(scales)
        known = ~encoding.is_nan(codes)
        significands, exponents = encoding.parts(np.where(known, codes, 0))
        shifts = (exponents - encoding.least_exponent).sum(axis=1) - np.asarray(base, dtype=np.int64)
        return significands.prod(axis=1), shifts, known.all(axis=1) & (shifts >= 0) & (shifts <= self.span)

    def run(
        self,
        weights: ArrayLike,
        activations: ArrayLike,
        scales: ArrayLike,
        first: ArrayLike,
        last: ArrayLike,
        valid: ArrayLike,
        base: ArrayLike | None = None,
        reset: ArrayLike | None = None,
        selectors: Sequence[ArrayLike] = (),
        writes: ArrayLike | None = None,
    ) -> BlockMacOutputs:
        """The outputs after each rising edge, cycle by cycle: what the circuit must show.

        Parameters
        ----------
        weights, activations
            (cycles, lanes); activations in the block format are codes.
        scales
            (cycles, 1), or (cycles, 2): the weights', then the activations'.
        first, last, valid, reset
            (cycles,), as the ports.
        base
            (cycles,); only where there is such a port.
        selectors
            With codebooks: the weights', (cycles, selectors), and where activations are in the block format theirs.
        writes
            (cycles, 3), of codebooks that are writable: write, address and word (`golden.codebook_memory`).
        """
        if len(selectors) != len(self.selector_ports):
            raise InputError(f"{len(selectors)} operands have selectors: {self.name} needs {len(self.selector_ports)}")
        if writes is not None and not self.writable_codebooks:
            raise InputError(f"writes are given: {self.name} has no codebooks that are writable; leave them out")
        cycles = len(np.asarray(weights))
        starts, ends, taken = (np.asarray(one, dtype=bool) for one in (first, last, valid))
        cleared = np.zeros(cycles, dtype=bool) if reset is None else np.asarray(reset, dtype=bool)
        codebooks = None
        if writes is not None:
            codebooks = codebooks_in_time(self.blocks, self.largest_value, writes, cleared)
        chosen = [*selectors, None, None]
        factors = self.multiplied.encode(element_values(self.blocks, weights, chosen[0], codebooks))
        operands = element_values(self.blocks, activations, chosen[1], codebooks) if self.scaled_activations else activations
        lowest = np.zeros(cycles, dtype=np.int64) if base is None else base
        significands, shifts, reached = (one.tolist() for one in self.scaling(scales, lowest))

        begins = begins_of_blocks(starts, ends, taken, cleared)
        sums = self.block_sum.run(factors, operands, begins, taken, cleared).tolist()
        added = [sums[i] * significands[i] << shifts[i] if reached[i] else None for i in range(cycles)]
        ended = opened_by(starts, begins, ends, taken, cleared)
        return BlockMacOutputs(*sums_of_blocks(added, ended, cleared, self.pipeline, self.accumulator_bits))

    def respond(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
        """The output ports after each edge: `run` on the input ports of each cycle."""
        controls = {name: inputs[name][:, 0] for name in ("first", "last", "valid")}
        controls["reset"] = inputs["rst"][:, 0]
        if self.base_bits:
            controls["base"] = inputs["base"][:, 0]
        if self.writable_codebooks:
            controls["writes"] = np.concatenate([inputs[name] for name in self.write_ports], axis=1)
        scales = np.concatenate([inputs[name] for name in self.scale_ports], axis=1)
        selectors = [inputs[name] for name in self.selector_ports]
        outputs = self.run(inputs["weights"], inputs["activations"], scales, **controls, selectors=selectors)
        return {name: np.asarray(column, dtype=np.int64)[:, None] for name, column in outputs._asdict().items()}

    def describe(self) -> dict[str, Any]:
        """The facts a user of the generated Verilog needs, as plain data (the keys of the companion JSON file)."""
        facts = self.block_sum.describe() | {
            "format": self.blocks.name,
            "element": self.multiplied.name,
            "weight_bits": self.weight_format.bits,
            "activation_bits": self.activation_bits,
            "activation_format": self.blocks.name if self.scaled_activations else "int8",
            "block": self.blocks.block,
            "scale": self.blocks.scales.name,
            "span": self.span,
            "sum_unit": float(self.sum_unit),
            "bits_per_scalar": float(self.blocks.bits_per_scalar),
            "accumulator_bits": self.accumulator_bits,
            "depth": self.depth,
            "pipeline": self.pipeline,
            "latency_cycles": self.latency_cycles,
            "ports": self.describe_ports(),
        }
        if self.selectors:
            del facts["values"]
            facts["codebooks"] = [list(one.values) for one in self.blocks.elements]
            facts |= {"selector_block": self.blocks.selector_block, "writable_codebooks": self.writable_codebooks}
        return facts
