# SPDX-License-Identifier: Apache-2.0
"""A codebook: a number format whose values were fitted to data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from .errors import InputError
from .number_format import NumberFormat

__all__ = ["Codebook"]


@dataclass(frozen=True)
class Codebook(NumberFormat):
    """Codewords by code, ascending, each different; zero need not be among them.

    Between two codewords, a tie goes to the lower.

    Raises
    ------
    InputError
        If two codewords are equal, they are not in order, or the table is no table of a format.
    """

    def _check_values(self) -> None:
        for low, high in pairwise(self.values):
            if low == high:
                raise InputError(f"values of {self.name} has {low} twice: the codewords of a codebook differ")
            if low > high:
                raise InputError(f"values of {self.name} has {high} after {low}: codewords are in ascending order")

    @property
    def zero_code(self) -> int:
        """The code of zero, or of what is nearest to it."""
        return self.round_one(0)

    def _tie(self, low: int, high: int) -> int:  # noqa: ARG002
        return low
