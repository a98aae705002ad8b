# SPDX-License-Identifier: Apache-2.0
"""The open platforms of the physical flows, as data, and timing constraints in the unit of each.

Sources: the folders of OpenROAD-flow-scripts' `flow/platforms`, and the PDKs that LibreLane gets through ciel. To add a
platform, add an entry to `PLATFORMS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from golden import InputError, Port, UnitConfig

__all__ = ["PLATFORMS", "Platform", "constraints"]

_UNITS = {"ns": 1, "ps": 1000}  # in a nanosecond


@dataclass(frozen=True)
class Platform:
    """A library that flows know by names of their own; empty where a flow does not have it."""

    name: str  # the one that OpenROAD-flow-scripts uses, and --pdk
    librelane: str = ""
    time_unit: str = "ns"  # of its Liberty files, which times in .sdc files are taken in
    input_transition_ns: float = 0.05


PLATFORMS: dict[str, Platform] = {
    platform.name: platform
    for platform in (
        Platform("sky130hd", librelane="sky130A"),
        Platform("asap7", time_unit="ps", input_transition_ns=0.02),
        Platform("nangate45"),
        Platform("gf180", librelane="gf180mcuD"),
        Platform("ihp-sg13g2", librelane="ihp-sg13g2"),
    )
}


def constraints(config: UnitConfig, period_ns: float, platform: Platform) -> str:
    """Synopsys design constraints for place and route: as those beside the Verilog, and no hold checks at the ports.

    Inputs and outputs take none of the clock. What drives the inputs is not known: to check their hold times would put
    delay cells at every one.

    Raises
    ------
    InputError
        If the period is not positive.
    """
    if not 0 < period_ns < float("inf"):
        raise InputError(f"period_ns is {period_ns}: a clock period is a positive number of nanoseconds")
    unit = _UNITS[platform.time_unit]
    return f"""\
# {config.name} on {platform.name}: times in {platform.time_unit}, the unit of its Liberty files
create_clock -name clk -period {period_ns * unit:g} [get_ports clk]
set data_inputs [get_ports {{{_patterns(config.inputs)}}}]
set data_outputs [get_ports {{{_patterns(config.outputs)}}}]
set_input_delay 0 -clock clk $data_inputs
set_output_delay 0 -clock clk $data_outputs
set_input_transition {platform.input_transition_ns * unit:g} $data_inputs
set_false_path -hold -from $data_inputs
set_false_path -hold -to $data_outputs
"""


def _patterns(ports: Iterable[Port]) -> str:
    """Ports as Tcl patterns."""
    return " ".join(port.name + "[*]" * (port.width > 1) for port in ports)
