# SPDX-License-Identifier: Apache-2.0
"""What FuseSoC calls: the bench of a core, and the generator.

The cores are those of `flows.fusesoc_cores`.

    python3 -m flows.fusesoc bench NAME.json VERILOG           what a core's target sim calls, the bench
    python3 -m flows.fusesoc generate REQUEST.yml              what the script of the generator core calls
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from golden import unit_of_options
from golden.artifacts import read_json, write_file
from golden.errors import DintError, InputError, one_line, unknown

from .command import generate
from .fusesoc_cores import generated_core

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Do what FuseSoC's files call for; the exit code."""
    try:
        if arguments[0] == "bench":
            _bench(*map(Path, arguments[1:]))
        else:
            _make(Path(arguments[1]))
    except (DintError, OSError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 1
    return 0


def _bench(facts: Path, verilog: Path) -> None:
    """Replay the random operands and corner cases of `dint simulate` on the Verilog of the unit that `facts` are about."""
    from sim.command import simulate_verilog, stimuli_for
    from sim.simulators import find_simulator

    config = unit_of_options(**read_json(facts)["options"])
    stimuli = stimuli_for(config, None, None, seed=0)
    simulate_verilog(verilog.read_text(encoding="utf-8"), config, stimuli, find_simulator("icarus"))


def _make(request: Path) -> None:
    import yaml  # FuseSoC brings it

    asked = yaml.safe_load(request.read_text(encoding="utf-8"))
    parameters = asked.get("parameters") or {}
    known = [name for name in inspect.signature(generate).parameters if name not in ("out", "flow", "pdk", "quiet")]
    for name in parameters:
        if name not in known:
            raise unknown(f"parameter {name!r} of {asked['vlnv']}", name, known)
    if not isinstance(period := parameters.get("period_ns", 1.0), int | float):
        raise InputError(f"period_ns is {period!r}: a number of nanoseconds is needed")
    paths = generate(**parameters, out=Path(), quiet=True)
    paths["core"].unlink()  # FuseSoC takes every core it finds here, and wants the name that it gave
    write_file(Path(f"{paths['v'].stem}.core"), generated_core(asked["vlnv"], paths["v"].stem))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
