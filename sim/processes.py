# SPDX-License-Identifier: Apache-2.0
"""External programs as child processes: a time limit, one clear line when they fail, and none left behind.

Every child is in a process group of its own, so that what it started itself (Yosys starts ABC) ends with it, be it by the
time limit, by an error, or by an interrupt of this process. Should this process die in whatever way, its leader notices.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from golden import ToolError

__all__ = ["children_end_with_us", "last_error", "run", "run_group"]

_POLL_S = 0.05
_LEADER = Path(__file__).with_name("leader.sh")
_SIGNALS = 128  # a shell's exit code for a command that a signal ended is that much higher
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def run_group(
    command: Sequence[str], time_limit_s: float, each_poll: Callable[[], object] = lambda: None, **options: Any
) -> int:
    """Exit code of `command`, negative for a signal; `each_poll` is called while it runs, `options` go to `subprocess.Popen`.

    After `time_limit_s` seconds, and on any exception (Ctrl-C among them), the whole group is killed.

    Raises
    ------
    OSError
        If the command cannot be started.
    TimeoutError
        If it took longer than `time_limit_s`.
    """
    _check_program(command[0], options.get("env") or os.environ)
    deadline = time.monotonic() + time_limit_s
    child = subprocess.Popen(["/bin/sh", str(_LEADER), *command], stdin=subprocess.PIPE, start_new_session=True, **options)
    try:
        with _lock:
            _running.add(child)
        while True:
            try:
                code = child.wait(_POLL_S)
                return code if code <= _SIGNALS else _SIGNALS - code
            except subprocess.TimeoutExpired:
                each_poll()
                if time.monotonic() > deadline:
                    raise TimeoutError from None
    finally:
        with _lock:
            _running.discard(child)
        _kill(child)
        child.wait()
        assert child.stdin is not None
        child.stdin.close()


def run(
    command: Sequence[str],
    *,
    tool: str,
    install: str,
    time_limit_s: float,
    if_too_long: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command`, `environment` added to that of this process; returns what it printed (stdout and stderr together).

    Raises
    ------
    ToolError
        One line that begins with `tool`: if the program cannot be started (it ends with `install`, the way out), if it takes
        longer than the time limit (it ends with `if_too_long`), or if it fails, with the last error line that it printed.
    """
    with tempfile.TemporaryFile() as printed:
        try:
            code = run_group(
                command,
                time_limit_s,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=os.environ | dict(environment or {}),
            )
        except TimeoutError:
            raise ToolError(f"{tool}: no result within {time_limit_s:g} s, ended; {if_too_long}") from None
        except FileNotFoundError:
            raise ToolError(f"{tool}: {command[0]!r} not found; {install}") from None
        except OSError as error:
            raise ToolError(f"{tool}: {command[0]!r} cannot be started ({error.strerror}); {install}") from None
        printed.seek(0)
        output = printed.read().decode(errors="replace")
    if code:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise ToolError(f"{tool}: failed ({ended}): {last_error(output) or f'it printed nothing; {install}'}")
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
            for child in _running:
                _kill(child)
        raise


def last_error(output: str) -> str:
    """The line of a program's output that says most about a failure: the last with "error" in it, else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:300]


def _check_program(name: str, environment: Mapping[str, str]) -> None:
    """The OSError of starting a program that is missing, or is none."""
    if shutil.which(name, path=environment.get("PATH")) is None:
        code = errno.EACCES if Path(name).exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), name)


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
