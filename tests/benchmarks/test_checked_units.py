# SPDX-License-Identifier: Apache-2.0
"""Every format and every architecture is on the lists of what is checked, at every level."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

import pytest

from benchmarks import verification
from golden import FORMATS, SCALED_FORMATS, VARIANTS, AsymmetricConfig, BlockMacConfig, MacConfig, PeConfig
from hdl.architectures import ARCHITECTURES
from sim import find_simulator
from synth.pdk import find

OF_KINDS = ["mxfp4", "nvfp4", "int4_g32", "dint4_g32", "lobcq_c2_g16", "lobcq_c16_g16"]


def _listed(names: Sequence[str]) -> dict[str, set[str]]:
    """The units of the checks, by simulator, kit, or function."""
    kit = find("osu018")
    found: dict[str, set[str]] = {}
    simulators = [find_simulator("icarus"), find_simulator("verilator")]
    for check in verification.checks(names, simulators, [kit, replace(kit, name="another")]):
        assert isinstance(check, partial)
        units, *where = check.args
        by = where[0].name if where else ""
        listed = found.setdefault(
            by if check.func in (verification._rtl, verification._netlists) else check.func.__name__, set()
        )
        listed |= {unit.name for unit in (units if isinstance(units, list) else [units])}
    return found


def test_every_format_and_every_netlist_is_on_the_list() -> None:
    """By what is to be called, not by what the lists of names say."""
    found = _listed([*VARIANTS, *SCALED_FORMATS])
    scaled = {BlockMacConfig.of(one, bits).name for one in SCALED_FORMATS.values() for bits in (8, one.bits)}
    assert len(scaled) == 48
    assert scaled | {MacConfig(one, lanes=lanes).name for one in VARIANTS.values() for lanes in (1, 4)} == found["icarus"]
    assert {MacConfig(one).name for one in VARIANTS.values()} <= found["_in_amaranth"]
    blocks = {f"mac_{name}_{a}x1" for name in OF_KINDS for a in ("", "a4_")}
    written = {"mac_lobcq_c2_g16_x1_writable", "mac_lobcq_c16_g16_x1_writable"}
    assert found["osu018"] == blocks | {f"mac_{name}_x1_p1" for name in OF_KINDS} | written
    assert found["another"] == blocks
    assert {f"mac_{name}_{a}x{lanes}" for name in OF_KINDS for a in ("", "a4_") for lanes in (1, 4, 16)} <= found["verilator"]
    assert {f"mac_{name}_{a}x4_p1" for name in OF_KINDS for a in ("", "a4_")} <= found["verilator"]
    assert written | {"mac_lobcq_c2_g16_a4_x16_writable", "mac_lobcq_c2_g16_a4_x4_writable_p1"} <= found["verilator"]
    assert found["_with_delays"] == {"mac_nvfp4_x1", "mac_dint4_g32_x1"}
    others = {f"mac_{name}_x1_multiply" for name in ("lobcq_c2_g16", "lobcq_c2_g16_a4", "int4_g32_a4", "dint4_g32_a4")}
    assert others | {"mac_nvfp4_x4_multiply", "mac_nvfp4_a4_x16_baugh_wooley"} <= found["verilator"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_architecture_is_on_the_list(name: str) -> None:
    number_format = FORMATS[name]
    able = {key for key, one in ARCHITECTURES.items() if one.can_do(number_format)}
    assert len(able) > 6
    decoding = {key for key in able if ARCHITECTURES[key].decodes(number_format)}
    found = _listed([name])

    def macs(architectures: Collection[str], *shapes: tuple[int, int, bool]) -> set[str]:
        return {
            MacConfig(number_format, lanes=lanes, pipeline=pipeline, decoded=decoded, architecture=one).name
            for one in architectures
            for lanes, pipeline, decoded in shapes
        }

    elements = {PeConfig(number_format, architecture=one).name for one in able}
    own = {number_format.architecture}
    assert found["icarus"] == elements | macs(able, (1, 0, False)) | macs(own if name == "int8" else able, (4, 0, False))
    plain = macs(able, (1, 0, False), (16, 0, False), (4, 1, False), (4, 2, False))
    decoded = macs(decoding, (4, 1, True), (4, 2, True))
    decoded |= {PeConfig(number_format, architecture=one, decoded=True).name for one in decoding}
    decoded |= {PeConfig(number_format, architecture=one, pipeline=1).name for one in able}
    asymmetric = {
        AsymmetricConfig(number_format, units=2, architecture=one).name for one in able if number_format.has_zero_points
    }
    rest = found["verilator"] - (elements | plain | decoded)
    assert elements | plain | decoded <= found["verilator"]
    assert rest <= asymmetric
    assert bool(rest) == number_format.has_zero_points
    assert found["_in_amaranth"] == macs(able, (1, 0, False))
    small = macs(able, (1, 0, False)) | macs(own, (4, 0, False)) | {PeConfig(number_format).name}
    registered = macs(own, (4, 1, False), (4, 2, False)) | {PeConfig(number_format, pipeline=1).name}
    assert found["osu018"] == small | registered
    assert found["another"] == small
    assert found["_with_delays"] == macs(own, (4, 0, False))
