# SPDX-License-Identifier: Apache-2.0
"""One point of a sweep, mapped and measured in a process of its own: `python -m sweep.point`.

What crashes, or runs out of memory, takes no other point with it. The process is asked by a line of JSON on its standard input,
answers by JSON on its standard output, and ends as soon as its input does: with the process that asked, however that ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from golden.artifacts import sha256_file, sha256_of
from golden.errors import DintError, ToolError, one_line
from pipeline.stages import package_versions, source_hash
from sim.processes import last_error
from synth.request import Request

from .plan import describe

__all__ = ["figures", "identity", "points_end_with_us", "run", "tools"]

_PROJECT = Path(__file__).resolve().parent.parent
_SOURCES = ("golden", "hdl", "sim", "synth")
_LAST_S = 5.0  # that a process has to end in order
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def tools() -> dict[str, Any]:
    """What decides the results of every point: versions, and the hash of the sources. ToolError if a tool is missing.

    Of Icarus the version is None where it is missing: points without an energy that is simulated do without.
    """
    from synth import sta, yosys
    from synth.measuring import simulator_version

    versions = package_versions(("amaranth", "numpy", "pywellen"))
    versions |= {"yosys": yosys.version(), "opensta": sta.version()}
    try:
        icarus = simulator_version()
    except ToolError:
        icarus = None
    return {"versions": versions | {"icarus": icarus}, "sources": source_hash(_SOURCES)}


def identity(point: Request, kit: Mapping[str, Any], operands_sha256: str | None, tools: Mapping[str, Any]) -> str:
    """SHA-256 of everything that decides the figures of a point; `kit` is `Pdk.describe()`."""
    return sha256_of({"point": describe(point), "kit": dict(kit), "operands": operands_sha256, **tools})


def figures(point: Request, cache: Path) -> dict[str, Any]:
    """Map and measure a point, in this process: metrics as `dint synthesize` names them, and whether the period is met.

    Of netlists that miss the period the fastest counts; it has an area and a slack below zero, and no energy.
    """
    from synth.command import area_and_timing, power
    from synth.flow import synthesize

    mapped = synthesize(point.unit, point.kit, point.period_ns, cache, jobs=1)
    period_ns = mapped.delay_ns if point.period_ns is None else point.period_ns
    found = area_and_timing(mapped, period_ns) | {"timing__met": mapped.closes(period_ns)}
    if found["timing__met"] and (tasks := point.tasks(mapped, period_ns)):
        found |= power(point.measure(tasks, cache, 1), point.power_engine)
    return found


def run(point: Mapping[str, Any], cache: str) -> dict[str, Any]:
    """Map and measure a point in a process of its own.

    Parameters
    ----------
    point
        `Request.plain()`.
    cache
        Folder of earlier netlists and measurements.

    Returns
    -------
    `key` (`identity`, as that process sees it), `figures` and `seconds`; or `error`, in one line, and `seconds`.
    """
    started = time.monotonic()
    question = json.dumps({"point": dict(point), "cache": cache}).encode() + b"\n"
    path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH", ""))))
    with tempfile.TemporaryFile() as said:
        try:
            answer = _ask(question, {**os.environ, "PYTHONPATH": path}, said)
        except OSError as error:
            answer = {"error": f"its process cannot be started ({error.strerror})"}
        except ValueError as code:  # no answer
            said.seek(0)
            why = last_error(said.read().decode(errors="replace")) or "is there enough memory?"
            answer = {"error": one_line(f"its process ended without an answer ({code}): {why}")}
    return answer | {"seconds": round(time.monotonic() - started, 1)}


def _ask(question: bytes, environment: Mapping[str, str], said: Any) -> dict[str, Any]:
    """The answer of a new process. ValueError with its exit code if it gave none."""
    child = subprocess.Popen(
        [sys.executable, "-m", "sweep.point"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the process that asks
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with _lock:
        _running.add(child)
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(question)
        text = child.stdout.read()
        code = child.wait()
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError:
            raise ValueError(f"signal {-code}" if code < 0 else f"exit code {code}") from None
        return answer
    finally:
        with _lock:
            _running.discard(child)
        _end(child)


@contextmanager
def points_end_with_us() -> Iterator[None]:
    """Around `run` in threads: when the block is left by an exception, an interrupt included, all points end, in order.

    An interrupt reaches the main thread only, while the points are awaited in others.
    """
    try:
        yield
    except BaseException:
        with _lock:
            children = list(_running)
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
        for child in children:
            _end(child)
        raise


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let a process end: its input does, after a while it is killed."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(_LAST_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _end_with_input() -> None:
    """SIGTERM for this process when nobody holds the other end of its input any more."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _main() -> None:
    """The process of a point."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints is no answer
    question = json.loads(sys.stdin.buffer.readline())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_input, daemon=True).start()
    point = Request.of(question["point"])
    try:
        operands = sha256_file(point.operands) if point.operands else None
        key = identity(point, point.kit.describe(), operands, tools())
        answer = {"key": key, "figures": figures(point, Path(question["cache"]))}
    except (DintError, OSError) as error:
        answer = {"error": one_line(str(error))}
    except Exception as error:
        answer = {"error": one_line(f"{type(error).__name__}: {error}")}
    json.dump(answer, answers)
    answers.close()


if __name__ == "__main__":
    _main()
