# SPDX-License-Identifier: Apache-2.0
"""FuseSoC (CAPI2): a core that runs the cocotb bench, and a generator core that makes any unit.

The core with the Verilog, `hdl.companions.core`, has lint, compilation and synthesis. The bench is a core of its own: whoever
uses the unit in a design needs no cocotb. It compiles the Verilog with Icarus, and then a script of the build runs the bench of
`dint simulate` on the same file. Edalize 0.6.8 can load a cocotb module itself, but not one of cocotb 2.1, which wants
`GPI_USERS`, and ends with exit code 0 whatever the bench finds. The generator is called by FuseSoC with a YAML file, whose
`parameters` are the options of `dint generate`.

    python3 -m flows.fusesoc bench OPTIONS.json VERILOG        what the core of the bench calls
    python3 -m flows.fusesoc generate REQUEST.yml              what the script of the generator core calls
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from golden import UnitConfig, unit_of_options
from golden.artifacts import canonical_json, read_json, write_file
from golden.errors import DintError, InputError, one_line, unknown

__all__ = ["cores", "main"]

_SCRIPT = "dint_generator.py"

_GENERATOR = f"""\
CAPI=2:
name: dint:generators:dint:0.1.0
description: Multiply-accumulate units; parameters are the options of dint generate, with underscores

generators:
  dint:
    interpreter: python3
    command: {_SCRIPT}
"""

_CALLER = '''\
"""Called by FuseSoC with the YAML file of a `generate` section; dint must be installed for this python3."""

import sys

from flows.fusesoc import main

sys.exit(main(["generate", *sys.argv[1:]]))
'''


def cores(config: UnitConfig, options: Mapping[str, Any]) -> dict[str, str]:
    """The bench core of a unit with its options, and the generator core with its script, by file name."""
    return {
        f"{config.name}_bench.core": _bench_core(config),
        f"{config.name}_options.json": canonical_json(dict(options)),
        "dint_generator.core": _GENERATOR,
        _SCRIPT: _CALLER,
    }


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


def _bench_core(config: UnitConfig) -> str:
    name = config.name
    return f"""\
CAPI=2:
name: dint:bench:{name}:0.1.0
description: Bench of {name}, every output in every cycle against the golden model; dint must be installed

filesets:
  rtl:
    files:
      - {name}.v: {{copyto: {name}.v}}
    file_type: verilogSource-2005
  options:
    files:
      - {name}_options.json: {{copyto: {name}_options.json}}
    file_type: user

scripts:
  bench:
    cmd: [python3, -m, flows.fusesoc, bench, {name}_options.json, {name}.v]

targets:
  default: &default
    filesets: [rtl, options]
    toplevel: {name}
  sim:
    <<: *default
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2001]
    hooks:
      post_build: [bench]
"""


def _bench(options: Path, verilog: Path) -> None:
    """Replay the random operands and corner cases of `dint simulate` on the Verilog."""
    from sim.command import simulate_verilog, stimuli_for
    from sim.simulators import find_simulator

    config = unit_of_options(**read_json(options))
    stimuli = stimuli_for(config, None, None, seed=0)
    simulate_verilog(verilog.read_text(encoding="utf-8"), config, stimuli, find_simulator("icarus"))


def _make(request: Path) -> None:
    import yaml  # FuseSoC brings it

    from .command import generate

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
    write_file(Path(f"{paths['v'].stem}.core"), _generated_core(asked["vlnv"], paths["v"].stem))


def _generated_core(vlnv: str, name: str) -> str:
    return f"""\
CAPI=2:
name: {vlnv}

filesets:
  rtl:
    files:
      - {name}.v
    file_type: verilogSource-2005

targets:
  default:
    filesets: [rtl]
    toplevel: {name}
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
