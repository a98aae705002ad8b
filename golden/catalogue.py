# SPDX-License-Identifier: Apache-2.0
"""The number formats, as data. To add one, add it here; the tests run over all of `FORMATS`."""

from __future__ import annotations

from fractions import Fraction

from .errors import unknown
from .number_format import NumberFormat

__all__ = ["DINT3", "DINT4", "FORMATS", "FP4_E2M1", "INT3", "INT4", "INT8", "VARIANTS", "format_by_name"]


def _twos_complement(bits: int) -> tuple[int, ...]:
    half = 1 << (bits - 1)
    return tuple(code if code < half else code - 2 * half for code in range(2 * half))


INT8 = NumberFormat("int8", "INT8", 8, _twos_complement(8), architecture="booth-carry")
INT4 = NumberFormat("int4", "INT4", 4, _twos_complement(4), architecture="booth-carry")
INT3 = NumberFormat("int3", "INT3", 3, _twos_complement(3), architecture="digit-grid")

# dINT (arXiv 2311.05161, section 4): 2^b - 2 consecutive integers, and +1/2 and -1/2 of a step. Here the unit is half a step.
#
# A code is minus its value in two's complement. The integers -7..6 (dINT3: -3..2) leave two codes free, which only differ in
# their last bit; they stand for +1/2 and -1/2:
#
#   dINT4   b3 b2 b1 b0       value = 8 t - 4 b2 - 2 b1 - b0 + s/2      with t = b3 and (b2 or b1), s = b3 and not (b2 or b1)
#            1  0  0  0       s = 1:  +1/2
#            1  0  0  1       s = b0 = 1:  -1 + 1/2 = -1/2
#   dINT3      b2 b1 b0       value = 4 t - 2 b1 - b0 + s/2             with t = b2 and b1, s = b2 and not b1
#
# So three of the four bits are used as they are by an array of and gates, with a row more for s, and a decoder is two gates;
# for the digits of `hdl.digit_grid` the table is one of the best, too (`dint codes` searches for such tables).
DINT4 = NumberFormat(
    name="dint4",
    title="dINT4",
    bits=4,
    values=(0, -2, -4, -6, -8, -10, -12, -14, 1, -1, 12, 10, 8, 6, 4, 2),
    unit=Fraction(1, 2),
    special_codes=frozenset({8, 9}),
    architecture="digit-grid",
)
DINT3 = NumberFormat(
    name="dint3",
    title="dINT3",
    bits=3,
    values=(0, -2, -4, -6, 1, -1, 4, 2),
    unit=Fraction(1, 2),
    special_codes=frozenset({4, 5}),
    architecture="digit-grid",
)

# Sign, two bits of exponent, one of mantissa (Open Compute Project, "Microscaling Formats (MX) Specification" 1.0), without the
# blocks' shared scales. The unit is the subnormal, half a step; code 8 is -0. Codes made for the digits would make a unit 1 to
# 3% smaller (`dint codes fp4_e2m1`), which is not worth codes that no other tool writes.
_E2M1_MAGNITUDES = (0, 1, 2, 3, 4, 6, 8, 12)
FP4_E2M1 = NumberFormat(
    name="fp4_e2m1",
    title="FP4 E2M1",
    bits=4,
    values=(*_E2M1_MAGNITUDES, *(-magnitude for magnitude in _E2M1_MAGNITUDES)),
    unit=Fraction(1, 2),
    architecture="digit-grid",
)

FORMATS: dict[str, NumberFormat] = {
    number_format.name: number_format for number_format in (INT8, INT4, DINT4, DINT3, INT3, FP4_E2M1)
}

#: dINT with the special value at a quarter and an eighth of a step (the paper's appendix A.5), for study: no comparison of
#: all formats includes them.
VARIANTS: dict[str, NumberFormat] = {
    variant.name: variant
    for number_format in (DINT4, DINT3)
    for variant in (number_format.with_special(Fraction(1, 4)), number_format.with_special(Fraction(1, 8)))
}


def format_by_name(name: str) -> NumberFormat:
    """The format or variant called `name` (upper or lower case). An unknown name is refused with the nearest known one."""
    known, given = FORMATS | VARIANTS, str(name).lower()
    if given not in known:
        raise unknown(f"unknown format {name!r}", given[:100], known)
    return known[given]
