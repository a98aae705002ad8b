"""External programs as child processes: a time limit, one clear line when they fail, and none left behind.

Every child is the leader of its own process group, so that what it started itself (Yosys starts ABC) ends with it, be it by
the time limit, by an error, or by an interrupt of this process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from golden.errors import ToolError

__all__ = ["children_end_with_us", "run"]

_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()


def run(
    command: Sequence[str],
    *,
    tool: str,
    hint: str,
    timeout_s: float,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run `command` and return what it printed (stdout and stderr together).

    Raises
    ------
    ToolError
        If the program is missing (the message ends with `hint`, the way out), exceeds `timeout_s` seconds, or fails; then
        with the last error line that it printed.
    """
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ToolError(f"{tool}: {command[0]!r} not found; {hint}") from None
    except OSError as error:
        raise ToolError(f"{tool}: {command[0]!r} cannot be started ({error.strerror}); {hint}") from None
    with _lock:
        _running.add(child)
    try:
        output, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{tool}: no result within {timeout_s:g} s, ended; the design may be too large for this limit"
        ) from None
    finally:
        _end(child)
        with _lock:
            _running.discard(child)
    if child.returncode != 0:
        raise ToolError(f"{tool}: failed ({_status(child.returncode)}): {_last_error(output)}")
    return output


@contextmanager
def children_end_with_us() -> Iterator[None]:
    """Around work in threads: when the block is left by an exception, Ctrl-C included, every child is ended at once.

    An interrupt reaches the main thread only, while the children are awaited in others.
    """
    try:
        yield
    except BaseException:
        with _lock:
            children = list(_running)
        for child in children:
            _end(child)
        raise


def _end(child: subprocess.Popen[str]) -> None:
    """Kill the child's whole group; harmless if it has ended."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it printed nothing"])[-1][:300]
