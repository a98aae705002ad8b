# SPDX-License-Identifier: Apache-2.0
"""Block formats: the specified quantizers, both twins, against an independent implementation, and what is refused."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from golden import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    E4M3,
    E8M0,
    FP4_E2M1,
    GROUP_FORMATS,
    INT4,
    MXFP4,
    NVFP4,
    SIGNED_E4M3,
    BlockCodes,
    BlockFormat,
    Codebook,
    CodedBlock,
    InputError,
    any_format,
)

#: Two codebooks, one of small and one of large codewords, to be selected by fours.
SMALL, LARGE = (
    Codebook("small", "small", 2, (-3, -1, 1, 2), Fraction(1, 2)),
    Codebook("large", "large", 2, (-9, -4, 5, 9), Fraction(1, 2)),
)
CLUSTERED = BlockFormat("clustered", "Clustered", (SMALL, LARGE), 8, E4M3, Fraction(9, 2), selector_block=4)
EVERY = pytest.mark.parametrize(
    "block_format",
    [*BLOCK_FORMATS.values(), GROUP_FORMATS["int4_g32"], GROUP_FORMATS["dint4_g128"], CLUSTERED],
    ids=lambda one: one.name,
)


def samples(block_format: BlockFormat) -> np.ndarray:
    """Rows of every size that a float32 has, mixed sizes, ties, zeros, single numbers, the greatest and least magnitudes."""
    rng = np.random.default_rng(1)
    columns = 2 * block_format.block
    normal = rng.normal(size=(24, columns))
    sizes = 2.0 ** np.linspace(-149, 120, 24)[:, None]
    ties = rng.integers(-48, 49, (24, columns)) / 8
    mixed = rng.normal(size=(8, columns)) * 2.0 ** rng.integers(-30, 30, (8, columns))
    extreme = np.zeros((6, columns))
    extreme[1, 3], extreme[2, 0], extreme[3] = 1, -np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    extreme[4], extreme[5, :2] = np.finfo(np.float32).max, (1e-30, -7)
    return np.vstack([normal * sizes, ties, ties * 2.0**-126, mixed, extreme]).astype(np.float32)


def one_block(codes: BlockCodes, row: int, block: int) -> CodedBlock:
    """A block of `codes` for the scalar twin."""
    size = codes.format.block
    selected: tuple[int, ...] = ()
    if codes.selectors is not None:
        parts = size // codes.format.selector_block
        selected = tuple(codes.selectors[row, block * parts : (block + 1) * parts].tolist())
    return CodedBlock(
        tuple(codes.codes[row, block * size : (block + 1) * size].tolist()), int(codes.scales[row, block]), selected
    )


def test_bits_per_scalar() -> None:
    """4 + 8/32, 4 + 8/16, and of 8 codebooks and arrays of 64 what the authors of LO-BCQ (arXiv 2502.05376) state: 4.5."""
    assert {name: one.bits_per_scalar for name, one in BLOCK_FORMATS.items()} == {
        "mxfp4": Fraction(17, 4),
        "nvfp4": Fraction(9, 2),
    }
    assert {name: one.bits_per_scalar for name, one in GROUP_FORMATS.items()} == {
        f"{element}_g{size}": 4 + Fraction(8, size) for element in ("int4", "dint4") for size in (32, 64, 128)
    }
    assert GROUP_FORMATS["dint4_g128"].storage_bits(4096) == 4096 * 4 + 32 * 8 + 32
    codewords = [Codebook("c", "c", 4, tuple(range(start, start + 16))) for start in range(16)]
    stated = {(2, 128): "67/16", (4, 64): "35/8", (8, 64): "9/2", (8, 16): "39/8", (16, 32): "19/4"}
    for (count, array), bits in stated.items():
        found = BlockFormat("f", "F", tuple(codewords[:count]), array, E4M3, Fraction(31), selector_block=8)
        assert found.bits_per_scalar == Fraction(bits) == 4 + Fraction((count - 1).bit_length(), 8) + Fraction(8, array)
    assert MXFP4.storage_bits(4096) == 17 * 1024
    assert NVFP4.storage_bits(4096) == 18 * 1024 + 32  # the tensor scale
    with pytest.raises(InputError, match="40 elements are no multiple of MXFP4's block, 32"):
        MXFP4.storage_bits(40)


def test_mxfp4_is_that_of_the_independent_implementation() -> None:
    """MX 1.0, section 6.3, written with the other library's types; a block of zeros has the least scale."""
    x = samples(MXFP4)
    blocks = x.astype(np.float64).reshape(-1, 32)
    largest = np.abs(blocks).max(axis=1)
    exponents = np.floor(np.log2(largest, out=np.full(len(blocks), -999.0), where=largest > 0)) - 2
    scales = np.ldexp(1.0, np.clip(exponents, -127, 127).astype(int)).astype(ml_dtypes.float8_e8m0fnu)
    scaled = np.clip(blocks / scales.astype(np.float64)[:, None], -6, 6).astype(np.float32).astype(ml_dtypes.float4_e2m1fn)
    codes = MXFP4.quantize(x)
    assert codes.scales.flatten().tolist() == scales.view(np.uint8).tolist()
    values = scaled.astype(np.float64) * scales.astype(np.float64)[:, None]
    assert np.array_equal(MXFP4.decode(codes), values.reshape(x.shape))
    assert np.abs(MXFP4.values(codes)).max() == 12
    assert {0, 252} <= set(codes.scales.flatten().tolist())


