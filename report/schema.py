# SPDX-License-Identifier: Apache-2.0
"""The shape of `results.json`, checked before anything is drawn: a missing key is refused, a missing figure is null.

The page shows null as "not measured". The language of the shapes is that of `report.shapes`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from golden.artifacts import canonical_json

from .given import CALIBRATION, COMPARISON, GRID, PARETO, PROTOCOLS, SILICON, check_fronts
from .shapes import (
    ANY,
    COUNT,
    FIGURE,
    NUMBER,
    TEXT,
    TEXT_OR_NULL,
    TRUTH,
    Each,
    IfThere,
    Maybe,
    OneOf,
    Scalar,
    check_shape,
    expect,
    fault,
)

__all__ = ["RESULTS", "check"]

RATIO_TOLERANCE = 1e-3  # relative; allows a ratio written with four digits, not one of other designs
PARTS_TOLERANCE = 0.01  # relative; parts beyond the whole are parts of something else


RESULTS: dict[str, Any] = {
    "date": TEXT,
    "versions": Each(TEXT),
    "accuracy": {
        "model": {"name": TEXT, "parameters": COUNT, "sha256": TEXT},
        "calibration": CALIBRATION,
        "protocols": PROTOCOLS,
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
    "paretos": IfThere([PARETO]),
    "silicon": IfThere(SILICON),
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
    "comparisons": [COMPARISON],
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


def check(results: Any, source: str = "results.json") -> None:
    """Refuse results of wrong shape or wrong ratios: InputError with the path of the first fault (`designs[3].area_um2`)."""
    check_shape(results, RESULTS, source)
    try:
        canonical_json(results)
    except (TypeError, ValueError) as error:
        raise fault(source, "", f"is not plain JSON ({error})") from None
    for index, one in enumerate(results.get("paretos", [])):
        check_fronts(one, f"paretos[{index}].", source)
    for name, figure, parts in (("designs", "area_um2", "area_by_part_um2"), ("energies", "energy_per_mac_j", "by_part_j")):
        for index, entry in enumerate(results[name]):
            _check_parts(entry, figure, parts, f"{name}[{index}]", source)
    silicon = results.get("silicon", {})
    compared = {"comparisons": results["comparisons"], **{f"silicon.{name}": silicon.get(name, []) for name in ("mac", "pe")}}
    for name, rows in compared.items():
        for index, row in enumerate(rows):
            for quantity, figure in (("area", "area_um2"), ("energy", "energy_per_mac_j")):
                _check_ratio(row, quantity, figure, f"{name}[{index}]", source)


def _check_ratio(row: Mapping[str, Any], quantity: str, figure: str, path: str, source: str) -> None:
    """A ratio is baseline / candidate of the figures beside it, and null exactly when one of them is."""
    ratio, baseline, candidate = row[f"{quantity}_ratio"], row["baseline"][figure], row["candidate"][figure]
    name = f"{path}.{quantity}_ratio"
    if baseline is None or candidate is None:
        expect(ratio is None, ratio, f"null while {figure} of one side is null", name, source)
        return
    expect(baseline > 0 and candidate > 0, min(baseline, candidate), "a ratio of positive figures", name, source)
    expected = baseline / candidate
    close = ratio is not None and math.isclose(ratio, expected, rel_tol=RATIO_TOLERANCE)
    expect(close, ratio, f"baseline / candidate = {expected:.4g}", name, source)


def _check_parts(entry: Mapping[str, Any], figure: str, parts: str, path: str, source: str) -> None:
    """The parts of a figure may leave some of it unassigned, but may not exceed it."""
    if entry[figure] is not None and entry[parts]:
        total = sum(value for value in entry[parts].values() if value is not None)
        fits = total <= entry[figure] * (1 + PARTS_TOLERANCE)
        expect(fits, total, f"parts that sum to {figure} = {entry[figure]:.4g} at most", f"{path}.{parts}", source)
