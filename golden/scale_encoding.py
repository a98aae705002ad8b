# SPDX-License-Identifier: Apache-2.0
"""How the scale of a block is stored: a small floating-point number, of either sign or never negative.

As with `NumberFormat`, every operation comes as an array function and as a scalar twin (`..._one`), written independently of
it in exact arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError, unknown
from .parameters import check_types

__all__ = ["E4M3", "E8M0", "SIGNED_E4M3", "ScaleEncoding"]

_ROUNDINGS = ("nearest", "down")


@dataclass(frozen=True)
class ScaleEncoding:
    """A binary floating-point encoding without infinities, of which scales use the numbers from zero up, or all.

    With m mantissa bits, exponent field e and mantissa f, a code stands for (1 + f / 2^m) 2^(e - bias); with e = 0, where there
    is a mantissa, for the subnormal (f / 2^m) 2^(1 - bias), zero among them. Without a mantissa there is neither zero nor
    subnormal. The code of all ones (the sign left out) is NaN. Where scales use the sign, a code with a 1 in front stands for
    the negative of what the other bits stand for.

    Parameters
    ----------
    name, title
        Lower-case identifier, and the name as it is written in prose.
    exponent_bits, mantissa_bits, bias
        As above.
    signed
        Whether codes have a sign bit in front.
    negative
        Whether scales use it; else they leave it 0. Only with a mantissa.
    rounding
        How a number becomes a code: to the "nearest", ties to the even code, or, without a mantissa always, "down" to the next
        below, by magnitude. Either saturates:
        above the largest finite number to that, and below the least to the least (zero, where there is one, without a sign).

    Raises
    ------
    InputError
        If a parameter is out of its range.
    """

    name: str
    title: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    signed: bool = False
    rounding: str = "nearest"
    negative: bool = False

    def __post_init__(self) -> None:
        check_types(self, str(self.name))
        if not (self.exponent_bits >= 1 and self.mantissa_bits >= 0 and self.bits <= 8):
            raise InputError(f"bits of {self.name} is {self.bits}: an encoding has an exponent, and 8 bits at most")
        if not 0 <= self.bias < 1 << self.exponent_bits:
            raise InputError(f"bias of {self.name} is {self.bias}: it is 0 to {(1 << self.exponent_bits) - 1}")
        if self.rounding not in _ROUNDINGS:
            raise unknown(f"rounding of {self.name} is {self.rounding!r}", self.rounding, _ROUNDINGS)
        if self.rounding == "nearest" and not self.mantissa_bits:
            raise InputError(f"rounding of {self.name} is 'nearest': without a mantissa it is down")
        if self.negative and not (self.signed and self.mantissa_bits):
            raise InputError(f"negative of {self.name} is True: only an encoding with a sign and a mantissa has such scales")

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def used_bits(self) -> int:
        """Bits of a code that are not always 0: without the sign, where scales have none."""
        return self.negative + self.exponent_bits + self.mantissa_bits

    @property
    def nan_code(self) -> int:
        """The code of NaN without a sign, all ones; all codes below are numbers from zero up, in ascending order."""
        return (1 << self.exponent_bits + self.mantissa_bits) - 1

    @property
    def sign_bit(self) -> int:
        """What the sign bit adds to a code: the negative of the number that it stands for."""
        return self.nan_code + 1

    @property
    def minimum(self) -> Fraction:
        """The least magnitude: zero, where there is one."""
        return self._known(0)

    @property
    def maximum(self) -> Fraction:
        """The largest number."""
        return self._known(self.nan_code - 1)

    @property
    def least_exponent(self) -> int:
        """The exponent of `parts` is at least this."""
        return (1 - self.bias - self.mantissa_bits) if self.mantissa_bits else -self.bias

    # Decode

    def checked(self, codes: ArrayLike) -> NDArray[np.int64]:
        """`codes` as integers; anything that is no code, or has a sign that scales do not use, is refused."""
        array = np.asarray(codes)
        if array.size and not np.issubdtype(array.dtype, np.integer):
            raise InputError(f"scale codes of {self.title} have dtype {array.dtype}: integers are needed")
        array = array.astype(np.int64)
        if array.size and not 0 <= array.min() <= array.max() < 1 << self.used_bits:
            raise self._no_code(int(array.min() if array.min() < 0 else array.max()))
        return array

    def is_nan(self, codes: ArrayLike) -> NDArray[np.bool_]:
        """Which `codes` (any shape) are NaN, of either sign."""
        return self.checked(codes) & self.nan_code == self.nan_code

    def parts(self, codes: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Significands s and exponents x of numbers s 2^x, each shaped like `codes`; |s| < 2^(mantissa bits + 1); no NaN."""
        array = self.checked(codes)
        if np.any(nan := self.is_nan(array)):
            raise InputError(f"scale code {array[nan][0]} of {self.title} is NaN: it has no exact value; check the scales")
        signs, magnitudes = np.where(array > self.nan_code, -1, 1), array & self.nan_code
        fields, fractions = magnitudes >> self.mantissa_bits, magnitudes & (1 << self.mantissa_bits) - 1
        if not self.mantissa_bits:
            return np.ones_like(array), fields - self.bias
        significands = np.where(fields == 0, fractions, fractions + (1 << self.mantissa_bits))
        return signs * significands, np.maximum(fields, 1) - self.bias - self.mantissa_bits

    def decode(self, codes: ArrayLike) -> NDArray[np.float64]:
        """Numbers that `codes` (any shape) stand for, exact, or NaN."""
        return self._table[self.checked(codes)]

    def decode_one(self, code: int) -> Fraction | None:
        """The number that one code stands for; None for NaN."""
        if not 0 <= code < 1 << self.used_bits:
            raise self._no_code(code)
        if code > self.nan_code:
            opposite = self.decode_one(code - self.nan_code - 1)
            return None if opposite is None else -opposite
        if code == self.nan_code:
            return None
        field, fraction = divmod(code, 1 << self.mantissa_bits)
        mantissa = Fraction(fraction, 1 << self.mantissa_bits)
        if self.mantissa_bits and field == 0:
            return mantissa * Fraction(2) ** (1 - self.bias)
        return (1 + mantissa) * Fraction(2) ** (field - self.bias)

    # Encode

    def encode(self, x: ArrayLike) -> NDArray[np.uint8]:
        """Codes of the real numbers `x` (any shape), rounded and saturated as stated; NaN becomes the code of NaN."""
        wanted = np.asarray(x, dtype=np.float64)
        if not self.negative and np.any(wanted < 0):
            raise InputError(f"scale {wanted[wanted < 0].flat[0]} is negative: {self.title} stores scales from zero up")
        ranks = np.searchsorted(self._thresholds, np.abs(wanted), side="left")
        signs = np.where((wanted < 0) & (ranks > 0), self.sign_bit, 0)
        return np.where(np.isnan(wanted), self.nan_code, ranks + signs).astype(np.uint8)

    def encode_one(self, x: float | Fraction) -> int:
        """The code of one number, in exact arithmetic."""
        if x != x:
            return self.nan_code
        if x < 0:
            if not self.negative:
                raise InputError(f"scale {x} is negative: {self.title} stores scales from zero up")
            opposite = self.encode_one(-x)
            return opposite + self.sign_bit if opposite else 0
        if x >= self.maximum:
            return self.nan_code - 1
        exact = Fraction(x)
        # Subnormals have the spacing of the least normal numbers; code numbers go on from one binade to the next.
        exponent = max(self._floor_log2(exact), 1 - self.bias) if exact else 1 - self.bias
        spacing = Fraction(2) ** (exponent - self.mantissa_bits)
        count = round(exact / spacing) if self.rounding == "nearest" else exact // spacing
        return (exponent + self.bias - 1 << self.mantissa_bits) + count

    def thresholds(self) -> NDArray[np.float64]:
        """Ascending: the code of a number x, from zero up, is how many of them are below x."""
        return self._thresholds.copy()

    # Shared

    @staticmethod
    def _floor_log2(x: Fraction) -> int:
        guess = x.numerator.bit_length() - x.denominator.bit_length()
        return guess if Fraction(2) ** guess <= x else guess - 1

    def _known(self, code: int) -> Fraction:
        value = self.decode_one(code)
        assert value is not None
        return value

    def _no_code(self, code: int) -> InputError:
        signs = f", {self.sign_bit} more for their negatives" if self.negative else ""
        known = f"0 to {self.nan_code - 1}, and {self.nan_code} for NaN"
        return InputError(f"scale code {code} is none of {self.title}: {known}{signs}")

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        codes = np.arange(1 << self.used_bits)
        nan = self.is_nan(codes)
        significands, exponents = self.parts(np.where(nan, 0, codes))
        return np.where(nan, np.nan, np.ldexp(significands.astype(np.float64), exponents))

    @cached_property
    def _thresholds(self) -> NDArray[np.float64]:
        low, high = self._table[: self.nan_code - 1], self._table[1 : self.nan_code]
        if self.rounding == "down":
            return np.nextafter(high, 0)
        odd = np.arange(len(low)) % 2 == 1
        midpoints = (low + high) / 2
        return np.where(odd, np.nextafter(midpoints, 0), midpoints)


#: Powers of two (Open Compute Project, "Microscaling Formats (MX) Specification" 1.0): the floor of a logarithm.
E8M0 = ScaleEncoding("e8m0", "E8M0", exponent_bits=8, mantissa_bits=0, bias=127, rounding="down")
#: Open Compute Project, "8-bit Floating Point Specification (OFP8)" 1.0, E4M3: no infinities, largest number 448.
E4M3 = ScaleEncoding("e4m3", "E4M3", exponent_bits=4, mantissa_bits=3, bias=7, signed=True)
#: The same with scales of either sign.
SIGNED_E4M3 = replace(E4M3, name="signed_e4m3", title="signed E4M3", negative=True)
