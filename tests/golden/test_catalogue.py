# SPDX-License-Identifier: Apache-2.0
"""Formats are found by their names, whichever kind they are of, and other names are refused with the nearest one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from golden import FORMATS, GROUP_FORMATS, SCALED_FORMATS, InputError
from golden.catalogue import VARIANTS, any_format, block_format_by_name, format_by_name

KINDS = [
    (format_by_name, FORMATS | VARIANTS, "INT44", "int4"),
    (block_format_by_name, SCALED_FORMATS, "nvfp44", "nvfp4"),
    (any_format, FORMATS | VARIANTS | SCALED_FORMATS, "mxfp44", "mxfp4"),
]


@pytest.mark.parametrize(("find", "known", "wrong", "nearest"), KINDS)
def test_formats_are_found_by_name(find: Callable[[str], object], known: dict[str, object], wrong: str, nearest: str) -> None:
    for name, one in known.items():
        assert find(name) is one
        assert find(name.upper()) is one
    with pytest.raises(InputError, match=f"{wrong}.*{nearest}"):
        find(wrong)


def test_each_kind_refuses_the_others() -> None:
    for name in SCALED_FORMATS:
        with pytest.raises(InputError, match="unknown format"):
            format_by_name(name)
    for name in FORMATS | VARIANTS:
        with pytest.raises(InputError, match="unknown block format"):
            block_format_by_name(name)


def test_groups_have_the_sizes_of_their_names() -> None:
    assert {name: one.block for name, one in GROUP_FORMATS.items()} == {
        f"{element}_g{size}": size for element in ("int4", "dint4") for size in (32, 64, 128)
    }
