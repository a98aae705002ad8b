# SPDX-License-Identifier: Apache-2.0
"""Kits are found in every layout, described without faults, and refused in words that help."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from golden.errors import InputError
from synth import liberty, liberty_text
from synth.pdk import DEFAULT_PDK, TECHNOLOGIES, Pdk, discover, find

QFLOW = Path("/usr/share/qflow/tech")
SMALL = 'library ({name}) {{\n  cell (INV) {{ area : 1; }}\n  cell ("{cell}") {{ area : 2; }}\n}}\n'


def library(path: Path, name: str = "demo", cell: str = "DFF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = SMALL.format(name=name, cell=cell)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def sky(folder: Path, suffix: str = ".lib") -> Path:
    return library(folder / f"sky130_fd_sc_hd__tt_025C_1v80{suffix}", "sky130_fd_sc_hd__tt_025C_1v80")


def test_layouts_and_their_precedence(tmp_path: Path) -> None:
    platforms, flow, root = tmp_path / "platforms", tmp_path / "flow", tmp_path / "pdk"
    explicit = sky(platforms / "sky130hd/lib", ".lib.gz")
    flow_home = sky(flow / "platforms/sky130hd/lib")
    pdk_root = sky(root / "sky130A/libs.ref/sky130_fd_sc_hd/lib")
    nothing = tmp_path / "nothing"

    def found(**where: object) -> Path:
        (kit,) = discover(qflow=nothing, **where)  # type: ignore[arg-type]
        assert kit.name == "sky130hd"
        return kit.liberty[0]

    environ = {"FLOW_HOME": str(flow), "PDK_ROOT": str(root)}
    assert found(environ={"PDK_ROOT": str(root)}) == pdk_root
    assert found(environ=environ) == flow_home
    assert found(platforms=platforms, environ=environ) == explicit
    assert discover(environ={}, qflow=nothing) == []


def test_several_files_and_twins(tmp_path: Path) -> None:
    folder = tmp_path / "asap7/lib/NLDM"
    for part in ("AO", "SEQ"):
        for suffix in (".lib", ".lib.gz"):
            library(folder / f"asap7sc7p5t_{part}_RVT_TT_nldm_211120{suffix}")
    library(folder / "asap7sc7p5t_AO_LVT_TT_nldm_211120.lib")
    (kit,) = discover(tmp_path, {}, tmp_path / "nothing")
    assert [path.name for path in kit.liberty] == [f"asap7sc7p5t_{part}_RVT_TT_nldm_211120.lib" for part in ("AO", "SEQ")]


def test_default_is_osu018() -> None:
    kit = find()
    assert (kit.name, kit.origin) == (DEFAULT_PDK, "qflow") == ("osu018", "qflow")


def kits(reference: Path) -> list[Pdk]:
    return discover(reference / "platforms", {})


def test_described_cells_exist(reference: Path) -> None:
    """The pin maps against the libraries themselves, full adders by their truth tables."""
    from synth.boolean import parse

    found = kits(reference)
    assert {"osu018", "sky130hd", "asap7"} <= {kit.name for kit in found}
    for kit in found:
        cells = liberty.load(kit.liberty)
        assert kit.full_adder is not None
        assert kit.flip_flop is not None
        adder = cells.cell(kit.full_adder.cell)
        functions = {pin.name: parse(pin.function) for pin in adder.outputs if pin.function}
        names = (kit.full_adder.a, kit.full_adder.b, kit.full_adder.c)
        for bits in range(8):
            values = {name: bool(bits >> i & 1) for i, name in enumerate(names)}
            ones = sum(values.values())
            assert functions[kit.full_adder.sum].evaluate(values) == bool((ones & 1) ^ kit.full_adder.inverted), kit.name
            assert functions[kit.full_adder.carry].evaluate(values) == bool((ones >> 1) ^ kit.full_adder.inverted), kit.name
        flop = cells.cell(kit.flip_flop.cell)
        assert flop.is_sequential
        assert {kit.flip_flop.clock, kit.flip_flop.data} <= {pin.name for pin in flop.inputs}
        assert kit.flip_flop.output in {pin.name for pin in flop.outputs}
        for tie in (kit.tie_high, kit.tie_low):
            assert tie is None or tie[1] in {pin.name for pin in cells.cell(tie[0]).outputs}


def test_unknown_and_missing_kits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown pdk 'sky130'.*did you mean sky130hd"):
        find("sky130", environ={}, qflow=tmp_path)
    with pytest.raises(InputError, match=r"asap7.*not on this machine.*OpenROAD"):
        find("asap7", environ={}, qflow=tmp_path)
    with pytest.raises(InputError, match="apt install qflow-tech-osu018"):
        find(environ={}, qflow=tmp_path)
    with pytest.raises(InputError, match=r"--platforms .*no such folder"):
        find("asap7", platforms=tmp_path / "none")
    with pytest.raises(InputError, match=r"--platforms .*holds none of sky130hd, asap7, nangate45"):
        discover(tmp_path)


def test_liberty_by_hand_is_recognized_by_its_name(tmp_path: Path) -> None:
    known = find("asap7", [QFLOW / "osu018/osu018_stdcells.lib"])
    assert (known.name, known.origin, known.corner) == ("osu018", "--liberty", "typical, 1.8 V, 25 C")
    assert known.full_adder is not None
    assert known.full_adder.cell == "FAX1"
    unknown = find(DEFAULT_PDK, [library(tmp_path / "own.lib", "own_library")])
    assert unknown.name == "own_library"
    assert unknown.full_adder is None


def test_a_library_without_full_adder_still_counts(tmp_path: Path) -> None:
    kit = find(liberty=[library(tmp_path / "x.lib", "osu018_stdcells", "DFFPOSX1")])
    assert kit.full_adder is None
    assert kit.flip_flop is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(SMALL.format(name="a", cell="b").encode() * 50, mtime=0)[:60], "damaged or truncated"),
        (SMALL.format(name="a", cell="b").encode()[:-4], "truncated"),
        (b"hello", "not a Liberty file"),
        (b"library (a) {\n}\n", "holds no cell"),
    ],
)
def test_unusable_liberty_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.lib"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        find(liberty=[path])
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_liberty_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such Liberty file"):
        find(liberty=[tmp_path / "none.lib"])
    with pytest.raises(InputError, match="is a folder"):
        find(liberty=[tmp_path])


def test_unpacked_copies_lose_the_default_wire_load_only(tmp_path: Path) -> None:
    source = tmp_path / "a.lib.gz"
    text = 'library (a) {\n  default_wire_load : "Small" ;\n  default_wire_load_mode : top;\n  cell (x) { area : 1; }\n}\n'
    source.write_bytes(gzip.compress(text.encode()))
    (copy,) = liberty_text.unpacked([source], tmp_path / "cache")
    assert copy.read_text() == text.replace('  default_wire_load : "Small" ;\n', "")
    before = copy.stat().st_mtime_ns
    assert liberty_text.unpacked([source], tmp_path / "cache") == (copy,)
    assert copy.stat().st_mtime_ns == before


def test_threads_may_unpack_the_same_files(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    source = QFLOW / "osu018/osu018_stdcells.lib"
    with ThreadPoolExecutor(8) as pool:
        for attempt in range(5):
            cache = tmp_path / str(attempt)
            copies = list(pool.map(lambda _, cache=cache: liberty_text.unpacked([source], cache), range(8)))
            assert len(set(copies)) == 1
            assert copies[0][0].read_text() == source.read_text()


def test_names_are_unique() -> None:
    assert len({technology.name for technology in TECHNOLOGIES}) == len(TECHNOLOGIES)
    assert all(technology.get for technology in TECHNOLOGIES)


def test_files_given_by_hand_are_of_the_corner_that_they_state(tmp_path: Path) -> None:
    """Not of the catalogue's, which is the typical one; and of one."""
    paths = [library(tmp_path / f"{name}.lib", f"sky130_fd_sc_hd__{name}") for name in ("ss", "tt", "none")]
    for path, voltage, temperature in zip(paths, ("1.60", "1.8000000"), ("100.0", "-40"), strict=False):
        stated = (
            f'  default_operating_conditions : "{path.stem}";\n  nom_voltage : {voltage};\n  nom_temperature : {temperature};\n'
        )
        path.write_text(path.read_text().replace("{\n", "{\n" + stated, 1))
    assert [find(liberty=[path]).corner for path in paths] == ["ss, 1.6 V, 100 C", "tt, 1.8 V, -40 C", "not stated"]
    with pytest.raises(
        InputError, match=r"tt.lib is of tt, 1.8 V, -40 C, .*ss.lib of ss, 1.6 V, 100 C: give files of one corner"
    ):
        find(liberty=paths[:2])
