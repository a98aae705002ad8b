# SPDX-License-Identifier: Apache-2.0
"""One synthesis, run by `synth.yosys` in a process of its own: `python -m synth.yosys_child JOB`.

A Yosys error ends the process that runs it, and a second synthesis in one process gives other areas; hence one process each.
JOB is a JSON file with the commands before and after the full adders are assigned.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from . import polarity

__all__ = ["main"]


def main(job_file: Path) -> None:
    """Run the job; leaves `cells.json` (module -> cell type -> count) beside the netlist."""
    from pyosys import libyosys

    job = json.loads(job_file.read_text())
    design = libyosys.Design()

    def run(*commands: str) -> None:
        for command in commands:
            libyosys.run_pass(command, design)

    run(*job["before"])
    if job["full_adder"] is not None:
        coarse = job_file.with_name("coarse.json")
        run(f"write_json {coarse}")
        netlist = json.loads(coarse.read_text())
        for module in _own_modules(netlist).values():
            polarity.assign(module, **job["full_adder"])
        netlist["modules"] = _own_modules(netlist)
        coarse.write_text(json.dumps(netlist))
        run("design -reset", f"read_json {coarse}", f"hierarchy -top {job['top']}")
    run(*job["after"])
    mapped = job_file.with_name("mapped.json")
    run(f"write_json {mapped}")
    counts = {
        name: dict(sorted(Counter(cell["type"] for cell in module["cells"].values()).items()))
        for name, module in _own_modules(json.loads(mapped.read_text())).items()
    }
    job_file.with_name("cells.json").write_text(json.dumps(counts, sort_keys=True))


def _own_modules(netlist: dict[str, Any]) -> dict[str, Any]:
    boxes = ("blackbox", "whitebox")
    return {
        name: module
        for name, module in netlist["modules"].items()
        if not any(int(str(module["attributes"].get(box, "0")), 2) for box in boxes)
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
