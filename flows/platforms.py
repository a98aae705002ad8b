# SPDX-License-Identifier: Apache-2.0
"""The open platforms of the physical flows, as data, and timing constraints in the unit of each.

Sources: the folders of OpenROAD-flow-scripts' `flow/platforms`, and the PDKs that LibreLane gets through ciel. To add a
platform, add an entry to `PLATFORMS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from golden import UnitConfig
from hdl import companions

__all__ = ["PLATFORMS", "Platform", "constraints"]


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
    common = companions.constraints(
        config, period_ns, unit=platform.time_unit, input_transition_ns=platform.input_transition_ns
    )
    return f"""\
{common}set_false_path -hold -from $data_inputs
set_false_path -hold -to $data_outputs
"""
