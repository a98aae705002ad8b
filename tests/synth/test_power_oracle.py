# SPDX-License-Identifier: Apache-2.0
"""The power estimator against OpenSTA 3.1 on recorded activity of mapped netlists, instance by instance.

OpenSTA works with probabilities of pins that it takes as independent. Where that is exact (switching) the two must agree to the
last digit; where it is not, in total. The register test below computes OpenSTA's product of probabilities from the same tables,
and shows that this alone makes the difference.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth.activity import Activity, read_activity
from synth.boolean import parse
from synth.electrical import electrical
from synth.liberty import Library, load
from synth.netlist import Netlist, read_netlist
from synth.power import Power, PowerModel


@dataclass(frozen=True)
class Case:
    mode: str
    library: Library
    netlist: Netlist
    activity: Activity
    transition_s: float
    oracle: Mapping[str, Any]
    powers: Mapping[str, Power]

    def ratio(self, sequential: bool, what: str) -> float:
        """Our power over OpenSTA's, for the sequential or the combinational cells."""
        names = [i.name for i in self.netlist.instances if self.library.cell(i.cell).is_sequential == sequential]
        ours = sum(getattr(self.powers[name], what) for name in names)
        return ours / sum(self.oracle["instances"][name][("internal", "switching", "leakage").index(what)] for name in names)

    @property
    def total_ratio(self) -> float:
        return sum(power.total for power in self.powers.values()) / self.oracle["total"]["total"]


CASES = [f"{p} {d} {m}" for p in ("sky130hd", "asap7") for d in ("dint4", "int8") for m in ("sdf", "zero-delay")]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    pdk, design, mode = request.param.split()
    folder = reference / "reference/power"
    library = load(sorted((reference / "platforms" / pdk).rglob("*.lib.gz")))
    netlist = read_netlist(folder / f"{pdk}_{design}.v", "top")
    data = json.loads((folder / f"{pdk}_{design}.json").read_text())
    vcd = tmp_path_factory.mktemp("vcd") / "activity.vcd"
    vcd.write_bytes(gzip.decompress((folder / f"{pdk}_{design}.{mode}.vcd.gz").read_bytes()))
    # OpenSTA divides by the time from the first to the last time stamp of the file, half a period beyond the last change.
    stamps = [int(line[1:]) for line in vcd.read_text().splitlines() if line.startswith("#")]
    activity = read_activity(vcd, "tb.dut", netlist, library, span=(stamps[0], stamps[-1]))
    transition_s = data["input_transition_ns"] * 1e-9
    powers = PowerModel(netlist, library, transition_s).estimate(activity)
    return Case(mode, library, netlist, activity, transition_s, data[mode], powers)


def test_every_net_is_annotated(case: Case) -> None:
    assert case.activity.annotated == 1
    assert case.powers.keys() == case.oracle["instances"].keys()


def test_switching_to_the_last_digit(case: Case) -> None:
    """OpenSTA prints seven digits."""
    for name, power in case.powers.items():
        assert power.switching == pytest.approx(case.oracle["instances"][name][1], rel=2e-6, abs=1e-16), name


def test_combinational_internal(case: Case) -> None:
    # Without delays all inputs of a cell change at once, and which one moved the output is a matter of definition.
    assert case.ratio(False, "internal") == pytest.approx(1, abs=0.03 if case.mode == "sdf" else 0.06)


def test_totals(case: Case) -> None:
    assert case.total_ratio == pytest.approx(1, abs=0.004 if "sky130" in case.library.name else 0.04)


def test_registers(case: Case) -> None:
    """With probabilities multiplied, as OpenSTA does, our tables give its figure for the registers.

    By events they give less in ASAP7: with delays the data pins glitch while the clock is high, where its flip-flop takes less
    energy than while it is low. OpenSTA charges the mean of both; an estimate by events charges what happened.
    """
    probability = {net: _time_high(wave, case.activity) for net, wave in case.activity.waves.items()}
    environment = electrical(case.netlist, case.library, case.transition_s)
    expected = oracle = 0.0
    for instance in case.netlist.instances:
        cell = case.library.cell(instance.cell)
        if not cell.is_sequential:
            continue
        pins = {pin: probability[net] for pin, net in instance.pins.items()}
        for pin in cell.pins.values():
            net = instance.pins[pin.name]
            rate = len(case.activity.waves[net].changes) / case.activity.duration_s
            for group in pin.internal_power:
                assert group.rise is not None
                assert group.fall is not None
                # The rising clock causes both edges of the output.
                source, falling = (instance.pins[group.related_pins[0]], 0) if group.related_pins else (net, 1)
                slews, load = (environment.slew(source, 0), environment.slew(source, falling)), environment.load(net)
                energy = (group.rise.at(slews[0], load) + group.fall.at(slews[1], load)) / 2
                expected += energy * rate * (_product(group.when, pins) if group.when else 1) * case.library.units.energy_j
        oracle += case.oracle["instances"][instance.name][0]
    assert expected == pytest.approx(oracle, rel=0.003)


def _time_high(wave: Any, activity: Activity) -> float:
    bounds = np.concatenate([[activity.start], wave.changes, [activity.end]])
    return float(np.diff(bounds)[(0 if wave.initial else 1) :: 2].sum() / (activity.end - activity.start))


def _product(when: str, probability: Mapping[str, float]) -> float:
    """Probability of a condition on independent pins."""
    names = sorted(parse(when).names)
    result = 0.0
    for state, holds in enumerate(parse(when).truth_table(names)):
        if holds:
            result += float(np.prod([probability[n] if state >> i & 1 else 1 - probability[n] for i, n in enumerate(names)]))
    return result
