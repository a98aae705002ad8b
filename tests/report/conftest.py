# SPDX-License-Identifier: Apache-2.0
"""Made-up results in the real shape: none of these figures was measured, they only exercise the report."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import pytest

from report import charts, layer_charts, ratio_charts

#: Without drawing, which takes seconds.
no_charts = pytest.mark.usefixtures("undrawn")

FORMATS = {"int8": 1.0, "int4": 0.55, "dint4": 0.58}
ARCHITECTURES = {"int8": "booth-fused", "int4": "baugh-wooley", "dint4": "digit-grid"}
PDKS = {"osu018": (9000.0, 6.0, 9e-12), "sky130hd": (2600.0, 4.0, 2.2e-12), "asap7": (45.0, 0.4, 4.5e-14)}
CODE_VALUES = {"int4": [*range(8), *range(-8, 0)], "dint4": [0, 1, 2, -1, 4, 5, 6, 3, 0.5, -7, -6, -0.5, -4, -3, -2, -5]}
#: Of windows, beside their mean.
SHIFTS = (-0.2, -0.1, 0.0, 0.3)
ENERGY_FACTOR = {"int8": 1.0, "int4": 0.49, "dint4": 0.52}


@pytest.fixture(scope="session")
def make_results() -> Callable[..., dict[str, Any]]:
    """Builder of synthetic results; takes `pdks` and `lane_counts`."""
    return synthetic_results


@pytest.fixture
def results() -> dict[str, Any]:
    """Synthetic results on three PDKs and two lane counts."""
    return synthetic_results()


@pytest.fixture(scope="session")
def as_earlier() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Takes from results what earlier runs did not record."""
    return without_later_facts


LATER_FACTS = {
    "accumulator_bits", "depth", "slack_ns", "energy_per_mac_standard_error_j", "energy_ratio_standard_error", "samples",
    "clocks", "recipe", "activation_rms", "activation_zero_fraction", "weight_rms_steps", "weight_zero_fraction",
    "area_with_parts_kept_um2", "checks", "code_values", "code_counts", "code_entropy_bits",
}  # fmt: skip


def without_later_facts(value: Any) -> Any:
    """The same data without those keys, at any depth."""
    if isinstance(value, dict):
        return {key: without_later_facts(inner) for key, inner in value.items() if key not in LATER_FACTS}
    return [without_later_facts(inner) for inner in value] if isinstance(value, list) else value


def sha(*words: Any) -> str:
    return hashlib.sha256(" ".join(map(str, words)).encode()).hexdigest()


def synthetic_results(pdks: tuple[str, ...] = tuple(PDKS), lane_counts: tuple[int, ...] = (1, 16)) -> dict[str, Any]:
    """A full results dict with three formats on the given PDKs and lane counts."""
    designs: list[dict[str, Any]] = []
    energies, comparisons = [], []
    for index, pdk in enumerate(pdks):
        for lanes in lane_counts:
            for kind in ("equal-clock", "minimum-area"):
                made = {name: _design(pdk, name, lanes, kind, index) for name in FORMATS}
                designs += made.values()
                period = made["int8"]["target_period_ns"] or 4 * PDKS[pdk][1]
                measured = {}
                for name, design in made.items():
                    for operands in ("opt", "uniform"):
                        for activity in ("sdf", "zero-delay"):
                            entry = _energy(design, period, operands, activity)
                            measured[name, operands, activity] = entry
                            energies.append(entry)
                for reference in ("int8", "int4"):
                    comparisons += _comparisons(made, measured, reference, kind, period)
    return {
        "date": "2026-01-02",
        "versions": {"python": "3.11.2", "torch": "2.13.0", "yosys": "0.70", "opensta": "2.6.0", "iverilog": "11.0"},
        "accuracy": _accuracy(),
        "operands": {
            name: {
                "sha256": sha("operands", name),
                "format": name,
                "layers": ["decoder.layers.0.fc1", "decoder.layers.3.fc2"],
                "tokens": 64,
                "recipe": {"scaling": "none" if name == "int8" else "aqas", "rounding": "rtn", "form": "symmetric"},
                "activation_rms": 31.5,
                "activation_zero_fraction": 0.02,
                "weight_rms_steps": 2.75,
                "weight_zero_fraction": 0.1,
            }
            for name in FORMATS
        },
        "simulations": [
            {
                "design": f"mac_{name}_x{lanes}",
                "format": name,
                "architecture": ARCHITECTURES[name],
                "lanes": lanes,
                "simulator": "icarus",
                "level": "rtl",
                "source": source,
                "macs_compared": 65536,
                "sums_compared": 65536 // lanes,
            }
            for name in FORMATS
            for lanes in lane_counts
            for source in ("opt", "uniform", "corners")
        ],
        "designs": designs,
        "energies": energies,
        "comparisons": comparisons,
        "clocks": [
            {
                "pdk": pdk,
                "lanes": lanes,
                "period_ns": PDKS[pdk][1] * lanes**0.1,
                "tightest_ns": {"int8": 0.95 * PDKS[pdk][1] * lanes**0.1, "dint4": 0.9 * PDKS[pdk][1] * lanes**0.1},
                "margin": 0.03,
                "set_by": "dint4" if (pdk, lanes) == ("osu018", 1) else "int8",
            }
            for pdk in pdks
            for lanes in lane_counts
        ],
        "effort": {name: {"syntheses": 24, "architectures": ["booth-fused", "baugh-wooley", "digit-grid"]} for name in FORMATS},
        "checks": [
            {"check": "proof: products", "of": "units, exhaustion", "tried": 90, "held": 90, "exempt": 0, "seconds": 61.0},
            {"check": "bench: broken units", "of": "mac_dint4_x1", "tried": 4642, "held": 4490, "exempt": 151, "seconds": 80.0},
            {
                "check": "unit tests: changed lines",
                "of": "golden/mac.py",
                "tried": 100,
                "held": 98,
                "exempt": 0,
                "seconds": 9.0,
                "survivors": [
                    {"place": "golden/mac.py, line 7", "change": "Lt to LtE: if a < b:", "reason": "they are never equal"},
                    {"place": "golden/mac.py, line 9", "change": "1 to 2: x = 1", "reason": ""},
                ],
            },
        ],
        "not_measured": ["Weights held in place: only streaming operands were simulated.", "Slow and fast corners."],
        "stages": [
            {"name": "quantize", "seconds": 41.3, "reused": False},
            {"name": "synthesize", "seconds": 0.2, "reused": True},
        ],
        "provenance": [
            {"artefact": "checkpoint", "sha256": sha("checkpoint"), "made_from": []},
            {"artefact": "quantized model", "sha256": sha("quantized"), "made_from": ["checkpoint"]},
            {"artefact": "operands.npz (dint4)", "sha256": sha("operands", "dint4"), "made_from": ["quantized model"]},
            {"artefact": "mac_dint4_x16.v", "sha256": sha("verilog"), "made_from": []},
            {
                "artefact": "mac_dint4_x16 netlist, osu018",
                "sha256": sha("netlist"),
                "made_from": ["mac_dint4_x16.v", sha("liberty")],
            },
        ],
    }


