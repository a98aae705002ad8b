# SPDX-License-Identifier: Apache-2.0
"""Units of block formats are mapped, timed and measured as the others are, scales included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from golden import NVFP4, InputError, unit_of_options
from sim.block_stimulus import gaussian
from synth import sta
from synth.command import synthesize
from synth.mapping import Mapped
from synth.pdk import QFLOW
from synth.recipe import Recipe
from synth.request import Request
from synth.search import small_architectures, units
from tests.golden.block_operands import block_operands

PARTS = {"partial products", "compressor", "final adder", "scales", "accumulator"}


def test_a_small_unit_from_verilog_to_energy(tmp_path: Path) -> None:
    if shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir():
        pytest.skip("needs iverilog, opensta and qflow-tech-osu018")
    block_operands(NVFP4, 4).save(tmp_path / "o.npz")
    request = Request("nvfp4", lanes=2, depth=64, activations="nvfp4", operands=tmp_path / "o.npz", cycles=32)
    metrics = synthesize(request, tmp_path / "out", tmp_path / "cache", jobs=1, quiet=True)
    assert metrics["design"] == "mac_nvfp4_a4_x2_d64"
    assert metrics["format"] == "nvfp4_a4"
    parts = metrics["design__instance__area__by_part"]
    assert set(parts) == PARTS
    assert min(parts.values()) > 0
    assert sum(parts.values()) == pytest.approx(metrics["design__instance__area"])
    assert metrics["activity__operands"] == "opt"
    assert metrics["activity__sums_compared"] == 32
    assert metrics["energy__per_mac"] > metrics["energy__per_mac__zero_delay"] > 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics


def test_a_netlist_is_of_the_formats_of_its_unit(tmp_path: Path) -> None:
    """Prices, fronts and reports know formats by this name alone."""
    config = unit_of_options("nvfp4", activations="nvfp4", lanes=2)
    files = {"netlist": tmp_path, "liberty": (), "verilog_sha256": "", "netlist_sha256": ""}
    mapped = Mapped(
        config.name, "osu018", config, Recipe(), area_um2=1, delay_ns=1, cells=1, cell_counts={}, cached=False, **files
    )
    assert mapped.describe()["format"] == "nvfp4_a4"


def test_choices_of_a_unit_reach_the_synthesis() -> None:
    unit = Request("lobcq_c2_g16", lanes=2, writable_codebooks=True, pipeline=1).unit
    assert unit.name == "mac_lobcq_c2_g16_x2_writable_p1"
    request = Request("nvfp4", pipeline=1)
    assert Request.of(request.plain()).unit == request.unit
    with pytest.raises(InputError, match="--writable-codebooks: dint4 has no codebooks; leave it out"):
        _ = Request("dint4", writable_codebooks=True).unit


def test_operands_of_another_format_are_refused(tmp_path: Path) -> None:
    block_operands(NVFP4, 8).save(tmp_path / "o.npz")
    with pytest.raises(InputError, match="holds nvfp4, the unit takes nvfp4_a4; name the operands of that format"):
        _ = Request("nvfp4", activations="nvfp4", operands=tmp_path / "o.npz").given_operands
    request = Request("nvfp4", dataflow="weights-held")
    with pytest.raises(InputError, match="--dataflow is 'weights-held'"):
        request.check()


def test_a_request_survives_the_way_to_another_process() -> None:
    request = Request("mxfp4", lanes=16, activations="mxfp4")
    assert Request.of(request.plain()) == request
    assert request.unit.name == "mac_mxfp4_a4_x16"


def test_units_of_a_search_are_named_by_their_formats() -> None:
    found = units(16, formats=("int4", "nvfp4", "nvfp4_a4"))
    assert [one.name for one in found.values()] == ["mac_int4_x16", "mac_nvfp4_x16", "mac_nvfp4_a4_x16"]
    assert {name: one.format_name for name, one in found.items()} == {name: name for name in found}
    able = small_architectures(found["nvfp4"].weight_format, 16)
    assert {"digit-grid", "direct-grid", "baugh-wooley"} <= set(able)
    assert gaussian(found["nvfp4_a4"], 8, 0).cycles == 8  # type: ignore[arg-type]
