# SPDX-License-Identifier: Apache-2.0
"""`dint synthesize` and `dint pdks`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.rules import check as check_rules
from golden import DINT4, MacConfig
from golden.artifacts import sha256_file
from golden.errors import InputError, ToolError
from report.metrics_schema import SYNTHESIS
from report.shapes import check_shape
from sim.gate_level import SCOPE
from synth import command, liberty
from synth.activity import read_activity
from synth.flow import area_recipes, synthesize
from synth.mapping import map_design
from synth.netlist import read_netlist
from synth.pdk import Pdk, find
from synth.proof import Refuted
from synth.request import Request
from tests.conftest import ROOT

CONFIG = MacConfig(DINT4)


def test_synthesize_writes_metrics(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = command.synthesize(Request(cycles=64), out, cache, saif=True, vcd=True, quiet=True)
    assert json.loads((out / "metrics.json").read_text()) == metrics
    # Of every metric that the documentation's rules name there is a figure.
    rules = ROOT / "docs" / "rules.json"
    assert check_rules(out / "metrics.json", [rules], quiet=True)["rules"] == len(json.loads(rules.read_text())) == 3
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
    assert metrics["formal__equivalence__proved"] is True


def test_the_netlist_is_held_against_its_verilog(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = find("osu018")
    mapped = map_design(CONFIG, kit, area_recipes(CONFIG, kit)[0], cache)
    assert command.equivalence(mapped, kit) == (True, "in every cycle, whatever was before")
    broken = tmp_path / "netlist.v"
    broken.write_text(re.sub("NAND2X1", "NOR2X1", mapped.netlist.read_text(), count=1))
    with pytest.raises(Refuted, match="mac_dint4_x1: the netlist takes something else than its Verilog"):
        command.equivalence(replace(mapped, netlist=broken), kit)

    def too_hard(*_: Any) -> None:
        raise ToolError("ABC: neither proof nor counterexample")

    monkeypatch.setattr("synth.proof.netlist", too_hard)
    assert command.equivalence(mapped, kit) == (False, "ABC: neither proof nor counterexample")


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
    """Synthesis processes that `pid` has started, through the leaders of their groups."""
    listed = subprocess.run(["ps", "-ewwo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = {int(pid): (int(parent), args) for pid, parent, args in (line.split(None, 2) for line in listed[1:])}
    jobs = {own: parent for own, (parent, args) in rows.items() if "-m synth.yosys_child" in args and "leader.sh" not in args}
    return [own for own, parent in jobs.items() if rows.get(parent, (0, ""))[0] == pid]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"
