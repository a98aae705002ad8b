"""Programs in process groups of their own, with a time limit; none outlives the call that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from golden import ToolError

__all__ = ["ask", "run_group"]

_POLL_S = 0.05


def run_group(command: list[str], limit_s: float, each_poll: Callable[[], Any], **options: Any) -> int:
    """Exit code of `command`; `each_poll` is called while it runs, `options` go to `subprocess.Popen`.

    After `limit_s` seconds, and on any exception (Ctrl-C among them), the whole group is killed.

    Raises
    ------
    TimeoutError
        If the command took longer than `limit_s`.
    """
    deadline = time.monotonic() + limit_s
    child = subprocess.Popen(command, start_new_session=True, **options)
    try:
        while True:
            try:
                return child.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                each_poll()
                if time.monotonic() > deadline:
                    raise TimeoutError from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def ask(command: list[str], environment: Mapping[str, str], limit_s: float) -> str:
    """The first line that `command` prints, its `environment` added to this process's; ToolError if it gives none."""
    with tempfile.TemporaryFile() as output:
        options = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        try:
            code = run_group(command, limit_s, lambda: None, env=os.environ | dict(environment), **options)
        except TimeoutError:
            raise ToolError(f"{command[0]} did not answer within {limit_s:g} s; check it with '{' '.join(command)}'") from None
        except OSError as error:
            raise ToolError(f"{command[0]} cannot be run ({error.strerror}); install it again") from None
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if code or not lines:
        raise ToolError(f"{command[0]} does not work ('{' '.join(command)}' ends with {code}); install it again")
    return lines[0].strip()