def _design(pdk: str, name: str, lanes: int, kind: str, index: int) -> dict[str, Any]:
    area, delay, _ = PDKS[pdk]
    fast = kind == "equal-clock"
    spread = 1 + 0.06 * index * (name != "int8") + (0.04 if lanes == 16 and name != "int8" else 0)
    total = area * FORMATS[name] * spread * lanes**0.93 * (1.25 if fast else 1.0)
    total *= 0.95 if fast and name == "dint4" else 1.0
    shares = {"partial products": 0.38, "compressor": 0.27, "final adder": 0.13, "accumulator": 0.22}
    return {
        "design": f"mac_{name}_x{lanes}",
        "pdk": pdk,
        "format": name,
        "architecture": ARCHITECTURES[name],
        "lanes": lanes,
        "objective": "speed" if fast else "area",
        "target_period_ns": delay * lanes**0.1 if fast else None,
        "area_um2": total,
        "delay_ns": delay * lanes**0.1 * (0.99 if fast else 1.9),
        "cells": int(total / area * 210),
        "area_by_part_um2": {part: share * total for part, share in shares.items()},
        "options": {"full adders": True},
        "accumulator_bits": {"int8": 32, "int4": 28, "dint4": 29}[name],
        "depth": 65536,
        "slack_ns": 0.0 if fast else None,
        "netlist_sha256": sha(pdk, name, lanes, kind),
        "verilog_sha256": sha(name, lanes),
    }


def _energy(design: dict[str, Any], period: float, operands: str, activity: str) -> dict[str, Any]:
    pdk, name, lanes = design["pdk"], design["format"], design["lanes"]
    energy = (
        PDKS[pdk][2] * ENERGY_FACTOR[name] * (1.3 if operands == "uniform" else 1) * (0.72 if activity == "zero-delay" else 1)
    )
    energy *= lanes**-0.1 * (1.2 if design["objective"] == "speed" else 1.0)
    energy *= 1.1 if pdk == "asap7" and name == "dint4" else 1.0
    if name == "int8" and activity == "sdf":
        energy *= 1.15 if design["objective"] == "speed" else 1.08  # made up: the larger tree glitches more
    power = energy * lanes / (period * 1e-9)
    return {
        "design": design["design"],
        "pdk": pdk,
        "format": name,
        "architecture": design["architecture"],
        "lanes": lanes,
        "netlist_sha256": design["netlist_sha256"],
        "period_ns": period,
        "operands": operands,
        "dataflow": "streaming",
        "activity": activity,
        "energy_per_mac_j": energy,
        "power_w": power,
        "internal_w": 0.6 * power,
        "switching_w": 0.395 * power,
        "leakage_w": 0.005 * power,
        "by_part_j": {"registers": 0.21 * energy, "full adders": 0.33 * energy, "other logic": 0.46 * energy},
        "annotated_fraction": 0.998,
        "cycles": 2048,
        "sums_compared": 120,
        "samples": 3 if activity == "sdf" else 1,
        "energy_per_mac_standard_error_j": 0.01 * energy if activity == "sdf" else None,
    }


