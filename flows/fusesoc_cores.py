# SPDX-License-Identifier: Apache-2.0
"""FuseSoC (CAPI2): the cocotb bench as a core of its own, and a generator core that makes any unit.

The core with the Verilog, `hdl.companions.core`, has the same bench as its target `sim`. That compiles the Verilog with
Icarus, and then a script of the build runs the bench of `dint simulate` on the same file. Edalize 0.6.8 can load a cocotb
module itself, but not one of cocotb 2.1, which wants `GPI_USERS`, and ends with exit code 0 whatever the bench finds. The
generator is called by FuseSoC with a YAML file, whose `parameters` are the options of `dint generate`. What the cores call is
`flows.fusesoc`.
"""

from __future__ import annotations

from golden import UnitConfig
from hdl.companions import CORE_VERSION

__all__ = ["cores", "generated_core"]

_SCRIPT = "dint_generator.py"

_GENERATOR = f"""\
CAPI=2:
name: dint:generators:dint:{CORE_VERSION}
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


def cores(config: UnitConfig) -> dict[str, str]:
    """The bench core of a unit, and the generator core with its script, by file name."""
    return {
        f"{config.name}_bench.core": _bench_core(config),
        "dint_generator.core": _GENERATOR,
        _SCRIPT: _CALLER,
    }


def generated_core(vlnv: str, name: str) -> str:
    """The core of a unit that the generator made, under the name `vlnv` that FuseSoC gave."""
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


def _bench_core(config: UnitConfig) -> str:
    name = config.name
    return f"""\
CAPI=2:
name: dint:bench:{name}:{CORE_VERSION}
description: Bench of {name}, every output in every cycle against the golden model; dint must be installed

filesets:
  rtl:
    files:
      - {name}.v: {{copyto: {name}.v}}
    file_type: verilogSource-2005
  facts:
    files:
      - {name}.json: {{copyto: {name}.json}}
    file_type: user

scripts:
  bench:
    cmd: [python3, -m, flows.fusesoc, bench, {name}.json, {name}.v]

targets:
  default: &default
    filesets: [rtl, facts]
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
