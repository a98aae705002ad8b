# SPDX-License-Identifier: Apache-2.0
"""Simulators that are missing, crash, hang or lie; runs side by side; interrupts that leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from golden import DINT4, InputError, MacConfig, ToolError
from sim import SimulationMismatch, Stimulus, find_simulator
from sim.runner import build
from sim.simulators import Simulator

CONFIG = MacConfig(DINT4, lanes=3, depth=96)
ROOT = Path(__file__).resolve().parent.parent.parent
PASSED = '<testsuites><testsuite><testcase name="replay"/></testsuite></testsuites>'


@pytest.fixture(scope="module")
def icarus() -> Simulator:
    return find_simulator("icarus")


def test_no_simulator_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="icarus: iverilog is not on PATH; install it"):
        find_simulator("icarus")
    with pytest.raises(ToolError, match="verilator: "):
        find_simulator("verilator")
    with pytest.raises(ToolError, match="no simulator: iverilog is not on PATH"):
        find_simulator("auto")


def test_unknown_simulator() -> None:
    with pytest.raises(InputError, match="--simulator modelsim: known are icarus, verilator, auto"):
        find_simulator("modelsim")


def test_auto_prefers_icarus() -> None:
    found = find_simulator("auto")
    assert found.name == "icarus"
    assert found.version.startswith("Icarus Verilog version")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sleep 60", r"iverilog -V: no result within 0\.5 s, ended; install it again"),
        ("exit 3", r"iverilog -V: failed \(exit code 3\): it printed nothing; install it again"),
        ("exit 0", "iverilog -V: it printed nothing; install it again"),
    ],
)
def test_a_simulator_that_does_not_answer(script: str, message: str, fake_program) -> None:
    fake_program("iverilog", script)
    with pytest.raises(ToolError, match=message):
        find_simulator("icarus", time_limit_s=0.5)


def test_a_compilation_that_hangs(fake_program, icarus, behavioural, left_over) -> None:
    fake_program("iverilog", "sleep 60")
    started = time.monotonic()
    with (
        pytest.raises(ToolError, match="icarus: build of mac_dint4_x3_d96 exceeded 3 s and was stopped; use fewer --cycles"),
        build(behavioural(CONFIG), CONFIG, icarus, time_limit_s=3),
    ):
        pytest.fail("built")
    assert time.monotonic() - started < 30
    assert left_over() == []


def test_text_that_does_not_compile(icarus, left_over) -> None:
    with (
        pytest.raises(ToolError, match=r"icarus: build of mac_dint4_x3_d96 failed: .*syntax error"),
        build("module mac_dint4_x3_d96(; endmodule", CONFIG, icarus),
    ):
        pytest.fail("built")
    assert left_over() == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sleep 60", "test of mac_dint4_x3_d96 exceeded 4 s and was stopped"),
        ("echo out of licences; kill -SEGV $$", "test of mac_dint4_x3_d96 failed: out of licences"),
        ("exit 0", "the bench left no results"),
        (f"echo '{PASSED}' > $COCOTB_RESULTS_FILE", "the bench left no results"),
        (
            f"echo '{PASSED}' > $COCOTB_RESULTS_FILE; "
            """echo '{"compared": 0, "failure": null}' > $DINT_BENCH/result.json""",
            r"the bench compared 0 cycles, not all of \d+",
        ),
        (
            "echo '<testsuites/>' > $COCOTB_RESULTS_FILE; "
            """echo '{"compared": 9999, "failure": null}' > $DINT_BENCH/result.json""",
            "0 of 0 benches passed",
        ),
    ],
    ids=["hangs", "crashes", "does nothing", "no counts", "compared nothing", "ran no bench"],
)
def test_a_run_that_cannot_be_trusted(script: str, message: str, fake_program, icarus, behavioural, left_over) -> None:
    fake_program("vvp", script)
    with (
        build(behavioural(CONFIG), CONFIG, icarus, time_limit_s=4) as design,
        pytest.raises(ToolError, match=message) as failure,
    ):
        design.run(Stimulus.corners(CONFIG))
    assert "\n" not in str(failure.value)
    assert left_over() == []


def test_surroundings_do_not_matter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, icarus, behavioural) -> None:
    """Settings of other cocotb projects, and the current directory, change nothing."""
    for name, value in {
        "WAVES": "1",
        "COCOTB_TEST_FILTER": "nothing",
        "COCOTB_TEST_MODULES": "other",
        "SIM_CMD_PREFIX": "no_such_program",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "sim.py").write_text("raise ImportError('the wrong sim')")
    monkeypatch.chdir(tmp_path)
    stimulus = Stimulus.uniform(CONFIG, 100, 0)
    with build(behavioural(CONFIG), CONFIG, icarus) as design:
        assert design.run(stimulus).sums == 100
    assert [path.name for path in tmp_path.iterdir()] == ["sim.py"]


def test_runs_side_by_side_keep_apart(icarus, behavioural) -> None:
    """A correct and a broken unit of one name at the same time: each gets its own verdict."""
    good = behavioural(CONFIG)
    broken = good.replace("4'd5: decode = -10;", "4'd5: decode = -8;")

    def verdict(text: str) -> str:
        with build(text, CONFIG, icarus) as design:
            try:
                return str(design.run(Stimulus.uniform(CONFIG, 1500, 0)).sums)
            except SimulationMismatch:
                return "mismatch"

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(verdict, [good, broken])) == ["1500", "mismatch"]


LONG_RUN = """
from pathlib import Path
from sim.command import simulate
print("begun", flush=True)
simulate("dint4", lanes=1, simulator="icarus", cycles=3_000_000, out=Path({out!r}), waves=Path({waves!r}), quiet=True)
"""


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_leaves_nothing_behind(signal_number: int, tmp_path: Path, left_over: Callable[..., list[str]]) -> None:
    out, waves = tmp_path / "out", tmp_path / "waves.vcd"
    script = LONG_RUN.format(out=str(out), waves=str(waves))
    environment = os.environ | {"TMPDIR": str(tmp_path / "private"), "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        # Wait until the simulator is at work.
        deadline = time.monotonic() + 120
        while not any((tmp_path / "private").glob("dint-sim-*/run-*/progress")):
            assert child.poll() is None, child.stderr.read().decode()  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert any(item.startswith("process") for item in left_over(patience_s=0))
        child.send_signal(signal_number)
        child.wait(60)
        assert child.returncode != 0
    finally:
        child.kill()
        child.communicate()
    left = left_over(patience_s=30)
    assert not any(item.startswith("process") for item in left)
    assert not list(tmp_path.glob("*waves*"))
    assert not (out / "simulation.json").exists()
    if signal_number == signal.SIGINT:  # after SIGKILL no program can clean up; but it must leave no process
        assert left == []
        assert not out.exists()
