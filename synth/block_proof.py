# SPDX-License-Identifier: Apache-2.0
"""What scales and codebooks do in a unit of a block format, shown by trying all there is, on the gates of its Verilog.

`synth.proof.every_cycle` says of such a unit what its registers take, and leaves three things open, which are shown here:

* *codewords*: the integer that each code of each lane stands for, with each selector, where there are codebooks, or the
  register that it is read from;
* *scales*: what the codes of the scales mean: each code, or pair of codes, with each base;
* *scaled sums*: what a block adds to the accumulator: each sum that its register holds, with each significand, sign and shift.

All depend on nothing else (`synth.gates.Network.between`), so that they hold in every state of the unit. The last two are
about modules that many units have in common (`left_open`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np

from golden import BlockMacConfig

from .algebra import bits_of
from .gates import Network, column
from .proof import Refuted, gates_of, modules_of
from .specification import decoded_scale, every_scale, word_register

__all__ = ["codewords", "left_open", "scaled_sums", "scales"]

_AT_ONCE = 17  # 2^17 cases: words that stay in a processor's cache


def codewords(config: BlockMacConfig, verilog: str) -> int:
    """Show what each code of each lane stands for with each selector that there is a codebook for; gives their number.

    Raises
    ------
    Refuted
        With a code that is decoded wrongly.
    """
    network, blocks, tried = gates_of(config, verilog), config.blocks, 0
    numbers = np.arange(blocks.codewords)  # the selector, then the code
    wrong_in = _of_written if config.writable_codebooks else _of_format
    for operand, port in zip(("weight", "activation"), config.selector_ports, strict=False):
        codes = bits_of(f"{operand}s", blocks.bits * config.lanes)
        selectors = bits_of(port, blocks.selector_bits * config.selectors)
        for i in range(config.lanes):
            place = i // (blocks.selector_block or 1) * blocks.selector_bits
            own = [*codes[blocks.bits * i : blocks.bits * (i + 1)], *selectors[place : place + blocks.selector_bits]]
            for case, meant in wrong_in(config, network, own, f"{operand}_{i}_value"):
                selector, code = divmod(case, 1 << blocks.bits)
                what = f"lane {i}: codebook {selector}, code {code}"
                raise Refuted(f"{config.name}: {what}: the {operand} is not {meant}")
            tried += len(numbers)
    return tried


def _of_format(config: BlockMacConfig, network: Network, own: Sequence[str], value: str) -> Iterator[tuple[int, str]]:
    """A number, selector and code, that stands for another value than the format's, and that value; if there is one."""
    values = np.array([one.values for one in config.blocks.elements]).ravel()
    decoder, numbers = network.between(own, [value]), np.arange(len(values))
    given = {decoder.inputs[name][0]: column(numbers >> place) for place, name in enumerate(own)}
    nets = decoder.evaluate(given, len(numbers))
    wanted = [column(values >> place) for place in range(config.value_bits)]
    if wrong := _differing([nets[net] for net in decoder.outputs[value]], wanted):
        yield (case := _lowest(wrong)), str(values[case])


def _of_written(config: BlockMacConfig, network: Network, own: Sequence[str], value: str) -> Iterator[tuple[int, str]]:
    """Numbers that stand for anything but the register of their place, and what they should be.

    With a number the gates come down to wires to that register, whatever it and all others hold.
    """
    places = config.blocks.codewords
    decoder = network.between([*own, *map(word_register, range(places))], [value])
    for number in range(places):
        same = decoder.where({decoder.inputs[name][0]: number >> place & 1 for place, name in enumerate(own)})
        if tuple(same.get(net, net) for net in decoder.outputs[value]) != decoder.inputs[word_register(number)]:
            yield number, f"what register {number} holds"


