# SPDX-License-Identifier: Apache-2.0
"""OpenROAD-flow-scripts: a design folder with `config.mk`, `constraint.sdc` and the Verilog.

`make DESIGN_CONFIG=FOLDER/config.mk` in its `flow` folder places and routes it, wherever the folder is. The variables are among
those of its `flow/scripts/variables.yaml`.
"""

from __future__ import annotations

from golden import UnitConfig

from .platforms import Platform, constraints

__all__ = ["design_folder"]

# Share of the core that cells take before buffers and sizing. Small units have many ports on a short edge.
_UTILIZATION = 40


def design_folder(config: UnitConfig, period_ns: float, platform: Platform, verilog: str) -> dict[str, str]:
    """The files of a design on one platform, by name."""
    here = "$(dir $(DESIGN_CONFIG))"
    settings = {
        "DESIGN_NAME": config.name,
        "PLATFORM": platform.name,
        "VERILOG_FILES": f"{here}{config.name}.v",
        "SDC_FILE": f"{here}constraint.sdc",
        "CORE_UTILIZATION": str(_UTILIZATION),
        "PLACE_DENSITY_LB_ADDON": "0.2",
        "TNS_END_PERCENT": "100",
    }
    widest = max(map(len, settings))
    lines = [f"export {name:{widest}} = {value}\n" for name, value in settings.items()]
    return {
        "config.mk": "".join(lines),
        "constraint.sdc": constraints(config, period_ns, platform),
        f"{config.name}.v": verilog,
    }
