# SPDX-License-Identifier: Apache-2.0
"""Files that a report is given beside its own results: their shapes, in the language of `report.shapes`, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from golden.artifacts import read_user_json
from golden.errors import InputError

from .shapes import COUNT, FIGURE, NUMBER, TEXT, TEXT_OR_NULL, TRUTH, Each, IfThere, OneOf, Scalar, check_shape, expect

__all__ = [
    "CALIBRATION",
    "COMPARISON",
    "GRID",
    "PARETO",
    "PROTOCOLS",
    "SILICON",
    "check_fronts",
    "check_grid",
    "check_pareto",
    "read_grid",
    "read_pareto",
    "read_silicon",
]

LARGEST = 1e100
_BENCHMARK = "make benchmark-silicon"

PROTOCOLS = Each(
    {"description": TEXT, "window_tokens": COUNT, "windows": COUNT, "predicted_tokens": COUNT, "text_sha256": TEXT}
)
CALIBRATION = {"text": TEXT, "length_tokens": COUNT, "windows": COUNT, "seed": COUNT}
_PAIR = {"variant": TEXT, "text": TEXT, "rival": TEXT, "dint": TEXT}
#: `accuracy.json` of `make benchmark-accuracy`.
GRID: dict[str, Any] = {
    "model": {"name": TEXT, "parameters": COUNT, "sha256": TEXT},
    "protocols": PROTOCOLS,
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
#: A row of a comparison: the best baseline for an area or energy, and the best candidate.
COMPARISON: dict[str, Any] = {
    "pdk": TEXT,
    "lanes": COUNT,
    "pipeline": IfThere(COUNT),
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

_EFFORT = Each({"syntheses": COUNT, "architectures": [TEXT]})
_PEERS = [{"pdk": TEXT, "unit": TEXT, "area_um2": NUMBER, "delay_ns": NUMBER}]
_ZERO_POINTS = {
    "pdk": {"name": TEXT},
    "lanes": COUNT,
    "units": COUNT,
    "formats": [
        {
            "format": TEXT,
            "architecture": TEXT,
            "conditions": [
                {
                    "period_ns": FIGURE,
                    "areas_um2": Each(FIGURE),
                    "energies_j": Each(FIGURE),
                    "added_um2": FIGURE,
                    "added_j": FIGURE,
                }
            ],
        }
    ],
}
#: What `make benchmark-silicon` writes: peers, comparisons of MAC units and of elements, and what zero-points cost.
SILICON: dict[str, Any] = {
    "peers": IfThere(_PEERS),
    "mac": IfThere([COMPARISON]),
    "pe": IfThere([COMPARISON]),
    "zero_points": IfThere([_ZERO_POINTS]),
    "effort": IfThere(Each(_EFFORT)),
    "failed": IfThere(Each([TEXT])),
}

#: `pareto.json` of `dint pareto`.
PARETO: dict[str, Any] = {
    "date": TEXT,
    "versions": Each(TEXT),
    "sources_sha256": TEXT,
    "model": {"name": TEXT, "parameters": COUNT, "sha256": TEXT},
    "recipe": {"scaling": TEXT, "clipping": TEXT, "rounding": TEXT},
    "calibration": [CALIBRATION],
    "protocols": PROTOCOLS,
    "unquantized": Each({"perplexity": NUMBER, "perplexity_standard_error": NUMBER}),
    "accuracy": [
        {
            "format": TEXT,
            "weight_bits": IfThere(NUMBER),
            "block": IfThere(Scalar("an integer", (int,), null=True)),
            "texts": Each(
                {
                    "perplexity": NUMBER,
                    "perplexity_standard_error": NUMBER,
                    "kl": NUMBER,
                    "kl_standard_error": NUMBER,
                    "kl_by_draw": [NUMBER],
                }
            ),
            "operands_sha256": TEXT,
            "weights_sha256": Each(TEXT),
        }
    ],
    "units": [
        {
            "pdk": TEXT,
            "lanes": COUNT,
            "kind": OneOf(("minimum-area", "equal-clock", "fastest")),
            "objective": OneOf(("area", "energy", "delay")),
            "period_ns": NUMBER,
            "format": TEXT,
            "design": TEXT,
            "architecture": TEXT,
            "area_um2": NUMBER,
            "area_per_mac_um2": NUMBER,
            "delay_ns": NUMBER,
            "energy_per_mac_j": FIGURE,
            "energy_per_mac_standard_error_j": FIGURE,
            "netlist_sha256": TEXT,
            "verilog_sha256": TEXT,
        }
    ],
    "fronts": [
        {
            "pdk": TEXT,
            "lanes": COUNT,
            "kind": OneOf(("minimum-area", "equal-clock", "fastest")),
            "period_ns": FIGURE,
            "metric": OneOf(("area", "energy", "delay")),
            "text": TEXT,
            "points": [
                {
                    "format": TEXT,
                    "cost": NUMBER,
                    "cost_standard_error": FIGURE,
                    "kl": NUMBER,
                    "kl_standard_error": NUMBER,
                    "on_front": TRUTH,
                    "rivals": [
                        {
                            "format": TEXT,
                            "cost_ratio": NUMBER,
                            "kl_difference": NUMBER,
                            "kl_difference_standard_error": NUMBER,
                            "beats": TRUTH,
                            "noise": [OneOf(("cost", "kl"))],
                        }
                    ],
                }
            ],
        }
    ],
    "effort": [
        {
            "pdk": TEXT,
            "lanes": COUNT,
            "format": TEXT,
            "syntheses": COUNT,
            "architectures": [TEXT],
            "kept_below": IfThere(FIGURE),
            "sums_compared": COUNT,
        }
    ],
    "failures": [
        {"pdk": TEXT_OR_NULL, "lanes": Scalar("an integer", (int,), null=True), "format": TEXT_OR_NULL, "error": TEXT}
    ],
    "pdks": Each({"corner": TEXT, "liberty_sha256": [TEXT]}),
}


def read_grid(path: Path) -> dict[str, Any]:
    """The `accuracy.json` of a benchmark; InputError if it cannot be read, or is something else."""
    found: dict[str, Any] = _read(path, "--accuracy", "make benchmark-accuracy", check_grid)
    return found


def read_pareto(path: Path) -> dict[str, Any]:
    """A `pareto.json`; InputError if it cannot be read, or is something else."""
    found: dict[str, Any] = _read(path, "--pareto", "dint pareto", check_pareto)
    return found


def read_silicon(directory: Path) -> dict[str, Any]:
    """What `make benchmark-silicon` left in a directory, by part; InputError if that is nothing, or something else."""
    compared = {"comparisons": [COMPARISON], "effort": IfThere(_EFFORT), "failed": IfThere([TEXT])}
    files = {"peers": ("peers.json", _PEERS), "mac": ("comparison.json", compared), "pe": ("comparison-pe.json", compared)}
    found: dict[str, Any] = {}
    for part, (name, shape) in files.items():
        if (directory / name).exists():
            found[part] = _of_benchmark(directory / name, shape)
    whole = {part: found[part] for part in ("mac", "pe") if part in found}
    found |= {part: one["comparisons"] for part, one in whole.items()}
    for key in ("effort", "failed"):
        if said := {part: one[key] for part, one in whole.items() if one.get(key)}:
            found[key] = said
    if zero_points := sorted(directory.glob("zero-points-*/zero-points.json")):
        found["zero_points"] = [_of_benchmark(file, _ZERO_POINTS) for file in zero_points]
    if not found:
        names = ", ".join(name for name, _ in files.values())
        raise InputError(f"--silicon {directory}: has no {names} nor zero-points-*; `{_BENCHMARK}` makes them")
    return found


def _of_benchmark(path: Path, shape: Any) -> Any:
    return _read(path, "--silicon", _BENCHMARK, lambda found, source: check_shape(found, shape, source))


def _read(path: Path, option: str, maker: str, check: Callable[[Any, str], None]) -> Any:
    found = read_user_json(path, option, f"`{maker}` makes it")
    check(found, f"{option} {path}")
    return found


def check_pareto(found: Any, source: str) -> None:
    """Refuse a `pareto.json` of wrong shape, or with a figure that has no place on its axis, with the path of the first."""
    check_shape(found, PARETO, source)
    check_fronts(found, "", source)


def check_fronts(found: Mapping[str, Any], path: str, source: str) -> None:
    """Figures that can be drawn, on fronts that have points."""
    expect(bool(found["calibration"]), found["calibration"], "one draw or more", f"{path}calibration", source)
    _check_magnitude(found, path.rstrip("."), source)
    for index, front in enumerate(found["fronts"]):
        where = f"{path}fronts[{index}].points"
        expect(bool(front["points"]), front["points"], "one point or more", where, source)
        for number, point in enumerate(front["points"]):
            for name in ("cost", "kl"):
                error = f"{name}_standard_error"
                expect(point[name] > 0, point[name], "a number above 0", f"{where}[{number}].{name}", source)
                expect((point[error] or 0) >= 0, point[error], "0 or more", f"{where}[{number}].{error}", source)


def _check_magnitude(value: Any, path: str, source: str) -> None:
    """Refuse numbers so large that a change of unit overflows."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _check_magnitude(inner, f"{path}.{name}" if path else name, source)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_magnitude(inner, f"{path}[{index}]", source)
    elif isinstance(value, int | float):
        expect(abs(value) < LARGEST, value, f"a number below {LARGEST:g}", path, source)


def check_grid(measured: Any, source: str) -> None:
    """Refuse a grid of accuracy of wrong shape, with the path of the first fault."""
    check_shape(measured, GRID, source)
