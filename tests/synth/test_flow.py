# SPDX-License-Identifier: Apache-2.0
"""One design from Verilog to area and delay: cache, parts, periods, and `dint synthesize`."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from golden import DINT4, INT4, INT8, MacConfig, UnitConfig
from golden.artifacts import sha256_file
from golden.errors import InputError, ToolError
from report.metrics_schema import SYNTHESIS
from report.shapes import check_shape
from sim.gate_level import SCOPE
from synth import command, flow, liberty, mapping, yosys
from synth.activity import read_activity
from synth.flow import Task, Workshop, area_recipes, fast_recipes, smallest, synthesize
from synth.mapping import Mapped, area_by_part, delays, map_design
from synth.netlist import read_netlist
from synth.pdk import Pdk, find
from synth.recipe import Recipe
from synth.request import Request

CONFIG = MacConfig(DINT4)


@pytest.fixture(scope="module")
def kit() -> Pdk:
    return find("osu018")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


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


# dint synthesize, dint pdks


def test_synthesize_writes_metrics(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = command.synthesize(Request(cycles=64), out, cache, saif=True, vcd=True, quiet=True)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    assert {path.name for path in out.iterdir()} == {
        "netlist.v",
        "constraints.sdc",
        "delays.sdf",
        "metrics.json",
        "activity.saif",
        "activity.v",
        "activity.vcd",
    }
    # The waveforms are of the netlist beside them; recording ends with X.
    gates = read_netlist(out / "activity.v", metrics["design"])
    library = liberty.load(find("osu018").liberty)
    whole = read_activity(out / "activity.vcd", SCOPE, gates, library)
    assert whole.annotated < 1
    assert read_activity(out / "activity.vcd", SCOPE, gates, library, span=(whole.start, whole.end - 1)).annotated == 1
    assert gates.cells == read_netlist(out / "netlist.v", metrics["design"]).cells
    assert f'(DESIGN "{metrics["design"]}")' in (out / "activity.saif").read_text()
    check_shape(metrics, SYNTHESIS, "metrics.json")
    power = [metrics[f"power__{kind}__total"] for kind in ("internal", "switching", "leakage")]
    assert metrics["power__total"] == pytest.approx(sum(power))
    assert metrics["timing__setup__ws"] == pytest.approx(0, abs=1e-9)
    assert metrics["energy__per_mac"] == pytest.approx(metrics["power__total"] * metrics["clock__period"] * 1e-9, rel=1e-3)
    assert 0 < metrics["energy__per_mac__zero_delay"] < metrics["energy__per_mac"]
    assert metrics["activity__annotated"] >= 0.99
    assert (metrics["activity__operands"], metrics["activity__dataflow"]) == ("uniform", "streaming")
    assert (metrics["activity__kind"], metrics["power__engine"]) == ("sdf", "dint")
    assert metrics["hashes"]["netlist"] == sha256_file(out / "netlist.v")
    assert "/" not in json.dumps(metrics["pdk"])


def test_a_clock_that_nobody_can_meet(kit: Pdk, cache: Path, tmp_path: Path) -> None:
    best = synthesize(CONFIG, kit, 0.5, cache)
    earlier = tmp_path / "earlier"
    command.synthesize(Request(cycles=64), earlier, cache, quiet=True)
    before = {path.name: path.read_bytes() for path in earlier.iterdir()}
    for out in (earlier, tmp_path / "new"):
        with pytest.raises(ToolError) as failure:
            command.synthesize(Request(period_ns=0.5), out, cache, quiet=True)
        message = str(failure.value)
        assert message.startswith(f"--period 0.5 ns is not met by {CONFIG.name} on osu018: the best slack found is ")
        assert f"is {0.5 - best.delay_ns:.4g} ns; " in message
        assert "\n" not in message
    assert {path.name: path.read_bytes() for path in earlier.iterdir()} == before
    assert not (tmp_path / "new").exists()
    shortest = re.search(r"give (\S+) ns or more", message)
    assert shortest is not None
    met = command.synthesize(Request(period_ns=float(shortest[1]), cycles=64), earlier, cache, quiet=True)
    assert 0 <= met["timing__setup__ws"] < 0.01


def test_other_activities(cache: Path, tmp_path: Path) -> None:
    made = [
        command.synthesize(Request(cycles=64, **options), tmp_path / "out", cache, quiet=True)
        for options in (
            {"activity": "zero-delay"},
            {"activity": "zero-delay", "dataflow": "weights-held"},
            {"activity": "vectorless"},
        )
    ]
    streaming, held, vectorless = made
    assert streaming["energy__per_mac"] == streaming["energy__per_mac__zero_delay"] > held["energy__per_mac"] > 0
    assert held["activity__dataflow"] == "weights-held"
    assert vectorless["activity__kind"] == "vectorless"
    assert vectorless["activity__operands"] is vectorless["activity__dataflow"] is None
    assert vectorless["activity__cycles"] == vectorless["activity__sums_compared"] == 0
    assert "energy__per_mac__zero_delay" not in vectorless
    assert vectorless["energy__per_mac"] == pytest.approx(vectorless["power__total"] * vectorless["clock__period"] * 1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pdk": "osu18"}, "did you mean osu018"),
        ({"format": "int9"}, "did you mean int8"),
        ({"lanes": 65}, "lanes is 65"),
        ({"period_ns": 0.0}, "must be positive"),
        ({"architecture": "wallace"}, "wallace"),
        ({"cycles": 3}, "at least 16"),
        ({"operands": Path("/nowhere/operands.npz")}, "no such operand file"),
        ({"dataflow": "held"}, "--dataflow is 'held': known are streaming, weights-held"),
        ({"activity": "saif"}, "--activity is 'saif': known are sdf, zero-delay, vectorless"),
        ({"activity": "vectorless", "operands": Path("x.npz")}, "--operands x.npz: --activity vectorless takes none"),
        ({"activity": "vectorless", "power_engine": "opensta"}, "--power-engine opensta: --activity vectorless simulates"),
        ({"power_engine": "spice"}, "--power-engine is 'spice': known are dint, opensta"),
        ({"liberty": (Path("/nowhere/x.lib"),)}, "no such Liberty file"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        command.synthesize(Request(**options), tmp_path / "out", tmp_path / "cache", quiet=True)
    with pytest.raises(InputError, match="jobs is 0"):
        command.synthesize(Request(), tmp_path / "out", tmp_path / "cache", jobs=0, quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_library_without_flip_flop(tmp_path: Path) -> None:
    from synth.pdk import QFLOW

    text = (QFLOW / "osu018/osu018_stdcells.lib").read_text()
    bad = tmp_path / "bad.lib"
    bad.write_text(re.sub(r"\b(ff|latch)\s*\(", r"ignored_\1 (", text))
    with pytest.raises(InputError, match=r"bad\.lib.*flip-flop"):
        command.synthesize(Request(liberty=(bad,)), tmp_path / "out", tmp_path / "cache", quiet=True)
    assert not (tmp_path / "out").exists()


def test_no_sta(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth import sta

    monkeypatch.setenv("PATH", str(tmp_path))
    sta.version.cache_clear()
    with pytest.raises(ToolError, match="install the apt package opensta"):
        command.synthesize(Request(), tmp_path / "out", tmp_path / "cache", quiet=True)
    sta.version.cache_clear()


def test_pdks_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in command.pdks()}
    assert rows["osu018"]["found"] == "qflow"
    assert "osu018 (default)" in " ".join(capsys.readouterr().out.split())
    assert {"sky130hd", "asap7", "nangate45"} <= set(rows)


def test_an_interrupt_leaves_no_process_and_no_output(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from synth.command import synthesize; from synth.request import Request;"
        "synthesize(Request(lanes=16), out=Path('out'), quiet=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(command.__file__).parent.parent)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not (running := _jobs_below(child.pid)) and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running, "no synthesis was started"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode != 0
    assert "KeyboardInterrupt" in said
    assert not (tmp_path / "out").exists()
    time.sleep(0.2)
    assert not [pid for pid in running if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)]
    assert not list((tmp_path / "build/cache/netlists").rglob(".new-*"))


def _jobs_below(pid: int) -> list[int]:
    """Synthesis processes that `pid` has started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split(None, 2) for line in listed[1:]]
    return [int(row[0]) for row in rows if int(row[1]) == pid and "yosys_child" in row[2]]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
