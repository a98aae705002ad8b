# SPDX-License-Identifier: Apache-2.0
"""One step of cocotb's runner in a process of its own: `python sim/launch.py JOB`.

A separate process, because cocotb's runner reads and ends its surroundings (the environment, `sys.exit`) and knows no time
limit; its parent, `sim.runner`, has one, and ends the whole group of processes. Should the parent die first, in whatever way,
this process notices and ends the group itself: no simulator is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path


def main(job_file: Path) -> None:
    """Carry out the job: which simulator, `build` or `test`, and the arguments of cocotb's method of that name."""
    job = json.loads(job_file.read_text())
    threading.Thread(target=_end_with_parent, args=(job["parent"],), daemon=True).start()
    from cocotb_tools.runner import get_runner

    runner = get_runner(job["simulator"])
    getattr(runner, job["step"])(**job["arguments"])


def _end_with_parent(pipe: int) -> None:
    """Wait for the end of the pipe that the parent holds open and never writes to, then end this group of processes."""
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
