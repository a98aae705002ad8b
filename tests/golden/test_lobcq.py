# SPDX-License-Identifier: Apache-2.0
"""The LO-BCQ formats: storage as published, frozen codebooks that are what their format asks for, bad ones refused."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from golden import CODEBOOK_FORMATS, E4M3, BlockFormat, any_format
from golden.errors import InputError
from golden.lobcq import frozen_formats, lobcq_format

ASCENDING = tuple(range(-16, 16, 2))
SMALL = tuple(range(-8, 8))


def test_storage_is_the_published() -> None:
    """arXiv 2502.05376: 4 + log2(codebooks) / 8 + 8 / array bits for a scalar; 192 bytes for 16 codebooks."""
    assert any_format("lobcq_c8_g64") is CODEBOOK_FORMATS["lobcq_c8_g64"]
    assert CODEBOOK_FORMATS["lobcq_c8_g64"].bits_per_scalar == Fraction(9, 2)
    for count_bits, count in enumerate((2, 4, 8, 16), start=1):
        for array in (16, 32, 64, 128):
            one = CODEBOOK_FORMATS[f"lobcq_c{count}_g{array}"]
            assert one.bits_per_scalar == 4 + Fraction(count_bits, 8) + Fraction(8, array)
            assert one.storage_bits(array * 10) == 10 * (4 * array + count_bits * array // 8 + 8) + 32
    assert 16 * 16 * 6 / 8 == 192
    assert len(CODEBOOK_FORMATS) == 16


@pytest.mark.parametrize("one", CODEBOOK_FORMATS.values(), ids=lambda one: one.name)
def test_frozen_codebooks(one: BlockFormat) -> None:
    """Sixteen different integers of six bits each; no two codebooks are the same; the outermost reach the largest magnitude."""
    tables = [element.values for element in one.elements]
    assert len(set(tables)) == len(tables) == int(one.name.split("_")[1][1:])
    for table in tables:
        assert len(table) == 16
        assert list(table) == sorted(set(table))
        assert max(map(abs, table)) <= 31
    assert min(min(table) for table in tables) <= -29
    assert max(max(table) for table in tables) >= 29
    assert one.scales is E4M3
    assert one.tensor_scale
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((2, 2 * one.block)) * np.exp(rng.standard_normal((2, 1)))).astype(np.float32)
    x[1, : one.block] = 0
    coded = one.quantize(x)
    assert np.abs(one.decode(coded)[1, : one.block]).max() == 0
    assert np.square(one.decode(coded) - x).mean() < 0.01 * np.square(x).mean()


@pytest.mark.parametrize(
    ("codebooks", "array", "message"),
    [
        ([ASCENDING], 64, r"codebooks of lobcq_c1_g64 are 1: 2 to 16 are needed"),
        ([ASCENDING] * 17, 64, r"elements of lobcq_c17_g64 has 17 codebooks: there are 1 to 16"),
        ([ASCENDING, SMALL], 12, r"selector_block of lobcq_c2_g12 is 8: give a divisor of the block, 12"),
        ([ASCENDING, SMALL], 256, r"block of lobcq_c2_g256 is 256: it is 2 to 128 elements"),
        ([ASCENDING, SMALL[:15]], 64, r"values of lobcq_c2_g64_1 has 15 entries: 4 bits need 16"),
        ([ASCENDING, (*SMALL[:15], 6)], 64, r"values of lobcq_c2_g64_1 has 6 twice: the codewords of a codebook differ"),
        ([ASCENDING, (*SMALL[:15], 32)], 64, r"codebook 1 of lobcq_c2_g64 has 32: codewords are -31 to 31"),
        ([ASCENDING, SMALL[::-1]], 64, r"values of lobcq_c2_g64_1 has 6 after 7: codewords are in ascending order"),
    ],
)
def test_what_is_no_format(codebooks: list[tuple[int, ...]], array: int, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        lobcq_format(codebooks, array)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"sets": 3}', '{"sets": [{"array": 64}]}', '{"sets": [[1]]}', None])
def test_files_that_hold_no_codebooks(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "codebooks.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=r"^codebooks .*codebooks\.json: .*make one with python -m quant\.codebooks"):
        frozen_formats(file)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "codebooks.json"
    file.write_text(json.dumps({"sets": [{"array": 32, "codebooks": [ASCENDING, SMALL]}]}))
    (one,) = frozen_formats(file).values()
    assert (one.name, one.block, [element.values for element in one.elements]) == ("lobcq_c2_g32", 32, [ASCENDING, SMALL])
