# SPDX-License-Identifier: Apache-2.0
"""`dint codes`: the tables that it maps, the file that it writes, the correlation that it prints, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from golden import DINT3
from golden.errors import InputError
from hdl.split import COEFFICIENTS
from synth.codes import codes, rank_correlation


def test_the_search_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = codes("dint3", out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "codes.json").read_text()) == result
    own = result["catalogue"]
    assert own["values"] == list(DINT3.values)
    assert own["rank"] == 1 + sum(coding["cost"] < own["cost"] for coding in result["codings"])
    for coding in (*result["codings"], own):
        assert [sum(digits) for digits in zip(*(row["digits"] for row in coding["rows"]), strict=True)] == coding["values"]
        assert coding["cost"] == pytest.approx(sum(COEFFICIENTS[name] * count for name, count in coding["counts"].items()))
    assert result["mapped"] == {}
    assert f"{own['rank']} (catalogue)" in capsys.readouterr().out
    first = (tmp_path / "out" / "codes.json").read_bytes()
    codes("dint3", out=tmp_path / "out", quiet=True)
    assert (tmp_path / "out" / "codes.json").read_bytes() == first


def test_mapping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = codes("dint3", out=tmp_path / "out", map=2, lanes=2, cache=tmp_path / "cache")
    mapped = result["mapped"]["osu018"]
    assert [design["table"] for design in mapped["designs"]] == ["best", "best", "random", "random", "catalogue"]
    assert all(1000 < design["area_um2"] < 20000 and design["delay_ns"] > 0 for design in mapped["designs"])
    pairs = [(design["cost"], design["area_um2"]) for design in mapped["designs"]]
    assert mapped["rank_correlation"]["all"] == pytest.approx(rank_correlation(*zip(*pairs, strict=True)), abs=6e-4)
    assert "smallest area on osu018, 2 lanes" in capsys.readouterr().out


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation([1, 2, 3], [10, 30, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(1 - 6 * 2 / (4 * 15))  # 1 - 6 sum d^2 / n (n^2 - 1)
    assert rank_correlation([1, 1, 2], [5, 5, 9]) == pytest.approx(1)
    assert rank_correlation([1, 1, 1], [1, 2, 3]) != rank_correlation([1, 1, 1], [1, 2, 3])  # not a number


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "int9"}, "did you mean int8"),
        ({"format": "int8"}, "INT8 has codes of 8 bits"),
        ({"architecture": "booth", "format": "int4"}, "architecture is booth: code tables are searched for digit-grid"),
        ({"architecture": "digit-gird"}, "did you mean digit-grid"),
        ({"map": -1}, "--map is -1"),
        ({"map": 1, "lanes": 65}, "lanes is 65"),
        ({"map": 1, "pdks": ("osu18",)}, "did you mean osu018"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        codes(out=tmp_path / "out", quiet=True, **options)
    assert not (tmp_path / "out").exists()
