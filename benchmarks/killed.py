# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed at any moment, and run again: `python -m benchmarks.killed [--moments N] [--seed S]`.

Each command runs whole once. Then, at moments drawn over the time that took, its process alone is sent SIGKILL, after which no
program can clean up. Still

- no process that it started goes on (Yosys and its ABC, OpenSTA, simulators and their compilers),
- every file in its output is the one that the whole run wrote (names that begin with a dot are unfinished),
- the same command, run again in the same place, writes exactly what the whole run wrote.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from golden import DINT4, LayerOperands, Operands
from golden.errors import ToolError
from golden.tables import print_table
from pipeline.stages import file_hashes

__all__ = ["COMMANDS", "Killed", "check"]

ROOT = Path(__file__).resolve().parent.parent
#: By name: compilers and simulators, then mapping, timing analysis and gate level, then both with memory files.
COMMANDS: Mapping[str, Sequence[str]] = {
    "simulate": ("simulate", "--format", "dint4", "--lanes", "4", "--cycles", "500"),
    "simulate in Verilator": ("simulate", "--format", "dint3", "--lanes", "2", "--cycles", "500", "--simulator", "verilator"),
    "synthesize": ("synthesize", "--format", "dint3", "--lanes", "1", "--pdk", "osu018", "--period", "8", "--cycles", "300"),
    "simulate --layer": ("simulate", "--layer", "0", "--operands", "layer.npz", "--lanes", "2", "--cycles", "100"),
}
_PATIENCE_S = 10.0  # for what ends with its parent
_LIMIT_S = 600.0


class Killed(ToolError):
    """A command left a process behind, or a file that is not what it should be, or does not run again."""


def check(command: Sequence[str], moments: Sequence[float], folder: Path) -> float:
    """Kill `command` at each of `moments`, fractions of the time that it takes, and run it again, in folders below `folder`.

    Returns
    -------
    Seconds of the whole run.

    Raises
    ------
    Killed
        If one of the three things that the module promises is not so.
    """
    whole = _prepared(folder / "whole")
    started = time.monotonic()
    _finish(command, whole)
    seconds = time.monotonic() - started
    expected = _files(whole)
    for number, moment in enumerate(moments):
        place, what = _prepared(folder / str(number)), f"dint {' '.join(command)}, killed after {moment * seconds:.2f} s"
        with subprocess.Popen(**_process(command, place)) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(moment * seconds)
            process.send_signal(signal.SIGKILL)
        if left := _still_running(place):
            raise Killed(f"{what}: {', '.join(left)} go on")
        if wrong := {name for name, digest in _files(place).items() if expected.get(name) != digest}:
            raise Killed(f"{what}: it left {', '.join(sorted(wrong))}, which the whole run did not write")
        _finish(command, place)
        if _files(place) != expected:
            raise Killed(f"{what}, and run again: its files differ from those of the whole run")
    return seconds


def _prepared(place: Path) -> Path:
    """A directory to run in, with temporary files of its own."""
    (place / "tmp").mkdir(parents=True)
    random = np.random.default_rng(1)
    weights, activations = random.integers(0, 16, (24, 40), np.uint8), random.integers(-128, 128, (8, 40)).astype(np.int8)
    sums = activations.astype(np.int64) @ DINT4.decode(weights).T
    layer = LayerOperands("layers.0.fc1", weights, activations, sums, np.ones(24, np.float32), np.ones(8, np.float32))
    Operands(DINT4, (layer,)).save(place / "layer.npz")
    return place


def _process(command: Sequence[str], place: Path) -> dict[str, Any]:
    environment = os.environ | {"TMPDIR": str(place / "tmp"), "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "dint", *command, "--out", "out", "--quiet"]
    return {"args": arguments, "cwd": place, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


def _finish(command: Sequence[str], place: Path) -> None:
    run = subprocess.run(**_process(command, place), timeout=_LIMIT_S, text=True, check=False)
    if run.returncode:
        raise Killed(f"dint {' '.join(command)}: exit code {run.returncode}: {run.stderr.strip()[-300:]}")


def _files(place: Path) -> dict[str, str]:
    """SHA-256 of every finished file of the output."""
    found = file_hashes(place / "out").items()
    return {f"out/{name}": digest for name, digest in found if not any(part.startswith(".") for part in Path(name).parts)}


def _still_running(place: Path) -> list[str]:
    """Names of processes that have this directory's temporary files, after a while."""
    mark, deadline = f"TMPDIR={place / 'tmp'}".encode(), time.monotonic() + _PATIENCE_S
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                state = (process / "stat").read_text().rpartition(")")[2].split()[0]
                if mark in (process / "environ").read_bytes().split(b"\0") and state != "Z":
                    found.append((process / "comm").read_text().strip())
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check every command; exit code 1 at the first that does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--moments", type=int, default=4, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    table, console = Table(title="killed at any moment, and run again"), Console()
    for heading in ("command", "whole run, s", "killed"):
        table.add_column(heading)
    for name, command in COMMANDS.items():
        moments = sorted(random.Random(f"{options.seed} {name}").random() for _ in range(options.moments))
        with tempfile.TemporaryDirectory(prefix="dint-killed-") as folder:
            try:
                seconds = check(command, moments, Path(folder))
            except Killed as error:
                console.print(f"error: {error}", highlight=False)
                return 1
        table.add_row(name, f"{seconds:.1f}", f"{len(moments)} times")
    print_table(console, table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
