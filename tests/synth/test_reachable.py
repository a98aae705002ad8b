# SPDX-License-Identifier: Apache-2.0
"""What counts of a unit: all that it is made for, and nothing else."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest

from benchmarks import mutation
from golden import DINT3, DINT4, INT3, INT8, AsymmetricConfig, MacConfig, PeConfig
from hdl.verilog import generate
from synth import yosys
from synth.gates import Network
from synth.reachable import Limits


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


def levels(word: int, count: int) -> str:
    """The levels of a net, one character for each case, the first of which is the word's lowest bit."""
    return format(word, f"0{count}b")[::-1]


@pytest.mark.parametrize(("number_format", "lanes"), [(DINT3, 2), (DINT3, 3), (INT3, 1)])
@pytest.mark.parametrize("valid", [0, 1])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("pipeline", [0, 1])
def test_sums_of_up_to_depth_products_count(number_format, lanes: int, valid: int, first: int, pipeline: int) -> None:
    config = MacConfig(number_format, lanes=lanes, depth=10, pipeline=pipeline)
    network = network_of(config)
    shown = network.outputs["accumulator"]
    limited = Limits(network, config).within(network)
    half = 1 << config.accumulator_bits - 1
    sums = 2 * list(range(-half, half))
    rst = [0] * (2 * half) + [1] * (2 * half)
    given = cases(network, {"valid": [valid] * len(sums), "first": [first] * len(sums), "rst": rst}, (shown, sums))
    before, after = (
        {net: levels(word, len(sums)) for net, word in one.evaluate(given, len(sums)).items()} for one in (network, limited)
    )
    products = [value * a for value in number_format.values for a in range(-128, 128)]
    least, greatest = min(products), max(products)
    for i, total in enumerate(sums):
        adds = valid and not first and not pipeline and not rst[i]
        depth = (-(-config.depth // lanes) - 1) * lanes if adds else config.depth  # 9 of 10 are before a cycle of 3 lanes
        counts = least * depth <= total <= greatest * depth
        for register, taken in network.flip_flops.items():
            assert after[limited.flip_flops[register]][i] == (before[taken][i] if counts else "0")
    assert least * depth > -half or greatest * depth < half - 1  # there is something that does not count


def test_partial_sums_leave_room_for_a_product() -> None:
    config = PeConfig(INT3, depth=7)
    network = network_of(config)
    shown = network.outputs["partial_sum_out"]
    limited = Limits(network, config).within(network)
    half = 1 << config.accumulator_bits - 1
    sums = list(range(-half, half))
    words = {"partial_sum": sums, "swap": [1] * len(sums)}  # swap_out takes a 1
    nets = limited.evaluate(cases(network, words, (shown, [0] * len(sums))), len(sums))
    swapped = nets[limited.flip_flops[network.outputs["swap_out"][0]]]
    least, greatest = 6 * -4 * 127, 6 * -4 * -128
    assert [total for i, total in enumerate(sums) if swapped >> i & 1] == list(range(least, greatest + 1))


def states(limits: Limits) -> dict[int, int]:
    """How many states the registers of each group have, that never hold some: by how many registers there are."""
    return {len(group.registers): len(found) for group, found in limits._reached}


@pytest.mark.parametrize("config", [PeConfig(DINT4, decoded=True), PeConfig(DINT3, decoded=True)])
def test_select_lines_are_those_of_a_weight(config: PeConfig) -> None:
    limits = Limits(network_of(config), config)
    codes = len(config.weight_format.values)
    assert codes**2 in states(limits).values()  # the next weight and the lines of the one in use
    with_codes = PeConfig(config.weight_format)
    assert not states(Limits(network_of(with_codes), with_codes))


def test_enumerated_states_are_those_of_a_random_walk() -> None:
    config = MacConfig(INT8, pipeline=1, decoded=True, architecture="booth")
    network = network_of(config)
    limits = Limits(network, config)
    assert limits._reached
    random, count = np.random.default_rng(0), 16000
    levels = dict.fromkeys(network.flip_flops, 0)
    for _ in range(3):
        given = {net: int.from_bytes(random.bytes(count // 8), "little") for bits in network.inputs.values() for net in bits}
        nets = network.evaluate(given | levels, count)
        levels = {register: nets[taken] for register, taken in network.flip_flops.items()}
    for group, found in limits._reached:
        seen = {sum((levels[net] >> i & 1) << place for place, net in enumerate(group.registers)) for i in range(count)}
        assert seen <= set(found)
        assert len(seen) > len(found) / 2


def test_nothing_is_compared_after_zero_points_that_a_format_lacks() -> None:
    config = AsymmetricConfig(DINT3, depth=5, units=2)
    network = network_of(config)
    limits = Limits(network, config)
    limited, reset = limits.within(network), limits.after_reset(network)
    points = list(range(8))
    steps = DINT3.steps
    assert steps < 7
    words = {"read_zero_point": points, "activations": [1] * 8, "valid": [1] * 8, "first": [1] * 8}
    given = cases(network, words, (network.outputs["accumulator"], [0] * 8))
    nets = limited.evaluate(given, 8)
    added = [nets[limited.flip_flops[net]] for net in network.wires["correction.activation_sum"]]
    assert added[0] == (1 << steps + 1) - 1  # the activation, where the zero-point is one
    edges = config.latency_cycles + 1
    assert {f"read_zero_point_{edge}" for edge in range(edges)} <= reset.inputs.keys()


@pytest.mark.parametrize(
    "config", [MacConfig(DINT3, pipeline=2), PeConfig(DINT3), PeConfig(DINT3, pipeline=1), AsymmetricConfig(DINT3, units=2)]
)
def test_after_a_reset_nothing_is_left_of_what_was_held(config: MacConfig | PeConfig | AsymmetricConfig) -> None:
    """The same inputs, from any state: the registers hold the same. A unit whose reset is broken does not."""
    network = network_of(config)
    reset = Limits(network, config).after_reset(network)
    random, count = np.random.default_rng(1), 64
    ones = (1 << count) - 1

    def after(reset: Network, of: dict[int, int]) -> list[int]:
        given = {net: ones * level for bits in reset.inputs.values() for net, level in zip(bits, cycle((0, 1, 1)))}
        for name, bits in reset.inputs.items():
            if name.startswith(("read_zero_point", "zero_points")):
                given |= dict.fromkeys(bits, 0)
        nets = reset.evaluate(given | of, count)
        return [nets[taken] for taken in reset.flip_flops.values()]

    held = {register: int.from_bytes(random.bytes(count // 8), "little") for register in network.flip_flops}
    assert all(word in (0, ones) for word in after(reset, held))
    control = network.inputs["load" if isinstance(config, PeConfig) else "rst"][0]
    stuck = mutation.broken(network, mutation.Fault(control, None, "0"))
    assert not all(word in (0, ones) for word in after(Limits(network, config).after_reset(stuck), held))
