# SPDX-License-Identifier: Apache-2.0
"""Formats: tables, both twins of every operation, and rounding with the paper's thresholds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import DINT3, DINT4, FORMATS, FP4_E2M1, INT3, INT4, INT8, VARIANTS, InputError, NumberFormat, format_by_name
from golden.errors import nearest, unknown
from golden.number_format import signed_bits

EVERY = pytest.mark.parametrize("number_format", (FORMATS | VARIANTS).values(), ids=FORMATS | VARIANTS)
DINTS = pytest.mark.parametrize("number_format", [DINT3, DINT4], ids=["dint3", "dint4"])


def paper_value(x: Fraction, steps: int, zero_point: int) -> Fraction:
    """dINT as arXiv 2311.05161 section 4 states it, in steps: the value that x becomes."""
    if Fraction(1, 4) < x <= Fraction(3, 4):
        return Fraction(1, 2)
    if Fraction(-3, 4) <= x < Fraction(-1, 4):
        return Fraction(-1, 2)
    q = min(max(round(x) + zero_point, 0), steps)  # Python rounds ties to even, as IEEE 754 does
    return Fraction(q - zero_point)


def probes(number_format: NumberFormat) -> list[float]:
    """Every threshold and every value with its neighbours in float64, a fine grid, and the far ends."""
    thresholds = number_format.thresholds(np.float64)
    values = np.array(number_format.values) * float(number_format.unit)
    exact = np.unique(
        np.concatenate([thresholds, values, np.arange(-40, 41) / 4, [-1e300, 1e300, -np.inf, np.inf, -0.0, 5e-324]])
    )
    neighbours = np.concatenate([np.nextafter(exact, -np.inf), exact, np.nextafter(exact, np.inf)])
    return np.unique(neighbours).tolist()


def test_the_catalogue():
    assert INT8.values == (*range(128), *range(-128, 0))
    assert INT4.values == (*range(8), *range(-8, 0))
    assert INT3.values == (*range(4), *range(-4, 0))
    # 14 (6) consecutive integers and +1/2, -1/2, in half-steps: all codes are used.
    assert sorted(DINT4.values) == sorted([*range(-14, 13, 2), 1, -1])
    assert sorted(DINT3.values) == sorted([*range(-6, 5, 2), 1, -1])
    for number_format in (DINT4, DINT3):
        assert {number_format.values[code] for code in number_format.special_codes} == {1, -1}
        assert number_format.unit == Fraction(1, 2)
        assert number_format.steps == 2**number_format.bits - 3  # the paper's p
    assert (INT3.steps, INT4.steps, INT8.steps) == (7, 15, 255)


def test_integers_have_rows_for_pairs_of_bits_where_they_are_pairs() -> None:
    assert [NumberFormat.integers(bits).architecture for bits in (4, 5, 6)] == ["booth-carry", "baugh-wooley", "booth-carry"]
    assert [NumberFormat.integers(bits, "digit-grid").architecture for bits in (4, 5)] == ["digit-grid"] * 2


def test_what_is_stored_mirrored() -> None:
    """What would put its larger extreme on the shorter side; nothing where both are equally long."""
    longer_above = NumberFormat("up", "Up", 2, (0, 1, 2, -1))
    negative, positive = np.array([1.0, 2.0, 2.0]), np.array([2.0, 1.0, 2.0])
    assert INT4.mirrors(negative, positive).tolist() == [True, False, False]
    assert longer_above.mirrors(negative, positive).tolist() == [False, True, False]
    assert FP4_E2M1.mirrors(negative, positive).tolist() == [False, False, False]
    assert [bool(INT4.mirrors(*extremes)) for extremes in ((1, 2), (2, 1), (2, 2))] == [True, False, False]


@DINTS
@pytest.mark.parametrize(("size", "word"), [(Fraction(1, 4), "quarter"), (Fraction(1, 8), "eighth")])
def test_size_of_the_special_value(number_format, size, word):
    """The same codes, all values but the special ones unchanged, and rounding to the nearest of them."""
    variant = number_format.with_special(size)
    assert variant is not number_format
    assert format_by_name(f"{number_format.name}_{word}") == variant == VARIANTS[variant.name]
    assert (variant.unit, variant.steps, variant.special_codes) == (size, number_format.steps, number_format.special_codes)
    for code, value in enumerate(number_format.values):
        steps = variant.values[code] * size
        assert steps == ((size if value > 0 else -size) if code in number_format.special_codes else value * number_format.unit)
    zero, special, one = (variant.encode_one(int(steps / size)) for steps in (0, size, 1))
    low, high = float(size / 2), float((1 + size) / 2)  # both thresholds belong to the smaller magnitude
    rounded = [int(variant.round(x)) for x in (low, np.nextafter(low, 1), high, np.nextafter(high, 1))]
    assert rounded == [zero, special, special, one]
    shifted = variant.with_zero_point(2)
    grid = {shifted.decode_one(code) * size for code in range(len(shifted.values)) if code not in shifted.special_codes}
    assert grid == set(range(-2, variant.steps - 1))


def test_sizes_that_are_none():
    assert DINT4.with_special(Fraction(1, 2)) is DINT4
    for size in (Fraction(1, 3), Fraction(1, 16), Fraction(1)):
        with pytest.raises(InputError, match=f"special value of {size} steps: it is one of 1/2, 1/4, 1/8"):
            DINT4.with_special(size)
    with pytest.raises(InputError, match="INT4 has no special values"):
        INT4.with_special(Fraction(1, 4))


def test_fp4_is_sign_exponent_mantissa():
    """(-1)^s 2^(e - 1) (1 + m / 2), and for e = 0 (-1)^s m / 2: OCP Microscaling Formats 1.0, E2M1, bias 1."""
    for code, value in enumerate(FP4_E2M1.values):
        sign, exponent, mantissa = code >> 3, code >> 1 & 3, code & 1
        magnitude = Fraction(2) ** (exponent - 1) * (1 + Fraction(mantissa, 2)) if exponent else Fraction(mantissa, 2)
        assert value * FP4_E2M1.unit == (-1) ** sign * magnitude
    assert FP4_E2M1.zero_code == FP4_E2M1.encode_one(0) == int(FP4_E2M1.round(-0.1)) == 0  # never -0
    ties = {0.25: 0, 0.75: 1, 1.25: 1, 1.75: 2, 2.5: 2, 3.5: 4, 5: 4, 7: 6}  # to the even mantissa; saturates
    for x, value in ties.items():
        assert [FP4_E2M1.decode_one(int(FP4_E2M1.round(sign * x))) for sign in (1, -1)] == [2 * value, -2 * value]


@EVERY
def test_decode_and_encode_are_inverse_and_twins(number_format):
    codes = np.arange(len(number_format.values))
    values = number_format.decode(codes)
    assert values.tolist() == [number_format.decode_one(code) for code in range(len(codes))] == list(number_format.values)
    assert number_format.encode(values).tolist() == [number_format.encode_one(value) for value in values.tolist()]
    first = [number_format.values.index(value) for value in number_format.values]  # itself, but for -0
    assert number_format.encode(values).tolist() == first
    assert sum(one != other for one, other in enumerate(first)) == (number_format is FP4_E2M1)
    assert number_format.decode(codes.reshape(2, -1)).shape == (2, len(codes) // 2)
    ranked = number_format.decode(number_format.sorted_codes())
    assert np.all(np.diff(ranked) > 0)
    assert (number_format.minimum, number_format.maximum) == (ranked[0], ranked[-1])
    assert number_format.decode_one(number_format.zero_code) == 0


@EVERY
def test_rounding_twins_agree_at_every_threshold(number_format):
    points = probes(number_format)
    assert len(points) > 3 * len(number_format.values)
    assert number_format.round(points).tolist() == [number_format.round_one(x) for x in points]


@EVERY
def test_rounding_is_to_the_nearest(number_format):
    """No neighbour of the chosen value is nearer, exactly."""
    ranked = [Fraction(int(v)) * number_format.unit for v in number_format.decode(number_format.sorted_codes())]
    for x, code in zip(
        finite := [x for x in probes(number_format) if not np.isinf(x)], number_format.round(finite), strict=True
    ):
        rank = ranked.index(number_format.values[code] * number_format.unit)
        distances = [abs(value - Fraction(x)) for value in ranked[max(rank - 1, 0) : rank + 2]]
        assert abs(ranked[rank] - Fraction(x)) == min(distances)


@EVERY
@given(x=st.floats(allow_nan=False))
def test_rounding_twins_agree_anywhere(number_format, x):
    assert int(number_format.round(x)) == number_format.round_one(x)


@EVERY
@given(x=st.floats(-200, 200), y=st.floats(-200, 200))
def test_rounding_is_monotonic_and_idempotent(number_format, x, y):
    low, high = number_format.decode(number_format.round([min(x, y), max(x, y)]))
    assert low <= high
    again = number_format.round(low * float(number_format.unit))
    assert number_format.decode_one(int(again)) == low


@DINTS
def test_rounding_is_the_papers(number_format):
    """Against the paper's rule, for the symmetric use: z counts from the least grid code."""
    zero_point = int(
        -min(v for c, v in enumerate(number_format.values) if c not in number_format.special_codes) * number_format.unit
    )
    for x in probes(number_format):
        if np.isinf(x):
            continue
        expected = paper_value(Fraction(x), number_format.steps, zero_point)
        assert Fraction(number_format.decode_one(int(number_format.round(x)))) / 2 == expected, x


