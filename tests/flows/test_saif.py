# SPDX-License-Identifier: Apache-2.0
"""SAIF of known waves: times and counts as they must be, names as readers want them, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flows.saif import saif
from golden import InputError
from synth.activity import Activity, Wave
from synth.command import synthesize
from synth.netlist import ONE, ZERO, Instance, Netlist, Port
from synth.request import Request
from tests.flows.saif_reader import State, read_saif

NETLIST = Netlist(
    "top",
    {"clk": Port("clk", "input", ("clk",)), "bus": Port("bus", "output", ("bus[0]", "n.q[1]"))},
    (
        Instance("_1_", "INV", {"A": "clk", "Y": "bus[0]"}),
        Instance("u.x[2]", "NAND", {"A": "bus[0]", "B": ONE, "Y": "n.q[1]"}),
        Instance("_3_", "INV", {"A": "n.q[1]", "Y": "lost"}),
    ),
)


def wave(initial: bool, *changes: int) -> Wave:
    return Wave(initial, np.array(changes, dtype=np.int64))


WAVES = {
    ZERO: wave(False),
    ONE: wave(True),
    "clk": wave(False, 120, 150, 180),
    "bus[0]": wave(True, 200),
    "n.q[1]": wave(True),
}
TEXT = saif(Activity(WAVES, 100, 200, 0.9), NETLIST)


def test_times_and_counts() -> None:
    file = read_saif(TEXT)
    assert file.header == {
        "SAIFVERSION": "2.0",
        "DIRECTION": "backward",
        "DESIGN": "top",
        "PROGRAM_NAME": "dint",
        "DIVIDER": "/",
        "TIMESCALE": "100 fs",
        "DURATION": "100",
    }
    top = file.instances["top"]
    assert top.ports == {"clk": State(50, 50, 0, 3), "bus[0]": State(0, 100, 0, 1), "bus[1]": State(0, 100, 0, 0)}
    assert top.nets == {"n.q[1]": State(0, 100, 0, 0), "lost": State(0, 0, 100, 0)}
    assert top.instances["u.x[2]"].ports == {"A": top.ports["bus[0]"], "B": State(0, 100, 0, 0), "Y": top.nets["n.q[1]"]}
    assert list(top.instances) == ["_1_", "u.x[2]", "_3_"]


def test_special_characters_of_names_are_escaped() -> None:
    assert "(INSTANCE u\\.x\\[2\\]\n" in TEXT
    assert " (bus\\[0\\] (T0 0) (T1 100) (TX 0) (TC 1))\n" in TEXT


def test_vectorless_activity_has_none(tmp_path: Path) -> None:
    for option in ("saif", "vcd"):
        with pytest.raises(InputError, match=f"--{option}: vectorless activity has no simulation"):
            synthesize(Request(activity="vectorless"), tmp_path / "out", quiet=True, **{option: True})
    assert not (tmp_path / "out").exists()
