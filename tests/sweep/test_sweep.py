# SPDX-License-Identifier: Apache-2.0
"""`dint sweep`: what `dint synthesize` finds, once; failures and interrupts cost nothing but themselves."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dint
from golden.errors import InputError, ToolError
from golden.mac import MacConfig
from sweep import point, running
from sweep.command import sweep
from sweep.plan import read_plan
from synth import command, flow
from synth.mapping import map_design
from synth.pdk import find
from synth.recipe import Recipe
from synth.request import Request
from tests.conftest import ROOT

Swept = tuple[Path, dict[str, Any]]
FIGURES = {
    "timing__met": True,
    "timing__setup__ws": 0.0,
    "timing__critical_path__delay": 7.0,
    "clock__period": 7.0,
    "design__instance__area": 5000.0,
}


def counted(monkeypatch: pytest.MonkeyPatch, fails: Callable[[Request], bool] = lambda _: False) -> list[Request]:
    """The points that are run from now on, none of them really: those that `fails` names fail."""
    asked: list[Request] = []

    def run(question: Mapping[str, Any], _: str) -> dict[str, Any]:
        request = Request.of(question)
        asked.append(request)
        if fails(request):
            return {"error": "Yosys: failed (signal 11)", "seconds": 0.1}
        key = point.identity(request, request.kit.describe(), None, point.tools())
        return {"key": key, "figures": FIGURES, "seconds": 0.1}

    monkeypatch.setattr(running, "run", run)
    return asked


def again(place: Path, out: str = "again", **options: Any) -> dict[str, Any]:
    jobs = {} if "cluster" in options else {"jobs": 2}
    return sweep(place / "sweep.toml", place / out, cache=place / "build/cache", **jobs | {"quiet": True} | options)


def test_points_are_what_synthesize_finds(swept: Swept) -> None:
    place, found = swept
    assert found["ok"]
    assert [(row["format"], row["status"]) for row in found["points"]] == [("int3", "met"), ("dint3", "met")]
    request = Request("dint3", depth=64, activity="zero-delay", cycles=32)
    metrics = command.synthesize(request, place / "one", place / "build/cache", quiet=True)
    row = found["points"][1]
    shared = [name for name in row if "__" in name]
    assert len(shared) >= 12
    assert {name: row[name] for name in shared} == {name: metrics[name] for name in shared}
    assert row["hashes"]["netlist"] == metrics["hashes"]["netlist"]
    assert row["energy__per_mac"] != found["points"][0]["energy__per_mac"] > 0
    assert [one["format"] for one in found["left_out"]] == ["int3", "dint3"]


def test_both_files_hold_every_point(swept: Swept) -> None:
    place, found = swept
    assert json.loads((place / "out/sweep.json").read_text()) == found
    with (place / "out/sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row, expected in zip(rows, found["points"], strict=True):
        assert float(row["design__instance__area"]) == expected["design__instance__area"]
        assert float(row["energy__per_mac"]) == expected["energy__per_mac"]
        assert (row["format"], row["pdk"], row["period"], row["status"]) == (
            expected["format"],
            "osu018",
            "minimum-area",
            "met",
        )


def test_a_repeated_sweep_runs_nothing(
    swept: Swept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, _ = swept
    asked = counted(monkeypatch)
    again(place, quiet=False)
    assert not asked
    assert "2 kept from earlier runs" in " ".join(capsys.readouterr().out.split())
    for name in ("sweep.csv", "sweep.json"):
        assert (place / "again" / name).read_bytes() == (place / "out" / name).read_bytes()


def test_what_decides_a_point_is_in_its_key(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    place, _ = swept
    plan = read_plan(place / "sweep.toml")
    kit, tools = plan.kits["osu018"].describe(), point.tools()
    keys = [point.identity(one, kit, None, tools) for one in plan.points]
    assert len(set(keys)) == 2
    assert set(tools["versions"]) >= {"amaranth", "yosys", "opensta", "icarus", "pywellen"}
    for changed in (
        point.identity(plan.points[0], kit | {"corner": "slow"}, None, tools),
        point.identity(plan.points[0], kit, "0" * 64, tools),
        point.identity(plan.points[0], kit, None, tools | {"sources": "changed"}),
        *(
            point.identity(plan.points[0], kit, None, tools | {"versions": tools["versions"] | {name: "changed"}})
            for name in ("amaranth", "yosys", "opensta", "icarus", "pywellen")
        ),
    ):
        assert changed not in keys
    asked = counted(monkeypatch)
    monkeypatch.setattr(running, "tools", lambda: tools | {"sources": "changed"})
    assert not again(place)["ok"]  # here no worker has these sources
    assert len(asked) == 2


def test_failures_are_listed_and_only_they_are_run_again(
    anew: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = anew()
    asked = counted(monkeypatch, lambda request: request.format == "int3")
    found = again(place, quiet=False)
    assert len(asked) == 2
    assert not found["ok"]
    assert [row["status"] for row in found["points"]] == ["failed", "met"]
    assert found["points"][0]["error"] == "Yosys: failed (signal 11)"
    said = " ".join(capsys.readouterr().out.split())
    assert "failed: osu018 mac_int3_x1_d64 at minimum area: Yosys: failed (signal 11)" in said
    assert "2/2" in said
    assert " left" in said
    asked.clear()
    arguments = ["sweep", str(place / "sweep.toml"), "--out", str(place / "again"), "--jobs", "1"]
    monkeypatch.chdir(place)
    assert CliRunner().invoke(dint.app, arguments).exit_code == 1
    assert [one.format for one in asked] == ["int3"]
    counted(monkeypatch)
    assert CliRunner().invoke(dint.app, arguments).exit_code == 0


def test_a_clock_that_is_missed_is_a_result(swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = swept[0] / "build/cache"
    slow = map_design(MacConfig(dint.DINT3, depth=64), find("osu018"), Recipe("cells"), cache)
    monkeypatch.setattr(flow, "synthesize", lambda *_, **__: slow)
    missed = point.figures(Request("dint3", depth=64, period_ns=1.0, cycles=32), cache)
    assert not missed["timing__met"]
    assert missed["timing__setup__ws"] == pytest.approx(1.0 - slow.delay_ns)
    assert missed["timing__setup__ws"] < 0
    assert "energy__per_mac" not in missed
    met = point.figures(Request("dint3", depth=64, period_ns=20.0, activity=None), cache)
    assert met["timing__met"]
    assert met["timing__setup__ws"] == pytest.approx(20.0 - slow.delay_ns)
    assert "energy__per_mac" not in met


def test_a_process_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = point.run(Request(pdk="nowhere").plain(), str(tmp_path))
    assert refused["error"].startswith("unknown pdk 'nowhere'")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert "its process ended without an answer (exit code 1)" in point.run(Request().plain(), str(tmp_path))["error"]
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "cannot be started (No such file" in point.run(Request().plain(), str(tmp_path))["error"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see the child processes")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_sweep_goes_on(
    sent: signal.Signals, anew: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, swept: Swept
) -> None:
    place = anew()
    with subprocess.Popen(
        [sys.executable, "-m", "dint", "sweep", "sweep.toml", "--out", "out", "--jobs", "1"],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        wait_until(lambda: bool(list(place.glob("build/cache/points/*/*.json"))) or child.poll() is not None)
        wait_until(lambda: bool(children(child.pid)) or child.poll() is not None)
        points = children(child.pid)
        child.send_signal(sent)
        _, errors = child.communicate(timeout=60)
    assert points
    wait_until(lambda: not any(map(alive, points)))  # they end with it, though after SIGKILL nobody tells them to
    if sent == signal.SIGINT:
        assert (child.returncode, errors) == (130, "interrupted; run the same command again to go on\n")
    assert not list(place.glob("out/sweep.*"))
    asked = counted(monkeypatch)
    found = again(place)
    assert [one.format for one in asked] == ["dint3"]
    assert found["ok"]
    assert found["points"][0] == swept[1]["points"][0]


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_cluster_that_is_not_there(anew: Callable[[], Path]) -> None:
    place = anew()
    with pytest.raises(ToolError, match=r"--cluster nowhere:1: "):
        again(place, cluster="nowhere:1")
    with pytest.raises(InputError, match="--jobs 2: with --cluster the workers' threads say how many run at a time"):
        again(place, cluster="nowhere:1", jobs=2)
    assert not (place / "again").exists()
    with pytest.raises(InputError, match="jobs is 0"):
        sweep(place / "sweep.toml", place / "out", jobs=0)


@pytest.mark.parametrize("address", ["[red]", "red", "tcp://red", "nonsense://red:1"])
def test_an_address_that_is_none(anew: Callable[[], Path], address: str) -> None:
    pytest.importorskip("distributed", reason="needs dask.distributed: pip install 'dint[cluster]'")
    place = anew()
    with pytest.raises(InputError, match=rf"--cluster {re.escape(address)}: .*; give it as tcp://HOST:PORT$"):
        again(place, cluster=address)
    assert not (place / "again").exists()


def test_a_lost_worker_loses_nothing(anew: Callable[[], Path], swept: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers with a point each; one is killed while it is at work."""
    distributed = pytest.importorskip("distributed", reason="needs dask.distributed: pip install 'dint[cluster]'")
    place = anew()
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    done_before: list[int] = []

    def kill(worker: int) -> None:
        wait_until(lambda: bool(children(worker)))
        os.kill(worker, signal.SIGKILL)
        done_before.append(len(list(place.glob("build/cache/points/*/*.json"))))

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        worker = next(iter(client.run(os.getpid).values()))
        killer = threading.Thread(target=kill, args=(worker,))
        killer.start()
        found = again(place, cluster=cluster.scheduler_address)
        killer.join()
    assert not alive(worker)
    assert done_before[0] < 2
    assert found["ok"]
    assert found["points"] == swept[1]["points"]
