# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed on the side of the hardware: formats, units, operand files, cell libraries, netlists, delays, waveforms."""

from __future__ import annotations

import gzip
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from golden import FORMATS, AsymmetricConfig, MacConfig, NumberFormat, Operands, PeConfig, UnitConfig, unit_of_options
from golden.operands import LayerOperands, _digest
from synth import liberty, pdk
from synth.activity import Activity, read_activity
from synth.boolean import Expression, parse
from synth.cell_models import cell_models
from synth.liberty import Library
from synth.liberty_text import unpacked
from synth.netlist import Netlist, PlainNetlist, read_netlist
from synth.sdf import Delays, for_icarus, read_delays

from . import mutations
from .engine import Case, Garbage, Target

__all__ = ["TARGETS", "operands"]

_ROOT = Path(__file__).resolve().parents[2]


def _nothing(_: Path) -> None:
    """No material."""


def _garbage(condition: bool, what: str) -> None:
    if condition:
        raise Garbage(what)


# Number formats and units, as a user of the package makes them

_ODD = (*mutations.VALUES[:-1], Fraction(1, 3), 1j, b"x", np.int64(4), np.float32(0.5), np.array([1, 2]), object(), range(3))


def _spoilt_arguments(arguments: dict[str, Any], rng: Random) -> dict[str, Any]:
    """One or two arguments odd, or slightly off; now and then one that does not exist."""
    spoilt = dict(arguments)
    for name in rng.sample(sorted(arguments), rng.choice((1, 1, 2))):
        value = spoilt[name]
        if isinstance(value, tuple) and rng.random() < 0.7:
            items = list(value)
            place = rng.randrange(len(items))
            items[place] = rng.choice((*_ODD, items[place - 1], -items[place], items[place] + 1))
            spoilt[name] = tuple(items[: rng.choice((None, None, -1))])
        elif isinstance(value, int) and rng.random() < 0.5:
            spoilt[name] = rng.choice((value + 1, value - 1, -value, value * 64, value + 0.5, str(value), float(value)))
        else:
            spoilt[name] = rng.choice(_ODD)
    return spoilt


def _format(_: None, rng: Random, __: Path) -> Case:
    chosen = rng.choice(list(FORMATS.values()))
    arguments = {field.name: getattr(chosen, field.name) for field in fields(chosen)}
    spoilt = _spoilt_arguments(arguments, rng)

    def check(made: NumberFormat) -> None:
        _garbage(re.fullmatch(r"[a-z][a-z0-9_]*", made.name) is None, "name: no identifier")
        _garbage(type(made.bits) is not int or not 2 <= made.bits <= 8, "bits: out of range")
        _garbage(any(type(value) is not int for value in made.values), "values: not integers")
        codes = np.arange(1 << made.bits)
        values = made.decode(codes)
        _garbage(values.tolist() != list(made.values), "values: not those decoded")
        _garbage(bool((made.decode(made.encode(values)) != values).any()), "encode: not the inverse of decode")
        steps = [value * float(made.unit) for value in made.values]
        _garbage(made.round(steps).tolist() != [made.round_one(step) for step in steps], "round: not round_one")
        _garbage([made.decode_one(made.round_one(step)) for step in steps] != list(made.values), "round: a value is moved")
        bits = made.product_bits(8)
        _garbage(max(abs(value) for value in made.values) * 128 >= 1 << bits, "product_bits: too few")

    return Case(lambda: NumberFormat(**spoilt), check)


_UNIT = {"lanes": 4, "depth": 4096, "pipeline": 1, "architecture": "digit-grid", "decoded": False}


def _unit(_: None, rng: Random, __: Path) -> Case:
    maker: Callable[..., UnitConfig]
    chosen = FORMATS["dint4"]
    match rng.randrange(4):
        case 0:
            maker, arguments = MacConfig, {"weight_format": chosen, "activation_bits": 8, **_UNIT}
        case 1:
            names = ("depth", "architecture", "decoded")
            maker, arguments = PeConfig, {"weight_format": chosen, "activation_bits": 8} | {name: _UNIT[name] for name in names}
        case 2:
            arguments = {"weight_format": chosen, "activation_bits": 8, "units": 4, **_UNIT}
            del arguments["decoded"]
            maker = AsymmetricConfig
        case _:
            arguments = {"format": "dint4", "default_lanes": 4, "shape": "mac", "zero_points": None, **_UNIT}
            maker = unit_of_options
    spoilt = _spoilt_arguments(arguments, rng)

    def run() -> UnitConfig:
        from hdl.architectures import architecture_of

        unit = maker(**spoilt)
        architecture_of(unit.unit if isinstance(unit, AsymmetricConfig) else unit)
        return unit

    return Case(run, _sound_unit)


