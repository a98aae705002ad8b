# SPDX-License-Identifier: Apache-2.0
"""Cell libraries in Liberty format, read by Yosys's own parser (lln-libparse): units, cells, pins, timing and power tables.

Liberty is the format of the Open Source Liberty user guide and reference manual. Only what a gate-level model, a delay and
a power estimate need is kept. Every number stays in the library's own unit; `Units` gives the factors to SI units.
"""

from __future__ import annotations

import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import libparse
import numpy as np

from golden.errors import InputError

from .liberty_text import read_text
from .library import Cell, FlipFlop, InternalPower, Latch, Leakage, Library, Pin, TimingArc, Units
from .lookup_table import LookupTable, numbers, table

__all__ = ["Cell", "FlipFlop", "InternalPower", "Latch", "Leakage", "Library", "Pin", "TimingArc", "Units", "load"]

_LARGEST_UNIT = 1e6  # before its prefix
_DEEPEST = 100  # groups within groups; the format has half a dozen
PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}


def load(paths: Sequence[Path] | Path) -> Library:
    """The library of one or several Liberty files (`.lib` or `.lib.gz`) of one corner, merged; read once per process.

    A cell that several files have is taken from the first.

    Raises
    ------
    InputError
        If a file is missing, truncated or not Liberty, lacks units or a nominal voltage, if the files differ in units or
        voltage, or if there is no cell or no flip-flop.
    """
    given = [paths] if isinstance(paths, Path) else list(paths)
    if not given:
        raise InputError("no Liberty file given: name at least one with --liberty")
    stamps = []
    for path in given:
        try:
            stamps.append((path, path.stat().st_mtime_ns))
        except OSError as error:
            raise InputError(f"Liberty file {path}: cannot be read ({error.strerror})") from None
    return _load(tuple(stamps))


@lru_cache(maxsize=16)
def _load(stamps: tuple[tuple[Path, int], ...]) -> Library:
    libraries = [_load_one(path) for path, _ in stamps]
    first = libraries[0]
    sources: dict[str, Callable[[], Cell]] = {}
    for library in libraries:
        for what in ("units", "voltage"):
            if getattr(library, what) != getattr(first, what):
                raise InputError(f"{library.paths[0]} and {first.paths[0]} differ in {what}: give files of one corner")
        for name, source in library.cells.sources.items():  # type: ignore[attr-defined]
            sources.setdefault(name, source)
    merged = replace(
        first,
        paths=tuple(path for path, _ in stamps),
        cells=_Cells(sources),
        flip_flops=tuple(name for library in libraries for name in library.flip_flops),
        has_power_tables=any(library.has_power_tables for library in libraries),
        leakage_in_library=any(library.leakage_in_library for library in libraries),
    )
    if not merged.flip_flops:
        raise InputError(
            f"library {merged.name} ({merged._files}) has no flip-flop: add the Liberty file with the sequential cells"
        )
    return merged


def _load_one(path: Path) -> Library:
    tree, parser = _parse(path)
    try:
        return _library(path, tree, parser)
    except KeyError as error:
        raise InputError(f"Liberty file {path}: a group lacks {error.args[0]}") from None
    except ValueError as error:
        raise error if isinstance(error, InputError) else InputError(f"Liberty file {path}: {error}") from None


def _library(path: Path, tree: Any, parser: Any) -> Library:
    attributes = {node.id: node.value.strip('"') for node in tree.children if node.value}
    templates: dict[str, tuple[list[str], list[list[float]]]] = {}
    cells: dict[str, Any] = {}
    for node in tree.children:
        if node.id in ("lu_table_template", "power_lut_template"):
            templates[_argument(node)] = _template(node)
        elif node.id == "cell":
            cells[_argument(node)] = node
    if not cells:
        raise InputError(f"Liberty file {path}: it has no cells")
    flip_flops, has_power, has_leakage = _survey(cells)
    low, high = (
        _number(attributes, f"slew_{end}_threshold_pct_rise", d) / 100 for end, d in (("lower", 20.0), ("upper", 80.0))
    )
    if not low < high <= 1:
        raise InputError(f"Liberty file {path}: its slew thresholds {low} and {high} are no ascending fractions of the supply")
    return Library(
        name=_argument(tree),
        paths=(path,),
        units=_units(path, tree, attributes),
        voltage=_voltage(path, tree, attributes),
        # The parser owns the tree, so that it has to live as long as the unread cells.
        cells=_Cells({name: _reader(path, node, templates, parser) for name, node in cells.items()}),
        flip_flops=flip_flops,
        slew_thresholds=(low, high),
        has_power_tables=has_power,
        leakage_in_library=has_leakage,
    )


def _survey(cells: Mapping[str, Any]) -> tuple[tuple[str, ...], bool, bool]:
    """Names of the flip-flops, whether there is an internal power group, and whether there is a leakage above zero."""
    flip_flops, has_power, has_leakage = [], False, False
    for name, node in cells.items():
        for child in node.children:
            if child.id == "ff":
                flip_flops.append(name)
            elif child.id == "pin" and not has_power:
                has_power = any(part.id == "internal_power" for part in child.children)
            elif child.id == "cell_leakage_power":
                has_leakage = has_leakage or float(child.value.strip('"')) > 0
            elif child.id == "leakage_power" and not has_leakage:
                has_leakage = _number(_values(child), "value", least=-math.inf) > 0
    return tuple(flip_flops), has_power, has_leakage


