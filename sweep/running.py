# SPDX-License-Identifier: Apache-2.0
"""Carries out the points of a sweep: those that are not kept from an earlier run, several at a time, here or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from golden.artifacts import read_record, record_text, sha256_file, write_file
from golden.errors import InputError, ToolError, one_line
from synth.request import Request, check_tools

from .plan import Plan
from .point import identity, points_end_with_us, run, tools

__all__ = ["Outcome", "carry_out", "label"]

_CONNECT_S = 10.0
#: Number of a point, and what `sweep.point.run` answered, as the answers come.
_Answers = Generator[tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class Outcome:
    """What became of a point: its figures, or why it has none."""

    point: Request
    figures: Mapping[str, Any] | None
    error: str | None
    seconds: float  # that its process took
    kept: bool  # from an earlier run


def carry_out(plan: Plan, cache: Path, jobs: int, cluster: str | None, console: Console) -> list[Outcome]:
    """The outcomes of a plan's points, in order. What a point found is kept in `cache` at once; what failed is not.

    Parameters
    ----------
    jobs
        Points at a time on this machine.
    cluster
        Address of a Dask scheduler whose workers take the points instead; each needs what this machine has.

    Raises
    ------
    InputError, ToolError
        If a library cannot be used, a tool is missing, or the cluster cannot be reached.
    """
    here = tools()
    kits = {name: kit.describe() for name, kit in plan.kits.items()}
    hashes = {file: sha256_file(file) for file in {point.operands for point in plan.points} if file is not None}
    keys = [identity(one, kits[one.pdk], hashes[one.operands] if one.operands else None, here) for one in plan.points]
    entries = [cache / "points" / key[:2] / f"{key}.json" for key in keys]
    records = [read_record(entry) for entry in entries]
    outcomes = {
        i: Outcome(plan.points[i], record["figures"], None, record["seconds"], True)
        for i, record in enumerate(records)
        if record is not None
    }
    pending = [i for i in range(len(plan.points)) if i not in outcomes]
    for name in dict.fromkeys(plan.points[i].pdk for i in pending):
        check_tools(plan.kits[name])
    questions = [(i, plan.points[i].plain()) for i in pending]
    answers = _on_cluster(questions, cache, cluster, console) if cluster else _here(questions, cache, jobs)
    with closing(answers), _progress(console, [plan.points[i] for i in pending]) as done:
        for i, answer in answers if pending else ():
            if "figures" in answer and answer["key"] != keys[i]:
                answer = {**answer, "error": "the worker has other sources, tools or files; give it those of this machine"}
            outcome = _outcome(plan.points[i], answer)
            if outcome.figures is not None:
                entries[i].parent.mkdir(parents=True, exist_ok=True)
                write_file(entries[i], record_text({"figures": outcome.figures, "seconds": outcome.seconds}))
            outcomes[i] = outcome
            done(outcome)
    return [outcomes[i] for i in range(len(plan.points))]


def _outcome(point: Request, answer: Mapping[str, Any]) -> Outcome:
    error = answer.get("error")
    return Outcome(point, None if error else answer["figures"], error, answer.get("seconds", 0.0), False)


def _here(questions: Sequence[tuple[int, dict[str, Any]]], cache: Path, jobs: int) -> _Answers:
    """On this machine: threads are enough, since each only waits for the process of its point."""
    from joblib import Parallel, delayed

    def ask(i: int, question: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return i, run(question, str(cache))

    parallel = Parallel(jobs, prefer="threads", return_as="generator_unordered", batch_size=1)
    with points_end_with_us():
        yield from parallel(delayed(ask)(i, question) for i, question in questions)


def _on_cluster(questions: Sequence[tuple[int, dict[str, Any]]], cache: Path, address: str, console: Console) -> _Answers:
    """On the workers of a Dask cluster.

    Dask gives the points of a worker that is lost to the others. (joblib's own Dask backend never returns when a task fails
    outside its function, as when workers are lost again and again, or lack a package.)
    """
    try:
        from distributed import Client, as_completed
        from distributed.comm import get_address_host_port
    except ImportError:
        raise ToolError(f"--cluster {address}: needs dask.distributed; 'dint doctor' says how to install it") from None
    try:  # a client of an address that is none fails once more, and loudly, when it is collected
        get_address_host_port(address if "://" in address else f"tcp://{address}", strict=True)
    except ValueError as error:
        raise InputError(f"--cluster {address}: {one_line(str(error))}; give it as tcp://HOST:PORT") from None

    def ask(question: dict[str, Any], place: str) -> dict[str, Any]:
        from sweep.point import run as there  # sent by value: a worker without this package says so

        return there(question, place)

    try:
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except Exception as error:  # addresses that are none raise errors of many kinds
        raise ToolError(f"--cluster {address}: no Dask scheduler answers ({one_line(str(error))})") from None
    with client:
        if not client.ncores():
            console.print(f"the cluster at {address} has no workers yet: waiting for some")
        futures = {client.submit(ask, question, str(cache), pure=False): i for i, question in questions}
        try:
            for future, answer in as_completed(futures, loop=client.loop, with_results=True, raise_errors=False):
                if future.status == "finished":
                    yield futures[future], answer
                else:
                    yield futures[future], {"error": one_line(f"cluster: {future.status}: {_reason(answer)}")}
        finally:
            client.cancel(list(futures))


def _reason(answer: Any) -> str:
    """What Dask says of a task without a result: the exception with its type and traceback, or alone."""
    error = answer[1] if isinstance(answer, tuple) else answer
    return f"{type(error).__name__}: {error}"


def label(point: Request) -> str:
    """A point in a few words."""
    clock = "at minimum area" if point.period_ns is None else f"at {point.period_ns:g} ns"
    return f"{point.pdk} {point.unit.name} {clock}"


@contextmanager
def _progress(console: Console, points: Sequence[Request]) -> Iterator[Callable[[Outcome], None]]:
    """A line for each point that ends, and a bar with the remaining time: points take time by their lanes and bits."""
    sizes = [_size(point) for point in points]
    started, done_size, done_count = time.monotonic(), 0, 0
    columns = (SpinnerColumn(), TextColumn("points"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[left]}"), console=console, transient=True) as bar:
        task = bar.add_task("points", total=len(points), left="", visible=bool(points))

        def done(outcome: Outcome) -> None:
            nonlocal done_size, done_count
            done_size, done_count = done_size + _size(outcome.point), done_count + 1
            elapsed_s = time.monotonic() - started
            left_s = elapsed_s * (sum(sizes) - done_size) / done_size
            left = f"about {left_s / 60:.0f} min left" if left_s > 90 else f"about {left_s:.0f} s left"
            bar.update(task, completed=done_count, left=left)
            how = f"[red]failed: {escape(outcome.error)}" if outcome.error else f"{outcome.seconds:.1f} s"
            more = f"[dim], {left}[/]" if done_count < len(points) else ""
            bar.console.print(f"{done_count}/{len(points)} {label(outcome.point)}: {how}{more}", highlight=False)

        yield done


def _size(point: Request) -> int:
    return point.unit.lanes * point.unit.weight_format.bits
