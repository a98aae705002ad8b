# SPDX-License-Identifier: Apache-2.0
"""Other people's units compute what ours do, so that comparing their areas means something."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.peers import CONFIG, peers
from sim import SimulationMismatch
from sim.command import simulate_verilog
from sim.simulators import find_simulator
from sim.stimulus import Stimulus

pytest.importorskip("ariths_gen", reason="ariths-gen is an extra")

STIMULI = [Stimulus.uniform(CONFIG, 200, 0), Stimulus.corners(replace(CONFIG, depth=4096))]


def test_there_are_all_structures() -> None:
    names = [name for name, _, _ in peers()]
    assert len(set(names)) == len(names)
    assert {name.split()[1] for name in names} == {"acc", "Array", "Dadda", "Wallace", "CarrySave"}


@pytest.mark.parametrize("wanted", ["Yosys acc + a*w", "ArithsGen Array", "ArithsGen Dadda + KoggeStone"])
def test_every_sum_is_right(wanted: str) -> None:
    (verilog,) = (text for name, text, _ in peers() if name == wanted)
    for run in simulate_verilog(verilog, CONFIG, STIMULI, find_simulator(), quiet=True):
        assert run["sums_compared"] == run["cycles"] >= 200


def test_a_wrong_peer_is_noticed() -> None:
    verilog = next(peers())[1].replace("kept + ", "kept - ")
    with pytest.raises(SimulationMismatch):
        simulate_verilog(verilog, CONFIG, STIMULI, find_simulator(), quiet=True)