def left_open(config: BlockMacConfig, verilog: str) -> dict[str, str]:
    """What `every_cycle` leaves to `scales` and `scaled_sums`, as digests: they hold for all units that have one in common.

    A digest is that of the module which is tried, and of the numbers by which it is judged. That it stands between the wires by
    whose names it is tried, and that a block is added when it is due, is shown here.

    Raises
    ------
    Refuted
        If it stands elsewhere, or a block is due at another time.
    """
    modules, encoding = modules_of(config, verilog), config.blocks.scales
    top, meant = modules[config.name], decoded_scale(config)
    ports = _scale_ports(config)
    between = {
        "scale_decoder": {**dict(zip(ports, ports, strict=True)), **{name: f"scale_decoder_{name}" for name in meant}},
        "scaler": {"block": "block.accumulator", "due": "due", "addend": "scaler_addend"}
        | {name: f"scale_decoder_{name}_1" for name in meant if name != "reached"},
    }
    judged = {
        "scale_decoder": [repr(encoding), config.scale_factors, config.span, config.base_bits],
        "scaler": [config.block_sum.accumulator_bits, config.addend_bits, config.span, *meant.items()],
    }
    _due(config, top)
    found = {}
    for kind, shown in (("scale_decoder", "scales"), ("scaler", "scaled sums")):
        (instance,) = (one for one in top.instances if one.name == kind)
        for pin, nets in instance.pins.items():
            if top.wires.get(between[kind].get(pin, "")) != nets:
                raise Refuted(f"{config.name}: {pin} of the {kind} is not {between[kind].get(pin, 'known')}")
        found[shown] = sha256(repr([_structure(modules, instance.kind), judged[kind]]).encode()).hexdigest()
    return found


def _structure(modules: Mapping[str, Network], name: str) -> dict[str, list[str]]:
    """By output of a module, what makes each bit, as a digest: the same of the same gates and adders, whatever their order."""
    module = modules[name]
    drivers: dict[int, tuple[str, Sequence[int]]] = {gate.output: (gate.kind, gate.inputs) for gate in module.gates}
    for one in module.instances:
        inner = modules.get(one.kind)
        what = f"{one.kind} {one.signed}" if inner is None else repr(_structure(modules, one.kind))
        outputs = ("Y",) if inner is None else tuple(inner.outputs)
        pins = sorted(one.pins.keys() - set(outputs))
        what += "".join(f" {pin}[{len(one.pins[pin])}]" for pin in pins)  # what is read, in order
        read = [net for pin in pins for net in one.pins[pin]]
        for pin in outputs:
            drivers |= {net: (f"{what} {pin} {i}", read) for i, net in enumerate(one.pins[pin])}
    made = {0: "0", 1: "1"} | {net: f"{name} {i}" for name, bits in module.inputs.items() for i, net in enumerate(bits)}

    def of(net: int) -> str:
        if net not in made:
            kind, read = drivers[net]
            made[net] = sha256(" ".join([kind, *map(of, read)]).encode()).hexdigest()
        return made[net]

    return {name: [of(net) for net in bits] for name, bits in sorted(module.outputs.items())}


def _scale_ports(config: BlockMacConfig) -> list[str]:
    return [port.name for port in config.inputs if port.name in (*config.scale_ports, "base")]


def _due(config: BlockMacConfig, network: Network) -> None:
    due = network.between(["done", "scale_decoder_reached_1", "rst"], ["due"])
    if due.truth_tables()[due.outputs["due"][0]] != 1 << 0b011:  # done, reached, and not in reset
        raise Refuted(f"{config.name}: a block is due at another time than after its end, in reach and not in reset")


