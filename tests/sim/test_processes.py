# SPDX-License-Identifier: Apache-2.0
"""Child processes: what they print, how they fail, and that neither a time limit nor an interrupt leaves one behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from golden import ToolError
from sim.processes import children_end_with_us, run, run_group

ROOT = Path(__file__).resolve().parents[2]
FOREVER = "sleep 987.25"  # a number that no other process has


def call(*command: str, time_limit_s: float = 60, **options: Any) -> str:
    return run(command, tool="tool", install="install it", time_limit_s=time_limit_s, if_too_long="ask for less", **options)


def running(command: str) -> bool:
    return command in subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()


def gone(command: str) -> bool:
    deadline = time.monotonic() + 5  # a killed process takes a moment to go
    while running(command) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(command)


def test_all_that_is_printed_comes_back(tmp_path: Path) -> None:
    printed = call("sh", "-c", "pwd; echo $OWN >&2; cat", cwd=tmp_path, environment={"OWN": "word"})
    assert printed.splitlines() == [str(tmp_path), "word"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "tool: 'no-such-program' not found; install it"),
        (["/dev/null"], "tool: '/dev/null' cannot be started (Permission denied); install it"),
        (["sleep", "60"], "tool: no result within 0.2 s, ended; ask for less"),
        (["sh", "-c", "echo an error: bad; echo rest; exit 3"], "tool: failed (exit code 3): an error: bad"),
        (["sh", "-c", "kill -9 $$"], "tool: failed (signal 9): it printed nothing; install it"),
    ],
)
def test_failures_are_one_line(command: list[str], message: str) -> None:
    with pytest.raises(ToolError) as failure:
        call(*command, time_limit_s=0.2)
    assert str(failure.value) == message


@pytest.mark.parametrize("then", ["wait", "exit 0"], ids=["time limit", "leader that ends first"])
def test_the_whole_group_ends(then: str) -> None:
    try:
        run_group(["sh", "-c", f"{FOREVER} & {then}"], time_limit_s=0.2)
    except TimeoutError:
        assert then == "wait"
    assert gone(FOREVER)


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(1)"])
def test_the_whole_group_ends_when_its_parent_dies(how: str) -> None:
    """A parent that is killed can clean up nothing; neither its child nor what that has started goes on."""
    script = f"""
import os, signal
from sim.processes import run_group
def last(): # called while the group runs
    {how}
run_group(["sh", "-c", "{FOREVER} & {FOREVER}"], 60, last)
"""
    parent = subprocess.run([sys.executable, "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert parent.returncode != 0
    assert gone(FOREVER)
    assert not naming(FOREVER)


def test_nothing_is_left_of_a_group_that_ends_well() -> None:
    assert run_group(["true", "987.5"], 60) == 0
    assert not naming("true 987.5")


def naming(words: str) -> list[str]:
    """What runs with these words in its command line: commands, the leaders of their groups, and what waits for the parent."""
    shown = subprocess.run(["ps", "axwwo", "stat,args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in shown if words in line and not line.startswith("Z") and "-c" not in line.split()]


def test_an_interrupt_ends_the_child() -> None:
    def interrupt() -> None:
        assert running(FOREVER)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_group(FOREVER.split(), 60, interrupt)
    assert gone(FOREVER)


def test_an_exception_ends_children_in_other_threads() -> None:
    outcome: list[ToolError] = []

    def work() -> None:
        try:
            call(*FOREVER.split())
        except ToolError as error:
            outcome.append(error)

    thread = threading.Thread(target=work)

    def interrupted() -> None:
        with children_end_with_us():
            thread.start()
            while not running(FOREVER):
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    thread.join(10)
    assert not thread.is_alive()
    assert "signal 9" in str(outcome[0])
