# SPDX-License-Identifier: Apache-2.0
"""LibreLane: a design folder with `config.json`, `constraint.sdc` and the Verilog.

`librelane --pdk PDK FOLDER/config.json` runs its flow Classic, PDK being the one in the file: without the option LibreLane
fetches sky130A, whatever the file says. Variables are those of LibreLane's universal, PDK and step variables.
"""

from __future__ import annotations

from golden import UnitConfig
from golden.artifacts import canonical_json

from .platforms import Platform, constraints

__all__ = ["design_folder"]

_UTILIZATION = 40  # percent of the core that cells take at first


def design_folder(config: UnitConfig, period_ns: float, platform: Platform, verilog: str) -> dict[str, str]:
    """The files of a design on one platform, by name."""
    settings = {
        "meta": {"version": 2},
        "PDK": platform.librelane,
        "DESIGN_NAME": config.name,
        "VERILOG_FILES": [f"dir::{config.name}.v"],
        "CLOCK_PORT": "clk",
        "CLOCK_PERIOD": period_ns,
        "PNR_SDC_FILE": "dir::constraint.sdc",
        "SIGNOFF_SDC_FILE": "dir::constraint.sdc",
        "FP_CORE_UTIL": _UTILIZATION,
        # The defaults are for dies of half a millimetre; these are what LibreLane's own small design, spm, has.
        "PDN_VOFFSET": 7,
        "PDN_HOFFSET": 7,
        "PDN_SKIPTRIM": True,
    }
    return {
        "config.json": canonical_json(settings),
        "constraint.sdc": constraints(config, period_ns, platform),
        f"{config.name}.v": verilog,
    }
