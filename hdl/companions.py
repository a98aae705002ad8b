# SPDX-License-Identifier: Apache-2.0
"""The files beside the Verilog: facts in JSON, constraints, and a FuseSoC core."""

from __future__ import annotations

from collections.abc import Iterable

from golden import AsymmetricConfig, BlockMacConfig, InputError, MacConfig, Port, UnitConfig, options_of
from golden.artifacts import canonical_json

__all__ = ["CORE_VERSION", "constraints", "core", "facts"]

CORE_VERSION = "0.1.0"
"""Last part of every core's name (vendor, library, name, version), that of the package that makes them."""

_INPUT_TRANSITION_NS = 0.05
_UNITS = {"ns": 1, "ps": 1000}  # in a nanosecond


def facts(config: UnitConfig) -> str:
    """What a user of the Verilog needs to know, as JSON: `describe` of the configuration, and the options that made it."""
    return canonical_json(config.describe() | {"options": options_of(config)})


def constraints(
    config: UnitConfig, period_ns: float, *, unit: str = "ns", input_transition_ns: float = _INPUT_TRANSITION_NS
) -> str:
    """Synopsys design constraints: one clock of `period_ns`, and inputs and outputs that take none of it.

    `unit`, "ns" or "ps", is that of the library's times, which those of the text are taken in.

    Raises
    ------
    InputError
        If the period is not positive.
    """
    if not 0 < period_ns < float("inf"):
        raise InputError(f"period_ns is {period_ns}: a clock period is a positive number of nanoseconds")
    inputs, outputs = _names(config.inputs), _names(config.outputs)
    return f"""\
# {config.name}: times in {unit}
create_clock -name clk -period {period_ns * _UNITS[unit]:g} [get_ports clk]
set data_inputs [get_ports {{{inputs}}}]
set data_outputs [get_ports {{{outputs}}}]
set_input_delay 0 -clock clk $data_inputs
set_output_delay 0 -clock clk $data_outputs
set_input_transition {input_transition_ns * _UNITS[unit]:g} $data_inputs
"""


def _names(ports: Iterable[Port]) -> str:
    """Ports as Tcl patterns, single bits first."""
    ordered = sorted(ports, key=lambda port: port.width > 1)
    return " ".join(port.name + "[*]" * (port.width > 1) for port in ordered)


def core(config: UnitConfig) -> str:
    """FuseSoC core description (CAPI2): lint with Verilator, simulate with the bench (`flows.fusesoc`), and synthesize.

    Whoever uses the unit in a design needs no cocotb, and no dint. FuseSoC knows no synthesis for cell libraries: `synth` is
    for an FPGA (iCE40), and `dint synthesize` for cells.
    """
    name = config.name
    what = "processing element of a systolic array"
    if isinstance(config, MacConfig):
        what = f"multiply-accumulate unit, lanes {config.lanes}"
    elif isinstance(config, BlockMacConfig):
        what = f"multiply-accumulate unit of a block format, lanes {config.lanes}"
    elif isinstance(config, AsymmetricConfig):
        what = f"multiply-accumulate units for asymmetric weights, lanes {config.lanes}, units {config.units}"
    return f"""\
CAPI=2:
name: dint:{config.shape}:{name}:{CORE_VERSION}
description: {" x ".join(config.operand_titles)} {what}

filesets:
  rtl:
    files:
      - {name}.v: {{copyto: {name}.v}}
    file_type: verilogSource-2005
  facts:
    files:
      - {name}.json: {{copyto: {name}.json}}
    file_type: user
  constraints:
    files:
      - {name}.sdc
    file_type: SDC

scripts:
  bench:
    cmd: [python3, -m, flows.fusesoc, bench, {name}.json, {name}.v]

targets:
  default: &default
    filesets: [rtl]
    toplevel: {name}
  lint:
    <<: *default
    flow: lint
    flow_options:
      tool: verilator
  sim:
    <<: *default
    filesets: [rtl, facts]
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2001]
    hooks:
      post_build: [bench]
  synth:
    <<: *default
    filesets: [rtl, constraints]
    flow: generic
    flow_options:
      tool: yosys
      arch: ice40
"""