def _sound_unit(unit: UnitConfig) -> None:
    numbers = {"lanes": (1, 64), "depth": (1, 1 << 24), "pipeline": (0, 2), "activation_bits": (8, 8)}
    for name, (least, most) in numbers.items():
        value = getattr(unit, name)
        _garbage(type(value) is not int or not least <= value <= most, f"{name}: {value!r}")
    _garbage(type(unit.decoded) is not bool, f"decoded: {unit.decoded!r}")
    _garbage(re.fullmatch(r"(mac|pe)_[a-z0-9_]+", unit.name) is None, f"name: {unit.name!r}")
    facts = unit.describe()
    _garbage(json.loads(json.dumps(facts, allow_nan=False)) != facts, "describe: no plain data")
    if isinstance(unit, MacConfig):
        largest = max(abs(value) for value in unit.weight_format.values) * 128 * unit.depth
        _garbage(not largest < 1 << (unit.accumulator_bits - 1), "accumulator_bits: too few")


# Operand files


def operands(folder: Path) -> Operands:
    """A small operand file of two layers in `folder`, and its contents."""
    number_format, generator = FORMATS["dint4"], np.random.default_rng(1)
    layers = []
    for name in ("first", "second"):
        weights = generator.integers(0, 16, (3, 6), dtype=np.uint8)
        activations = generator.integers(-128, 128, (2, 6)).astype(np.int8)
        layer = LayerOperands(
            name,
            weights,
            activations,
            activations.astype(np.int64) @ number_format.decode(weights).T,
            generator.random(3, dtype=np.float32),
            generator.random(2, dtype=np.float32),
            generator.integers(0, 14, 3) if name == "second" else None,
        )
        accumulators = layer.expected(number_format)
        layers.append(LayerOperands(**{**vars(layer), "accumulators": accumulators}))
    operands = Operands(number_format, tuple(layers), {"model": {"name": "made up", "sha256": "0"}, "tokens": 2})
    operands.save(folder / "operands.npz")
    return operands


def _operand_file(valid: Operands, rng: Random, folder: Path) -> Case:
    from sim.stimulus import Stimulus

    path = folder / "operands.npz"
    valid.save(path)
    original = path.read_bytes()
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    manifest = json.loads(arrays.pop("manifest").tobytes())
    rewritten = False  # whether the checksum was made to fit
    path.unlink()
    match rng.randrange(8):
        case 0:
            mutations.misplaced(path, original, rng)
        case 1:
            np.save(path.with_suffix(".npy"), arrays["0.weights"])
            path.with_suffix(".npy").rename(path)
        case 2 | 3:
            path.write_bytes(mutations.damaged(original, rng))
        case _:
            rewritten = rng.random() < 0.6
            for _ in range(rng.choice((0, 1, 1, 2))):
                name = rng.choice(sorted(arrays))
                if rng.random() < 0.2:
                    arrays[rng.choice(("0.extra", "2.weights", "weights", "00.weights", name + "x"))] = arrays.pop(name)
                else:
                    arrays[name] = mutations.array(arrays[name], rng)
            if rewritten:
                manifest["sha256"] = _digest(arrays)
            encoded = mutations.json_text(manifest, rng if rng.random() < 0.5 else None).encode()
            path.write_bytes(mutations.npz({**arrays, "manifest": np.frombuffer(encoded, np.uint8)}, rng))

    def run() -> Operands:
        loaded = Operands.load(path)
        if loaded.layers and loaded.layers[0].zero_points is None:
            unit = MacConfig(loaded.number_format, lanes=2)
            Stimulus.from_operands(Operands(loaded.number_format, loaded.layers[:1]), unit, 8, 0)
        return loaded

    def check(loaded: Operands) -> None:
        for layer in loaded.layers:
            found = next((one for one in valid.layers if _equal(one, layer)), None)
            _garbage(found is None and not rewritten, f"other operands: {layer.name}")
            scales = np.concatenate([layer.weight_scales, layer.activation_scales])
            _garbage(not np.isfinite(scales).all(), f"scales: not finite in {layer.name}")
            _garbage(bool((layer.weights >= 16).any()), f"codes: out of range in {layer.name}")

    return Case(run, check)


