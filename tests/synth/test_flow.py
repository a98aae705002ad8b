# SPDX-License-Identifier: Apache-2.0
"""One design from Verilog to area and delay: cache, parts, and periods."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from golden import DINT4, INT4, INT8, MacConfig, UnitConfig
from golden.artifacts import sha256_file
from golden.errors import InputError, ToolError
from synth import flow, mapping, yosys
from synth.flow import Task, Workshop, area_recipes, fast_recipes, smallest, synthesize
from synth.mapping import Mapped, area_by_part, delays, map_design
from synth.pdk import Pdk
from synth.recipe import Recipe

CONFIG = MacConfig(DINT4)


def forbid_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise AssertionError("Yosys ran")

    monkeypatch.setattr(yosys, "map_verilog", run)


def test_a_cache_hit_runs_no_yosys(kit: Pdk, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = map_design(CONFIG, kit, Recipe(), cache)
    forbid_yosys(monkeypatch)
    second = map_design(CONFIG, kit, Recipe(), cache)
    assert second.cached
    assert (first.netlist_sha256, first.area_um2, first.delay_ns) == (second.netlist_sha256, second.area_um2, second.delay_ns)
    with pytest.raises(AssertionError, match="Yosys ran"):
        map_design(CONFIG, kit, Recipe(complement=True), cache)


def test_the_key_holds_what_decides(kit: Pdk, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    map_design(CONFIG, kit, Recipe(), cache)
    forbid_yosys(monkeypatch)
    from dataclasses import replace

    for other in (replace(kit, dont_use=("XOR2X1",)), replace(kit, input_transition_ns=0.2), replace(kit, full_adder=None)):
        with pytest.raises(AssertionError, match="Yosys ran"):
            map_design(CONFIG, other, Recipe(), cache)
    monkeypatch.setattr(mapping, "_sources_sha256", lambda: {"recipe": "changed"})
    with pytest.raises(AssertionError, match="Yosys ran"):
        map_design(CONFIG, kit, Recipe(), cache)


def test_a_damaged_entry_is_made_anew(kit: Pdk, cache: Path) -> None:
    good = map_design(CONFIG, kit, Recipe(), cache)
    good.netlist.write_text("module changed; endmodule\n")
    again = map_design(CONFIG, kit, Recipe(), cache)
    assert not again.cached
    assert sha256_file(again.netlist) == good.netlist_sha256


def test_an_interrupted_run_leaves_nothing(kit: Pdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mapping.sta, "analyze", interrupt)
    with pytest.raises(KeyboardInterrupt):
        map_design(CONFIG, kit, Recipe(), tmp_path)
    assert not [path for path in (tmp_path / "netlists").rglob("*") if path.is_file()]
    monkeypatch.undo()
    assert not map_design(CONFIG, kit, Recipe(), tmp_path).cached


def test_same_inputs_same_bytes(kit: Pdk, tmp_path: Path) -> None:
    def files(cache: Path) -> dict[str, bytes]:
        mapped = map_design(CONFIG, kit, Recipe(), cache)
        delays(mapped, kit)
        folder = mapped.netlist.parent
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    assert first == second
    assert set(first) == {"netlist.v", "facts.json", "delays.sdf", "delays.json"}


def test_spoilt_delays_are_written_again(kit: Pdk, tmp_path: Path) -> None:
    mapped = map_design(CONFIG, kit, Recipe(), tmp_path)
    path = delays(mapped, kit)
    written = path.read_bytes()
    for spoilt in (written.replace(b"1", b"0"), b""):
        path.write_bytes(spoilt)
        assert delays(mapped, kit).read_bytes() == written
    path.unlink()
    assert delays(mapped, kit).read_bytes() == written


@pytest.mark.parametrize("file", ["netlist.v", "facts.json"])
def test_a_full_disk_leaves_no_entry(kit: Pdk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    write = Path.write_text

    def full(path: Path, text: str, *arguments: Any, **options: Any) -> int:
        if path.name == file and path.is_relative_to(tmp_path):
            write(path, text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, text, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match=rf"^cache folder {tmp_path}/.*No space left on device.*free some space") as raised:
            map_design(CONFIG, kit, Recipe(), tmp_path)
    assert "--cache" not in str(raised.value)
    assert [path for path in (tmp_path / "netlists").rglob("*") if path.name.startswith(".new") or path.is_file()] == []
    assert not map_design(CONFIG, kit, Recipe(), tmp_path).cached


def test_area_by_part_adds_up(kit: Pdk, cache: Path) -> None:
    mapped = map_design(CONFIG, kit, Recipe(), cache)
    parts, whole = area_by_part(mapped, kit, cache)
    assert list(parts) == ["partial products", "compressor", "final adder", "accumulator"]
    assert sum(parts.values()) == pytest.approx(mapped.area_um2)
    assert all(area > 0 for area in parts.values())
    # 28 flip-flops of 96 um2 alone, of the area of the run that kept the parts.
    assert parts["accumulator"] * whole / mapped.area_um2 > 28 * 96
    assert 1.0 <= whole / mapped.area_um2 < 1.5


def test_area_is_what_yosys_counts(kit: Pdk, cache: Path, tmp_path: Path) -> None:
    mapped = map_design(CONFIG, kit, Recipe(), cache)
    program = (
        "from pyosys import libyosys as y; import sys; d = y.Design();"
        "[y.run_pass(c, d) for c in (f'read_verilog {sys.argv[1]}', f'stat -liberty {sys.argv[2]}')]"
    )
    log = yosys._run(["-c", program, str(mapped.netlist), str(mapped.liberty[0])], tmp_path, 60)
    area = next(line.split(":")[-1] for line in log.splitlines() if "Chip area" in line)
    assert float(area) == pytest.approx(mapped.area_um2)


def test_every_architecture_of_a_side_gets_the_same_recipes(kit: Pdk) -> None:
    """The rule of fair comparison: the format and the architecture don't decide how hard the search is."""
    described = {
        (tuple(area_recipes(config, kit)), tuple(fast_recipes(config, ("sklansky",))))
        for config in (
            MacConfig(DINT4),
            MacConfig(DINT4, architecture="direct-grid"),
            MacConfig(INT8),
            MacConfig(INT8, architecture="baugh-wooley"),
            MacConfig(INT4),
        )
    }
    assert len(described) == 1
    careless = [area_recipes(MacConfig(f, architecture="multiply"), kit) for f in (DINT4, INT8, INT4)]
    assert careless[0] == careless[1] == careless[2]
    assert {recipe.booth for recipe in careless[0]} == {False, True}


