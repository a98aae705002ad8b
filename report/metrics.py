# SPDX-License-Identifier: Apache-2.0
"""`metrics.json`: the page's figures for machines, with METRICS2.1-style names (`design__instance__area`, `power__total`).

Its schema is `docs/metrics.schema.json` (`report.metrics_schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.artifacts import sha256_of

from . import summary

__all__ = ["DESIGN_NAMES", "ENERGY_NAMES", "metrics", "renamed"]

DESIGN_NAMES = {
    "area_um2": "design__instance__area",  # um2
    "area_by_part_um2": "design__instance__area__by_part",
    "cells": "design__instance__count",
    "target_period_ns": "clock__period",  # ns
    "delay_ns": "timing__critical_path__delay",  # ns
    "slack_ns": "timing__setup__ws",  # ns
}
ENERGY_NAMES = {
    "period_ns": "clock__period",  # ns
    "power_w": "power__total",  # W
    "internal_w": "power__internal__total",
    "switching_w": "power__switching__total",
    "leakage_w": "power__leakage__total",
    "energy_per_mac_j": "energy__per_mac",  # J
    "energy_per_mac_standard_error_j": "energy__per_mac__standard_error",
    "energy_per_mac_confidence_95_j": "energy__per_mac__confidence_95",
    "by_part_j": "energy__per_mac__by_part",
    "annotated_fraction": "activity__annotated",  # fraction of nets
    "cycles": "activity__cycles",
    "sums_compared": "activity__sums_compared",
    "operands": "activity__operands",
}


def identity(results: Mapping[str, Any]) -> str:
    """SHA-256 of what was found: the results without the stages, whose times and reuse differ from run to run."""
    return sha256_of({key: value for key, value in results.items() if key != "stages"})


def metrics(results: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of `metrics.json`; figures that were not measured stay null."""
    simulations = results["simulations"]
    return {
        "date": results["date"],
        "versions": results["versions"],
        "results_sha256": identity(results),
        "comparisons": results["comparisons"],
        "clocks": results.get("clocks"),
        "headline": [entry.as_data() for entry in summary.headline(results)],
        "designs": [renamed(design, DESIGN_NAMES) for design in results["designs"]],
        "energies": [renamed(energy, ENERGY_NAMES) for energy in results["energies"]],
        "accuracy": results["accuracy"],
        "verification": {
            "simulations": simulations,
            "macs_compared": sum(run["macs_compared"] for run in simulations),
            "sums_compared": sum(run["sums_compared"] for run in simulations),
            "checks": results.get("checks", []),
            "gate_level_sums_compared_for_energy": sum(energy["sums_compared"] for energy in results["energies"]),
        },
        "effort": results["effort"],
        "operands": results["operands"],
        "not_measured": results["not_measured"],
        "provenance": results["provenance"],
    }


def renamed(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same object with figures under the names of `metrics.json`."""
    return {names.get(name, name): value for name, value in entry.items()}
