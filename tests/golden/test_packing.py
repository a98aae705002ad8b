# SPDX-License-Identifier: Apache-2.0
"""Two codes a byte, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden import DINT4, FORMATS, INT8, AsymmetricConfig, InputError, pack, unpack
from golden.packing import pack_pair, unpack_pair

EVERY = pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)


@EVERY
@given(data=st.data())
def test_roundtrip(number_format, data):
    rows, count = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    code = st.integers(0, len(number_format.values) - 1)
    codes = np.array(data.draw(st.lists(st.lists(code, min_size=count, max_size=count), min_size=rows, max_size=rows)))
    packed = pack(number_format, codes)
    assert packed.dtype == np.uint8
    assert packed.shape == (rows, count if number_format.bits > 4 else (count + 1) // 2)
    assert np.array_equal(unpack(number_format, packed, count), codes)


def test_every_pair_in_both_twins():
    first, second = np.meshgrid(np.arange(16, dtype=np.uint8), np.arange(16, dtype=np.uint8), indexing="ij")
    packed = pack_pair(first, second)
    assert sorted(packed.reshape(-1).tolist()) == list(range(256))
    for i in range(16):
        for j in range(16):
            byte = pack_pair(np.uint8(i), np.uint8(j))
            assert byte == packed[i, j] == i + 16 * j  # the first in the low half
            assert unpack_pair(byte) == (i, j)


def test_an_odd_row_is_filled_with_zero():
    assert pack(DINT4, [5, 6, 7]).tolist() == [5 + 16 * 6, 7 + 16 * DINT4.zero_code]
    assert pack(INT8, [200, 3]).tolist() == [200, 3]


def test_what_is_refused():
    with pytest.raises(InputError, match="is not one of"):
        pack(DINT4, [16])
    with pytest.raises(InputError, match="3 codes of dint4 need 2"):
        unpack(DINT4, np.zeros(3, dtype=np.uint8), 3)
    with pytest.raises(InputError, match="3 codes of int8 need 3"):
        unpack(INT8, np.zeros(2, dtype=np.uint8), 3)


def test_codes_of_five_bits_are_one_a_byte():
    five = AsymmetricConfig(DINT4).offset_format
    codes = np.arange(32, dtype=np.uint8)
    assert five.bits == 5
    assert np.array_equal(pack(five, codes), codes)
    assert np.array_equal(unpack(five, codes, 32), codes)


def test_only_the_last_axis_is_packed():
    codes = np.arange(2 * 3 * 5).reshape(2, 3, 5) % 16
    packed = pack(DINT4, codes)
    assert packed.shape == (2, 3, 3)
    assert np.array_equal(unpack(DINT4, packed, 5), codes)
    assert np.array_equal(unpack(DINT4, packed[1, 2], 5), codes[1, 2])
