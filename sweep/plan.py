# SPDX-License-Identifier: Apache-2.0
"""What a sweep file asks for: a TOML file whose keys are options of `dint synthesize`, each with one value or a list of them.

    format = ["int8", "dint4"]
    architecture = "all"
    period = ["minimum-area", 8.0]

All combinations are points. Those that cannot be, such as an architecture that cannot do a format, are left out and told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from golden import FORMATS, SCALED_FORMATS, BlockMacConfig, Operands
from golden.errors import InputError, unknown
from golden.shapes import PE, formats_of
from synth.energy import VECTORLESS
from synth.pdk import Pdk, discover, find
from synth.request import Request

__all__ = ["MINIMUM_AREA", "LeftOut", "Plan", "describe", "read_plan"]

MINIMUM_AREA = "minimum-area"  # in place of a period: the smallest netlist, at the shortest period it works at
_ALL = "all"
_NUMBER = (int, float)
#: By key: type of a value, and the field of `Request`. First those that make the unit, then where and how it is mapped and
#: measured.
_UNIT: dict[str, tuple[type | tuple[type, ...], str]] = {
    "format": (str, "format"),
    "architecture": (str, "architecture"),
    "shape": (str, "shape"),
    "lanes": (int, "lanes"),
    "pipeline": (int, "pipeline"),
    "depth": (int, "depth"),
    "decoded": (bool, "decoded"),
    "activations": (str, "activations"),
    "writable-codebooks": (bool, "writable_codebooks"),
}
_ENERGY: dict[str, tuple[type | tuple[type, ...], str]] = {
    "dataflow": (str, "dataflow"),
    "cycles": (int, "cycles"),
    "seed": (int, "seed"),
    "power-engine": (str, "power_engine"),
}
_KEYS = _UNIT | {"pdk": (str, "pdk"), "period": (_NUMBER, "period_ns"), "activity": (str, "activity")} | _ENERGY
_TYPES = {str: "a string", int: "an integer", bool: "true or false", _NUMBER: f'a number of ns, or "{MINIMUM_AREA}"'}


@dataclass(frozen=True)
class LeftOut:
    """A combination that cannot be: its values by key, as far as they were combined, and why."""

    values: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class Plan:
    """A sweep: its points in the order they should be run, the kits by name, and what was left out."""

    points: tuple[Request, ...]
    kits: Mapping[str, Pdk]
    left_out: tuple[LeftOut, ...]


def read_plan(path: Path, liberty: Sequence[Path] = (), platforms: Path | None = None, operands: Sequence[Path] = ()) -> Plan:
    """The plan that a sweep file describes.

    Parameters
    ----------
    path
        The TOML file.
    liberty, platforms
        Where kits are, as for `dint synthesize`; Liberty files are one kit, the only one.
    operands
        Operand files, one for each format of a sweep that measures energy; without any operands are uniform.

    Raises
    ------
    InputError
        If a file cannot be used, a key is unknown, a value is wrong by itself, or no combination of them can be.
    """
    table = _parsed(path)
    lists = {key: _values(path, key, value) for key, value in table.items()}
    if "activity" not in lists:
        lone = [f"{key} in {path}" for key in _ENERGY if key in lists] + [f"--operands {file}" for file in operands]
        if lone:
            raise InputError(f'{lone[0]}: is for the energy, which this sweep does not measure; add activity = "sdf"')
    kits = _kits(path, lists, tuple(liberty), platforms)
    lists["pdk"] = list(kits)
    for key, values in lists.items():
        for value in values:
            _check(path, key, value)
    left_out: list[LeftOut] = []
    units = list(_units(lists, left_out))
    given = _operands(units, operands)
    points: dict[tuple[Any, ...], Request] = {}
    for request in units:
        request = replace(request, liberty=tuple(liberty), platforms=platforms)
        for point in _ways(lists, request, given, left_out):
            points.setdefault(tuple(describe(point).values()), point)
    if not points:
        raise InputError(f"{path}: none of its combinations can be; the first: {left_out[0].reason}")
    ordered = sorted(points.values(), key=_order(lists))
    return Plan(tuple(ordered), kits, tuple(left_out))


def describe(point: Request) -> dict[str, Any]:
    """What a point is, as plain data with the keys of a sweep file; energy's only where it is measured."""
    unit = point.unit
    found: dict[str, Any] = {
        "format": unit.format_name,
        "architecture": unit.architecture,
        "shape": unit.shape,
        "lanes": unit.lanes,
        "pipeline": unit.pipeline,
        "depth": unit.depth,
        "decoded": unit.decoded,
        "activations": formats_of(unit.format_name)[1],
        "writable-codebooks": isinstance(unit, BlockMacConfig) and unit.writable_codebooks,
        "pdk": point.pdk,
        "period": MINIMUM_AREA if point.period_ns is None else point.period_ns,
        "activity": point.activity,
    }
    if point.activity is not None:
        simulated = point.activity != VECTORLESS
        found["dataflow"] = point.dataflow_of_unit if simulated else None
        found["operands"] = ("uniform" if point.operands is None else "opt") if simulated else None
        found |= {"cycles": point.cycles, "seed": point.seed, "power-engine": point.power_engine}
    return found


