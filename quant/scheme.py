# SPDX-License-Identifier: Apache-2.0
"""What a quantized linear layer is, however its codes were found: all that it takes to compute with them."""

from __future__ import annotations

from dataclasses import dataclass

from golden import NumberFormat
from golden.errors import InputError, unknown

from .weights import FORMS, GROUPINGS

__all__ = ["ACTIVATIONS", "Scheme"]

ACTIVATIONS = ("int8", "fp32")


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
    activations: str = "int8"  # int8, per token; or fp32: only the weights are quantized
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
