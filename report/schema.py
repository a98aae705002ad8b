# SPDX-License-Identifier: Apache-2.0
"""The shape of `results.json`, checked before anything is drawn: a missing key is refused, a missing figure is null.

The shape is data: a dict is an object whose listed keys must be there (others are allowed and ignored), a one-element list
is a list of such values, `Each(value)` an object with free names, `IfThere(value)`
a key that may be missing. `FIGURE` is a measured number or null; the page shows null as
"not measured".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from golden.artifacts import canonical_json
from golden.errors import InputError

__all__ = ["FIGURE", "RESULTS", "Each", "IfThere", "Maybe", "check", "check_grid", "check_shape"]

RATIO_TOLERANCE = 1e-3  # relative; allows a ratio written with four digits, not one of other designs
PARTS_TOLERANCE = 0.01  # relative; parts beyond the whole are parts of something else


@dataclass(frozen=True)
class Each:
    """An object with free names whose values all have one shape."""

    value: Any


@dataclass(frozen=True)
class Scalar:
    """A string, number or truth value; `null` says whether null may stand for it."""

    name: str
    types: tuple[type, ...]
    null: bool = False


@dataclass(frozen=True)
class OneOf:
    """A word of a closed list."""

    words: tuple[str, ...]
    null: bool = False


@dataclass(frozen=True)
class Maybe:
    """An object or list that may be null as a whole."""

    value: Any


@dataclass(frozen=True)
class IfThere:
    """A key that may be missing: results of earlier runs do not have it."""

    value: Any


TEXT = Scalar("text", (str,))
TEXT_OR_NULL = Scalar("text", (str,), null=True)
COUNT = Scalar("an integer", (int,))
TRUTH = Scalar("true or false", (bool,))
NUMBER = Scalar("a number", (int, float))
FIGURE = Scalar("a number", (int, float), null=True)
ANY = Scalar("anything", (object,), null=True)

_SIDE = {
    "format": TEXT,
    "architecture": TEXT,
    "area_um2": FIGURE,
    "delay_ns": FIGURE,
    "energy_per_mac_j": FIGURE,
    "power_w": FIGURE,
    "leakage_w": FIGURE,
    "energy_per_mac_standard_error_j": IfThere(FIGURE),
}

_PROTOCOLS = Each(
    {"description": TEXT, "window_tokens": COUNT, "windows": COUNT, "predicted_tokens": COUNT, "text_sha256": TEXT}
)
_PAIR = {"variant": TEXT, "text": TEXT, "rival": TEXT, "dint": TEXT}
#: `accuracy.json` of `make benchmark-accuracy`.
GRID: dict[str, Any] = {
    "model": {"name": TEXT, "parameters": COUNT, "sha256": TEXT},
    "protocols": _PROTOCOLS,
    "unquantized": [{"text": TEXT, "perplexity": NUMBER}],
    "grid": [
        {
            "variant": TEXT,
            "method": TEXT,
            "format": TEXT,
            "text": TEXT,
            "perplexity": NUMBER,
            "kl": NUMBER,
            "kl_standard_error": NUMBER,
        }
    ],
    "best": [
        {
            **_PAIR,
            "rival_method": TEXT,
            "dint_method": TEXT,
            "rival_kl": NUMBER,
            "dint_kl": NUMBER,
            "kl": NUMBER,
            "kl_standard_error": NUMBER,
        }
    ],
    "verdicts": [
        {
            **_PAIR,
            "clipped": TRUTH,
            "lower": COUNT,
            "not_clear": COUNT,
            "higher": COUNT,
            "mean_ratio": NUMBER,
            "least_ratio": NUMBER,
            "greatest_ratio": NUMBER,
        }
    ],
    "loss": IfThere(
        [
            {
                "format": TEXT,
                "text": TEXT,
                "seed": COUNT,
                "kl": NUMBER,
                "kl_without": NUMBER,
                "difference": {"kl": NUMBER, "kl_standard_error": NUMBER},
            }
        ]
    ),
    "ranges": IfThere([{"length": COUNT, "mean_largest_activation": NUMBER}]),
    "slac": IfThere(
        [
            {
                "format": TEXT,
                "method": TEXT,
                "calibration_length": COUNT,
                "cut": TRUTH,
                "seed": COUNT,
                "length": COUNT,
                "kl": NUMBER,
            }
        ]
    ),
}

RESULTS: dict[str, Any] = {
    "date": TEXT,
    "versions": Each(TEXT),
    "accuracy": {
        "model": {"name": TEXT, "parameters": COUNT, "sha256": TEXT},
        "calibration": {"text": TEXT, "length_tokens": COUNT, "windows": COUNT, "seed": COUNT},
        "protocols": _PROTOCOLS,
        "rows": [
            {
                "name": TEXT,
                "weights": TEXT,
                "activations": TEXT,
                "scaling": TEXT,
                "rounding": TEXT_OR_NULL,
                "form": TEXT_OR_NULL,
                "chosen": TRUTH,
                "perplexity": Each(FIGURE),
                "perplexity_standard_error": Maybe(Each(FIGURE)),
                "perplexity_ratio": IfThere(Maybe(Each(FIGURE))),
                "perplexity_ratio_standard_error": IfThere(Maybe(Each(FIGURE))),
                "kl": Maybe(Each(FIGURE)),
                "kl_standard_error": Maybe(Each(FIGURE)),
                "losses": IfThere(Maybe(Each(Maybe([NUMBER])))),
                "divergences": IfThere(Maybe(Each(Maybe([NUMBER])))),
                "output_error": Maybe({"total": FIGURE, "underflow": FIGURE, "rounding": FIGURE, "cross": FIGURE}),
                "zero_fraction": FIGURE,
                "code_values": IfThere(Maybe([FIGURE])),
            }
        ],
        "layers": [
            {
                "row": TEXT,
                "layer": TEXT,
                "total": FIGURE,
                "underflow": FIGURE,
                "rounding": FIGURE,
                "cross": FIGURE,
                "zero_fraction": FIGURE,
                "code_counts": IfThere(Maybe([COUNT])),
                "code_entropy_bits": IfThere(FIGURE),
            }
        ],
    },
    "grids": IfThere([GRID]),
    "operands": Each(
        {
            "sha256": TEXT,
            "layers": [TEXT],
            "tokens": COUNT,
            "recipe": IfThere(Maybe(Each(Scalar("text or an integer", (str, int), null=True)))),
            "activation_rms": IfThere(FIGURE),
            "activation_zero_fraction": IfThere(FIGURE),
            "weight_rms_steps": IfThere(FIGURE),
            "weight_zero_fraction": IfThere(FIGURE),
        }
    ),
    "simulations": [
        {
            "design": TEXT,
            "format": TEXT,
            "architecture": TEXT,
            "lanes": COUNT,
            "simulator": TEXT,
            "level": OneOf(("rtl", "gate")),
            "source": TEXT,
            "macs_compared": COUNT,
            "sums_compared": COUNT,
        }
    ],
    "designs": [
        {
            "design": TEXT,
            "pdk": TEXT,
            "format": TEXT,
            "architecture": TEXT,
            "lanes": COUNT,
            "objective": TEXT,
            "target_period_ns": FIGURE,
            "area_um2": FIGURE,
            "delay_ns": FIGURE,
            "cells": COUNT,
            "area_by_part_um2": Maybe(Each(FIGURE)),
            "options": ANY,
            "netlist_sha256": TEXT,
            "verilog_sha256": TEXT,
            "accumulator_bits": IfThere(COUNT),
            "depth": IfThere(COUNT),
            "slack_ns": IfThere(FIGURE),
        }
    ],
    "energies": [
        {
            "design": TEXT,
            "pdk": TEXT,
            "format": TEXT,
            "architecture": TEXT,
            "lanes": COUNT,
            "netlist_sha256": TEXT,
            "period_ns": FIGURE,
            "operands": TEXT_OR_NULL,
            "dataflow": TEXT_OR_NULL,
            "activity": OneOf(("sdf", "zero-delay", "vectorless")),
            "energy_per_mac_j": FIGURE,
            "power_w": FIGURE,
            "internal_w": FIGURE,
            "switching_w": FIGURE,
            "leakage_w": FIGURE,
            "by_part_j": Maybe(Each(FIGURE)),
            "annotated_fraction": FIGURE,
            "cycles": COUNT,
            "sums_compared": COUNT,
            "samples": IfThere(COUNT),
            "energy_per_mac_standard_error_j": IfThere(FIGURE),
            "energy_per_mac_confidence_95_j": IfThere(FIGURE),
        }
    ],
    "comparisons": [
        {
            "pdk": TEXT,
            "lanes": COUNT,
            "period_ns": FIGURE,
            "objective": OneOf(("area", "energy")),
            "kind": OneOf(("equal-clock", "minimum-area")),
            "reference": TEXT,
            "baseline": _SIDE,
            "candidate": _SIDE,
            "area_ratio": FIGURE,
            "energy_ratio": FIGURE,
            "energy_ratio_standard_error": IfThere(FIGURE),
            "energy_ratio_confidence_95": IfThere(FIGURE),
            "operands": TEXT_OR_NULL,
            "dataflow": TEXT_OR_NULL,
            "activity": OneOf(("sdf", "zero-delay", "vectorless"), null=True),
        }
    ],
    "clocks": IfThere(
        [
            {
                "pdk": TEXT,
                "lanes": COUNT,
                "period_ns": FIGURE,
                "tightest_ns": Each(FIGURE),
                "margin": FIGURE,
                "set_by": OneOf(("int8", "dint4")),
                "closing": IfThere(Each(COUNT)),
            }
        ]
    ),
    "effort": Each({"syntheses": COUNT, "architectures": [TEXT], "kept_below": IfThere(FIGURE)}),
    "checks": IfThere(
        [
            {
                "check": TEXT,
                "of": TEXT,
                "tried": COUNT,
                "held": COUNT,
                "exempt": COUNT,
                "seconds": FIGURE,
                "survivors": IfThere([{"place": TEXT, "change": TEXT, "reason": TEXT}]),
            }
        ],
    ),
    "not_measured": [TEXT],
    "stages": [{"name": TEXT, "seconds": FIGURE, "reused": TRUTH}],
    "provenance": [{"artefact": TEXT, "sha256": TEXT, "made_from": [TEXT]}],
}


def check_shape(data: Any, shape: Any, source: str) -> None:
    """Refuse plain data that is not of `shape`: InputError with the path of the first fault."""
    _check(data, shape, "", source)


def check_grid(measured: Any, source: str) -> None:
    """Refuse a grid of accuracy of wrong shape, with the path of the first fault."""
    check_shape(measured, GRID, source)


def check(results: Any, source: str = "results.json") -> None:
    """Refuse results of wrong shape or wrong ratios: InputError with the path of the first fault (`designs[3].area_um2`)."""
    check_shape(results, RESULTS, source)
    try:
        canonical_json(results)
    except (TypeError, ValueError) as error:
        raise _fault(source, "", f"is not plain JSON ({error})") from None
    for name, figure, parts in (("designs", "area_um2", "area_by_part_um2"), ("energies", "energy_per_mac_j", "by_part_j")):
        for index, entry in enumerate(results[name]):
            _check_parts(entry, figure, parts, f"{name}[{index}]", source)
    for index, row in enumerate(results["comparisons"]):
        for quantity, figure in (("area", "area_um2"), ("energy", "energy_per_mac_j")):
            _check_ratio(row, quantity, figure, f"comparisons[{index}]", source)


def _check(value: Any, shape: Any, path: str, source: str) -> None:
    if isinstance(shape, Maybe):
        if value is not None:
            _check(value, shape.value, path, source)
    elif isinstance(shape, Each):
        _expect(isinstance(value, Mapping), value, "an object", path, source)
        for name, item in value.items():
            _check(item, shape.value, _join(path, name), source)
    elif isinstance(shape, dict):
        _expect(isinstance(value, Mapping), value, "an object", path, source)
        for name, inner in shape.items():
            if isinstance(inner, IfThere):
                if name in value:
                    _check(value[name], inner.value, _join(path, name), source)
                continue
            if name not in value:
                raise _fault(source, _join(path, name), "is missing")
            _check(value[name], inner, _join(path, name), source)
    elif isinstance(shape, list):
        _expect(isinstance(value, list), value, "a list", path, source)
        for index, item in enumerate(value):
            _check(item, shape[0], f"{path}[{index}]", source)
    elif isinstance(shape, OneOf):
        allowed = value in shape.words or (shape.null and value is None)
        _expect(allowed, value, f"one of {', '.join(shape.words)}", path, source)
    else:
        _check_scalar(value, shape, path, source)


def _check_scalar(value: Any, shape: Scalar, path: str, source: str) -> None:
    if value is None:
        _expect(shape.null, value, shape.name, path, source)
        return
    # bool is an int in Python, but a truth value where a figure belongs is a mistake.
    fits = isinstance(value, shape.types) and (not isinstance(value, bool) or bool in shape.types or object in shape.types)
    _expect(fits, value, shape.name, path, source)
    if isinstance(value, float):
        _expect(math.isfinite(value), value, "a finite number, or null where nothing was measured", path, source)


def _check_ratio(row: Mapping[str, Any], quantity: str, figure: str, path: str, source: str) -> None:
    """A ratio is baseline / candidate of the figures beside it, and null exactly when one of them is."""
    ratio, baseline, candidate = row[f"{quantity}_ratio"], row["baseline"][figure], row["candidate"][figure]
    name = f"{path}.{quantity}_ratio"
    if baseline is None or candidate is None:
        _expect(ratio is None, ratio, f"null while {figure} of one side is null", name, source)
        return
    _expect(baseline > 0 and candidate > 0, min(baseline, candidate), "a ratio of positive figures", name, source)
    expected = baseline / candidate
    close = ratio is not None and math.isclose(ratio, expected, rel_tol=RATIO_TOLERANCE)
    _expect(close, ratio, f"baseline / candidate = {expected:.4g}", name, source)


def _check_parts(entry: Mapping[str, Any], figure: str, parts: str, path: str, source: str) -> None:
    """The parts of a figure may leave some of it unassigned, but may not exceed it."""
    if entry[figure] is not None and entry[parts]:
        total = sum(value for value in entry[parts].values() if value is not None)
        fits = total <= entry[figure] * (1 + PARTS_TOLERANCE)
        _expect(fits, total, f"parts that sum to {figure} = {entry[figure]:.4g} at most", f"{path}.{parts}", source)


def _expect(condition: bool, value: Any, wanted: str, path: str, source: str) -> None:
    if not condition:
        shown = repr(value)
        raise _fault(source, path, f"is {shown if len(shown) <= 40 else shown[:37] + '...'}, expected {wanted}")


def _fault(source: str, path: str, what: str) -> InputError:
    return InputError(f"{source}: {path or 'the whole'} {what}; make the file anew")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)