def _equal(one: LayerOperands, other: LayerOperands) -> bool:
    """Whether two layers hold the same numbers."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one) if field.name != "name"]
    return all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in pairs)


# Cell libraries


def _libraries(_: Path) -> list[list[str]]:
    """Texts of two small libraries: one made up, one of a few cells of an installed kit, if there is one."""
    texts = [(_ROOT / "tests/synth/tiny.lib").read_text()]
    if installed := [kit for kit in pdk.discover() if kit.full_adder and kit.flip_flop]:
        kit = installed[0]
        whole = kit.liberty[0].read_text()
        head, *cells = re.split(r"(?m)^(?=\s*cell\s*\()", whole)
        chosen = [cell for cell in cells[:-1] if re.match(r"\s*cell\s*\(\s*\"?(INVX1|NAND2X1|DFFPOSX1|FAX1)\b", cell)]
        texts.append("".join([head, *chosen]) + "\n}\n")
    return [mutations.tokens(one) for one in texts]


@lru_cache(maxsize=1)
def _gzip_bomb() -> bytes:
    return gzip.compress(b"library (x) {" + b" " * (1 << 28) + b"}", 1, mtime=0)


def _liberty(texts: list[list[str]], rng: Random, folder: Path) -> Case:
    path = folder / rng.choice(("cells.lib", "cells.lib.gz"))
    spoilt = mutations.text(rng.choice(texts), rng).encode("utf-8", "surrogateescape")
    if rng.random() < 0.05:
        mutations.misplaced(path, spoilt, rng)
    elif path.suffix == ".gz" and rng.random() < 0.02:
        path.write_bytes(_gzip_bomb())
    else:
        if path.suffix == ".gz" and rng.random() < 0.9:
            spoilt = gzip.compress(spoilt, 1, mtime=0)
            spoilt = mutations.damaged(spoilt, rng) if rng.random() < 0.3 else spoilt
        path.write_bytes(spoilt)

    def run() -> Library:
        kit = pdk.find(liberty=[path])
        library = liberty.load(kit.liberty)
        for name in library.cells:
            library.cell(name)
        if rng.random() < 0.3:
            for copy in unpacked(kit.liberty, folder.parent / "cache"):
                copy.unlink()
            for made in (folder.parent / "cache" / "liberty", folder.parent / "cache"):
                made.rmdir()
        cell_models(library, [name for name, cell in library.cells.items() if not cell.latches and not cell.has_state_table])
        return library

    return Case(run, _sound_library)


def _sound_library(library: Library) -> None:
    for name, value in asdict(library.units).items():
        _garbage(not 0 < value < math.inf, f"{name}: {value}")
    _garbage(not 0 < library.voltage < math.inf, f"voltage: {library.voltage}")
    low, high = library.slew_thresholds
    _garbage(not 0 <= low < high <= 1, f"slew thresholds: {low} {high}")
    for cell in library.cells.values():
        _garbage(not 0 <= cell.area < math.inf, f"area: {cell.area} of {cell.name}")
        leakages = [one.value for one in cell.leakage] + [cell.cell_leakage or 0.0]
        _garbage(not all(math.isfinite(value) for value in leakages), f"leakage: {leakages} of {cell.name}")
        for pin in cell.pins.values():
            capacitances = (pin.capacitance, pin.rise_capacitance, pin.fall_capacitance, pin.max_capacitance or 0.0)
            _garbage(not all(0 <= value < math.inf for value in capacitances), f"capacitance: {capacitances} of {cell.name}")
            tables = [table for arc in pin.timing for table in arc.tables.values()]
            tables += [table for power in pin.internal_power for table in (power.rise, power.fall) if table is not None]
            for table in tables:
                numbers = np.concatenate([table.values.ravel(), *table.indices])
                _garbage(not np.isfinite(numbers).all(), f"table: not finite in {cell.name}")


def _platforms(folder: Path) -> list[str]:
    """Places of Liberty files in a folder of platforms; their text."""
    del folder
    return ["asap7/lib/NLDM/asap7sc7p5t_SIMPLE_RVT_TT_nldm_1.lib", "sky130hd/lib/sky130_fd_sc_hd__tt_025C_1v80.lib"]


def _platform(places: list[str], rng: Random, folder: Path) -> Case:
    content = (_ROOT / "tests/synth/tiny.lib").read_bytes()
    root = folder / rng.choice(("platforms", "plat [1]*", "é"))
    for place in places:
        path = root / place
        if rng.random() < 0.3:
            path = (
                path.parents[rng.choice((0, 0, 1))]
                if rng.random() < 0.5
                else path.with_name(rng.choice(("x.lib", "config.mk")))
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            if rng.random() < 0.6:
                mutations.misplaced(path, content, rng)
            else:
                path.write_bytes(mutations.damaged(content, rng))
    root = root if rng.random() < 0.8 else rng.choice((folder / "nowhere", next(path for path in root.rglob("*") if path.name)))
    name = rng.choice(("asap7", "sky130hd", *mutations.WORDS))

    def run() -> Library:
        kit = pdk.find(name, platforms=root, environ={}, qflow=folder)
        library = liberty.load(kit.liberty)
        for cell in library.cells:
            library.cell(cell)
        return library

    return Case(run, _sound_library)


# Netlists, delays, waveforms, expressions

_NETLIST = r"""
/* a comment */
module chain(a, b, y, s);
  input [1:0] a;
  input b;
  output [2:0] y;
  output s;
  wire n, \t.n[1] ;
  wire [1:0] v;
  (* src = "x" *)
  INV u1 (.A(a[0]), .Y(n));
  NAND2 \u.two[2] (.A(n), .B(b), .Y(\t.n[1] ));
  NAND2 u3 (.A(\t.n[1] ), .B(1'h1), .Y(y[0]));
  FA u4 (.A(n), .B(a[1]), .CI(1'b0), .S(s));
  assign v = { \t.n[1] , n };
  assign y[2:1] = { v[0], 1'b0 };
endmodule
"""
_SDF = r"""
(DELAYFILE (SDFVERSION "3.0") (DESIGN "chain") (DIVIDER /) (TIMESCALE 1ps)
 (CELL (CELLTYPE "chain") (INSTANCE) (DELAY (ABSOLUTE (INTERCONNECT a u1/A (0.0::0.0)))))
 (CELL (CELLTYPE "INV") (INSTANCE u1) (DELAY (ABSOLUTE (IOPATH A Y (300.04::310.06) (200::210)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u\.two\[2\]) (DELAY (ABSOLUTE
   (IOPATH A Y (100::120) (90::95)) (IOPATH (posedge B) Y (130::140) (70::80)) (IOPATH (negedge B) Y (110::150) (60::65)))))
 (CELL (CELLTYPE "NAND2") (INSTANCE u3) (DELAY (ABSOLUTE (IOPATH A Y (50::60) (40::45)) (IOPATH B Y (50::70) (-5::-3)))))
 (CELL (CELLTYPE "FA") (INSTANCE u4)
  (DELAY (ABSOLUTE (COND (B & ~CI) (IOPATH A S (400::500) (300::350)))
   (IOPATH A S (410::420) (310::320)) (IOPATH B S (410::420)) (IOPATH CI S (410::420) (310::320))))))
"""
_WAVES = """
$timescale 100fs $end
$scope module bench $end $scope module dut $end
$var wire 2 a a [1:0] $end
$var wire 1 b b $end
$scope module u1 $end $var wire 1 c Y $end $upscope $end
$scope module u3 $end $var wire 1 d Y $end $upscope $end
$scope module u4 $end $var wire 1 e S $end $upscope $end
$upscope $end $upscope $end
$enddefinitions $end
#0
b01 a
0b
xc
1d
0e
#100
1c
0d
#250
b10 a
1b
1e
#1000
0c
"""


@dataclass(frozen=True)
class _Circuit:
    library: Library
    netlist: Netlist
    netlist_words: list[str]
    sdf_words: list[str]
    wave_words: list[str]


def _circuit(folder: Path) -> _Circuit:
    (folder / "chain.v").write_text(_NETLIST)
    words = [mutations.tokens(one) for one in (_NETLIST, _SDF, _WAVES)]
    library = liberty.load(_ROOT / "tests/synth/tiny.lib")
    return _Circuit(library, read_netlist(folder / "chain.v", "chain"), *words)


def _netlist(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "n.v"
    mutations.spoilt_file(path, circuit.netlist_words, rng, astray=0.03)

    def run() -> tuple[Netlist, PlainNetlist]:
        netlist = read_netlist(path, "chain")
        return netlist, netlist.with_plain_names()

    def check(read: tuple[Netlist, PlainNetlist]) -> None:
        netlist, plain = read
        path.unlink()
        path.write_text(plain.verilog)
        again = read_netlist(path, netlist.name)
        kinds = [(instance.cell, len(instance.pins)) for instance in netlist.instances]
        _garbage([(one.cell, len(one.pins)) for one in again.instances] != kinds, "plain names: other cells")
        widths = [(port.direction, len(port.bits)) for port in netlist.ports.values()]
        _garbage([(port.direction, len(port.bits)) for port in again.ports.values()] != widths, "plain names: other ports")
        _garbage(any("\n" in name or not name for name in (*netlist.nets, *netlist.ports)), "names: empty or broken")

    return Case(run, check)


def _delays(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "d.sdf"
    mutations.spoilt_file(path, circuit.sdf_words, rng, astray=0.03)

    def check(delays: Delays) -> None:
        plain = circuit.netlist.with_plain_names()
        text = for_icarus(delays, plain, circuit.netlist)
        _garbage(re.search(r"nan|inf|-", text) is not None, "delays: not finite")
        _garbage(any(not 0 <= tick < 1 << 62 for edges in delays.ticks.values() for tick in edges), "delays: out of range")

    return Case(lambda: read_delays(path, circuit.netlist, circuit.library), check)


def _waves(circuit: _Circuit, rng: Random, folder: Path) -> Case:
    path = folder / "w.vcd"
    mutations.spoilt_file(path, circuit.wave_words, rng, astray=0.03)

    def check(activity: Activity) -> None:
        _garbage(not 0 <= activity.annotated <= 1, f"annotated: {activity.annotated}")
        for wave in activity.waves.values():
            _garbage(bool((np.diff(wave.changes) <= 0).any()), "changes: not ascending")

    return Case(lambda: read_activity(path, "bench.dut", circuit.netlist, circuit.library), check)


_EXPRESSIONS = ("!A", "(A B)'", "A ^ B ^ !C + D*E", "((A&B)|(!C&D'))' 1", "IQ' * (D + 0)", "A+B C'^D")


def _expression(_: None, rng: Random, __: Path) -> Case:
    source = mutations.text(mutations.tokens(rng.choice(_EXPRESSIONS)), rng)

    def check(expression: Expression) -> None:
        names = sorted(expression.names)
        if len(names) > 6 or len(source) > 1000 or set(names) & {"if", "in", "or", "is", "and", "not", "for", "def", "as"}:
            return
        if any(re.fullmatch(r"[A-Za-z_]\w*", name) is None for name in names):
            return
        written = expression.verilog().replace("1'b", "")
        expected = [
            bool(eval(written, {}, {name: state >> i & 1 for i, name in enumerate(names)}) & 1)
            for state in range(1 << len(names))
        ]
        _garbage(expression.truth_table(names).tolist() != expected, f"truth table: not that of {written}")

    return Case(lambda: parse(source), check)


def _all() -> Iterator[Target]:
    yield Target("number formats", 10, _nothing, _format)
    yield Target("units", 15, _nothing, _unit)
    yield Target("operand files", 25, operands, _operand_file)
    yield Target("liberty files", 25, _libraries, _liberty)
    yield Target("platform folders", 5, _platforms, _platform)
    yield Target("netlists", 10, _circuit, _netlist)
    yield Target("delay files", 10, _circuit, _delays)
    yield Target("waveforms", 5, _circuit, _waves)
    yield Target("expressions", 10, _nothing, _expression)


TARGETS = tuple(_all())
