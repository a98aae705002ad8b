# SPDX-License-Identifier: Apache-2.0
"""What a sweep file means: all combinations, without those that cannot be; wrong ones are refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from golden import FORMATS
from golden.errors import InputError
from golden.operands import LayerOperands, Operands
from hdl.architectures import ARCHITECTURES
from sweep.plan import Plan, describe, read_plan
from tests.conftest import ROOT


def plan(folder: Path, text: str, **places: object) -> Plan:
    file = folder / "sweep.toml"
    file.write_text(text)
    return read_plan(file, **places)  # type: ignore[arg-type]


def test_all_combinations(tmp_path: Path) -> None:
    found = plan(tmp_path, 'format = ["int8", "dint4"]\nlanes = [1, 4]\nperiod = ["minimum-area", 8]\npdk = "osu018"')
    points = [describe(point) for point in found.points]
    assert {(one["format"], one["lanes"], one["period"]) for one in points} == {
        (name, lanes, period) for name in ("int8", "dint4") for lanes in (1, 4) for period in ("minimum-area", 8.0)
    }
    assert len(points) == 8
    assert {one["architecture"] for one in points} == {"booth-carry", "digit-grid"}  # each format's own
    assert {one["activity"] for one in points} == {None}  # no energy unless it is asked for
    assert set(found.kits) == {"osu018"}
    assert not found.left_out


def test_points_of_a_unit_are_apart_and_the_largest_come_first(tmp_path: Path) -> None:
    found = plan(tmp_path, 'format = ["int4", "int8"]\nlanes = [1, 4]\nperiod = [9.0, 5.0]')
    sizes = [(point.period_ns, point.unit.lanes * point.unit.weight_format.bits) for point in found.points]
    assert sizes == [(9.0, 32), (9.0, 16), (9.0, 8), (9.0, 4), (5.0, 32), (5.0, 16), (5.0, 8), (5.0, 4)]


def test_nothing_given_is_one_point(tmp_path: Path) -> None:
    (point,) = plan(tmp_path, "").points
    assert (point.unit.name, point.pdk, point.period_ns, point.activity) == ("mac_dint4_x1", "osu018", None, None)


def test_what_cannot_be_is_left_out_with_its_reason(tmp_path: Path) -> None:
    found = plan(tmp_path, 'format = ["int8", "int3"]\narchitecture = ["booth", "digit-grid"]\nlanes = [1, 2]\nperiod = [8, 9]')
    assert {(point.unit.weight_format.name, point.unit.architecture) for point in found.points} == {
        ("int8", "booth"),
        ("int3", "digit-grid"),
    }
    assert len(found.points) == 8
    assert [one.values for one in found.left_out] == [
        {"format": name, "architecture": architecture, "lanes": lanes}
        for name, architecture in (("int8", "digit-grid"), ("int3", "booth"))
        for lanes in (1, 2)
    ]
    assert found.left_out[0].reason.startswith("architecture digit-grid cannot do INT8")
    with pytest.raises(InputError, match=r"none of its combinations can be; the first: architecture booth cannot do INT3"):
        plan(tmp_path, 'format = "int3"\narchitecture = "booth"')


def test_activations_in_the_block_format_too(tmp_path: Path) -> None:
    """And codebooks that are written: each combination that there is, under a name of its own."""
    found = plan(tmp_path, 'format = ["int4", "nvfp4"]\nactivations = ["int8", "nvfp4"]\nlanes = 16')
    assert [point.unit.name for point in found.points] == ["mac_int4_x16", "mac_nvfp4_x16", "mac_nvfp4_a4_x16"]
    assert [one.values["format"] for one in found.left_out] == ["int4"]
    assert [describe(point)["activations"] for point in found.points] == ["int8", "int8", "nvfp4"]
    found = plan(tmp_path, 'format = "lobcq_c2_g16"\nwritable-codebooks = [false, true]')
    assert [describe(point)["writable-codebooks"] for point in found.points] == [False, True]
    with pytest.raises(InputError, match="activations 'nvfp5': did you mean nvfp4"):
        plan(tmp_path, 'format = "nvfp4"\nactivations = "nvfp5"')


def test_the_sweep_of_the_documentation(tmp_path: Path) -> None:
    """The file that commands name, and the text of the page, are the same plan."""
    text = (ROOT / "docs" / "sweep.toml").read_text()
    assert text.partition("\n")[2].strip() in (ROOT / "docs" / "sweep.md").read_text()
    found = plan(tmp_path, text)
    assert len(found.points) == (2 + 1 + 1) * 3  # of INT4 both architectures
    assert {point.activity for point in found.points} == {"zero-delay"}


def test_elements_have_no_lanes(tmp_path: Path) -> None:
    units = 'shape = ["mac", "pe"]\nlanes = [1, 4]\npipeline = [0, 1]'
    found = plan(tmp_path, units + '\nactivity = "sdf"\ndataflow = ["streaming", "weights-held"]')
    elements = [point for point in found.points if point.shape == "pe"]
    assert [(point.unit.name, point.dataflow) for point in elements] == [
        ("pe_dint4", "weights-held"),
        ("pe_dint4_p1", "weights-held"),
    ]
    assert len(found.points) == 2 * 2 * 2 + 2
    assert [(one.values["design"], one.values["dataflow"]) for one in found.left_out] == [
        ("pe_dint4", "streaming"),
        ("pe_dint4_p1", "streaming"),
    ]


def test_all(tmp_path: Path) -> None:
    found = plan(tmp_path, 'format = "all"\narchitecture = "all"')
    able = sum(one.can_do(number_format) for one in ARCHITECTURES.values() for number_format in FORMATS.values())
    assert len(found.points) == able
    assert len(found.left_out) == len(FORMATS) * len(ARCHITECTURES) - able
    assert "osu018" in plan(tmp_path, 'pdk = "all"').kits


def test_the_same_twice_is_once(tmp_path: Path) -> None:
    text = 'format = ["dint4", "DINT4"]\narchitecture = ["digit-grid", "digit-grid"]\nperiod = [8, 8.0]'
    assert len(plan(tmp_path, text).points) == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('formats = "int8"', "sweep.toml: unknown key 'formats': did you mean format? known are format, architecture"),
        ('format = ["int8", "dint44"]', "unknown format 'dint44': did you mean dint4"),
        ('architecture = "digit-gird"', "unknown architecture 'digit-gird': did you mean digit-grid"),
        ('pdk = "osu18"', "did you mean osu018"),
        ('shape = "mca"', "did you mean mac"),
        ("lanes = [1, 65]", "lanes is 65: a MAC has 1 to 64"),
        ("lanes = true", "lanes is True: it is an integer, or a list of such values"),
        ("lanes = []", "lanes is empty"),
        ("lanes = [[1]]", "lanes is [1]: it is an integer"),
        ("depth = 0", "depth is 0"),
        ("pipeline = 3", "pipeline is 3"),
        ("period = 0", "must be positive"),
        ("period = nan", "must be positive"),
        ('period = "8"', """period is '8': it is a number of ns, or "minimum-area", or a list"""),
        (f"period = 1{'0' * 400}", "period is a number of 401 digits"),
        ('activity = "sfd"', "did you mean sdf"),
        ('activity = "sdf"\ncycles = 3', "at least 16"),
        ('activity = "sdf"\nseed = -1', "seed is -1"),
        ("cycles = 64", 'is for the energy, which this sweep does not measure; add activity = "sdf"'),
        ("format = ", "is not TOML"),
    ],
)
def test_wrong_files_are_refused(text: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        plan(tmp_path, text)
    assert part in str(refused.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.toml: cannot be read"):
        read_plan(tmp_path / "missing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8"):
        read_plan(tmp_path / "bytes.toml")
    library = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
    assert set(plan(tmp_path, "", liberty=[library]).kits) == {"osu018"}
    with pytest.raises(InputError, match="--liberty names another"):
        plan(tmp_path, 'pdk = "osu018"', liberty=[library])


def test_operands_go_to_their_format(tmp_path: Path) -> None:
    files = {}
    for name in ("int8", "dint4"):
        codes, activations, sums = np.zeros((2, 8), np.uint8), np.zeros((3, 8), np.int8), np.zeros((3, 2), np.int64)
        layer = LayerOperands("fc1", codes, activations, sums, np.ones(2, np.float32), np.ones(3, np.float32))
        files[name] = tmp_path / f"{name}.npz"
        Operands(FORMATS[name], (layer,)).save(files[name])
    both = 'format = ["int8", "dint4"]\nactivity = ["sdf", "vectorless"]'
    found = plan(tmp_path, both, operands=list(files.values()))
    assert {(point.format, point.activity, point.operands) for point in found.points} == {
        (name, activity, files[name] if activity == "sdf" else None) for name in files for activity in ("sdf", "vectorless")
    }
    with pytest.raises(InputError, match="there are none of int8"):
        plan(tmp_path, both, operands=[files["dint4"]])
    with pytest.raises(InputError, match="holds dint4, as"):
        plan(tmp_path, both, operands=[files["dint4"], files["dint4"]])
    with pytest.raises(InputError, match=r"--operands .*: is for the energy"):
        plan(tmp_path, 'format = "dint4"', operands=[files["dint4"]])
