# SPDX-License-Identifier: Apache-2.0
"""The number formats, as data. To add one, add it here; the tests run over all of `FORMATS` and `BLOCK_FORMATS`."""

from __future__ import annotations

from fractions import Fraction

from .block_format import BlockFormat
from .errors import unknown
from .lobcq import frozen_formats
from .number_format import NumberFormat
from .scale_encoding import E4M3, E8M0, SIGNED_E4M3

__all__ = [
    "BLOCK_FORMATS",
    "CODEBOOK_FORMATS",
    "DINT3",
    "DINT4",
    "FORMATS",
    "FP4_E2M1",
    "GROUP_FORMATS",
    "INT3",
    "INT4",
    "INT8",
    "MXFP4",
    "NVFP4",
    "SCALED_FORMATS",
    "VARIANTS",
    "any_format",
    "block_format_by_name",
    "format_by_name",
]


INT8 = NumberFormat.integers(8)
INT4 = NumberFormat.integers(4)
INT3 = NumberFormat.integers(3, architecture="digit-grid")

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

# Open Compute Project, "Microscaling Formats (MX) Specification" 1.0, sections 5 and 6: blocks of 32; the scale is
# 2^(floor(log2(largest magnitude)) - 2), 4 = 2^2 being the largest power of two among the elements; elements to nearest, ties
# to even, saturating. A scale that E8M0 lacks is clamped, and so is that of a block of zeros, whose logarithm there is none of.
MXFP4 = BlockFormat("mxfp4", "MXFP4", (FP4_E2M1,), block=32, scales=E8M0, full_scale=Fraction(4))

# NVIDIA's format ("Pretraining Large Language Models with NVFP4", arXiv 2509.25149): blocks of 16, the scale the largest
# magnitude / 6 relative to a float32 of the tensor, which is its largest magnitude / (6 x 448). NVIDIA's kernels multiply by
# float32 reciprocals where this divides, so that a number beside a threshold may differ.
NVFP4 = BlockFormat("nvfp4", "NVFP4", (FP4_E2M1,), block=16, scales=E4M3, full_scale=Fraction(6), tensor_scale=True)

BLOCK_FORMATS: dict[str, BlockFormat] = {block_format.name: block_format for block_format in (MXFP4, NVFP4)}

#: INT4 and dINT4 in groups of 32 to 128 along the inputs of a layer (AdaDim's per-OC groups, arXiv 2309.15531) with stored
#: scales: `dint4_g128` for instance. The largest magnitude is the longer side of the range, and a scale has a sign, as in plain
#: formats.
GROUP_FORMATS: dict[str, BlockFormat] = {
    (name := f"{element.name}_g{size}"): BlockFormat(
        name, f"{element.title} g{size}", (element,), size, SIGNED_E4M3, -element.minimum * element.unit, tensor_scale=True
    )
    for element in (INT4, DINT4)
    for size in (32, 64, 128)
}

#: LO-BCQ with 2 to 16 codebooks and arrays of 16 to 128, `lobcq_c8_g64` for instance: each is of use, none stands for all.
CODEBOOK_FORMATS: dict[str, BlockFormat] = frozen_formats()

#: All formats that bring their scales along.
SCALED_FORMATS: dict[str, BlockFormat] = BLOCK_FORMATS | GROUP_FORMATS | CODEBOOK_FORMATS


def format_by_name(name: str) -> NumberFormat:
    """The format or variant called `name` (upper or lower case). An unknown name is refused with the nearest known one."""
    known, given = FORMATS | VARIANTS, str(name).lower()
    if given not in known:
        raise unknown(f"unknown format {name!r}", given[:100], known)
    return known[given]


def block_format_by_name(name: str) -> BlockFormat:
    """The block format called `name` (upper or lower case), else refused as `format_by_name` does."""
    known, given = SCALED_FORMATS, str(name).lower()
    if given not in known:
        raise unknown(f"unknown block format {name!r}", given[:100], known)
    return known[given]


def any_format(name: str) -> NumberFormat | BlockFormat:
    """The format, variant or block format called `name` (upper or lower case), else refused as `format_by_name` does."""
    known, given = FORMATS | VARIANTS | SCALED_FORMATS, str(name).lower()
    if given not in known:
        raise unknown(f"unknown format {name!r}", given[:100], known)
    return known[given]
