# SPDX-License-Identifier: Apache-2.0
"""What a quantized linear layer is, however its codes were found: all that it takes to compute with them."""

from __future__ import annotations

from dataclasses import dataclass

from golden import NumberFormat
from golden.errors import InputError, unknown

from .weights import FORMS

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
    group_size: int | None = None  # consecutive weights along the input that share a scale; None: all of an output channel
    activations: str = "int8"  # int8, per token; or fp32: only the weights are quantized

    def __post_init__(self) -> None:
        for name, value, known in (("form", self.form, FORMS), ("activations", self.activations, ACTIVATIONS)):
            if value not in known:
                raise unknown(f"{name} is {value!r}", value, known)
        if self.group_size is not None and self.group_size < 1:
            raise InputError(f"--group-size {self.group_size}: it is a number of weights, 1 or more")
