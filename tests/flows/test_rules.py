# SPDX-License-Identifier: Apache-2.0
"""`dint check`: rules that hold, rules that are broken, and rules that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import dint
from flows.rules import check
from golden.errors import InputError

FLAT = {
    "design__instance__area": 4000.5,
    "timing__setup__ws": -0.25,
    "power__total": None,
    "design__instance__area__by_part": {"registers": 900},
    "cts__flow__warnings__count:RSZ-62": 1,
    "finish__error": "ERR",
    "format": "dint4",
}
ROWS = [
    {"pdk": "osu018", "lanes": 1, "kind": "minimum-area", "area_ratio": 1.43, "baseline": {"area_um2": 9000.0}},
    {"pdk": "osu018", "lanes": 16, "kind": "minimum-area", "area_ratio": 1.72, "baseline": {"area_um2": 99000.0}},
    {
        "pdk": "sky130_fd_sc_hd__tt",
        "lanes": 16,
        "kind": "equal-clock",
        "clock__period": 2.82,
        "area_ratio": 2.64,
        "baseline": {"area_um2": 40000.0},
    },
]
NESTED = {"comparisons": ROWS, "verification": {"macs_compared": 12}}


@pytest.fixture
def files(tmp_path: Path) -> Any:
    def write(metrics: Any, *rules: Any) -> tuple[Path, list[Path]]:
        paths = [tmp_path / f"{index}.json" for index in range(len(rules) + 1)]
        for path, data in zip(paths, (metrics, *rules), strict=True):
            path.write_text(data if isinstance(data, str) else json.dumps(data))
        return paths[0], paths[1:]

    return write


def rule(value: Any, compare: str = "<=", **more: Any) -> dict[str, Any]:
    return {"value": value, "compare": compare, **more}


@pytest.mark.parametrize(
    ("name", "compare", "limits"),
    [
        ("design__instance__area", "<=", {4000.5: True, 4000.4: False}),
        ("design__instance__area", "<", {4000.5: False, 4000.6: True}),
        ("timing__setup__ws", ">=", {-0.25: True, 0: False}),
        ("timing__setup__ws", ">", {-0.25: False, -1: True}),
        ("design__instance__area__by_part__registers", "==", {900: True, 901: False}),
        ("design__instance__area__by_part__registers", "!=", {900: False, 901: True}),
        ("cts__flow__warnings__count:RSZ-62", "<=", {1: True, 0: False}),
        ("power__total", "<=", {1e9: False}),
        ("finish__error", "<=", {1e9: False}),
    ],
)
def test_each_comparison(files: Any, name: str, compare: str, limits: dict[float, bool]) -> None:
    for limit, holds in limits.items():
        assert check(*files(FLAT, {name: rule(limit, compare)}))["ok"] is holds


def test_a_rule_holds_for_every_figure_that_its_modifiers_fit(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rules = {
        "comparisons__area_ratio": rule(1.5, ">="),
        "comparisons__area_ratio__lanes:16": rule(1.5, ">="),
        "comparisons__area_ratio__lanes:16__pdk:osu018": rule(1.73, ">="),
        "comparisons__area_ratio__pdk:sky130_fd_sc_hd__tt": rule(2.6, ">="),
        "comparisons__area_ratio__period:2.82": rule(2.6, ">="),
        "comparisons__baseline__area_um2__lanes:16": rule(30000),
        "verification__macs_compared": rule(12, "=="),
    }
    found = check(*files(NESTED, rules))
    assert not found["ok"]
    assert [one["metric"] for one in found["broken"]] == [
        "comparisons__area_ratio",
        "comparisons__area_ratio__lanes:16__pdk:osu018",
        "comparisons__baseline__area_um2__lanes:16",
    ]
    least, narrow, largest = found["broken"]
    assert (least["found"], least["of"], least["figures"]) == (1.43, 1, 3)
    assert least["modifiers"] == {"pdk": "osu018", "lanes": "1", "kind": "minimum-area"}
    assert (narrow["found"], narrow["modifiers"]) == (1.72, {})
    assert (largest["found"], largest["of"]) == (99000.0, 2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "error: comparisons__area_ratio is 1.43 at pdk:osu018, lanes:1, kind:minimum-area, the rule is >= 1.5 (1 of 3 figures)"
    )
    assert len(lines) == 4
    assert lines[-1] == "4 of 7 rules hold"


def test_warnings_are_shown_and_do_not_fail(files: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(*files(FLAT, {"timing__setup__ws": rule(0, ">=", level="warning")}), quiet=True)["ok"]
    assert capsys.readouterr().out == "warning: timing__setup__ws is -0.25, the rule is >= 0\n"


def test_the_last_file_counts(files: Any) -> None:
    loose, tight = {"timing__setup__ws": rule(-1, ">=")}, {"timing__setup__ws": rule(0, ">=")}
    assert check(*files(FLAT, tight, loose))["ok"]
    assert not check(*files(FLAT, loose, tight))["ok"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"12"', "true", "null"])
def test_what_is_no_finite_number_passes_no_rule(files: Any, value: str) -> None:
    for compare in ("<=", ">=", "!="):
        assert not check(*files(f'{{"area": {value}}}', {"area": rule(1, compare)}))["ok"]


def invoke(metrics: Path, rules: list[Path], *more: str) -> Result:
    named = [argument for path in rules for argument in ("--rules", str(path))]
    return CliRunner().invoke(dint.app, ["check", *named, str(metrics), *more])


def test_exit_code_and_json(files: Any) -> None:
    given = files(FLAT, {"design__instance__area": rule(5000), "timing__setup__ws": rule(0, ">=")})
    result = invoke(*given)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["error: timing__setup__ws is -0.25, the rule is >= 0", "1 of 2 rules hold"]
    answer = json.loads(invoke(*given, "--json").stdout)
    assert (answer["ok"], answer["rules"], len(answer["broken"])) == (False, 2, 1)
    assert invoke(*files(FLAT, {"design__instance__area": rule(5000)})).exit_code == 0


BAD: list[tuple[Any, Any, str]] = [
    (FLAT, {"design__instance__aera": rule(1)}, "did you mean design__instance__area?"),
    (FLAT, {"qqq": rule(1)}, "has no qqq"),
    (FLAT, {"design__instance__area__pdk:osu018": rule(1)}, "leave the modifier out"),
    (NESTED, {"comparisons__area_ratio__pkd:osu018": rule(1)}, "not told apart by 'pkd': did you mean pdk?"),
    (NESTED, {"comparisons__area_ratio__pdk:osu18": rule(1)}, "pdk is 'osu18': did you mean osu018?"),
    (NESTED, {"comparisons__area_ratio__lanes:1__pdk:sky130_fd_sc_hd__tt": rule(1)}, "known are osu018"),
    (FLAT, {"power__total": 3}, "a rule is an object"),
    (FLAT, {"power__total": {"value": 3}}, "has no 'compare'"),
    (FLAT, {"power__total": {"compare": "<="}}, "has no 'value'"),
    (FLAT, {"power__total": rule("3")}, "value is '3', a number is needed"),
    (FLAT, {"power__total": rule(True)}, "a number is needed"),
    (FLAT, '{"power__total": {"value": NaN, "compare": "<="}}', "value is 'nan', a number is needed"),
    (FLAT, {"power__total": rule(3, "=<")}, "compare is '=<'"),
    (FLAT, {"power__total": rule(3, level="warn")}, "did you mean warning?"),
    (FLAT, {"power__total": rule(3, levle="error")}, "did you mean level?"),
    (FLAT, {}, "without a rule"),
    (FLAT, [], "is no object"),
    (FLAT, '{"power', "is not JSON"),
    ([], {"power__total": rule(3)}, "is no object"),
    ("", {"power__total": rule(3)}, "is not JSON"),
    ("[" * 100000, {"power__total": rule(3)}, "is not JSON"),
]


@pytest.mark.parametrize(("metrics", "rules", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_is_one_line(files: Any, metrics: Any, rules: Any, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError) as caught:
        check(*files(metrics, rules))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text(json.dumps({"a": rule(1)}))
    with pytest.raises(InputError, match=r"METRICS.json .*no.json: cannot be read"):
        check(tmp_path / "no.json", [tmp_path / "rules.json"])
    with pytest.raises(InputError, match=r"--rules .*no.json: cannot be read"):
        check(tmp_path / "rules.json", [tmp_path / "no.json"])
    with pytest.raises(InputError, match="cannot be read"):
        check(tmp_path, [tmp_path / "rules.json"])