@pytest.mark.parametrize("by_row", [False, True])
def test_nvfp4_is_that_of_the_independent_implementation(by_row: bool) -> None:
    """Scales of blocks relative to that of the tensor, or of the row as a tensor of its own."""
    x = samples(NVFP4)
    blocks = x.astype(np.float64).reshape(len(x), -1, 16)
    largest = np.abs(blocks).max(axis=(1, 2), keepdims=True) if by_row else np.abs(blocks).max(keepdims=True)
    least = np.finfo(np.float32).smallest_subnormal
    tensor = np.where(largest > 0, np.maximum((largest / 2688).astype(np.float32), least), 1).astype(np.float64)
    wanted = np.minimum(np.abs(blocks).max(axis=2, keepdims=True) / (6 * tensor), 448)
    scales = wanted.astype(np.float32).astype(ml_dtypes.float8_e4m3fn)
    factors = scales.astype(np.float64) * tensor
    scaled = np.divide(blocks, factors, out=np.zeros_like(blocks), where=factors > 0)
    elements = np.clip(scaled, -6, 6).astype(np.float32).astype(ml_dtypes.float4_e2m1fn)
    codes = NVFP4.quantize(x, by_row)
    assert codes.scales.tolist() == scales.view(np.uint8)[:, :, 0].tolist()
    assert codes.tensor_scales is not None
    assert np.array_equal(codes.tensor_scales.astype(np.float64).ravel(), tensor.ravel())
    assert np.array_equal(NVFP4.decode(codes), (elements.astype(np.float64) * factors).reshape(x.shape))
    found = set(codes.scales.flatten().tolist())
    assert {0, 0x7E} <= found  # scales of zero, and the largest
    assert by_row or found & set(range(1, 8))  # subnormal ones


@EVERY
def test_twins_agree(block_format: BlockFormat) -> None:
    x = samples(block_format)
    codes = block_format.quantize(x, by_row=True)
    decoded = block_format.decode(codes)
    for row, numbers in enumerate(x):
        tensor = 1.0 if codes.tensor_scales is None else float(codes.tensor_scales[row, 0])
        for block, start in enumerate(range(0, len(numbers), block_format.block)):
            part = slice(start, start + block_format.block)
            found = block_format.quantize_one(numbers[part].tolist(), tensor)
            if block_format is CLUSTERED and found.scale == E4M3.nan_code - 1:
                continue  # beside numbers far beyond the range, a float64 does not tell squared errors apart
            assert found == one_block(codes, row, block)
            exact = block_format.decode_one(found, tensor)
            assert exact == [Fraction(one) for one in decoded[row, part].tolist()]