def test_a_workshop_does_nothing_twice(kit: Pdk, cache: Path) -> None:
    done: list[str] = []
    shop = Workshop(kit, cache, jobs=2, advance=done.append)
    tasks = [Task(CONFIG, Recipe()), Task(CONFIG, Recipe(complement=True)), Task(CONFIG, Recipe())]
    first = shop.run(tasks)
    assert first[0] is first[2]
    assert [mapped.recipe for mapped in first[:2]] == [Recipe(), Recipe(complement=True)]
    shop.run(tasks)
    assert len(done) == 2
    assert (shop.count("dint4", 1), shop.count("dint4", 2), shop.count("int8", 1)) == (2, 0, 0)


def test_one_that_fails_is_marked_and_the_others_go_on(kit: Pdk, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crashing = Recipe(complement=True)

    def crash(config: UnitConfig, pdk: Pdk, recipe: Recipe, folder: Path) -> Mapped:
        if recipe == crashing:
            raise ToolError("Yosys crashed")
        return map_design(config, pdk, recipe, folder)

    monkeypatch.setattr(flow, "map_design", crash)
    shop = Workshop(kit, cache)
    tasks = [Task(CONFIG, crashing), Task(CONFIG, Recipe())]
    for _ in range(2):
        failed, mapped = shop.run(tasks)
        assert failed is None
        assert mapped is not None
    assert shop.failed == {tasks[0]: "Yosys crashed"}
    assert shop.run_recipes([(CONFIG, [crashing, Recipe()])]) == shop.smallest_of_each([CONFIG]) == [mapped]
    shop.size([(mapped, 1e9)])  # closes at once
    with pytest.raises(ToolError, match="every synthesis failed, the first with: Yosys crashed"):
        shop.smallest_of_each([MacConfig(INT8)])


def test_a_failing_task_is_raised(kit: Pdk, cache: Path) -> None:
    from dataclasses import replace

    shop = Workshop(replace(kit, dont_use=("*",)), cache, jobs=2)
    with pytest.raises(ToolError, match="Yosys"):
        shop.run([Task(CONFIG, Recipe("logic")), Task(CONFIG, Recipe("logic", adder="ripple"))])


def test_periods(kit: Pdk, cache: Path) -> None:
    least = synthesize(CONFIG, kit, None, cache)
    assert synthesize(CONFIG, kit, least.delay_ns + 0.01, cache).area_um2 == least.area_um2
    tight = synthesize(CONFIG, kit, 0.7 * least.delay_ns, cache)
    assert tight.closes(0.7 * least.delay_ns)
    assert tight.area_um2 > least.area_um2
    unreachable = synthesize(CONFIG, kit, 0.5, cache)
    assert not unreachable.closes(0.5)
    assert unreachable.delay_ns <= tight.delay_ns
    for period in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="period"):
            synthesize(CONFIG, kit, period, cache)
    assert smallest([least, tight], tight.delay_ns) is tight
    assert smallest([least], 0.5) is None