class _Cells(Mapping[str, Cell]):
    """Cells by name, each built from the parsed file when it is first asked for."""

    def __init__(self, sources: Mapping[str, Callable[[], Cell]]) -> None:
        self.sources = sources
        self._read: dict[str, Cell] = {}

    def __getitem__(self, name: str) -> Cell:
        if name not in self._read:
            self._read[name] = self.sources[name]()
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self.sources

    def __iter__(self) -> Iterator[str]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)


def _parse(path: Path) -> tuple[Any, Any]:
    data = read_text(path).encode("ascii", errors="replace")  # the parser gives back bytes one by one
    # The parser never returns from an open string, and ends the process where its stack does: refuse both before.
    if not _ends_whole(data):
        raise InputError(f"Liberty file {path}: it ends before its library group does; it seems truncated")
    marks = np.frombuffer(data, np.uint8)
    for opening, closing in (b"{}", b"()"):
        levels = marks[(marks == opening) | (marks == closing)] == opening
        if int(np.cumsum(np.where(levels, 1, -1)).max(initial=0)) > _DEEPEST:
            raise InputError(f"Liberty file {path}: it nests more than {_DEEPEST} groups; is it a Liberty file?")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        file.seek(0)
        try:
            parser = libparse.LibertyParser(file)
        except RuntimeError as error:
            raise InputError(f"Liberty file {path}: {' '.join(str(error).split())}") from None
    if parser.ast.id != "library" or not parser.ast.args:
        raise InputError(f"Liberty file {path}: it begins with {parser.ast.id!r}, not with a library group")
    return parser.ast, parser


def _ends_whole(data: bytes) -> bool:
    """Whether the last thing in the file is a closing brace, and no string is open."""
    end = re.sub(rb"/\*.*?\*/|//[^\n]*", b"", data[-4096:], flags=re.DOTALL).rstrip()
    if not end.endswith((b"}", b"};")):
        return False
    if data.count(b'"') % 2 == 0:
        return True
    rest = re.sub(rb'"(?:[^"\\]|\\.)*"|/\*.*?\*/|//[^\n]*', b"", data, flags=re.DOTALL)
    return b'"' not in rest


def _reader(path: Path, node: Any, templates: Mapping[str, Any], owner: Any) -> Callable[[], Cell]:
    def read(_owner: Any = owner) -> Cell:
        try:
            return _cell(node, templates)
        except KeyError as error:
            raise InputError(f"Liberty file {path}, cell {_argument(node)}: a group lacks {error.args[0]}") from None
        except (ValueError, IndexError) as error:
            raise InputError(f"Liberty file {path}, cell {_argument(node)}: {error}") from None

    return read


def _cell(node: Any, templates: Mapping[str, Any]) -> Cell:
    pins: dict[str, Pin] = {}
    flip_flops, latches, leakage = [], [], []
    values = _values(node)
    for child in node.children:
        if child.id == "pin":
            for name in child.args:
                pins[name.strip('"')] = _pin(name.strip('"'), child, templates)
        elif child.id == "ff":
            flip_flops.append(_flip_flop(child))
        elif child.id == "latch":
            latches.append(_latch(child))
        elif child.id == "leakage_power":
            group = _values(child)
            leakage.append(Leakage(_number(group, "value", least=-math.inf), group.get("when"), group.get("related_pg_pin")))
    return Cell(
        name=_argument(node),
        area=_number(values, "area"),
        pins=pins,
        flip_flops=tuple(flip_flops),
        latches=tuple(latches),
        has_state_table=any(child.id in ("statetable", "ff_bank", "latch_bank") for child in node.children),
        dont_use=values.get("dont_use", "").lower() == "true",
        leakage=tuple(leakage),
        cell_leakage=_number(values, "cell_leakage_power", least=-math.inf) if "cell_leakage_power" in values else None,
    )


def _pin(name: str, node: Any, templates: Mapping[str, Any]) -> Pin:
    values = _values(node)
    capacitance = _number(values, "capacitance")
    return Pin(
        name=name,
        direction=values.get("direction", ""),
        capacitance=capacitance,
        rise_capacitance=_number(values, "rise_capacitance", capacitance),
        fall_capacitance=_number(values, "fall_capacitance", capacitance),
        is_clock=values.get("clock", "").lower() == "true",
        function=values.get("function"),
        three_state=values.get("three_state"),
        max_capacitance=_number(values, "max_capacitance") if "max_capacitance" in values else None,
        timing=tuple(_timing(child, templates) for child in node.children if child.id == "timing"),
        internal_power=tuple(_internal_power(child, templates) for child in node.children if child.id == "internal_power"),
    )


