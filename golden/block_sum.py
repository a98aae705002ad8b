# SPDX-License-Identifier: Apache-2.0
"""The MAC unit inside a unit of a block format: it sums the products of a block."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import InputError
from .mac import MacConfig
from .number_format import signed_bits

__all__ = ["BlockSumConfig"]


@dataclass(frozen=True)
class BlockSumConfig(MacConfig):
    """A MAC unit whose activations may be narrower than 8 bits.

    `largest` is the largest magnitude of a product that it is given, which may be less than operands of these widths have.
    """

    largest: int = 0

    @property
    def accumulator_bits(self) -> int:
        """Two's complement bits of any sum of `depth` products."""
        return signed_bits(self.largest * self.depth)

    def _check_activation_bits(self) -> None:
        if not 2 <= self.activation_bits <= 8:
            raise InputError(f"activation_bits is {self.activation_bits}: 2 to 8 are supported")
