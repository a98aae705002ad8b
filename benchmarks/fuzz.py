# SPDX-License-Identifier: Apache-2.0
"""`make fuzz`: malformed input of every kind, thousands of cases, each reproducible by its number.

    python -m benchmarks.fuzz [--cases N] [--seed S] [--target NAME] [--jobs N] [--out build/verify]
    python -m benchmarks.fuzz --replay "NAME:SEED:INDEX"

`fuzz.json` has the counts. The exit code is 0 only if nothing was found.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from golden.artifacts import output_directory
from golden.tables import print_table
from pipeline.checks import DIRECTORY, write_record

from .fuzzing import blocks, circuits, command_line, kits, models, operand_files, records, spoilt_files, sweeps, units
from .fuzzing.engine import FINDINGS, REFUSED, SOUND, Outcome, Target, replay, run

__all__ = ["TARGETS", "fuzz", "main"]

_MODULES = (units, blocks, operand_files, kits, circuits, models, records, sweeps, command_line, spoilt_files)
TARGETS = {target.name: target for module in _MODULES for target in module.TARGETS}

_CASES = 12_000
_SOURCES = (
    "golden",
    "hdl",
    "sim",
    "quant",
    "synth",
    "sweep",
    "flows",
    "report",
    "pipeline",
    "commands",
    "benchmarks/fuzz.py",
    "benchmarks/fuzzing",
)
_SHOWN = 3  # findings of one fault


def fuzz(
    targets: Sequence[Target], cases: int, seed: int, jobs: int = 1, advance: Callable[[], None] = lambda: None
) -> list[Outcome]:
    """The outcomes of about `cases` cases, divided among `targets` by their shares; at least one of each."""
    whole = sum(target.share for target in targets)
    parts: list[tuple[Target, range]] = []
    for target in targets:
        count = max(1, round(cases * target.share / whole))
        size = -(-count // jobs)
        parts += [(target, range(start, min(start + size, count))) for start in range(0, count, size)]

    def outcomes(part: tuple[Target, range]) -> list[Outcome]:
        return list(run(part[0], seed, part[1], advance))

    with ThreadPoolExecutor(jobs) as pool:
        return [outcome for found in pool.map(outcomes, parts) for outcome in found]


def _faults(outcomes: Sequence[Outcome]) -> Iterator[tuple[int, list[Outcome]]]:
    """Findings of one fault together: how many, and the first few."""
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.is_finding:
            groups.setdefault((outcome.target, outcome.kind, outcome.where), []).append(outcome)
    for group in groups.values():
        yield len(group), group[:_SHOWN]


def _names(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(outcome.target for outcome in outcomes))


def _row(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What is kept of a target."""
    own = [outcome for outcome in outcomes if outcome.target == name]
    kinds = Counter(outcome.kind for outcome in own)
    faults = [
        {
            "kind": few[0].kind,
            "where": few[0].where,
            "count": count,
            "replay": [f"{name}:{one.seed}:{one.index}" for one in few],
        }
        for count, few in _faults(own)
    ]
    return {
        "target": name,
        "cases": len(own),
        "refused": kinds[REFUSED],
        "sound": kinds[SOUND],
        "findings": sum(kinds[kind] for kind in FINDINGS),
        "faults": faults,
        "seconds": sum(outcome.cpu_s for outcome in own),
    }


def _table(outcomes: Sequence[Outcome], seconds: float) -> Table:
    table = Table(title=f"{len(outcomes):,} malformed inputs in {seconds:.0f} s", title_justify="left")
    for heading in ("what", "cases", REFUSED, SOUND, "findings", "CPU s"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name in _names(outcomes):
        row = _row(name, outcomes)
        counts = (f"{row[key]:,}" for key in ("cases", REFUSED, SOUND, "findings"))
        table.add_row(name, *counts, f"{row['seconds']:.1f}")
    return table


def main() -> int:
    """Run; print the counts and what was found; write `fuzz.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=_CASES, help="number of cases, all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeat for several")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="cases at a time")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="folder of fuzz.json")
    parser.add_argument("--replay", metavar="NAME:SEED:INDEX", help="one case, in this process")
    arguments = parser.parse_args()
    console = Console()
    if arguments.replay:
        name, seed, index = arguments.replay.split(":")
        outcome = replay(TARGETS[name], int(seed), int(index))
        console.print(f"{outcome.kind}: {outcome.detail}", markup=False)
        return int(outcome.is_finding)
    targets = [TARGETS[name] for name in arguments.target or TARGETS]
    started = time.monotonic()
    with output_directory(arguments.out) as scratch, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("cases", total=arguments.cases)
        outcomes = fuzz(targets, arguments.cases, arguments.seed, arguments.jobs, lambda: progress.advance(bar))
        whole = arguments.target is None and arguments.cases >= _CASES
        write_record(scratch / "fuzz.json", _SOURCES, [_row(name, outcomes) for name in _names(outcomes)], whole=whole)
    print_table(console, _table(outcomes, time.monotonic() - started))
    faults = list(_faults(outcomes))
    for count, few in faults:
        console.rule(f"{few[0].target}: {few[0].kind}, {count} times: {few[0].where}", align="left")
        console.print(few[0].detail, markup=False, highlight=False)
        for one in few:
            console.print(f'  python -m benchmarks.fuzz --replay "{one.number}"', markup=False)
    console.print(f"[red]{len(faults)} faults" if faults else "[green]nothing found")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
