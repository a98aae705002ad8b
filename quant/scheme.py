# SPDX-License-Identifier: Apache-2.0
"""What a quantized linear layer is, however its codes were found: all that it takes to compute with them."""

from __future__ import annotations

from dataclasses import dataclass

from golden import SCALED_FORMATS, BlockFormat, NumberFormat
from golden.errors import InputError, unknown

from .weights import FORMS, GROUPINGS

__all__ = ["ACTIVATIONS", "Scheme"]

ACTIVATIONS = ("int8", "fp32", *SCALED_FORMATS)


@dataclass(frozen=True)
class Scheme:
    """Format and granularity of the weights, and what they are multiplied by.

    Raises
    ------
    InputError
        If a choice is unknown.
    """

    number_format: NumberFormat
    form: str = "symmetric"  # symmetric (signed scales) or asymmetric (zero-points)
    group_size: int | None = None  # consecutive weights of a channel that share a scale; None: all of an output channel
    activations: str = "int8"  # int8, per token; fp32: only the weights are quantized; or a block format, per token
    blocks: BlockFormat | None = None  # the weights' format, where scales are part of it: then the group size is its block
    grouping: str = "per-oc"  # per-oc: groups lie in an output channel; per-ic: in an input channel

    def __post_init__(self) -> None:
        for name, value, known in (
            ("form", self.form, FORMS),
            ("activations", self.activations, ACTIVATIONS),
            ("grouping", self.grouping, GROUPINGS),
        ):
            if value not in known:
                raise unknown(f"{name} is {value!r}", value, known)
        if self.group_size is not None and self.group_size < 1:
            raise InputError(f"--group-size {self.group_size}: it is a number of weights, 1 or more")
        if self.grouping != "per-oc" and self.group_size is None:
            raise InputError(f"--grouping {self.grouping}: its groups have a size; give --group-size, 128 for instance")
        if self.activation_blocks is not None and (self.blocks is None or self.blocks.block != self.activation_blocks.block):
            title = self.number_format.title if self.blocks is None else self.blocks.title
            raise InputError(
                f"--activations {self.activations}: its blocks of {self.activation_blocks.block} have scales of their own, "
                f"weights in {title} do not; give --format {self.activations}, or activations in int8 or fp32"
            )

    @classmethod
    def of(
        cls,
        weights: NumberFormat | BlockFormat,
        form: str,
        group_size: int | None,
        activations: str,
        grouping: str = "per-oc",
    ) -> Scheme:
        """The scheme of weights in a plain format, or in a block format, which brings its own groups.

        Raises
        ------
        InputError
            If a choice is unknown, or is the block format's.
        """
        if isinstance(weights, NumberFormat):
            return cls(weights, form, group_size, activations, grouping=grouping)
        if form != "symmetric":
            raise InputError(f"form is {form!r}: {weights.title} takes no zero-point; use symmetric")
        if group_size is not None:
            raise InputError(f"--group-size {group_size}: {weights.title} has blocks of {weights.block}; leave it out")
        if grouping != "per-oc":
            raise InputError(f"--grouping {grouping}: the blocks of {weights.title} lie along the inputs; use per-oc")
        return cls(weights.elements[0], form, weights.block, activations, weights)

    @property
    def weights(self) -> str:
        """Name of the weights' format."""
        return self.number_format.name if self.blocks is None else self.blocks.name

    @property
    def activation_blocks(self) -> BlockFormat | None:
        """The activations' format, if that is a block format."""
        return SCALED_FORMATS.get(self.activations)

    @property
    def integer_sums(self) -> bool:
        """Whether the layer's products are added as integers: activations are, and no scale varies within a sum."""
        return self.activations == "int8" and self.grouping == "per-oc"

    def scales_shape(self, outputs: int, inputs: int) -> tuple[int, ...]:
        """Shape of the scales of a weight (outputs, inputs)."""
        if self.group_size is None:
            return (outputs,)
        if self.grouping == "per-ic":
            return inputs, outputs // self.group_size
        return outputs, inputs // self.group_size
