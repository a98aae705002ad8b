# SPDX-License-Identifier: Apache-2.0
"""`dint zero-points`: the designs that it maps, what it adds up, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden import DINT3, INT3, MacConfig
from golden.errors import InputError
from synth.flow import synthesize
from synth.pdk import find
from synth.zero_points import zero_points


@pytest.mark.slow
def test_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    result = zero_points(("int3", "dint3"), lanes=1, units=4, out=out, cache=cache)
    assert json.loads((out / "zero-points.json").read_text()) == result
    printed = capsys.readouterr().out
    assert "zero-points on osu018, lanes 1, correction shared by 4" in printed
    for row, number_format in zip(result["formats"], (INT3, DINT3), strict=True):
        designs = row["designs"]
        plain, unit, shared = (designs[part]["area_um2"] for part in ("symmetric", "asymmetric", "shared"))
        smallest = synthesize(MacConfig(number_format), find("osu018"), cache=cache)
        assert (plain, designs["symmetric"]["area_delay_ns"]) == (smallest.area_um2, smallest.delay_ns)
        assert row["added_um2"] == pytest.approx(unit - plain + shared / 4)
        assert row["added"] == pytest.approx(row["added_um2"] / plain, abs=1e-6)
        assert f"{row['added_um2']:.5g} ({100 * row['added']:+.1f}%)" in printed
        assert all(one["shortest_delay_ns"] <= one["area_delay_ns"] for one in designs.values())
    int3, dint3 = (row["designs"] for row in result["formats"])
    assert int3["asymmetric"] == int3["symmetric"]  # the unit is the same
    assert dint3["asymmetric"]["area_um2"] > dint3["symmetric"]["area_um2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ("int9",)}, "did you mean int8"),
        ({"formats": ("fp4_e2m1",)}, "takes no zero-point"),
        ({"formats": ()}, "formats is empty"),
        ({"lanes": 65}, "lanes is 65"),
        ({"units": 0}, "units is 0"),
        ({"jobs": 0}, "jobs is 0"),
        ({"pdk": "osu18"}, "did you mean osu018"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        zero_points(out=tmp_path / "out", quiet=True, **options)
    assert not (tmp_path / "out").exists()
