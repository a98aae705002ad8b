# SPDX-License-Identifier: Apache-2.0
"""Reading Liberty files: what is in them, several files as one library, and the files that are refused."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from golden.errors import InputError
from synth.liberty import Library, load
from synth.lookup_table import LOAD, SLEW, LookupTable

TINY = Path(__file__).with_name("tiny.lib")
OSU = Path("/usr/share/qflow/tech")


@pytest.fixture(scope="module")
def tiny() -> Library:
    return load(TINY)


def test_units_and_voltage(tiny: Library) -> None:
    assert (tiny.units.time_s, tiny.units.capacitance_f, tiny.units.leakage_w) == (1e-9, 1e-12, 1e-9)
    assert tiny.units.energy_j == 1e-12
    assert tiny.voltage == 2.0
    assert tiny.slew_thresholds == (0.1, 0.9)
    assert tiny.flip_flops == ("DFF", "DFFSR")
    assert tiny.has_power_tables
    assert tiny.leakage_in_library


def test_cell_contents(tiny: Library) -> None:
    inverter = tiny.cell("INV")
    assert inverter.area == 1
    assert [pin.name for pin in inverter.inputs] == ["A"]
    assert (inverter.pins["A"].rise_capacitance, inverter.pins["A"].fall_capacitance) == (0.012, 0.008)
    assert inverter.pins["Y"].function == "!A"
    assert [(leak.value, leak.when) for leak in inverter.leakage] == [(2, "A"), (5, "!A")]
    (arc,) = inverter.pins["Y"].timing
    assert (arc.related_pins, arc.sense, arc.timing_type) == (("A",), "negative_unate", "combinational")
    assert set(arc.tables) == {"cell_rise", "cell_fall", "rise_transition", "fall_transition"}

    nand = tiny.cell("NAND2")
    assert nand.cell_leakage == 3
    assert [group.related_pg_pin for group in nand.pins["Y"].internal_power] == ["VDD", "VSS", None]
    assert nand.pins["A"].rise_capacitance == nand.pins["A"].capacitance  # where the library gives only one

    flop = tiny.cell("DFFSR")
    assert flop.is_sequential
    (group,) = flop.flip_flops
    assert (group.clocked_on, group.next_state, group.clear, group.preset) == ("CLK", "D", "!RN", "!SN")
    assert group.clear_preset_state == "L"
    assert flop.pins["CLK"].is_clock
    assert not flop.pins["D"].is_clock


def test_table_is_linear_between_and_beyond_its_points(tiny: Library) -> None:
    table = tiny.cell("INV").pins["Y"].timing[0].tables["cell_rise"]
    assert table.axes == (SLEW, LOAD)
    for slew, cap in ((0, 0), (0.25, 0.5), (1, 1), (2, 0.1), (0.1, 3)):
        assert table.at(slew, cap) == pytest.approx(0.1 + 0.2 * slew + cap)


def test_table_between_uneven_points() -> None:
    table = LookupTable((SLEW,), (np.array([0.0, 1.0, 3.0]),), np.array([0.0, 1.0, 7.0]))
    assert [table.at(slew) for slew in (-1, 0.5, 1, 2, 4)] == [-1, 0.5, 1, 4, 10]


def test_scalar_and_foreign_axes() -> None:
    assert LookupTable((), (), np.array(0.5)).at(3, 4) == 0.5
    foreign = LookupTable(("related_pin_transition",), (np.array([0.0, 1.0]),), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="related_pin_transition"):
        foreign.at(0, 0)


def test_compressed_file_and_cache(tiny: Library, tmp_path: Path) -> None:
    packed = tmp_path / "tiny.lib.gz"
    packed.write_bytes(gzip.compress(TINY.read_bytes()))
    assert load([packed]).cell("INV").area == tiny.cell("INV").area
    assert load([TINY]) is tiny


def test_merge_of_several_files(tmp_path: Path) -> None:
    text = TINY.read_text()
    head, cells = text[: text.index("  cell (INV)")], text[text.index("  cell (INV)") :]
    split = cells.index("  cell (DFF)")
    (tmp_path / "logic.lib").write_text(head + cells[:split] + "}\n")
    (tmp_path / "flops.lib").write_text(head + cells[split:])
    library = load([tmp_path / "logic.lib", tmp_path / "flops.lib"])
    assert set(library.cells) == set(load(TINY).cells)
    with pytest.raises(InputError, match="no flip-flop"):
        load([tmp_path / "logic.lib"])

    (tmp_path / "other.lib").write_text((head + cells[split:]).replace("nom_voltage : 2.0", "nom_voltage : 1.9"))
    with pytest.raises(InputError, match="differ in voltage"):
        load([tmp_path / "logic.lib", tmp_path / "other.lib"])


def one_line(path: Path) -> str:
    with pytest.raises(InputError) as error:
        load(path)
    message = str(error.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_file(tmp_path: Path, part: float) -> None:
    data = TINY.read_bytes().rstrip()
    (tmp_path / "cut.lib").write_bytes(data[: int(part * len(data))])
    one_line(tmp_path / "cut.lib")
    (tmp_path / "cut.lib.gz").write_bytes(gzip.compress(data)[: int(part * 1000)])
    one_line(tmp_path / "cut.lib.gz")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/* library (x) is what this is not */",
        "# README\nThis is a text.",
        "library (x) {",
        "library (x) { }",
        'library (x) { cell (" }',
        "library (x) { cell (a) { pin ( } }",
        "library (x) { cell (a) { area : 1; } }",  # no units
        TINY.read_text().replace("capacitive_load_unit (1, pf)", "capacitive_load_unit (1, apples)"),
        TINY.read_text().replace("nom_voltage : 2.0;", ""),
        TINY.read_text().replace('time_unit : "1ns"', 'time_unit : "soon"'),
        TINY.read_text().replace('time_unit : "1ns"', 'time_unit : "0ns"'),
        TINY.read_text().replace("capacitive_load_unit (1, pf)", "capacitive_load_unit (1)"),
        TINY.read_text().replace("nom_voltage : 2.0;", "nom_voltage : nan;"),
        TINY.read_text().replace("slew_lower_threshold_pct_rise : 10;", "slew_lower_threshold_pct_rise : 95;"),
        TINY.read_text().replace("variable_2 : total_output_net_capacitance;", "variable_3 : x;"),
        "library (x) {" + "a () {" * 50_000 + "}" * 50_001,
    ],
)
def test_unusable_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.lib").write_text(text)
    one_line(tmp_path / "x.lib")


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert "No such file" in one_line(tmp_path / "missing.lib")
    assert "directory" in one_line(tmp_path)
    with pytest.raises(InputError, match="--liberty"):
        load([])


def test_cell_faults_name_the_cell(tmp_path: Path) -> None:
    text = TINY.read_text()
    (tmp_path / "x.lib").write_text(text.replace('"0.10, 1.10", "0.30, 1.30"', '"0.10, 1.10", "0.30"'))
    with pytest.raises(InputError, match=r"x\.lib, cell INV: .*3 values for 2 x 2"):
        load(tmp_path / "x.lib").cell("INV")
    (tmp_path / "y.lib").write_text(text.replace('clocked_on : "CLK"; next_state', "next_state"))
    with pytest.raises(InputError, match=r"y\.lib, cell DFF: .*clocked_on"):
        load(tmp_path / "y.lib").cell("DFF")
    (tmp_path / "z.lib").write_text(text.replace("cell_leakage_power : 3", "cell_leakage_power : low"))
    with pytest.raises(InputError, match=r"z\.lib, cell NAND2: .*'low'"):
        load(tmp_path / "z.lib").cell("NAND2")
    with pytest.raises(InputError, match="cell XOR9 is not in library tiny"):
        load(TINY).cell("XOR9")


def test_library_without_power_or_leakage(tmp_path: Path) -> None:
    text = TINY.read_text().replace("internal_power", "my_power").replace("leakage_power", "my_leakage")
    (tmp_path / "x.lib").write_text(text.replace("my_leakage_unit", "leakage_power_unit"))
    library = load(tmp_path / "x.lib")
    assert not library.leakage_in_library
    with pytest.raises(InputError, match="no internal_power tables"):
        library.require_power()
    load(TINY).require_power()


@pytest.mark.parametrize(
    ("name", "voltage"),
    [("osu018/osu018_stdcells.lib", 1.8), ("osu035/osu035_stdcells.lib", 3.3), ("osu050/osu05_stdcells.lib", 5.0)],
)
def test_osu_libraries(name: str, voltage: float) -> None:
    path = OSU / name
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    library = load(path)
    assert library.voltage == voltage
    assert library.units.energy_j == 1e-12
    assert library.leakage_in_library
    assert library.has_power_tables
    assert {"DFFPOSX1", "DFFSR"} <= set(library.flip_flops)
    assert all(library.cell(name).area > 0 for name in ("INVX1", "NAND2X1", "DFFPOSX1", "FAX1", "XOR2X1"))


def test_reference_libraries(reference: Path) -> None:
    start = time.perf_counter()
    sky130 = load(sorted((reference / "platforms/sky130hd/lib").glob("*.lib.gz")))
    asap7 = load(sorted((reference / "platforms/asap7/lib/NLDM").glob("*.lib.gz")))
    assert time.perf_counter() - start < 10  # about one second; ten leave room for a loaded machine
    assert (sky130.voltage, sky130.units.energy_j) == (1.8, 1e-12)
    assert asap7.voltage == 0.7
    assert asap7.units.energy_j == pytest.approx(1e-15)
    assert asap7.units.time_s == pytest.approx(1e-12)
    assert asap7.units.leakage_w == pytest.approx(1e-12)
    assert sky130.cell("sky130_fd_sc_hd__dfxtp_1").flip_flops[0].next_state == "D"
    assert asap7.cell("FAx1_ASAP7_75t_R").pins["CON"].timing[0].sdf_cond == "(B & ~CI)"
    assert {"DFFHQNx1_ASAP7_75t_R"} <= set(asap7.flip_flops)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("area : 1;", "area : -1;", "area is '-1': a number from 0 up"),
        ("area : 1;", "area : many;", "area is 'many': a number"),
        ("capacitance : 0.010;", "capacitance : inf;", "capacitance is 'inf'"),
        ("value : 2;", "value : nan;", "value is 'nan'"),
        ('"0.10, 1.10", "0.30, 1.30"', '"0.10, nan", "0.30, 1.30"', "has the number nan"),
    ],
)
def test_numbers_that_are_none(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "x.lib").write_text(TINY.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load(tmp_path / "x.lib").cell("INV")


def test_what_is_not_ascii_stays_out_of_the_parser(tmp_path: Path) -> None:
    (tmp_path / "x.lib").write_bytes(TINY.read_bytes().replace(b"made-up", "erdacht \u00e9\ufffd".encode() + b"\xff"))
    assert load(tmp_path / "x.lib").cell("INV").area == 1


def test_a_file_that_unpacks_to_far_too_much(tmp_path: Path) -> None:
    (tmp_path / "x.lib.gz").write_bytes(gzip.compress(b"library (x) {" + bytes(1 << 27) + b"}", 1))
    assert "would unpack to far more" in one_line(tmp_path / "x.lib.gz")