@DINTS
def test_every_zero_point_is_the_papers(number_format):
    for zero_point in range(number_format.steps + 1):
        shifted = number_format.with_zero_point(zero_point)
        assert shifted.special_codes == number_format.special_codes
        for code in number_format.special_codes:
            assert shifted.values[code] == number_format.values[code]
        grid = sorted(v for c, v in enumerate(shifted.values) if c not in shifted.special_codes)
        assert grid == [2 * (q - zero_point) for q in range(number_format.steps + 1)]
        for x in probes(shifted):
            if np.isinf(x):
                continue
            expected = paper_value(Fraction(x), number_format.steps, zero_point)
            got = Fraction(shifted.decode_one(int(shifted.round(x)))) / 2
            # A grid that ends at 0 lacks the ordinary neighbour beyond +-1/2: the paper's clamp gives 0, nearest gives +-1/2.
            if abs(x) > 0.75 and abs(got) == Fraction(1, 2):
                assert zero_point in (0, number_format.steps)
                assert abs(got - Fraction(x)) < abs(expected - Fraction(x))
            else:
                assert got == expected, (zero_point, x)


@EVERY
def test_thresholds_of_float32_decide_float32_numbers(number_format):
    """Comparing a float32 with the float32 thresholds gives the exact decision."""
    thresholds = number_format.thresholds(np.float32)
    assert thresholds.dtype == np.float32
    base = np.concatenate([thresholds, (np.array(number_format.values) * float(number_format.unit)).astype(np.float32)])
    x = np.concatenate([np.nextafter(base, np.float32(-np.inf)), base, np.nextafter(base, np.float32(np.inf))])
    codes = number_format.sorted_codes()[np.searchsorted(thresholds, x, side="left")]
    assert codes.tolist() == [number_format.round_one(float(value)) for value in x]


