# SPDX-License-Identifier: Apache-2.0
"""Encodings of scales: every code and every threshold, both twins, and against an independent implementation."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import E4M3, E8M0, SIGNED_E4M3, InputError, ScaleEncoding

#: A small one of either kind besides those of the catalogue.
SMALL = ScaleEncoding("e3m2", "E3M2", exponent_bits=3, mantissa_bits=2, bias=3, rounding="down")
EVERY = pytest.mark.parametrize("encoding", [E8M0, E4M3, SMALL, SIGNED_E4M3], ids=lambda one: one.name)
INDEPENDENT = pytest.mark.parametrize(
    ("encoding", "dtype"), [(E8M0, ml_dtypes.float8_e8m0fnu), (E4M3, ml_dtypes.float8_e4m3fn)], ids=["e8m0", "e4m3"]
)


def probes(encoding: ScaleEncoding) -> np.ndarray:
    """Every number and every midpoint with its neighbours, zero, and the far ends."""
    numbers = encoding.decode(np.arange(encoding.nan_code))
    exact = np.concatenate([numbers, (numbers[:-1] + numbers[1:]) / 2, [0, 5e-324, 1e-300, 1e300]])
    around = np.concatenate([np.nextafter(exact, 0), exact, np.nextafter(exact, np.inf)])
    return np.unique(around)


@INDEPENDENT
def test_every_code_is_that_of_the_independent_implementation(encoding: ScaleEncoding, dtype: type) -> None:
    codes = np.arange(encoding.nan_code + 1)
    theirs = codes.astype(np.uint8).view(dtype).astype(np.float64)
    assert np.array_equal(encoding.decode(codes), theirs, equal_nan=True)
    assert np.isnan(theirs).sum() == 1
    assert encoding.bits == 8


def test_nearest_is_that_of_the_independent_implementation() -> None:
    """For float32, which the other one rounds in one step; it does not saturate."""
    x = probes(E4M3)
    x = np.unique(x[x < 1e30].astype(np.float32))
    theirs = np.minimum(x, np.float32(448)).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    assert E4M3.encode(x).tolist() == theirs.tolist()
    assert set(theirs.tolist()) == set(range(127))


def test_the_facts_of_the_standards() -> None:
    """OFP8 1.0, table 2: E4M3; MX 1.0, section 5.4.1: E8M0."""
    assert (E4M3.maximum, E4M3.minimum, E4M3.nan_code) == (448, 0, 0x7F)
    assert (E4M3.decode_one(1), E4M3.decode_one(7), E4M3.decode_one(8)) == (Fraction(1, 512), Fraction(7, 512), Fraction(1, 64))
    assert (E8M0.maximum, E8M0.minimum, E8M0.nan_code) == (2**127, Fraction(1, 2**127), 0xFF)
    assert E8M0.decode_one(127) == 1
    # The floor of the logarithm, saturated at both ends; nearest ties to even, saturated, subnormals and zero among them.
    downs = {0: 0, 1e-40: 0, 1: 127, 1.999: 127, 2: 128, 1e39: 254, float("inf"): 254}
    assert [int(E8M0.encode(x)) for x in downs] == list(downs.values())
    nearest = {2**-10: 0, 1.001 * 2**-10: 1, 3 * 2**-10: 2, 1.0625: 0x38, 1.1875: 0x3A, 432: 0x7E, 464: 0x7E, 1e9: 0x7E}
    assert [int(E4M3.encode(x)) for x in nearest] == list(nearest.values())


@EVERY
def test_decode_twins_agree_and_codes_ascend(encoding: ScaleEncoding) -> None:
    codes = np.arange(encoding.nan_code)
    decoded = encoding.decode(codes)
    exact = [encoding.decode_one(code) for code in codes.tolist()]
    assert [Fraction(one) for one in decoded.tolist()] == exact
    assert np.all(np.diff(decoded) > 0)
    significands, exponents = encoding.parts(codes)
    assert [s * Fraction(2) ** x for s, x in zip(significands.tolist(), exponents.tolist(), strict=True)] == exact
    assert exponents.min() == encoding.least_exponent
    assert significands.max() == (2 << encoding.mantissa_bits) - 1
    assert encoding.decode_one(encoding.nan_code) is None
    assert np.isnan(encoding.decode(encoding.nan_code))
    assert encoding.decode(codes.reshape(-1, 1)).shape == (len(codes), 1)


@EVERY
def test_encode_twins_agree_at_every_threshold(encoding: ScaleEncoding) -> None:
    points = probes(encoding)
    assert len(points) > 5 * encoding.nan_code
    codes = encoding.encode(points)
    assert codes.tolist() == [encoding.encode_one(x) for x in points.tolist()]
    assert set(codes.tolist()) == set(range(encoding.nan_code))
    numbers = encoding.decode(np.arange(encoding.nan_code))
    assert encoding.encode(numbers).tolist() == list(range(encoding.nan_code))
    assert encoding.encode(np.nan) == encoding.encode_one(float("nan")) == encoding.nan_code
    assert encoding.encode(np.inf) == encoding.encode_one(float("inf")) == encoding.nan_code - 1


@EVERY
@given(x=st.floats(0, allow_nan=False))
def test_encode_twins_agree_anywhere(encoding: ScaleEncoding, x: float) -> None:
    assert int(encoding.encode(x)) == encoding.encode_one(x)


@EVERY
@given(x=st.fractions(min_value=0, max_value=500, max_denominator=999))
def test_what_is_no_float_is_rounded_as_it_is(encoding: ScaleEncoding, x: Fraction) -> None:
    """Fractions, such as a block's largest magnitude / 6, become what is next below, or nearest."""
    code = encoding.encode_one(x)
    numbers = [encoding.decode_one(one) for one in range(encoding.nan_code)]
    if encoding.rounding == "down":
        assert code == max((one for one, number in enumerate(numbers) if number <= x), default=0)
    else:
        assert code == min(range(encoding.nan_code), key=lambda one: (abs(numbers[one] - x), one % 2))


