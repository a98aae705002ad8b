# SPDX-License-Identifier: Apache-2.0
"""`dint check`: are the figures of a `metrics.json` as good as the rules of a file say?

The rules have the form of OpenROAD-flow-scripts' `rules-base.json`, which its `flow/util/checkMetadata.py` reads:

    {"design__instance__area": {"value": 4000, "compare": "<="}, "timing__setup__ws": {"value": 0, "compare": ">="}}

`"level": "warning"` reports a rule that is broken without failing. A metric of a nested file is named by the keys that lead to
it, joined by `__`. An object in a list has no key: it is told apart by what it says of itself, as modifiers in the manner of
METRICS2.1, `comparisons__area_ratio__pdk:osu018__lanes:16`. A rule holds for every figure that its modifiers fit.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golden.artifacts import read_user_json
from golden.errors import InputError, nearest, unknown

__all__ = ["Figure", "check", "figures"]

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_LEVELS = _ERROR, _WARNING = "error", "warning"
_KEYS = ("value", "compare", "level")
# The first segment that says `key:value` begins the modifiers; a value may hold `__`, as names of cell libraries do.
_MODIFIER = re.compile(r"__(?=(?:[A-Za-z0-9]|_(?!_))+:)")
# An object in a list is told apart by its texts, but for hashes, and by these numbers; its other numbers are what it measured.
_CONDITIONS = ("lanes", "period_ns", "clock__period")


@dataclass(frozen=True)
class Figure:
    """A value of a file of metrics: its name, and what the objects of lists around it say of themselves."""

    name: str
    value: Any
    modifiers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rule:
    metric: str
    value: float
    compare: str
    level: str

    def broken_by(self, figure: Figure) -> bool:
        """Whether the figure is worse, or is no number: what was not measured does not pass."""
        value = figure.value
        return not (_is_number(value) and math.isfinite(value) and _HOLDS[self.compare](value, self.value))


def check(metrics: Path, rules: Sequence[Path], quiet: bool = False) -> dict[str, Any]:
    """Compare the figures of `metrics` with `rules`; print a line for each rule that is broken, and how many hold.

    Parameters
    ----------
    metrics
        A JSON file of figures, as `dint synthesize`, `dint report` or OpenROAD-flow-scripts writes.
    rules
        JSON files of rules; one that several files have counts as the last of them has it.
    quiet
        Print the rules that are broken, and nothing else.

    Returns
    -------
    dict
        `ok`: whether every rule holds but for warnings; `rules`: how many there are; `broken`: one object for each that does
        not hold, with `metric`, `value`, `compare`, `level`, the worst figure `found` and its `modifiers`, and `of`: how many
        of the `figures` the rule is about break it.

    Raises
    ------
    InputError
        If a file cannot be read, a rule is none, or a rule is about a metric that the file does not have.
    """
    found = list(figures(_read(metrics, "METRICS.json", "an object of figures by name, as `dint synthesize` writes")))
    wanted: dict[str, _Rule] = {}
    for path in rules:
        given = _read(path, "--rules", 'an object of rules, as {"timing__setup__ws": {"value": 0, "compare": ">="}}')
        wanted |= {name: _rule(name, rule, path) for name, rule in given.items()}
    if not wanted:
        raise InputError(f"--rules {', '.join(map(str, rules))}: without a rule, so that nothing would be checked")
    broken = [one for one in (_outcome(rule, _about(rule.metric, found, metrics)) for rule in wanted.values()) if one]
    ok = all(one["level"] == _WARNING for one in broken)
    _print(broken, len(wanted), quiet)
    return {"ok": ok, "rules": len(wanted), "broken": broken}


def figures(data: Any, name: str = "", modifiers: Mapping[str, str] | None = None) -> Iterator[Figure]:
    """Every value of nested plain data by name. In a list, only objects have values with names."""
    modifiers = modifiers or {}
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from figures(value, f"{name}__{key}" if name else str(key), modifiers)
    elif isinstance(data, list):
        for item in data:
            if isinstance(item, Mapping):
                yield from figures(item, name, {**modifiers, **dict(_conditions(item))})
    else:
        yield Figure(name, data, modifiers)


def _conditions(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in item.items():
        if isinstance(value, str) and not key.endswith("sha256"):
            yield _last(key), value
        elif key in _CONDITIONS and _is_number(value):
            yield _last(key), f"{value:g}"


def _last(key: str) -> str:
    return key.rpartition("__")[2]


def _read(path: Path, what: str, wanted: str) -> dict[str, Any]:
    data = read_user_json(path, what, f"it is {wanted}")
    if not isinstance(data, dict):
        raise InputError(f"{what} {path}: is no object, but {wanted} is needed")
    return data


def _rule(name: str, rule: Any, path: Path) -> _Rule:
    where = f"--rules {path}: {name}"
    if not isinstance(rule, dict):
        raise InputError(f'{where} is {str(rule)[:40]!r}: a rule is an object, as {{"value": 0, "compare": ">="}}')
    if strange := sorted(rule.keys() - set(_KEYS)):
        raise unknown(f"{where} has the key {strange[0]!r}", strange[0], _KEYS)
    if missing := [key for key in ("value", "compare") if key not in rule]:
        raise InputError(f"{where} has no {missing[0]!r}: a rule has a value and how figures compare with it")
    value, compare, level = rule["value"], rule["compare"], rule.get("level", _ERROR)
    if not _is_number(value) or not math.isfinite(value):
        raise InputError(f"{where}: value is {str(value)[:40]!r}, a number is needed")
    if compare not in _HOLDS:
        raise unknown(f"{where}: compare is {str(compare)[:40]!r}", str(compare), _HOLDS)
    if level not in _LEVELS:
        raise unknown(f"{where}: level is {str(level)[:40]!r}", str(level), _LEVELS)
    return _Rule(name, value, compare, level)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _about(metric: str, found: Sequence[Figure], path: Path) -> list[Figure]:
    """The figures that a rule is about; InputError with the nearest name, key or value if there are none."""
    if exact := [figure for figure in found if figure.name == metric]:
        return exact
    name, *rest = _MODIFIER.split(metric)
    asked = dict(part.split(":", 1) for part in rest)
    candidates = [figure for figure in found if figure.name == name]
    if not candidates:
        near = nearest(name, {figure.name for figure in found})
        raise InputError(f"rule for {metric}: METRICS.json {path} has no {name}; {near}".rstrip("; "))
    for key, value in asked.items():
        fitting = [figure for figure in candidates if figure.modifiers.get(key) == value]
        if not fitting:
            values = sorted({figure.modifiers[key] for figure in candidates if key in figure.modifiers})
            if values:
                raise unknown(f"rule for {metric}: {key} is {value!r}", value, values)
            keys = sorted({key for figure in candidates for key in figure.modifiers})
            raise InputError(
                f"rule for {metric}: {name} is not told apart by {key!r}: {nearest(key, keys)}"
                + (f"known are {', '.join(keys)}" if keys else "there is only one; leave the modifier out")
            )
        candidates = fitting
    return candidates


def _outcome(rule: _Rule, about: Sequence[Figure]) -> dict[str, Any] | None:
    """None if the rule holds, else what breaks it, the figure that is farthest off first of all."""
    broken = [figure for figure in about if rule.broken_by(figure)]
    if not broken:
        return None
    worst = max(broken, key=lambda figure: abs(figure.value - rule.value) if _is_number(figure.value) else math.inf)
    # What all figures have in common says nothing.
    telling = {key: value for key, value in worst.modifiers.items() if len({figure.modifiers.get(key) for figure in about}) > 1}
    return {
        "metric": rule.metric,
        "value": rule.value,
        "compare": rule.compare,
        "level": rule.level,
        "found": worst.value,
        "modifiers": telling,
        "of": len(broken),
        "figures": len(about),
    }


def _print(broken: Sequence[Mapping[str, Any]], count: int, quiet: bool) -> None:
    for one in broken:
        found = f"is {one['found']:.6g}" if _is_number(one["found"]) else f"is {one['found']!r}, not a number"
        if one["found"] is None:
            found = "was not measured"
        where = " at " + ", ".join(f"{key}:{value}" for key, value in one["modifiers"].items()) if one["modifiers"] else ""
        others = f" ({one['of']} of {one['figures']} figures)" if one["figures"] > 1 else ""
        print(f"{one['level']}: {one['metric']} {found}{where}, the rule is {one['compare']} {one['value']:g}{others}")
    if not quiet:
        held = count - len(broken)
        print(f"{held} of {count} {'rule holds' if count == 1 else 'rules hold'}")