def test_ties():
    """To even among the integers, towards zero beside a special value."""
    rounded = {x: INT4.decode_one(int(INT4.round(x))) for x in (0.5, 1.5, 2.5, -0.5, -1.5, -2.5)}
    assert rounded == {0.5: 0, 1.5: 2, 2.5: 2, -0.5: 0, -1.5: -2, -2.5: -2}
    halves = {x: DINT4.decode_one(int(DINT4.round(x))) for x in (0.25, 0.75, -0.25, -0.75, 1.5, 2.5, -1.5)}
    assert halves == {0.25: 0, 0.75: 1, -0.25: 0, -0.75: -1, 1.5: 4, 2.5: 4, -1.5: -4}


@EVERY
def test_widths(number_format):
    least, greatest = number_format.minimum, number_format.maximum
    products = [v * a for v in number_format.values for a in range(-128, 128)]
    bits = number_format.product_bits(8)
    assert -(1 << bits - 1) <= min(products)
    assert max(products) < 1 << bits - 1
    assert max(products) >= 1 << bits - 2 or min(products) < -(1 << bits - 2)  # no bit too many
    assert number_format.largest_product(8) == max(map(abs, products)) == max(-least, greatest) * 128


@pytest.mark.parametrize("values", [(0, 1, 2, 4), (0, -1, -2, -4), (1, 0, 3, -3)], ids=["unsigned", "negative", "even"])
def test_widths_of_formats_that_lean_to_one_side(values):
    number_format = NumberFormat("f", "F", 2, values, Fraction(1, 2), frozenset({3} if values[0] == 0 else {0}))
    products = [v * a for v in values for a in range(-128, 128)]
    assert number_format.product_bits(8) == max(map(signed_bits, products))
    assert number_format.largest_product(8) == max(map(abs, products))


def test_signed_bits():
    for value in range(-300, 300):
        bits = signed_bits(value)
        assert -(1 << bits - 1) <= value < 1 << bits - 1
        assert bits == 1 or not -(1 << bits - 2) <= value < 1 << bits - 2