def scales(config: BlockMacConfig, verilog: str) -> int:
    """Show what the unit makes of each code, or pair of codes, with each base; gives their number.

    Of what is NaN or out of reach it must say so; shift and significand may then be anything, as may the sign of zero.

    Raises
    ------
    Refuted
        With scales that it decodes wrongly.
    """
    widths = decoded_scale(config)
    ports = _scale_ports(config)
    network = gates_of(config, verilog).between(ports, [f"scale_decoder_{name}" for name in widths])
    tried = 0
    for codes, base in every_scale(config):
        bases = np.full(len(codes), base)
        significands, shifts, reached = config.scaling(codes, bases)
        values: dict[int, int] = {}
        for port, numbers in zip(ports, [*codes.T, bases], strict=config.base_bits > 0):
            values |= {net: column(numbers >> place) for place, net in enumerate(network.inputs[port])}
        nets = network.evaluate(values, len(codes))
        meant = {"reached": reached, "shift": shifts, "significand": np.abs(significands), "sign": significands < 0}
        claimed = {"reached": -1, "sign": column(reached & (significands != 0))}
        for name, numbers in meant.items():
            wanted = [column(numbers >> place) for place in range(widths.get(name, 0))]
            found = [nets[net] for net in network.outputs.get(f"scale_decoder_{name}", ())]
            wrong = _differing(found, wanted) & claimed.get(name, column(reached))
            if wrong:
                case = _lowest(wrong)
                raise Refuted(
                    f"{config.name}: scales {codes[case].tolist()}, base {base}: a {name} that is not {numbers[case]}"
                )
        tried += len(codes)
    return tried


def scaled_sums(config: BlockMacConfig, verilog: str) -> int:
    """Show what the unit adds for each sum, significand, sign and shift there is, and 0 where none is due; their number.

    A sum is due after the edge that took its last operands, unless it is out of reach or the unit in reset.

    Raises
    ------
    Refuted
        With a block that is scaled wrongly.
    """
    assert config.span is not None
    network = gates_of(config, verilog)
    _due(config, network)
    names = [f"scale_decoder_{name}_1" for name in decoded_scale(config) if name != "reached"]
    network = network.between(["block.accumulator", "due", *names], ["scaler_addend"])
    steady, shifted = network.parted(network.inputs[names[0]])
    bits, total_bits = config.block_sum.accumulator_bits, config.addend_bits
    factor_bits, sign_bits = (decoded_scale(config).get(name, 0) for name in ("significand", "sign"))
    cases = np.arange(1 << bits + factor_bits + sign_bits)
    for part in np.split(cases, max(1, len(cases) >> _AT_ONCE)):
        sums, factors = part & (1 << bits) - 1, part >> bits & (1 << factor_bits) - 1
        negative = part >> bits + factor_bits
        values = {net: column(sums >> place) for place, net in enumerate(network.inputs["block.accumulator"])}
        if factor_bits:
            values |= {net: column(factors >> place) for place, net in enumerate(network.inputs[names[1]])}
        if sign_bits:
            values[network.inputs[names[2]][0]] = column(negative)
        factors = np.where(negative, -factors, factors)
        products = (sums - (sums >> bits - 1 << bits)) * (factors if factor_bits else 1)
        columns = [column(products >> place) for place in range(min(total_bits, bits + factor_bits))]
        columns += columns[-1:] * (total_bits - len(columns))  # the sign
        ones = (1 << len(part)) - 1
        for level in (ones, 0):
            before = steady.evaluate({**values, network.inputs["due"][0]: level}, len(part))
            # Of scales that are out of reach, where nothing is due, the shift may be any that the register can hold.
            for shift in range(config.span + 1 if level else 1 << len(network.inputs[names[0]])):
                shifts = {net: ones * (shift >> place & 1) for place, net in enumerate(network.inputs[names[0]])}
                nets = shifted.evaluate({**before, **shifts}, len(part))
                wanted = ([0] * shift + columns)[:total_bits] if level else [0] * total_bits
                if wrong := _differing([nets[net] for net in network.outputs["scaler_addend"]], wanted):
                    case = _lowest(wrong)
                    factor = f" times {factors[case]}" if factor_bits else ""
                    what = f"a sum of {sums[case]}{factor}, shifted by {shift}, {'' if level else 'not '}due"
                    raise Refuted(f"{config.name}: {what}: scaled wrongly")
    return len(cases) * (config.span + 1)


def _differing(found: Sequence[int], wanted: Sequence[int]) -> int:
    """The cases in which the words differ; a bit that one of them lacks differs everywhere."""
    if len(found) != len(wanted):
        return -1
    differing = 0
    for one, other in zip(found, wanted, strict=True):
        differing |= one ^ other
    return differing


def _lowest(cases: int) -> int:
    return (cases & -cases).bit_length() - 1