def _comparisons(
    made: dict[str, Any], measured: dict[Any, Any], reference: str, kind: str, period: float
) -> list[dict[str, Any]]:
    rows = []
    for objective in ("area", "energy"):
        for operands in ("opt", "uniform"):
            for activity in ("sdf", "zero-delay"):
                sides = {}
                for side, name in (("baseline", reference), ("candidate", "dint4")):
                    energy = measured[name, operands, activity]
                    sides[side] = {key: made[name][key] for key in ("format", "architecture", "area_um2", "delay_ns")}
                    sides[side] |= {key: energy[key] for key in ("energy_per_mac_j", "power_w", "leakage_w")}
                    sides[side]["energy_per_mac_standard_error_j"] = energy["energy_per_mac_standard_error_j"]
                ratios = {
                    f"{quantity}_ratio": sides["baseline"][figure] / sides["candidate"][figure]
                    for quantity, figure in (("area", "area_um2"), ("energy", "energy_per_mac_j"))
                }
                design = made[reference]
                rows.append(
                    {
                        "pdk": design["pdk"],
                        "lanes": design["lanes"],
                        "period_ns": period,
                        "objective": objective,
                        "kind": kind,
                        "reference": reference,
                        **sides,
                        **ratios,
                        "energy_ratio_standard_error": 0.03 if activity == "sdf" else None,
                        "operands": operands,
                        "dataflow": "streaming",
                        "activity": activity,
                    }
                )
    return rows


def _accuracy() -> dict[str, Any]:
    texts = {"wikitext-2 test": 44.0, "python documentation": 12.0}
    methods = [
        ("unquantized", "fp32", "fp32", "none", 0.0, None),
        ("W8A8", "int8", "int8", "none", 0.002, 0.01),
        ("W4A8 INT4", "int4", "int8", "none", 0.21, 0.19),
        ("W4A8 INT4, AQAS", "int4", "int8", "aqas", 0.15, 0.18),
        ("W4A8 dINT4", "dint4", "int8", "none", 0.13, 0.11),
        ("W4A8 dINT4, AQAS", "dint4", "int8", "aqas", 0.09, 0.1),
    ]
    rows = []
    for name, weights, activations, scaling, kl, zeros in methods:
        quantized = weights != "fp32"
        rows.append(
            {
                "name": name,
                "weights": weights,
                "activations": activations,
                "scaling": scaling,
                "rounding": "rtn" if quantized else None,
                "form": "symmetric" if quantized else None,
                "chosen": name == "W4A8 dINT4, AQAS",
                "perplexity": {text: base * (1 + kl) for text, base in texts.items()},
                "perplexity_standard_error": {text: 0.01 * base for text, base in texts.items()},
                "perplexity_ratio": dict.fromkeys(texts, 1 + kl if quantized else None),
                "perplexity_ratio_standard_error": dict.fromkeys(texts, 0.02 * kl if quantized else None),
                "losses": {text: [math.log(base * (1 + kl)) + shift for shift in SHIFTS] for text, base in texts.items()},
                "divergences": dict.fromkeys(texts, [kl * (1 + shift) for shift in SHIFTS] if quantized else None),
                "kl": dict.fromkeys(texts, kl) if quantized else None,
                "kl_standard_error": dict.fromkeys(texts, 0.03 * kl) if quantized else None,
                "output_error": {"total": 0.2 * kl, "underflow": 0.08 * kl, "rounding": 0.11 * kl, "cross": 0.01 * kl}
                if quantized
                else None,
                "zero_fraction": zeros,
                "code_values": CODE_VALUES.get(weights),
            }
        )
    layers = [
        {
            "row": row,
            "layer": f"model.decoder.layers.{index}.{part}",
            "total": 0.02,
            "underflow": 0.012,
            "rounding": 0.009,
            "cross": -0.001,
            "zero_fraction": 0.11,
            "code_counts": [10 + 3 * code + index for code in range(16)],
            "code_entropy_bits": 3.75 + 0.05 * index,
        }
        for row in ("W4A8 INT4, AQAS", "W4A8 dINT4, AQAS")
        for index in range(2)
        for part in ("fc1", "fc2", "self_attn.out_proj")
    ]
    return {
        "model": {"name": "synthetic OPT", "parameters": 4_500_000, "sha256": sha("checkpoint")},
        "calibration": {"text": "wikitext-2 train", "length_tokens": 128, "windows": 64, "seed": 0},
        "protocols": {
            text: {
                "description": "Perplexity per token, disjoint windows, first token of a window not predicted.",
                "window_tokens": 256,
                "windows": 300,
                "predicted_tokens": 76500,
                "text_sha256": sha(text),
            }
            for text in texts
        },
        "rows": rows,
        "layers": layers,
    }


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is not about charts, which take most of the time of a page."""
    monkeypatch.setattr(charts, "charts", lambda _: {})
    monkeypatch.setattr(layer_charts, "layer_charts", lambda _: {})
    monkeypatch.setattr(ratio_charts, "ratio_charts", lambda _: {})
