# SPDX-License-Identifier: Apache-2.0
"""A unit in Amaranth's own simulator: the component as Python describes it, before any Verilog is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import UnitConfig

from .memory_files import packed_ports

__all__ = ["respond"]

_HALF_PERIOD_S = 1e-6


def respond(config: UnitConfig, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.int64]]:
    """The output ports after each rising edge, each (cycles, fields), as `config.respond(inputs)` gives them.

    Raises InputError if the unit cannot be built.
    """
    from amaranth.sim import Simulator

    from hdl.verilog import unit_of

    unit = unit_of(config)
    words = {port.name: packed_ports([port], inputs) for port in config.inputs}
    driven = [(getattr(unit, name), [int.from_bytes(row.tobytes(), "little") for row in words[name]]) for name in words]
    shown: dict[str, list[int]] = {port.name: [] for port in config.outputs}

    async def bench(ctx: Any) -> None:
        for cycle in range(len(driven[0][1])):
            for signal, numbers in driven:
                ctx.set(signal, numbers[cycle])
            await ctx.delay(_HALF_PERIOD_S)
            ctx.set(unit.clk, 1)
            await ctx.delay(_HALF_PERIOD_S)
            for name, numbers in shown.items():
                numbers.append(ctx.get(getattr(unit, name)))
            ctx.set(unit.clk, 0)

    simulator = Simulator(unit)
    simulator.add_testbench(bench)
    simulator.run()
    return {port.name: _fields(np.array(shown[port.name], np.int64), port.bits, port.signed) for port in config.outputs}


def _fields(values: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.int64]:
    """Every output is one number: as (cycles, 1), two's complement if signed."""
    return (values - (values >> bits - 1 << bits) * signed)[:, None]
