# SPDX-License-Identifier: Apache-2.0
"""Runs cases of malformed input, each from (target, seed, index) alone, in processes that a case may crash or hang.

A case must end in a refusal (a `DintError` of one line) or in something that its target's check finds sound. Everything else is
a finding: another exception, an error of several lines, garbage accepted, files left behind by a refusal, a process that dies,
takes too much time or too much memory.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from golden.errors import DintError

__all__ = [
    "FINDINGS",
    "REFUSED",
    "SOUND",
    "Case",
    "Garbage",
    "Outcome",
    "Target",
    "attempt",
    "garbage",
    "nothing",
    "replay",
    "run",
]

REFUSED, SOUND = "refused", "sound"
TRACEBACK, UNCLEAR, GARBAGE, LEFT, HANG, CRASH = (
    "traceback",
    "unclear error",
    "garbage accepted",
    "left behind",
    "hang",
    "crash",
)
FINDINGS = (TRACEBACK, UNCLEAR, GARBAGE, LEFT, HANG, CRASH)

_LONGEST_MESSAGE = 20_000  # characters; odd values of 5,000 are repeated in it
_MOST_MEMORY = 3 << 30
_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}  # nothing is fetched


class Garbage(Exception):
    """Raised by a target's check: what was accepted cannot be right."""


def garbage(condition: bool, what: str) -> None:
    """Raise `Garbage` where `condition` holds."""
    if condition:
        raise Garbage(what)


def nothing(_: Path) -> None:
    """No material: what a target prepares whose cases need none."""


@dataclass(frozen=True)
class Case:
    """One malformed input: what reads it, and what must be true of what that returns."""

    run: Callable[[], Any]
    check: Callable[[Any], None]


@dataclass(frozen=True)
class Target:
    """Something that reads input."""

    name: str
    share: int  # of all cases, relative to the other targets
    prepare: Callable[[Path], Any]  # makes what cases have in common, in a folder of its own
    case: Callable[[Any, Random, Path], Case]  # spoils it, in a folder of the case
    cpu_s: int = 10  # for one case


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    target: str
    seed: int
    index: int
    kind: str  # REFUSED, SOUND, or one of FINDINGS
    detail: str = ""  # the error; where a traceback ends
    where: str = ""  # alike for findings of one fault
    cpu_s: float = 0.0

    @property
    def number(self) -> str:
        """What `--replay` takes."""
        return f"{self.target}:{self.seed}:{self.index}"

    @property
    def is_finding(self) -> bool:
        """Whether it is a fault."""
        return self.kind in FINDINGS


def attempt(target: Target, material: Any, seed: int, index: int, folder: Path) -> Outcome:
    """One case, in this process; `folder` does not exist yet."""
    work, temporary = folder / "work", folder / "tmp"
    work.mkdir(parents=True)
    temporary.mkdir()
    os.chdir(work)
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)

    def outcome(kind: str, detail: str = "", where: str = "") -> Outcome:
        return Outcome(target.name, seed, index, kind, detail, where or detail[:60])

    case = target.case(material, Random(f"{target.name}:{seed}:{index}"), work)
    before = _tree(folder)
    try:
        result = case.run()
    except DintError as error:
        message = str(error)
        if fault := _unclear(message):
            return outcome(UNCLEAR, f"{fault}: {message[:2000]!r}", f"{fault} {_place(error)}")
        if new := sorted(set(_tree(folder).items()) ^ set(before.items())):
            return outcome(LEFT, f"{new[0][0]} after: {message[:500]}", _place(error))
        return outcome(REFUSED, message)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # what Rust raises in a panic is no Exception
        return outcome(TRACEBACK, "".join(traceback.format_exception(error)[-12:])[-4000:], _place(error))
    if left := [name for name in _tree(temporary) if name]:
        return outcome(LEFT, f"{left[0]} in the folder of temporary files")
    try:
        case.check(result)
    except Garbage as garbage:
        return outcome(GARBAGE, str(garbage)[:2000], str(garbage).partition(":")[0])
    except BaseException as error:
        return outcome(GARBAGE, f"it cannot be used: {''.join(traceback.format_exception(error)[-6:])[-4000:]}", _place(error))
    return outcome(SOUND)