@EVERY
def test_what_is_a_number_of_the_format_stays_what_it_is(block_format: BlockFormat) -> None:
    """A block that reaches the full scale comes back exactly; quantizing twice changes nothing then."""
    once = block_format.quantize(samples(block_format)[:24], by_row=True)
    decoded = block_format.decode(once)
    inside = np.abs(decoded) < np.finfo(np.float32).max
    again = block_format.decode(block_format.quantize(np.where(inside, decoded, 0), by_row=True))
    if block_format is MXFP4:
        assert np.array_equal(again, np.where(inside, decoded, 0))
    zero = block_format.quantize(np.zeros((2, block_format.block)))
    if block_format.selector_block is None:
        assert not block_format.values(zero).any()
    assert not np.isnan(block_format.decode(zero)).any()


@pytest.mark.parametrize("block_format", GROUP_FORMATS.values(), ids=lambda one: one.name)
def test_signs_put_the_larger_extreme_on_the_longer_side(block_format: BlockFormat) -> None:
    """It is met exactly, whatever its sign; a mirrored block has the same codes, and equal extremes are not mirrored."""
    x = samples(block_format)[4:24]  # below, extremes of a subnormal block may be equal
    codes, opposite = block_format.quantize(x, by_row=True), block_format.quantize(-x, by_row=True)
    blocks = x.reshape(len(x), -1, block_format.block)
    mirrored = blocks.max(axis=2) > -blocks.min(axis=2)
    assert np.array_equal(codes.scales > 127, mirrored & (codes.scales & 127 > 0))
    assert 0.2 < mirrored.mean() < 0.8
    assert np.array_equal(codes.codes, opposite.codes)
    assert np.array_equal(block_format.decode(codes), -block_format.decode(opposite))
    for full in (1.0, -1.0):
        alone = np.zeros((1, block_format.block), np.float32)
        alone[0, 3] = full
        assert block_format.values(block_format.quantize(alone))[0, 3] == block_format.elements[0].minimum
        assert block_format.decode(block_format.quantize(alone))[0, 3] == pytest.approx(full, rel=1e-6)
        alone[0, 5] = -full
        assert block_format.quantize(alone).scales.tolist() == [[0x7E]]


def test_even_elements_are_never_mirrored() -> None:
    even = BlockFormat("even", "Even", (FP4_E2M1,), 16, SIGNED_E4M3, Fraction(6), tensor_scale=True)
    x = samples(NVFP4)
    assert even.quantize(x).scales.tolist() == NVFP4.quantize(x).scales.tolist()


def test_codebooks_are_selected_by_the_least_error() -> None:
    x = np.array([[1.0, -1.5, 0.5, 1.0, 4.5, -4.5, 2.5, -2.0]], np.float32)
    codes = CLUSTERED.quantize(x)
    assert codes.scales.tolist() == [[0x38]]  # 1
    assert codes.selectors.tolist() == [[0, 1]]
    assert CLUSTERED.decode(codes).tolist() == x.tolist()
    assert CLUSTERED.values(codes).tolist() == (2 * x).astype(int).tolist()
    assert (CLUSTERED.selector_bits, CLUSTERED.bits, CLUSTERED.unit) == (1, 2, Fraction(1, 2))
    # 0.75 is as near to 0.5 as to 1: the lower. Nothing is nearer to zero in the large one than -2, code 1.
    assert (SMALL.round_one(0.75), int(SMALL.round(0.75))) == (2, 2)
    assert (SMALL.zero_code, LARGE.zero_code) == (1, 1)


@EVERY
def test_nan_scales(block_format: BlockFormat) -> None:
    """A block whose scale is NaN is NaN; others are not."""
    codes = block_format.quantize(np.ones((1, 2 * block_format.block)))
    broken = dataclasses.replace(codes, scales=np.array([[block_format.scales.nan_code, codes.scales[0, 1]]], np.uint8))
    decoded = block_format.decode(broken)[0]
    assert np.isnan(decoded[: block_format.block]).all()
    assert decoded[block_format.block :].tolist() == block_format.decode(codes)[0, block_format.block :].tolist()
    assert block_format.decode_one(one_block(broken, 0, 0)) is None


