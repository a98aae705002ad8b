"""A unit in Amaranth's own simulator: the component as Python describes it, before any Verilog is written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import MacConfig, Port

from .stimulus import Stimulus

__all__ = ["accumulators"]

_HALF_PERIOD_S = 1e-6


def accumulators(config: MacConfig, stimulus: Stimulus) -> NDArray[np.int64]:
    """The accumulator after each cycle of `stimulus`, (cycles,), as `stimulus.expected(config)` gives it.

    Raises
    ------
    InputError
        If the unit cannot take the stimulus, or cannot be built.
    """
    from amaranth.sim import Simulator

    from hdl import Mac

    rows = stimulus.rows(config)
    mac = Mac(config)
    driven = [(getattr(mac, port.name), _numbers(port, rows.inputs[port.name])) for port in config.inputs]
    shown: list[int] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(stimulus.cycles + config.pipeline):
            for port, numbers in driven:
                ctx.set(port, numbers[cycle])
            await ctx.delay(_HALF_PERIOD_S)
            ctx.set(mac.clk, 1)
            await ctx.delay(_HALF_PERIOD_S)
            shown.append(ctx.get(mac.accumulator))
            ctx.set(mac.clk, 0)

    simulator = Simulator(mac)
    simulator.add_testbench(bench)
    simulator.run()
    values, width = np.array(shown[config.pipeline :], np.int64), config.accumulator_bits
    return values - (values >> width - 1 << width)


def _numbers(port: Port, values: NDArray[np.int64]) -> list[int]:
    packed = np.packbits(port.levels(values), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]
