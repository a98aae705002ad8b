"""A unit in Amaranth's own simulator: the component as Python describes it, before any Verilog is written."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import MacConfig

from .memory_files import packed
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

    stimulus.check(config)
    mac = Mac(config)
    weights = _numbers(packed(stimulus.weights, config.weight_format.bits))
    activations = _numbers(packed(stimulus.activations.view(np.uint8), config.activation_bits))
    controls = np.stack([stimulus.first, stimulus.valid, stimulus.reset], axis=1).astype(int).tolist()
    shown: list[int] = []

    async def bench(ctx: Any) -> None:
        for cycle in range(stimulus.cycles + config.pipeline):
            if cycle < stimulus.cycles:
                ctx.set(mac.weights, weights[cycle])
                ctx.set(mac.activations, activations[cycle])
                for port, level in zip((mac.first, mac.valid, mac.rst), controls[cycle], strict=True):
                    ctx.set(port, level)
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


def _numbers(rows: NDArray[np.uint8]) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in rows]