@EVERY
def test_thresholds_count_up_to_the_code(encoding: ScaleEncoding) -> None:
    thresholds = encoding.thresholds()
    points = probes(encoding)
    assert (thresholds < points[:, None]).sum(axis=1).tolist() == encoding.encode(points).tolist()
    thresholds[:] = 0  # a copy
    assert encoding.encode(encoding.maximum) == encoding.nan_code - 1


def test_the_shortest_encoding() -> None:
    """One bit of exponent, no bias: subnormals and one binade, of the same spacing."""
    shortest = ScaleEncoding("e1m2", "E1M2", exponent_bits=1, mantissa_bits=2, bias=0)
    assert shortest.decode(np.arange(7)).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert shortest.encode([0.25, 0.75, 2.2, 9]).tolist() == [0, 2, 4, 6]


def test_signs_are_those_of_the_independent_implementation() -> None:
    codes = np.arange(256)
    theirs = codes.astype(np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    assert np.array_equal(SIGNED_E4M3.decode(codes), theirs, equal_nan=True)
    assert np.flatnonzero(SIGNED_E4M3.is_nan(codes)).tolist() == np.flatnonzero(np.isnan(theirs)).tolist() == [127, 255]
    assert [SIGNED_E4M3.decode_one(code) for code in (127, 128, 129, 255)] == [None, 0, Fraction(-1, 512), None]
    numbers = codes[~np.isnan(theirs)]
    assert [SIGNED_E4M3.decode_one(code) for code in numbers.tolist()] == [Fraction(one) for one in theirs[numbers]]
    significands, exponents = SIGNED_E4M3.parts(numbers)
    assert np.ldexp(significands.astype(np.float64), exponents).tolist() == theirs[numbers].tolist()
    x = probes(E4M3)
    x = np.unique(x[x < 1e30].astype(np.float32))
    wanted = np.maximum(-x, np.float32(-448)).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    assert SIGNED_E4M3.encode(-x).tolist() == np.where(wanted == 128, 0, wanted).tolist()  # zero has no sign


def test_what_is_below_zero_has_the_code_of_the_opposite_and_a_sign() -> None:
    x = probes(SIGNED_E4M3)
    positive, negative = SIGNED_E4M3.encode(x), SIGNED_E4M3.encode(-x)
    assert positive.tolist() == E4M3.encode(x).tolist()
    assert negative.tolist() == [code + 128 if code else 0 for code in positive.tolist()]
    assert negative.tolist() == [SIGNED_E4M3.encode_one(-number) for number in x.tolist()]
    assert (SIGNED_E4M3.bits, SIGNED_E4M3.used_bits, E4M3.bits, E4M3.used_bits) == (8, 8, 8, 7)
    short = ScaleEncoding("e2m1", "E2M1", exponent_bits=2, mantissa_bits=1, bias=1, signed=True, negative=True)
    assert short.encode([-4.0, -0.5, -0.1, 0.5]).tolist() == [14, 9, 0, 1]  # the sign is the fourth bit, not the eighth


@EVERY
def test_what_is_no_scale_is_refused(encoding: ScaleEncoding) -> None:
    for code in (-1, 1 << encoding.used_bits):  # of E4M3, codes with a sign
        with pytest.raises(InputError, match=f"^scale code {code} is none of {encoding.title}"):
            encoding.decode([0, code])
        with pytest.raises(InputError, match=f"^scale code {code} is none of {encoding.title}"):
            encoding.decode_one(code)
    signs = ", 128 more for their negatives" if encoding is SIGNED_E4M3 else ""
    with pytest.raises(InputError, match=f"0 to {encoding.nan_code - 1}, and {encoding.nan_code} for NaN{signs}$"):
        encoding.decode_one(-1)
    with pytest.raises(InputError, match="integers are needed"):
        encoding.decode([1.0])
    with pytest.raises(InputError, match="is NaN: it has no exact value; check"):
        encoding.parts([0, encoding.nan_code])
    if encoding.negative:
        return
    for encode, x in ((encoding.encode, -1.5), (encoding.encode, [2.0, -1.5, 1.0]), (encoding.encode_one, -1.5)):
        with pytest.raises(InputError, match=r"^scale -1\.5 is negative"):
            encode(x)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exponent_bits": 0}, "has an exponent, and 8 bits at most"),
        ({"mantissa_bits": 5, "signed": True}, "bits of e4m3 is 10"),
        ({"mantissa_bits": -1}, "8 bits at most"),
        ({"exponent_bits": 6}, "bits of e4m3 is 9: an encoding has an exponent, and 8 bits at most"),
        ({"mantissa_bits": 0}, "rounding of e4m3 is 'nearest': without a mantissa it is down"),
        ({"bias": -1}, "bias of e4m3 is -1"),
        ({"bias": 16}, "bias of e4m3 is 16: it is 0 to 15"),
        ({"bias": 7.0}, "bias of e4m3 is 7.0: an integer"),
        ({"negative": True}, "negative of e4m3 is True: only an encoding with a sign and a mantissa"),
        ({"mantissa_bits": 0, "rounding": "down", "signed": True, "negative": True}, "negative of e4m3 is True"),
        ({"rounding": "up"}, "rounding of e4m3 is 'up': known are nearest, down"),
    ],
)
def test_encodings_that_are_none(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ScaleEncoding(**{"name": "e4m3", "title": "E4M3", "exponent_bits": 4, "mantissa_bits": 3, "bias": 7, **changes})
