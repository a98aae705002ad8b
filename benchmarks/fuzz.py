"""`make fuzz`: malformed input of every kind, thousands of cases, each reproducible by its number.

    python -m benchmarks.fuzz [--cases N] [--seed S] [--target NAME] [--jobs N] [--out build/verify]
    python -m benchmarks.fuzz --replay "NAME:SEED:INDEX"

`fuzz.json` has the counts. The exit code is 0 only if nothing was found.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from golden.artifacts import canonical_json, output_directory, write_file

from .fuzzing import circuits, command_line, models, records
from .fuzzing.engine import FINDINGS, REFUSED, SOUND, Outcome, Target, attempt, run

__all__ = ["TARGETS", "fuzz", "main"]

TARGETS = {target.name: target for target in (*circuits.TARGETS, *models.TARGETS, *records.TARGETS, *command_line.TARGETS)}

_CASES = 12_000
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


def _table(outcomes: Sequence[Outcome], seconds: float) -> Table:
    table = Table(title=f"{len(outcomes):,} malformed inputs in {seconds:.0f} s", title_justify="left")
    for heading in ("what", "cases", REFUSED, SOUND, "findings"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name in dict.fromkeys(outcome.target for outcome in outcomes):
        kinds = Counter(outcome.kind for outcome in outcomes if outcome.target == name)
        found = sum(kinds[kind] for kind in FINDINGS)
        table.add_row(name, f"{kinds.total():,}", f"{kinds[REFUSED]:,}", f"{kinds[SOUND]:,}", f"{found:,}")
    return table


def main() -> int:
    """Run; print the counts and what was found; write `fuzz.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=_CASES, help="number of cases, all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this; repeat for several")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="cases at a time")
    parser.add_argument("--out", type=Path, default=Path("build/verify"), help="folder of fuzz.json")
    parser.add_argument("--replay", metavar="NAME:SEED:INDEX", help="one case, in this process")
    arguments = parser.parse_args()
    console = Console()
    if arguments.replay:
        name, seed, index = arguments.replay.split(":")
        with tempfile.TemporaryDirectory() as folder:
            (material := Path(folder) / "material").mkdir()
            target = TARGETS[name]
            outcome = attempt(target, target.prepare(material), int(seed), int(index), Path(folder) / "case")
            os.chdir("/")
        console.print(f"{outcome.kind}: {outcome.detail}", markup=False)
        return int(outcome.is_finding)
    targets = [TARGETS[name] for name in arguments.target or TARGETS]
    started = time.monotonic()
    with output_directory(arguments.out) as scratch, Progress(console=console, transient=True) as progress:
        bar = progress.add_task("cases", total=arguments.cases)
        outcomes = fuzz(targets, arguments.cases, arguments.seed, arguments.jobs, lambda: progress.advance(bar))
        kinds = {name: Counter(one.kind for one in outcomes if one.target == name) for name in TARGETS}
        faults = list(_faults(outcomes))
        findings = [
            {
                "fault": few[0].where,
                "kind": few[0].kind,
                "count": count,
                "cases": [f"{one.target}:{one.seed}:{one.index}" for one in few],
            }
            for count, few in faults
        ]
        facts = {"seed": arguments.seed, "targets": {name: dict(found) for name, found in kinds.items()}, "findings": findings}
        write_file(scratch / "fuzz.json", canonical_json(facts))
    console.print(_table(outcomes, time.monotonic() - started))
    for count, few in faults:
        console.rule(f"{few[0].target}: {few[0].kind}, {count} times: {few[0].where}", align="left")
        console.print(few[0].detail, markup=False, highlight=False)
        for one in few:
            console.print(f'  python -m benchmarks.fuzz --replay "{one.target}:{one.seed}:{one.index}"', markup=False)
    console.print(f"[red]{len(faults)} faults" if faults else "[green]nothing found")
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