def replay(target: Target, seed: int, index: int) -> Outcome:
    """One case in this process, for a debugger."""
    before, temporary, environment = Path.cwd(), tempfile.tempdir, dict(os.environ)
    os.environ |= _ENVIRONMENT
    try:
        with tempfile.TemporaryDirectory(prefix="dint-fuzz-") as folder:
            (material := Path(folder) / "material").mkdir()
            outcome = attempt(target, target.prepare(material), seed, index, Path(folder) / str(index))
            os.chdir(before)
        return outcome
    finally:
        tempfile.tempdir = temporary
        os.environ.clear()
        os.environ |= environment


def _unclear(message: str) -> str:
    """What is wrong with the message of an error."""
    if not message.strip():
        return "empty"
    if len(message.splitlines()) > 1:
        return "several lines"
    if len(message) > _LONGEST_MESSAGE:
        return "endless"
    try:
        message.encode()
    except UnicodeEncodeError:
        return "cannot be printed"
    return "" if "Traceback" not in message else "traceback"


def _place(error: BaseException) -> str:
    """The kind of an error and the last line of ours that it went through."""
    root = Path(__file__).resolve().parents[2]
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(root)) and ".venv" not in frame.filename
    ]
    last = f"{Path(ours[-1].filename).relative_to(root)}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__} {last}"


def _tree(folder: Path) -> dict[str, str]:
    """Every path below a folder, and the content of files."""
    found = {}
    for path in folder.rglob("*"):
        is_file = path.is_file() and not path.is_symlink()
        found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else ""
    return found


# Many cases, in processes of their own


def run(
    target: Target, seed: int, indices: Sequence[int], advance: Callable[[], None] = lambda: None, wall_s: float = 120.0
) -> Iterator[Outcome]:
    """The outcomes of cases `indices`, in order. A process that a case ends is replaced for the next one.

    `wall_s` is the longest time without an answer; it is much more than a case's CPU time, since a machine may be busy.
    """
    rest = list(indices)
    while rest:
        with tempfile.TemporaryDirectory(prefix="dint-fuzz-", ignore_cleanup_errors=True) as name:
            for outcome in _in_one_process(target, seed, tuple(rest), wall_s, Path(name)):
                rest.pop(0)
                advance()
                yield outcome


def _in_one_process(target: Target, seed: int, indices: Sequence[int], wall_s: float, root: Path) -> Iterator[Outcome]:
    """The outcomes of the first cases of `indices`, up to one that ends the process."""
    context = multiprocessing.get_context("fork")  # targets may be closures
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(target, seed, indices, root, sender))
    worker.start()
    sender.close()
    try:
        for index in indices:
            if not receiver.poll(wall_s):
                yield Outcome(target.name, seed, index, HANG, f"no answer in {wall_s:g} s", "no answer")
                return
            try:
                answer = receiver.recv()
            except EOFError:
                worker.join()
                code = worker.exitcode or 0
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                kind, detail = CRASH, f"the process ended with {how}"
                if code == -signal.SIGXCPU:
                    kind, detail = HANG, f"more than {target.cpu_s} s of CPU"
                yield Outcome(target.name, seed, index, kind, detail)
                return
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid or 0, signal.SIGKILL)  # what a case may have started, too
        worker.kill()
        worker.join()
        receiver.close()


def _work(target: Target, seed: int, indices: Sequence[int], root: Path, sender: Connection) -> None:
    os.setsid()
    os.environ |= _ENVIRONMENT
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    (root / "material").mkdir()
    try:
        material = target.prepare(root / "material")
    except Exception as error:
        sender.send(error)
        return
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    for index in indices:
        # The signal of the limit ends the process, whatever it is doing.
        used, hard = int(time.process_time()), resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (used + 1 + target.cpu_s, hard))
        folder, started = root / str(index), time.process_time()
        try:
            outcome = attempt(target, material, seed, index, folder)
        except Exception:  # of the fuzzer itself
            sender.send(RuntimeError(f"{target.name}:{seed}:{index}: {traceback.format_exc()}"))
            return
        os.chdir(root)
        shutil.rmtree(folder, ignore_errors=True)
        sender.send(replace(outcome, cpu_s=time.process_time() - started))
