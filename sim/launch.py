# SPDX-License-Identifier: Apache-2.0
"""One step of cocotb's runner in a process of its own: `python sim/launch.py JOB`.

A separate process, because cocotb's runner reads and ends its surroundings (the environment, `sys.exit`) and knows no time
limit; its parent has one (`sim.processes`), and ends the whole group of processes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(job_file: Path) -> None:
    """Carry out the job: which simulator, `build` or `test`, and the arguments of cocotb's method of that name."""
    job = json.loads(job_file.read_text())
    from cocotb_tools.runner import get_runner

    runner = get_runner(job["simulator"])
    getattr(runner, job["step"])(**job["arguments"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
