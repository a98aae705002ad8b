# SPDX-License-Identifier: Apache-2.0
"""Processing elements through the flow: netlists that do what they must, their energy, and `dint synthesize --shape pe`."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from golden import INT3, InputError, PeConfig, ToolError
from sim.workload import UNIFORM, WEIGHTS_HELD
from synth import search, sta, verification
from synth.command import synthesize
from synth.mapping import Mapped, area_by_part, map_design
from synth.measuring import Task, measure_all
from synth.pdk import QFLOW, Pdk
from synth.recipe import Recipe
from synth.request import Request
from synth.verification import verify

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir(),
    reason="needs iverilog, opensta and qflow-tech-osu018",
)


@pytest.fixture(scope="module")
def mapped(kit: Pdk, cache: Path) -> Mapped:
    return map_design(PeConfig(INT3, depth=64), kit, Recipe(), cache)


def test_every_product_at_gate_level(mapped: Mapped, kit: Pdk) -> None:
    compared = verify(mapped, kit)
    assert compared["products"] == 8 * 257
    assert compared["corners"] > 300


def test_what_passed_at_gate_level_is_not_run_again(
    mapped: Mapped, kit: Pdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = verify(mapped, kit, cache=tmp_path)
    monkeypatch.setattr(verification, "run_gate_level", None)
    assert verify(mapped, kit, cache=tmp_path) == compared
    others = [
        (mapped, kit, 1),  # other random operands
        (replace(mapped, netlist_sha256="0" * 64), kit, 0),
        (mapped, replace(kit, name="another"), 0),
    ]
    for netlist, library, seed in others:
        with pytest.raises(TypeError):
            verify(netlist, library, seed=seed, cache=tmp_path)
    monkeypatch.setattr(verification, "sources_sha256", lambda: {"sim/bench": "changed"})
    with pytest.raises(TypeError):
        verify(mapped, kit, cache=tmp_path)


def test_a_netlist_with_a_wrong_cell_is_found(mapped: Mapped, kit: Pdk, tmp_path: Path) -> None:
    text = mapped.netlist.read_text()
    changed = re.sub(r"\bNAND2X1\b", "NOR2X1", text, count=1)
    assert changed != text
    (tmp_path / "netlist.v").write_text(changed)
    with pytest.raises(ToolError, match=r"gate level: \w+_out of pe_int3_d64 in cycle \d+ is"):
        verify(replace(mapped, netlist=tmp_path / "netlist.v"), kit)


def test_energy_of_an_element(mapped: Mapped, kit: Pdk, cache: Path) -> None:
    tasks = [Task(mapped, 20.0, UNIFORM, WEIGHTS_HELD, activity) for activity in ("sdf", "zero-delay")]
    tasks.append(Task(mapped, 20.0, None, None, "vectorless"))
    with_delays, without, assumed = measure_all(tasks, kit, {}, 96, 0, cache, 1)
    assert with_delays.facts["sums_compared"] == 96
    assert with_delays.facts["annotated_fraction"] == 1
    assert with_delays.energy_per_mac_j >= without.energy_per_mac_j > 0
    assert assumed.energy_per_mac_j > 0
    parts, _ = area_by_part(mapped, kit, cache)
    assert sum(parts.values()) == pytest.approx(mapped.area_um2)
    # A weight twice, an activation, the sum, and swap.
    flops = sum(count for name, count in mapped.cell_counts.items() if name.startswith("DFF"))
    assert flops == 3 + 3 + 8 + mapped.config.accumulator_bits + 1
    assert parts["registers"] >= flops * 96


def test_synthesize(tmp_path: Path, cache: Path) -> None:
    request = Request("int3", depth=64, shape="pe", cycles=32)
    metrics = synthesize(request, tmp_path / "out", cache, quiet=True)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (metrics["design"], metrics["shape"], metrics["lanes"]) == ("pe_int3_d64", "pe", 1)
    assert metrics["activity__dataflow"] == "weights-held"
    assert "set_input_delay" in (tmp_path / "out" / "constraints.sdc").read_text()
    with pytest.raises(InputError, match="--dataflow is 'streaming': known are weights-held"):
        synthesize(replace(request, dataflow="streaming"), tmp_path / "other", cache, quiet=True)
    with pytest.raises(InputError, match="lanes is 2: a pe has one product"):
        synthesize(replace(request, lanes=2), tmp_path / "other", cache, quiet=True)


def test_elements_are_compared_like_units() -> None:
    plain = search.units(shape="pe")
    assert [config.name for config in plain.values()] == ["pe_int8", "pe_dint4", "pe_int4"]
    assert [config.decoded for config in search._ways(plain["dint4"])] == [False, True]
    assert len(search._ways(plain["int8"].varied(architecture="baugh-wooley"))) == 1
