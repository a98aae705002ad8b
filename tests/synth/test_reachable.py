# SPDX-License-Identifier: Apache-2.0
"""What counts of a unit: all that it is made for, and nothing else."""

from __future__ import annotations

import pytest

from golden import DINT3, INT3, MacConfig, PeConfig
from hdl.verilog import generate
from synth import yosys
from synth.gates import Network
from synth.reachable import within_limits


def network_of(config: MacConfig | PeConfig) -> Network:
    return yosys.gates(generate(config), config.name)[config.name]


def cases(network: Network, words: dict[str, list[int]], state: tuple[tuple[int, ...], list[int]]) -> dict[int, int]:
    """Values of ports and of registers, a case each, as the network takes them."""
    count = len(state[1])
    taken = {net: 0 for bits in network.inputs.values() for net in bits} | dict.fromkeys(network.flip_flops, 0)
    for nets, numbers in [*((network.inputs[name], numbers) for name, numbers in words.items()), state]:
        for place, net in enumerate(nets):
            taken[net] = sum((numbers[i] >> place & 1) << i for i in range(count))
    return taken


@pytest.mark.parametrize(("number_format", "lanes"), [(DINT3, 2), (INT3, 1)])
@pytest.mark.parametrize("valid", [0, 1])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("pipeline", [0, 1])
def test_sums_of_up_to_depth_products_count(number_format, lanes: int, valid: int, first: int, pipeline: int) -> None:
    config = MacConfig(number_format, lanes=lanes, depth=10, pipeline=pipeline)
    network = network_of(config)
    shown = network.outputs["accumulator"]
    limited = within_limits(network, config, shown)
    half = 1 << config.accumulator_bits - 1
    sums = 2 * list(range(-half, half))
    rst = [0] * (2 * half) + [1] * (2 * half)
    given = cases(network, {"valid": [valid] * len(sums), "first": [first] * len(sums), "rst": rst}, (shown, sums))
    before, after = (one.evaluate(given, len(sums)) for one in (network, limited))
    products = [value * a for value in number_format.values for a in range(-128, 128)]
    depth = config.depth - lanes if valid and not first and not pipeline else config.depth
    for i, total in enumerate(sums):
        counts = min(products) * depth <= total <= max(products) * depth or (rst[i] and not pipeline)
        for register, taken in network.flip_flops.items():
            found = after[limited.flip_flops[register]] >> i & 1
            assert found == (before[taken] >> i & 1 if counts else 0)
    assert min(products) * depth > -half or max(products) * depth < half - 1  # there is something that does not count


def test_partial_sums_leave_room_for_a_product() -> None:
    config = PeConfig(INT3, depth=7)
    network = network_of(config)
    shown = network.outputs["partial_sum_out"]
    limited = within_limits(network, config, shown)
    half = 1 << config.accumulator_bits - 1
    sums = list(range(-half, half))
    words = {"partial_sum": sums, "swap": [1] * len(sums)}  # swap_out takes a 1
    nets = limited.evaluate(cases(network, words, (shown, [0] * len(sums))), len(sums))
    swapped = nets[limited.flip_flops[network.outputs["swap_out"][0]]]
    least, greatest = 6 * -4 * 127, 6 * -4 * -128
    assert [total for i, total in enumerate(sums) if swapped >> i & 1] == list(range(least, greatest + 1))
