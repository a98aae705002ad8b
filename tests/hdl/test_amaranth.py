"""The component inside Amaranth, where it is built of logic and not of Verilog modules."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Fragment, Signal
from amaranth.sim import Simulator

from golden import FORMATS, MacConfig
from hdl import Mac


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(("lanes", "pipeline"), [(2, 0), (16, 1), (3, 2)])
def test_component_in_amaranths_simulator(name, lanes, pipeline):
    config = MacConfig(FORMATS[name], lanes=lanes, pipeline=pipeline)
    rng = np.random.default_rng(5)
    cycles = 60
    weights = rng.integers(0, len(config.weight_format.values), (cycles, lanes))
    activations = rng.integers(-128, 128, (cycles, lanes))
    first, valid, reset = (rng.random(cycles) < p for p in (0.1, 0.8, 0.05))
    reset[0] = True
    expected = config.run(weights, activations, first, valid, reset)
    mac = Mac(config)
    seen = []

    async def bench(ctx):
        for t in range(cycles + pipeline):
            if t < cycles:
                ctx.set(mac.weights, sum(int(w) << (config.weight_format.bits * i) for i, w in enumerate(weights[t])))
                ctx.set(mac.activations, sum((int(a) & 255) << (8 * i) for i, a in enumerate(activations[t])))
                ctx.set(mac.first, int(first[t]))
                ctx.set(mac.valid, int(valid[t]))
                ctx.set(mac.rst, int(reset[t]))
            await ctx.delay(1e-6)
            ctx.set(mac.clk, 1)
            await ctx.delay(1e-6)
            value = ctx.get(mac.accumulator)
            seen.append(value - (value >> (config.accumulator_bits - 1) << config.accumulator_bits))
            ctx.set(mac.clk, 0)

    simulator = Simulator(mac)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen[pipeline:] == expected.tolist()


def test_ports_are_the_interface():
    mac = Mac(MacConfig(FORMATS["dint4"], lanes=3))
    widths = {name: len(getattr(mac, name)) for name in mac.signature.members}
    assert widths == {"clk": 1, "rst": 1, "valid": 1, "first": 1, "activations": 24, "weights": 12, "accumulator": 28}
    assert all(isinstance(getattr(mac, name), Signal) for name in widths)
    Fragment.get(mac, None)  # elaborates
