# SPDX-License-Identifier: Apache-2.0
"""`make examples`: the example of every command's help, run as it stands there, in the order in which one leads to the next.

    python -m benchmarks.examples [--except COMMAND ...] [--out DIR]

They run in a directory of their own, `docs` beside them. Exit code 1 if one fails. `table3` downloads a model; `report` and
`pareto` take most of the time.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

import dint
from sim.processes import run_group

__all__ = ["ORDER", "examples"]

ROOT = Path(__file__).resolve().parent.parent
#: What makes files that another reads comes before it.
ORDER = (
    "doctor",
    "formats",
    "pdks",
    "quantize",
    "evaluate",
    "operands",
    "export",
    "generate",
    "simulate",
    "synthesize",
    "check",
    "codes",
    "zero-points",
    "sweep",
    "table3",
    "report",
    "pareto",
)
_LIMIT_S = 7200


def examples() -> dict[str, list[str]]:
    """The lines behind `dint` in the help of every command, by command."""
    commands = typer.main.get_command(dint.app).commands  # type: ignore[attr-defined]
    return {name: re.findall(r"^ *Example: dint (.+)$", one.help or "", re.MULTILINE) for name, one in commands.items()}


def main() -> int:
    """Run all, print how long each took and what failed; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.examples", description="Run the examples of all commands.")
    parser.add_argument("--except", dest="left_out", nargs="*", default=[], choices=ORDER, help="commands to leave out")
    parser.add_argument("--out", type=Path, default=Path("build/examples"), help="directory to run in, kept afterwards")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    failed, known = 0, examples()
    options.out.mkdir(parents=True, exist_ok=True)
    if not (docs := options.out / "docs").exists():
        docs.symlink_to(ROOT / "docs")
    for line in (line for name in ORDER if name not in options.left_out for line in known[name]):
        started = time.monotonic()
        status, said = _run(line, options.out)
        console.print(f"{'failed' if status else 'ran'}  {time.monotonic() - started:7.1f} s  dint {line}")
        if status:
            failed += 1
            console.print(said[-2000:], markup=False)
    console.print(f"{failed} failed" if failed else "all as written", highlight=False)
    return int(failed > 0)


def _run(line: str, directory: Path) -> tuple[int, str]:
    """Exit status of a command line of `dint`, and what it wrote."""
    command = [sys.executable, "-m", "dint", *shlex.split(line)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile() as printed:
        try:
            options: dict[str, Any] = {"cwd": directory, "env": os.environ | {"PYTHONPATH": path}}
            status = run_group(command, _LIMIT_S, stdout=printed, stderr=subprocess.STDOUT, **options)
        except TimeoutError:
            return 1, f"not done after {_LIMIT_S} s"
        printed.seek(0)
        return status, printed.read().decode(errors="replace")


if __name__ == "__main__":
    raise SystemExit(main())
