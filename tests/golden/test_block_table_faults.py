# SPDX-License-Identifier: Apache-2.0
"""The comparisons of the two golden models of block formats notice what is broken on purpose in the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase

from golden import DINT4, FP4_E2M1, BlockFormat, BlockMacConfig, NumberFormat, codebook_memory
from golden.scale_encoding import E4M3, ScaleEncoding

from .block_tables import UNSIGNED
from .test_block_table_model import (
    dots_agree,
    longest_sums_agree,
    quantizers_agree,
    scales_agree,
    scales_of_units_agree,
    units_agree,
)


def _entry(patch: pytest.MonkeyPatch, of: NumberFormat, code: int) -> None:
    """One entry of a decoder's table is its neighbour's."""
    kept = NumberFormat.decode

    def decode(self: NumberFormat, codes: Any) -> Any:
        given = np.asarray(codes)
        return kept(self, np.where((given == code) & (self == of), code - 1, given))

    patch.setattr(NumberFormat, "decode", decode)


def _parts(patch: pytest.MonkeyPatch, change: Callable[[Any, Any, Any], Any]) -> None:
    kept = ScaleEncoding.parts
    patch.setattr(ScaleEncoding, "parts", lambda self, codes: change(np.asarray(codes), *kept(self, codes)))


def _run(patch: pytest.MonkeyPatch, place: int, change: Callable[[Any], Any]) -> None:
    """One argument of `run` is changed."""
    kept = BlockMacConfig.run

    def run(self: Any, *given: Any, **named: Any) -> Any:
        names = ("first", "last", "valid", "reset", "base")
        return kept(self, *given, **{**named, names[place]: change(named[names[place]])})

    patch.setattr(BlockMacConfig, "run", run)


def _reach(patch: pytest.MonkeyPatch) -> None:
    kept = BlockMacConfig.scaling

    def scaling(self: Any, scales: Any, base: Any) -> Any:
        significands, shifts, reached = kept(self, scales, base)
        return significands, shifts, reached & (shifts < self.span)

    patch.setattr(BlockMacConfig, "scaling", scaling)


def _narrow(patch: pytest.MonkeyPatch) -> None:
    kept = vars(BlockMacConfig)["accumulator_bits"]
    patch.setattr(BlockMacConfig, "accumulator_bits", property(lambda self: kept.fget(self) - 1))


def _codeword(patch: pytest.MonkeyPatch) -> None:
    kept = codebook_memory._tables

    def tables(blocks: BlockFormat) -> Any:
        changed = kept(blocks)
        changed[1, 15] -= 1
        return changed

    patch.setattr(codebook_memory, "_tables", tables)


QUICK: dict[str, Any] = {"phases": (Phase.generate,), "derandomize": True, "database": None, "report_multiple_bugs": False}
BROKEN: dict[str, tuple[Callable[[Any], None], Callable[[], None]]] = {
    "an element": (lambda patch: _entry(patch, FP4_E2M1, 7), lambda: units_agree("mxfp4", False, 2000, **QUICK)),
    "a special value": (lambda patch: _entry(patch, DINT4, 9), lambda: dots_agree("dint4_g32", True, 2000, **QUICK)),
    "a codeword": (_codeword, lambda: units_agree("lobcq_c2_g16", True, 2000, **QUICK)),
    "subnormal scales": (
        lambda patch: _parts(patch, lambda codes, s, x: (np.where(codes & 120, s, s + 8), x)),
        lambda: units_agree("nvfp4", True, 2000, **QUICK),
    ),
    "signs of scales": (
        lambda patch: _parts(patch, lambda _, s, x: (abs(s), x)),
        lambda: units_agree("int4_g32", False, 2000, **QUICK),
    ),
    "NaN with a sign": (
        lambda patch: patch.setattr(ScaleEncoding, "is_nan", lambda self, codes: self.checked(codes) == self.nan_code),
        lambda: scales_of_units_agree("dint4_g32", False),
    ),
    "the upper end of the reach": (_reach, lambda: units_agree("mxfp4", True, 2000, **QUICK)),
    "first": (lambda patch: _run(patch, 0, np.zeros_like), lambda: units_agree("nvfp4", False, 2000, **QUICK)),
    "last": (lambda patch: _run(patch, 1, lambda last: np.roll(last, 1)), lambda: units_agree("nvfp4", False, 2000, **QUICK)),
    "valid": (lambda patch: _run(patch, 2, np.ones_like), lambda: units_agree("nvfp4", False, 2000, **QUICK)),
    "reset": (lambda patch: _run(patch, 3, np.zeros_like), lambda: units_agree("nvfp4", False, 2000, **QUICK)),
    "base": (lambda patch: _run(patch, 4, np.zeros_like), lambda: units_agree("mxfp4", False, 2000, **QUICK)),
    "the accumulator's width": (_narrow, lambda: longest_sums_agree("nvfp4", False)),
    "which blocks are mirrored": (
        lambda patch: patch.setattr(NumberFormat, "mirrors", lambda _, negative, positive: positive >= negative),
        lambda: quantizers_agree("int4_g32", 2000, **QUICK),
    ),
    "a threshold of scales": (
        lambda patch: patch.setitem(vars(E4M3), "_thresholds", E4M3.thresholds() * (1 + 2**-50)),
        lambda: scales_agree(E4M3, UNSIGNED, 2000, **QUICK),
    ),
    "ties of elements": (
        lambda patch: patch.setattr(NumberFormat, "_tie", lambda _, *both: both[0]),
        lambda: quantizers_agree("nvfp4", 2000, **QUICK),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, check = BROKEN[name]
    with monkeypatch.context() as patch:
        broken(patch)
        with pytest.raises(AssertionError):
            check()