def _parsed(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"sweep file {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"sweep file {path}: is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # tomllib's own errors, numbers of thousands of digits, endless nesting
        raise InputError(f"sweep file {path}: is not TOML ({error})") from None
    for key in table:
        if key not in _KEYS:
            raise unknown(f"{path}: unknown key {key!r}", key, _KEYS)
    return table


def _values(path: Path, key: str, value: Any) -> list[Any]:
    """The values of a key, each once, `all` replaced."""
    kind = _KEYS[key][0]
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InputError(f"{path}: {key} is empty: name at least one, or leave it out")
    found: list[Any] = []
    for one in values:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        if type(one) not in kinds and not (key == "period" and one == MINIMUM_AREA):  # a bool is no int here
            raise InputError(f"{path}: {key} is {one!r}: it is {_TYPES[kind]}, or a list of such values")
        if one == _ALL and key in ("format", "architecture"):
            found += _every(key)
        else:
            found.append(_ns(path, one) if kind == _NUMBER and one != MINIMUM_AREA else one)
    return list(dict.fromkeys(found))


def _ns(path: Path, value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise InputError(f"{path}: period is a number of {len(str(value))} digits; in ns it has a few") from None


def _every(key: str) -> list[str]:
    from hdl.architectures import ARCHITECTURES

    return list(FORMATS if key == "format" else ARCHITECTURES)


def _kits(path: Path, lists: Mapping[str, list[Any]], liberty: tuple[Path, ...], platforms: Path | None) -> dict[str, Pdk]:
    if liberty:
        if "pdk" in lists:
            raise InputError(f"{path}: pdk is {lists['pdk'][0]!r}, and --liberty names another; leave one of them out")
        kit = find(liberty=liberty)
        return {kit.name: kit}
    wanted = lists.get("pdk", [Request.pdk])
    kits = {kit.name: kit for kit in discover(platforms)} if _ALL in wanted else {}
    return {name: find(name, (), platforms) for name in dict.fromkeys([*(one for one in wanted if one != _ALL), *kits])}


def _check(path: Path, key: str, value: Any) -> None:
    """Refuse a value that no combination can have."""
    from hdl.architectures import ARCHITECTURES

    try:
        if key == "architecture" and value not in ARCHITECTURES:
            raise unknown(f"unknown architecture {value!r}", value, ARCHITECTURES)
        if key == "seed" and not 0 <= value < 1 << 32:
            raise InputError(f"seed is {value}: it is from 0 to {(1 << 32) - 1}")
        if key == "activations" and value not in (known := ("int8", *SCALED_FORMATS)):
            raise unknown(f"activations {value!r}", value, known)
        if key not in ("architecture", "decoded", "activations", "writable-codebooks", "pdk"):  # these are with others
            alone: dict[str, Any] = {_KEYS[key][1]: None if value == MINIMUM_AREA else value}
            Request(**alone).check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _operands(units: Sequence[Request], files: Sequence[Path]) -> dict[str, Path]:
    """By format, its operand file; every one of `units` needs one, if there are any."""
    found: dict[str, Path] = {}
    for file in files:
        name = Operands.load(file).format_name
        if name in found:
            raise InputError(f"--operands {file}: holds {name}, as {found[name]} does; name one file for each format")
        found[name] = file
    lacking = [request.unit.format_name for request in units if request.unit.format_name not in found]
    if found and lacking:
        raise InputError(f"--operands: there are none of {lacking[0]}; name a file for each format, or none for uniform ones")
    return found


def _units(lists: Mapping[str, list[Any]], left_out: list[LeftOut]) -> Iterator[Request]:
    """A request, so far only of a unit, for each combination that can be."""
    from hdl.architectures import architecture_of

    tried: set[tuple[Any, ...]] = set()
    for values in _combinations(lists, _UNIT):
        if values.get("shape") == PE:
            values = {key: value for key, value in values.items() if key != "lanes"}  # an element has one
        if tuple(values.items()) in tried:
            continue
        tried.add(tuple(values.items()))
        request = Request(**{_UNIT[key][1]: value for key, value in values.items()}, activity=None)
        try:
            architecture_of(request.unit)
        except InputError as error:
            left_out.append(LeftOut(values, str(error)))
        else:
            yield request


def _ways(
    lists: Mapping[str, list[Any]], unit: Request, operands: Mapping[str, Path], left_out: list[LeftOut]
) -> Iterator[Request]:
    """The points of a unit."""
    for values in _combinations(lists, [key for key in _KEYS if key not in _UNIT]):
        period = values.get("period", MINIMUM_AREA)
        fields = {_KEYS[key][1]: value for key, value in values.items() if key != "period"}
        fields["period_ns"] = None if period == MINIMUM_AREA else period
        if fields.get("activity", VECTORLESS) != VECTORLESS:
            fields["operands"] = operands.get(unit.unit.format_name)
        point = replace(unit, **fields)
        try:
            point.check()
        except InputError as error:
            left_out.append(LeftOut({"design": unit.unit.name, **values}, str(error)))
        else:
            yield point


def _combinations(lists: Mapping[str, list[Any]], keys: Iterable[str]) -> Iterator[dict[str, Any]]:
    present = [key for key in keys if key in lists]
    return (dict(zip(present, values, strict=True)) for values in product(*(lists[key] for key in present)))


def _order(lists: Mapping[str, list[Any]]) -> Callable[[Request], tuple[Any, ...]]:
    """Points of one unit apart from another: the later ones find what the first has mapped. Then the largest first."""
    periods = [None if one == MINIMUM_AREA else one for one in lists.get("period", [MINIMUM_AREA])]
    activities = lists.get("activity", [None])

    def key(point: Request) -> tuple[Any, ...]:
        size = point.unit.lanes * point.unit.weight_format.bits
        return periods.index(point.period_ns), activities.index(point.activity), -size

    return key
