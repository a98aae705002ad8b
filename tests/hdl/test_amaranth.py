# SPDX-License-Identifier: Apache-2.0
"""The component inside Amaranth, where it is built of logic and not of Verilog modules."""

from __future__ import annotations

import numpy as np
import pytest
from amaranth.hdl import Fragment, Signal

from golden import DINT3, DINT4, FORMATS, MacConfig
from hdl import Mac
from sim import Stimulus
from sim.in_amaranth import respond


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
    stimulus = Stimulus(weights, activations, first, valid, "uniform", reset)
    shown = respond(config, stimulus.rows(config).inputs)["accumulator"][pipeline:, 0]
    assert len(shown) == cycles
    assert shown.tolist() == config.run(weights, activations, first, valid, reset).tolist()


def test_every_product_in_amaranths_simulator():
    for number_format in (DINT4, DINT3):
        config = MacConfig(number_format)
        stimulus = Stimulus.products(config, 0)
        assert len(stimulus.valid) == 256 << number_format.bits
        by_table = [number_format.values[c] * a for c in range(1 << number_format.bits) for a in range(-128, 128)]
        assert respond(config, stimulus.inputs)["accumulator"][:, 0].tolist() == by_table


def test_ports_are_the_interface():
    mac = Mac(MacConfig(FORMATS["dint4"], lanes=3))
    widths = {name: len(getattr(mac, name)) for name in mac.signature.members}
    assert widths == {"clk": 1, "rst": 1, "valid": 1, "first": 1, "activations": 24, "weights": 12, "accumulator": 28}
    assert all(isinstance(getattr(mac, name), Signal) for name in widths)
    Fragment.get(mac, None)  # elaborates