@EVERY
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (lambda size: np.ones(size), "have shape"),
        (lambda size: np.ones((0, size)), "have shape"),
        (lambda size: np.ones((2, size + 1)), "give a multiple"),
        (lambda size: np.full((2, size), np.nan), "contain NaN"),
        (lambda size: np.where(np.arange(2 * size) == 3, np.nan, 1)[None], "contain NaN"),
        (lambda size: np.array([[np.nan, np.inf] * (size // 2)]), "contain NaN"),
        (lambda size: np.full((2, size), -np.inf), "contain infinite values"),
        (lambda size: np.full((2, size), 1e300), "contain infinite values"),
    ],
)
def test_numbers_that_have_no_blocks(block_format: BlockFormat, x: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        block_format.quantize(x(block_format.block))


@pytest.mark.parametrize(
    ("block_format", "changes", "message"),
    [
        (CLUSTERED, {"selectors": np.full((1, 4), 2, np.uint8)}, "selector 2 is none of Clustered: its codebooks are 0 to 1"),
        (CLUSTERED, {"selectors": None}, "selectors of Clustered are missing"),
        (CLUSTERED, {"selectors": np.zeros((1, 2), np.uint8)}, r"selectors of Clustered have shape \(1, 2\)"),
        (CLUSTERED, {"codes": np.full((1, 16), 4, np.uint8)}, "code 4 is not one of small"),
        (MXFP4, {"selectors": np.zeros((1, 2), np.uint8)}, "selectors of MXFP4 are given"),
        (MXFP4, {"scales": np.zeros((1, 3), np.uint8)}, r"scales of MXFP4 have shape \(1, 3\)"),
        (MXFP4, {"tensor_scales": np.ones((), np.float32)}, "tensor scale of MXFP4 is given"),
        (NVFP4, {"tensor_scales": None}, "tensor scale of NVFP4 is missing"),
        (NVFP4, {"tensor_scales": np.ones((2, 1), np.float32)}, r"tensor scale of NVFP4 has shape \(2, 1\)"),
        (NVFP4, {"scales": np.full((1, 2), 0x80, np.uint8)}, "scale code 128 is none of E4M3"),
        (MXFP4, {"codes": np.zeros((1, 65), np.uint8)}, r"scales of MXFP4 have shape \(1, 2\): codes \(1, 65\)"),
        (CLUSTERED, {"codes": np.zeros((1, 17), np.uint8)}, r"scales of Clustered have shape \(1, 2\)"),
        (NVFP4, {"format": MXFP4}, "codes are of MXFP4: NVFP4 cannot read them"),
    ],
)
def test_codes_that_do_not_fit(block_format: BlockFormat, changes: dict[str, object], message: str) -> None:
    codes = block_format.quantize(np.ones((1, 2 * block_format.block)))
    for read in (block_format.check, block_format.decode):
        with pytest.raises(InputError, match=message):
            read(dataclasses.replace(codes, **changes))


def test_selectors_are_numbers_of_codebooks() -> None:
    checked = CLUSTERED.checked_selectors(np.array([[0, 1], [1, 1]], np.uint8))
    assert checked.tolist() == [[0, 1], [1, 1]]
    assert checked.dtype == np.int64
    assert CLUSTERED.checked_selectors([]).size == 0
    for wrong, worst in (([0, 2], 2), ([-1, 0], -1), ([2, -1], -1), ([-3, -2], -3)):
        with pytest.raises(InputError, match=f"selector {worst} is none of Clustered: its codebooks are 0 to 1"):
            CLUSTERED.checked_selectors(wrong)
    with pytest.raises(InputError, match="selectors of Clustered have dtype float64: integers are needed"):
        CLUSTERED.checked_selectors([0.0])


def test_codewords_are_counted_over_all_codebooks() -> None:
    assert (CLUSTERED.codewords, MXFP4.codewords, CODEBOOK_FORMATS["lobcq_c8_g64"].codewords) == (8, 16, 128)


def test_the_smallest_blocks_and_selector_blocks() -> None:
    pair = BlockFormat("pair", "Pair", (SMALL, LARGE), 2, E4M3, Fraction(9, 2), selector_block=1)
    codes = pair.quantize(np.array([[4.5, 1.0], [0.5, -4.5]], np.float32))
    assert codes.selectors.tolist() == [[1, 0], [0, 1]]
    assert pair.decode(codes).tolist() == [[4.5, 1.0], [0.5, -4.5]]
    assert pair.bits_per_scalar == 2 + 1 + 4


def test_full_scale_may_be_any_above_zero() -> None:
    for full_scale in (Fraction(1), Fraction(1, 3)):
        codes = dataclasses.replace(NVFP4, full_scale=full_scale).quantize(np.full((1, 16), 8.0))
        assert (codes.scales == codes.scales[0, 0]).all()


def test_one_tensor_scale_unless_told_otherwise() -> None:
    x = np.ones((3, 16)) * [[1], [2], [0]]
    whole, rows = NVFP4.quantize(x), NVFP4.quantize(x, by_row=True)
    assert whole.tensor_scales.shape == ()
    assert float(whole.tensor_scales) == np.float32(2 / 2688)
    assert rows.tensor_scales.tolist() == [[np.float32(1 / 2688)], [np.float32(2 / 2688)], [1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "MX"}, "name of a format is 'MX'"),
        ({"elements": FP4_E2M1}, "a tuple of number formats is needed"),
        ({"elements": (INT4, "int8")}, "a tuple of number formats is needed"),
        ({"elements": ()}, "elements of f has 0 codebooks"),
        ({"elements": (SMALL,) * 17, "selector_block": 4}, "has 17 codebooks: there are 1 to 16"),
        ({"elements": (SMALL, FP4_E2M1), "selector_block": 4}, "differ in bits or unit"),
        ({"elements": (FP4_E2M1, INT4), "selector_block": 4}, "differ in bits or unit"),
        ({"block": 1}, "block of f is 1: it is 2 to 128"),
        ({"block": 129}, "block of f is 129"),
        ({"block": "8"}, "block of f is '8': an integer"),
        ({"scales": "e8m0"}, "a scale encoding is needed"),
        ({"elements": (SMALL, LARGE), "selector_block": 4, "scales": SIGNED_E4M3}, "scales of f have signs: codebooks"),
        ({"full_scale": 4}, "full_scale of f is 4: a Fraction above 0"),
        ({"full_scale": Fraction(0)}, "a Fraction above 0"),
        ({"selector_block": 4}, "codebooks, and only they, need one"),
        ({"elements": (SMALL, LARGE)}, "selector_block of f is None"),
        ({"elements": (SMALL, LARGE), "selector_block": 3}, "selector_block of f is 3: give a divisor of the block, 8"),
        ({"elements": (SMALL, LARGE), "selector_block": 0}, "selector_block of f is 0"),
        ({"elements": (SMALL, LARGE), "selector_block": 2.0}, "selector_block of f is 2.0: an integer"),
    ],
)
def test_formats_that_are_none(changes: dict[str, object], message: str) -> None:
    given = {"name": "f", "title": "F", "elements": (INT4,), "block": 8, "scales": E8M0, "full_scale": Fraction(7)}
    with pytest.raises(InputError, match=message):
        BlockFormat(**{**given, **changes})


@pytest.mark.parametrize(
    ("values", "message"), [((1, 2, 2, 3), "values of c has 2 twice"), ((1, 3, 2, 4), "values of c has 2 after 3")]
)
def test_codebooks_that_are_none(values: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Codebook("c", "c", 2, values)


def test_names() -> None:
    assert any_format("MXFP4") is MXFP4
    assert any_format("int4") is INT4
    with pytest.raises(InputError, match=r"unknown format 'mxfp5': did you mean mxfp4\?"):
        any_format("mxfp5")
