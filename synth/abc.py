# SPDX-License-Identifier: Apache-2.0
"""ABC, the part of Yosys that proves networks of gates equal: it merges what is equal inside, from the inputs on, by SAT.

Two networks of the same origin, such as Verilog and what it was mapped to, have much in common inside, so that even multipliers
of 8 bits in many lanes take seconds.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

from golden.errors import ToolError
from sim.processes import run

from .gates import Network

__all__ = ["equal"]

_HINT = "'dint doctor' says how to install it"


def equal(left: Network, right: Network, timeout_s: float = 300.0) -> bool:
    """Whether two networks with the same inputs and registers take the same values into their registers, whatever they hold.

    Registers are told by the outputs that show them; if both begin alike, their outputs are then alike for all time.

    Raises
    ------
    InputError
        If a register is not shown by an output.
    ToolError
        If ABC is missing, fails, or finds no answer within the time limit.
    """
    spec = importlib.util.find_spec("pyosys")
    if spec is None or not spec.submodule_search_locations:
        raise ToolError(f"ABC: the Python package pyosys is missing; {_HINT}")
    program = Path(spec.submodule_search_locations[0]) / "yosys-abc"
    with tempfile.TemporaryDirectory(prefix="dint-abc-") as name:
        folder = Path(name)
        (folder / "left.blif").write_text(left.blif())
        (folder / "right.blif").write_text(right.blif())
        log = run(
            [str(program), "-c", f"cec -T {timeout_s:.0f} left.blif right.blif"],
            tool="ABC",
            install=_HINT,
            time_limit_s=timeout_s + 10,
            if_too_long="the networks may be too different for a proof",
            cwd=folder,
        )
    if "Networks are equivalent" in log:
        return True
    if "Networks are NOT EQUIVALENT" in log:
        return False
    raise ToolError(f"ABC: neither proof nor counterexample: {' '.join(log.split())[-200:]}")