@EVERY
def test_what_is_no_code_or_no_value_is_refused(number_format):
    beyond = len(number_format.values)
    for code in (beyond, -1):
        for codes in ([code], [[0, 1], [1, code]], [code, 1, 0]):
            with pytest.raises(InputError, match=f"^code {code} is not one of"):
                number_format.decode(codes)
        with pytest.raises(InputError, match=f"^code {code} is not one of"):
            number_format.decode_one(code)
    with pytest.raises(InputError, match="integers are needed"):
        number_format.decode([0.0])
    for value in (number_format.maximum + 1, 10**9):
        with pytest.raises(InputError, match="has no code"):
            number_format.encode([0, value])
        with pytest.raises(InputError, match="has no code"):
            number_format.encode_one(value)
    for operation, x in ((number_format.round, [0.0, float("nan")]), (number_format.round_one, float("nan"))):
        with pytest.raises(InputError, match="NaN"):
            operation(x)
    assert number_format.decode([]).shape == (0,)


def test_values_that_are_not_evenly_spaced_take_no_zero_point():
    assert all(variant.has_zero_points for variant in VARIANTS.values())
    assert [f.name for f in FORMATS.values() if not f.has_zero_points] == ["fp4_e2m1"]
    with pytest.raises(InputError, match="FP4 E2M1 takes no zero-point"):
        FP4_E2M1.with_zero_point(0)


@DINTS
@pytest.mark.parametrize("beyond", [-1, 99])
def test_zero_points_out_of_range_are_refused(number_format, beyond):
    with pytest.raises(InputError, match=f"zero_point is {beyond}"):
        number_format.with_zero_point(beyond)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 1, "values": (0, 1)}, "bits of f is 1"),
        ({"bits": 9, "values": tuple(range(512))}, "bits of f is 9"),
        ({"bits": 2, "values": (0, 1, 2)}, "has 3 entries"),
        ({"bits": 2, "values": (0, 1, 1, 2)}, "repeats a value"),
        ({"bits": 2, "values": (0, 0, 0, 1)}, "repeats a value"),
        ({"bits": 2, "values": (0, 0, 1, 1)}, "repeats a value"),
        ({"bits": 2, "values": (3, 1, -1, 2)}, "lacks an ordinary code for zero"),
        ({"bits": 2, "values": (0, 1, -1, 2), "special_codes": frozenset({0})}, "lacks an ordinary code for zero"),
        ({"bits": 2, "values": (0, 1, -1, 2), "special_codes": frozenset({4})}, "special_codes of f"),
        ({"bits": 2, "values": (0, 1, -1, 2), "special_codes": frozenset({-1})}, "special_codes of f"),
        ({"bits": "2", "values": (0, 1, -1, 2)}, "bits of f is '2': an integer is needed"),
        ({"bits": 2, "values": [0, 1, -1, 2]}, "a tuple of integers is needed"),
        ({"bits": 2, "values": (0, 1, -1, 2.5)}, "one of values of f is 2.5: an integer"),
        ({"bits": 2, "values": (0, 1, -1, (1 << 16) + 1)}, "magnitudes are at most 65536"),
        ({"bits": 2, "values": (0, 1, -1, 2), "unit": 0.5}, "unit of f is 0.5: it is one of 1, 1/2"),
        ({"bits": 2, "values": (0, 1, -1, 2), "unit": Fraction(1, 3)}, "unit of f is"),
        ({"bits": 2, "values": (0, 1, -1, 2), "name": "f-2"}, "name of a format is 'f-2'"),
    ],
)
def test_tables_that_are_no_format(arguments, message):
    with pytest.raises(InputError, match=message):
        NumberFormat(**{"name": "f", "title": "F", **arguments})


def test_the_greatest_magnitude():
    assert NumberFormat(name="f", title="F", bits=2, values=(0, 1, -1, 1 << 16)).maximum == 65536


def test_names():
    assert format_by_name("dINT4") is DINT4
    with pytest.raises(InputError, match=r"unknown format 'int44': did you mean int4\?"):
        format_by_name("int44")
    with pytest.raises(InputError, match="known are int8, int4, dint4, dint3"):
        format_by_name("")


def test_the_nearest_name_is_suggested_and_all_are_listed():
    known = ("icarus", "verilator", "auto")
    message = "--simulator Verilater: did you mean verilator? known are icarus, verilator, auto"
    assert str(unknown("--simulator Verilater", "Verilater", known)) == message
    assert str(unknown("x is 7", "7", known, "or leave it out")) == "x is 7: known are icarus, verilator, auto; or leave it out"
    assert nearest("booth", ("digit-grid", "baugh-wooley")) == ""
    assert nearest("booth", ("digit-grid", "baugh-wooley"), cutoff=0) == "did you mean baugh-wooley? "
