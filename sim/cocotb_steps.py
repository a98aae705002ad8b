# SPDX-License-Identifier: Apache-2.0
"""The two steps of a simulation under cocotb, compilation and run, each in a process group with a time limit.

`sim.launch` calls cocotb's runner there; here it is started, watched and ended, and what it left behind is judged.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import golden
from golden import ToolError

from .processes import run_group
from .simulators import Simulator

__all__ = ["bench_result", "last_words", "run_step"]

# Run as a file: as a module of this package it would import numpy first, which takes longer than a short simulation.
_LAUNCH = Path(__file__).with_name("launch.py")
# What cocotb or a simulator would take from the surroundings, and what would make a run depend on them.
_NOT_INHERITED = ("COCOTB_", "GPI_", "PYGPI_", "PYTEST_", "SIM_CMD_", "WAVES", "GUI", "PYTHONPATH", "VERILATOR_", "IVERILOG_")


def run_step(
    simulator: Simulator,
    step: str,
    arguments: Mapping[str, Any],
    folder: Path,
    *,
    what: str,
    time_limit_s: float,
    if_too_long: str,
    environment: Mapping[str, str] | None = None,
    each_poll: Callable[[], object] = lambda: None,
) -> None:
    """Run `launch.py` in a process group of its own; whatever ends this function ends the group.

    Parameters
    ----------
    step
        "build" or "test", the method of cocotb's runner.
    arguments
        Arguments of that method.
    folder
        Where it runs and leaves its log.
    what
        What is built or tested, for messages.
    if_too_long
        The way out when the time limit is exceeded.

    Raises
    ------
    ToolError
        If the step fails, or not within the time limit.
    """
    log, job = folder / f"{step}.log", folder / f"{step}.json"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    # Where this package is, and where the interpreter that runs it looks, whatever the current directory.
    paths = dict.fromkeys([str(Path(golden.__file__).parent.parent), *(path for path in sys.path if path)])
    inherited |= {"PYTHONPATH": os.pathsep.join(paths), **simulator.environment, **(environment or {})}
    arguments = {**arguments, "log_file": str(log)}
    job.write_text(json.dumps({"simulator": simulator.name, "step": step, "arguments": arguments}))
    with (folder / f"{step}.launch.log").open("wb") as output:
        try:
            code = run_group(
                [sys.executable, "-P", str(_LAUNCH), str(job)],
                time_limit_s,
                each_poll,
                cwd=folder,
                env=inherited,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        except TimeoutError:
            raise ToolError(
                f"{simulator.name}: {step} of {what} exceeded {time_limit_s:g} s and was stopped; {if_too_long}"
            ) from None
    if code:
        told = last_words(log) or last_words(folder / f"{step}.launch.log") or "it said nothing"
        raise ToolError(f"{simulator.name}: {step} of {what} failed: {told}")


def bench_result(folder: Path, simulator: Simulator) -> Any:
    """What the bench of a run wrote, if cocotb says that its test, and nothing but it, ran and passed.

    Raises
    ------
    ToolError
        If the bench left nothing, did not pass, or did not run.
    """
    try:
        cases = list(ElementTree.parse(folder / "results.xml").getroot().iter("testcase"))
        result = json.loads((folder / "result.json").read_text())
    except (OSError, ElementTree.ParseError, ValueError):
        raise ToolError(f"{simulator.name}: the bench left no results: {last_words(folder / 'test.log')}") from None
    passed = [case for case in cases if len(case.findall("failure") + case.findall("error") + case.findall("skipped")) == 0]
    if len(cases) != 1 or len(passed) != 1:
        raise ToolError(f"{simulator.name}: {len(passed)} of {len(cases)} benches passed: {last_words(folder / 'test.log')}")
    return result


def last_words(log: Path) -> str:
    """The line of a log that says most about a failure: the first with "error" in it, else the last."""
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")[:400]
    return ""
