# SPDX-License-Identifier: Apache-2.0
"""A number format: which value each code stands for, and how a real number becomes a code.

Every operation comes as an array function and as a scalar twin (`..._one`) written independently of it, in exact
arithmetic; the tests hold the two against each other for every code. Values are integers in units of `unit` steps, where a
step is the distance of two neighbouring integers of the format (the quantization scale): with unit 1/2, the value 1 is
half a step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError
from .parameters import check_types, integer

__all__ = ["NumberFormat"]

#: Sizes of a special value, in steps, that need only a shift, and what they are called in a format's name.
_SPECIAL_SIZES = {Fraction(1, 2): "half", Fraction(1, 4): "quarter", Fraction(1, 8): "eighth"}


#: Sizes of a unit, in steps, and the largest magnitude of a value, in units: sums of 2^24 products stay exact in 64 bits.
_UNITS = (Fraction(1), *_SPECIAL_SIZES)
_LARGEST = 1 << 16


@dataclass(frozen=True)
class NumberFormat:
    """A table of values, one per code; immutable, hashable, and the source of everything derived from a format.

    Parameters
    ----------
    name
        Lower-case identifier, as used in module names and on the command line.
    title
        The name as it is written in prose.
    bits
        Width of a code, 2 to 8.
    values
        `values[code]` is the value of `code` in units of `unit` steps; zero is among them, and only zero may have two codes
        (0 and -0 of floating-point formats): the first is what zero is encoded as.
    unit
        Size of one unit in steps: 1 for integers, 1/2 for dINT; 1/4 and 1/8 are possible, too.
    special_codes
        Codes whose value is not part of the uniform grid (dINT's denormals, +1/2 and -1/2 of a step).
    architecture
        Name of the multiplier architecture that is this format's default (a name in `hdl.architectures`).

    Raises
    ------
    InputError
        If the table does not describe a format.
    """

    name: str
    title: str
    bits: int
    values: tuple[int, ...]
    unit: Fraction = Fraction(1)
    special_codes: frozenset[int] = frozenset()
    architecture: str = "booth"

    @classmethod
    def integers(cls, bits: int, architecture: str = "") -> NumberFormat:
        """Integers in two's complement: `int<bits>`; without an architecture, rows for pairs of bits where they are pairs."""
        half = 1 << bits - 1
        values = tuple((code + half) % (2 * half) - half for code in range(2 * half))
        paired = "baugh-wooley" if bits % 2 else "booth-carry"
        return cls(f"int{bits}", f"INT{bits}", bits, values, architecture=architecture or paired)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise InputError(f"name of a format is {self.name!r}: a lower-case identifier is needed")
        check_types(self, self.name)
        for field, kind in (("values", tuple), ("special_codes", frozenset)):
            if not isinstance(given := getattr(self, field), kind):
                raise InputError(f"{field} of {self.name} is {given!r}: a {kind.__name__} of integers is needed")
            object.__setattr__(self, field, kind(integer(f"one of {field} of {self.name}", one) for one in given))
        if not isinstance(self.unit, Fraction) or self.unit not in _UNITS:
            raise InputError(f"unit of {self.name} is {self.unit!r}: it is one of {', '.join(map(str, _UNITS))}")
        if not 2 <= self.bits <= 8:
            raise InputError(f"bits of {self.name} is {self.bits}: a code has 2 to 8 bits")
        if len(self.values) != 1 << self.bits:
            raise InputError(f"values of {self.name} has {len(self.values)} entries: {self.bits} bits need {1 << self.bits}")
        if max(map(abs, self.values)) > _LARGEST:
            raise InputError(f"values of {self.name} has {max(self.values, key=abs)}: magnitudes are at most {_LARGEST}")
        self._check_values()
        if not all(0 <= code < len(self.values) for code in self.special_codes):
            raise InputError(
                f"special_codes of {self.name} is {sorted(self.special_codes)}: codes are 0 to {len(self.values) - 1}"
            )

    def _check_values(self) -> None:
        """Refuse a table that repeats values, but for a second zero, or has no zero."""
        if len(self.values) - len(set(self.values)) > max(self.values.count(0) - 1, 0) or self.values.count(0) > 2:
            raise InputError(f"values of {self.name} repeats a value: every code needs its own, but for a second zero")
        if 0 not in self.values or self.values.index(0) in self.special_codes:
            raise InputError(f"values of {self.name} lacks an ordinary code for zero")

    # Extremes and widths

    @property
    def minimum(self) -> int:
        """The least value, in units."""
        return min(self.values)

    @property
    def maximum(self) -> int:
        """The greatest value, in units."""
        return max(self.values)

    @property
    def zero_code(self) -> int:
        """The code of zero, the first if there are two."""
        return self.values.index(0)

    @property
    def steps(self) -> int:
        """Number of steps between the least and the greatest value that are not special: the paper's p."""
        return int((max(self._grid) - min(self._grid)) * self.unit)

    @property
    def has_zero_points(self) -> bool:
        """Whether the values that are not special are evenly spaced, so that a zero-point can shift them."""
        grid = sorted(self._grid)
        return len({high - low for low, high in pairwise(grid)}) == 1

    def largest_product(self, activation_bits: int) -> int:
        """Largest magnitude of a weight, in units, times a two's complement activation of `activation_bits`."""
        return max(-self.minimum, self.maximum) << (activation_bits - 1)

    def product_bits(self, activation_bits: int) -> int:
        """Bits of every product, in units, with a two's complement activation of `activation_bits`."""
        least, greatest = -(1 << (activation_bits - 1)), (1 << (activation_bits - 1)) - 1
        products = [w * a for w in (self.minimum, self.maximum) for a in (least, greatest)]
        return max(signed_bits(product) for product in products)

    def mirrors(self, negative: Any, positive: Any) -> Any:
        """Whether numbers from -`negative` to `positive` are stored mirrored, with a negative scale.

        So that their larger extreme is on the format's longer side, if it has one. Numbers or arrays, which are compared one by
        one.
        """
        mirrored = positive > negative if -self.minimum > self.maximum else negative > positive
        return mirrored & (-self.minimum != self.maximum)

    # Decode and encode

    def decode(self, codes: ArrayLike) -> NDArray[np.int64]:
        """Values of `codes` (any shape, integers 0 to 2^bits - 1), in units, same shape."""
        return self._table[self.checked_codes(codes)]

    def decode_one(self, code: int) -> int:
        """The value of one code, in units."""
        if not 0 <= code < len(self.values):
            raise InputError(f"code {code} is not one of {self.name}: 0 to {len(self.values) - 1}")
        return self.values[code]

    def encode(self, values: ArrayLike) -> NDArray[np.uint8]:
        """Codes of `values` (any shape, integers in units), same shape. Values that no code has are refused."""
        wanted = np.asarray(values, dtype=np.int64)
        index = np.clip(np.searchsorted(self._sorted_values, wanted), 0, len(self._sorted_values) - 1)
        if np.any(missing := self._sorted_values[index] != wanted):
            raise InputError(f"value {wanted[missing].flat[0]} has no code in {self.name}: round it first")
        return self._sorted_codes[index]

    def encode_one(self, value: int) -> int:
        """The code of one value, in units."""
        if value not in self.values:
            raise InputError(f"value {value} has no code in {self.name}: round it first")
        return self.values.index(value)

    # Rounding

    def round(self, x: ArrayLike) -> NDArray[np.uint8]:
        """Codes of the values nearest to `x`, real numbers in *steps* (weight / scale), any shape; saturates.

        A tie next to a special value goes towards zero, as in the reference paper (arXiv 2311.05161, section 4: +1/2 takes
        1/4 < x <= 3/4, and -1/2 takes -3/4 <= x < -1/4); every other tie goes to the even rank, as in IEEE 754.
        """
        x = np.asarray(x, dtype=np.float64)
        if np.isnan(x).any():
            raise InputError("cannot round NaN: check the weights")
        return self._sorted_codes[np.searchsorted(self.thresholds(np.float64), x, side="left")]

    def round_one(self, x: float | Fraction) -> int:
        """The code of the value nearest to `x`, in steps; exact rational arithmetic, no thresholds."""
        if x != x:
            raise InputError("cannot round NaN: check the weights")
        if x in (float("inf"), float("-inf")):
            return self.encode_one(self.maximum if x > 0 else self.minimum)
        exact = Fraction(x) / self.unit
        distance = min(abs(exact - value) for value in self.values)
        nearest = {value for value in self.values if abs(exact - value) == distance}
        return self.encode_one(nearest.pop() if len(nearest) == 1 else self._tie(*sorted(nearest)))

    def thresholds(self, dtype: Any) -> NDArray[Any]:
        """Decision thresholds in steps, ascending, as floating-point `dtype`: one less than there are values.

        The rank of x among the sorted values is the number of thresholds *below* x. Where a tie goes up, the threshold is
        the largest number of `dtype` below the midpoint, so that one comparison decides both.
        """
        low, high = self._sorted_values[:-1], self._sorted_values[1:]
        midpoints = ((low + high) * float(self.unit) / 2).astype(dtype)
        up = np.array([self._tie(int(a), int(b)) == b for a, b in zip(low, high, strict=True)])
        return np.where(up, np.nextafter(midpoints, np.array(-np.inf, dtype)), midpoints)

    def sorted_codes(self) -> NDArray[np.uint8]:
        """One code of every value, in ascending order of value: shape (2^bits,), or one less where zero has two codes."""
        return self._sorted_codes.copy()

    # Zero-points

    def with_zero_point(self, zero_point: int) -> NumberFormat:
        """The same codes with the uniform grid shifted to -z .. p - z steps; special values stay where they are.

        This is the reference paper's asymmetric form, value (q - z) s, with q counted from the least grid code.

        Raises
        ------
        InputError
            If the zero-point is out of range, or the format's values are not evenly spaced.
        """
        if not self.has_zero_points:
            raise InputError(f"{self.title} takes no zero-point: its values are not evenly spaced; use the symmetric form")
        if not 0 <= zero_point <= self.steps:
            raise InputError(f"zero_point is {zero_point}: {self.name} takes 0 to {self.steps}")
        shift = -int(zero_point / self.unit) - min(self._grid)
        values = tuple(v if code in self.special_codes else v + shift for code, v in enumerate(self.values))
        return NumberFormat(self.name, self.title, self.bits, values, self.unit, self.special_codes, self.architecture)

    # Size of the special values

    def with_special(self, size: Fraction) -> NumberFormat:
        """The same codes with special values of +-`size` steps, which becomes the unit: 1/2, 1/4 or 1/8.

        The reference paper's c/s (appendix A.5); the name of a format that differs is that of this one with the size after it.

        Raises
        ------
        InputError
            If the format has no special values, or there is no such size.
        """
        if not self.special_codes:
            raise InputError(f"{self.title} has no special values, so that they have no size; use a dINT format")
        if size not in _SPECIAL_SIZES:
            raise InputError(f"special value of {size} steps: it is one of {', '.join(map(str, _SPECIAL_SIZES))}")
        if size == self.unit:
            return self
        values = tuple(
            (1 if value > 0 else -1) if code in self.special_codes else int(value * self.unit / size)
            for code, value in enumerate(self.values)
        )
        name, title = f"{self.name}_{_SPECIAL_SIZES[size]}", f"{self.title} ({size})"
        return NumberFormat(name, title, self.bits, values, size, self.special_codes, self.architecture)

    # Shared

    def checked_codes(self, codes: ArrayLike) -> NDArray[np.int64]:
        """`codes` as integers; anything that is no code of this format is refused, never truncated."""
        array = np.asarray(codes)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"codes of {self.name} have dtype {array.dtype}: integers are needed")
        array = array.astype(np.int64)
        if array.size and not 0 <= array.min() <= array.max() < len(self.values):
            worst = array.min() if array.min() < 0 else array.max()
            raise InputError(f"code {worst} is not one of {self.name}: 0 to {len(self.values) - 1}")
        return array

    def _tie(self, low: int, high: int) -> int:
        special = {self.values[code] for code in self.special_codes}
        if low in special or high in special:
            return min(low, high, key=abs)
        # Rank by magnitude among the ordinary values: even integers, and even significands of floating-point formats.
        magnitudes = sorted({abs(value) for value in self._grid})
        return low if magnitudes.index(abs(low)) % 2 == 0 else high

    @cached_property
    def _grid(self) -> tuple[int, ...]:
        return tuple(value for code, value in enumerate(self.values) if code not in self.special_codes)

    @cached_property
    def _table(self) -> NDArray[np.int64]:
        return np.array(self.values, dtype=np.int64)

    @cached_property
    def _sorted_values(self) -> NDArray[np.int64]:
        return np.unique(self._table)

    @cached_property
    def _sorted_codes(self) -> NDArray[np.uint8]:
        return np.unique(self._table, return_index=True)[1].astype(np.uint8)


def signed_bits(value: int) -> int:
    """Bits that `value` needs in two's complement."""
    return (value if value >= 0 else ~value).bit_length() + 1
