# SPDX-License-Identifier: Apache-2.0
"""A made-up run of `dint pareto` in the real shape: none of these figures was measured."""

from __future__ import annotations

from typing import Any

from .conftest import sha

KLS = {"int8": 0.0003, "int4": 0.0187, "dint4": 0.0188, "int3": 0.073}
AREAS = {"int8": 900.0, "int4": 500.0, "dint4": 530.0, "int3": 400.0}
#: All that `dint pareto` takes by default, some of them close together: labels must find their places.
MORE = {
    "dint3": (0.0733, 415.0),
    "fp4_e2m1": (0.0199, 525.0),
    "int4_g32": (0.0163, 620.0),
    "dint4_g32": (0.0165, 680.0),
    "mxfp4": (0.0238, 590.0),
    "mxfp4_a4": (0.0702, 505.0),
    "nvfp4": (0.0151, 640.0),
    "nvfp4_a4": (0.0449, 650.0),
    "lobcq_c8_g64": (0.0159, 1150.0),
    "lobcq_c8_g64_a4": (0.0331, 1450.0),
}


def rival(beats: bool = True, noise: tuple[str, ...] = ("kl",), ratio: float = 500 / 530) -> dict[str, Any]:
    errors = {"kl_difference": -0.0001, "kl_difference_standard_error": 0.0002}
    return {"format": "int4", "cost_ratio": ratio, "beats": beats, "noise": list(noise), **errors}


def synthetic_pareto(more: bool = False) -> dict[str, Any]:
    """A run on one kit: dINT4 is beaten in area, by noise alone on the front in energy, and on that of delay."""
    kls = KLS | {name: kl for name, (kl, _) in MORE.items()} if more else KLS
    areas = AREAS | {name: area for name, (_, area) in MORE.items()} if more else AREAS
    others = [name for name in kls if name not in KLS]
    beaten = {one for one in others if any(areas[name] <= areas[one] and kls[name] <= kls[one] for name in kls if name != one)}
    rivals = {"area": [rival()], "energy": [rival(False, ("cost",), 1.04)], "delay": []}
    kinds = {"area": "minimum-area", "energy": "equal-clock", "delay": "fastest"}
    fronts = [
        {
            "pdk": "osu018",
            "lanes": 16,
            "kind": kinds[metric],
            "period_ns": None if metric == "delay" else 5.0,
            "metric": metric,
            "text": "documentation",
            "points": [
                {
                    "format": name,
                    "cost": areas[name] * {"area": 1.0, "energy": 1e-14, "delay": 0.01}[metric],
                    "cost_standard_error": 1e-13 if metric == "energy" else None,
                    "kl": kl,
                    "kl_standard_error": 0.02 * kl,
                    "on_front": name not in beaten and (name != "dint4" or metric != "area"),
                    "rivals": rivals[metric] if name == "dint4" else [],
                }
                for name, kl in kls.items()
            ],
        }
        for metric in ("area", "energy", "delay")
    ]
    figures = {"perplexity_standard_error": 1.4, "kl_standard_error": 0.0004}
    unit = {"pdk": "osu018", "lanes": 16, "kind": "minimum-area", "objective": "area", "period_ns": 5.0, "delay_ns": 4.9}
    unit |= {"architecture": "digit-grid", "energy_per_mac_j": 5e-12, "energy_per_mac_standard_error_j": None}
    return {
        "date": "2026-01-02",
        "versions": {"dint": "0.1"},
        "sources_sha256": sha("sources"),
        "model": {"name": "synthetic OPT", "parameters": 4_500_000, "sha256": sha("checkpoint")},
        "recipe": {"scaling": "aqas", "clipping": "none", "rounding": "optq", "form": "symmetric", "group_size": 32},
        "calibration": [{"text": "t", "length_tokens": 128, "windows": 64, "seed": seed} for seed in range(3)],
        "protocols": {
            "documentation": {
                "description": "d", "window_tokens": 256, "windows": 74, "predicted_tokens": 18870, "text_sha256": sha("t"),
            }
        },
        "unquantized": {"documentation": {"perplexity": 28.5, "perplexity_standard_error": 1.3}},
        "accuracy": [
            {
                "format": name,
                "texts": {
                    "documentation": {
                        "kl": kl, "kl_by_draw": [0.99 * kl, 1.01 * kl], "perplexity": 28.55 + 29 * kl, **figures,
                    }
                },
                "operands_sha256": sha(name, "operands"),
                "weights_sha256": {"model.safetensors": sha(name, "weights")},
            }
            for name, kl in kls.items()
        ],
        "units": [
            {
                **unit,
                "format": name,
                "design": f"mac_{name}_x16",
                "area_um2": 16 * area,
                "area_per_mac_um2": area,
                "netlist_sha256": sha(name, "netlist"),
                "verilog_sha256": sha(name, "verilog"),
            }
            for name, area in areas.items()
        ],
        "fronts": fronts,
        "effort": [
            {"pdk": "osu018", "lanes": 16, "format": name, "syntheses": 51, "sums_compared": 960, "architectures": ["a", "b"]}
            for name in kls
        ],
        "failures": [{"pdk": "asap7", "lanes": 16, "format": None, "error": "OpenSTA: <out> of memory"}],
        "pdks": {"osu018": {"corner": "typical", "liberty_sha256": [sha("liberty")]}},
    }  # fmt: skip