def _timing(node: Any, templates: Mapping[str, Any]) -> TimingArc:
    values = _values(node)
    return TimingArc(
        related_pins=tuple(values.get("related_pin", "").split()),
        timing_type=values.get("timing_type", "combinational"),
        sense=values.get("timing_sense", ""),
        when=values.get("when"),
        sdf_cond=values.get("sdf_cond"),
        tables={
            child.id: _table(child, templates)
            for child in node.children
            if child.id
            in ("cell_rise", "cell_fall", "rise_transition", "fall_transition", "rise_constraint", "fall_constraint")
        },
    )


def _internal_power(node: Any, templates: Mapping[str, Any]) -> InternalPower:
    values = _values(node)
    tables = {
        child.id: _table(child, templates) for child in node.children if child.id in ("rise_power", "fall_power", "power")
    }
    both = tables.get("power")
    return InternalPower(
        related_pins=tuple(values.get("related_pin", "").split()),
        related_pg_pin=values.get("related_pg_pin"),
        when=values.get("when"),
        rise=tables.get("rise_power", both),
        fall=tables.get("fall_power", both),
    )


def _flip_flop(node: Any) -> FlipFlop:
    values = _values(node)
    return FlipFlop(
        state=node.args[0].strip('"'),
        inverted_state=node.args[1].strip('"'),
        clocked_on=values["clocked_on"],
        next_state=values["next_state"],
        clear=values.get("clear"),
        preset=values.get("preset"),
        clear_preset_state=values.get("clear_preset_var1", "X"),
    )


def _latch(node: Any) -> Latch:
    values = _values(node)
    return Latch(
        state=node.args[0].strip('"'),
        inverted_state=node.args[1].strip('"'),
        enable=values.get("enable", ""),
        data_in=values.get("data_in", ""),
        clear=values.get("clear"),
        preset=values.get("preset"),
    )


def _table(node: Any, templates: Mapping[str, Any]) -> LookupTable:
    axes, indices = templates.get(_argument(node), ([], []))
    own = {child.id: numbers(child.args) for child in node.children}
    points = [own.get(f"index_{position + 1}", index) for position, index in enumerate(indices)]
    return table(axes, points, own["values"])


def _template(node: Any) -> tuple[list[str], list[list[float]]]:
    values = _values(node)
    own = {child.id: numbers(child.args) for child in node.children if child.id.startswith("index_")}
    count = sum(f"variable_{position}" in values for position in (1, 2, 3))
    return [values[f"variable_{i + 1}"] for i in range(count)], [own.get(f"index_{i + 1}", []) for i in range(count)]


def _units(path: Path, tree: Any, attributes: Mapping[str, str]) -> Units:
    load_unit = next((child.args for child in tree.children if child.id == "capacitive_load_unit"), None)
    if load_unit is None or len(load_unit) < 2 or "time_unit" not in attributes:
        raise InputError(f"Liberty file {path}: it has no time_unit or no capacitive_load_unit")
    return Units(
        time_s=_quantity(attributes["time_unit"], "s"),
        capacitance_f=_quantity(load_unit[0].strip('"') + load_unit[1].strip('"'), "f"),
        voltage_v=_quantity(attributes.get("voltage_unit", "1V"), "v"),
        leakage_w=_quantity(attributes.get("leakage_power_unit", "1nW"), "w"),
    )


def _voltage(path: Path, tree: Any, attributes: Mapping[str, str]) -> float:
    """Nominal voltage; without it, that of the default operating conditions."""
    for child in tree.children if "nom_voltage" not in attributes else ():
        if child.id == "operating_conditions" and _argument(child) == attributes.get("default_operating_conditions"):
            attributes = {"nom_voltage": _values(child).get("voltage", "none")}
            break
    if "nom_voltage" not in attributes:
        raise InputError(f"Liberty file {path}: it has neither nom_voltage nor default operating conditions")
    return _number(attributes, "nom_voltage", least=sys.float_info.min)


def _quantity(text: str, unit: str) -> float:
    """`1ns`, `10ps`, `1V`, `1fF` in SI units."""
    match = re.fullmatch(rf"\s*([0-9.eE+-]+)\s*([a-z]?){unit}\s*", text.lower())
    if match is None or match[2] not in PREFIXES or not 0 < float(match[1]) < _LARGEST_UNIT:
        raise ValueError(f"unit {text!r} is not a number with a prefix and {unit.upper()}")
    return float(match[1]) * PREFIXES[match[2]]


def _number(values: Mapping[str, str], name: str, default: float = 0.0, least: float = 0.0) -> float:
    """An attribute that is a number: finite, and not below `least`."""
    if name not in values:
        return default
    try:
        number = float(values[name])
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise ValueError(f"{name} is {values[name]!r}: a number" + (" is needed" if least < 0 else " from 0 up is needed"))
    return number


def _values(node: Any) -> dict[str, str]:
    """The simple attributes of a group; the first of a repeated one."""
    values: dict[str, str] = {}
    for child in node.children:
        if child.value:
            values.setdefault(child.id, child.value.strip('"'))
    return values


def _argument(node: Any) -> str:
    return str(node.args[0]).strip('"') if node.args else ""
