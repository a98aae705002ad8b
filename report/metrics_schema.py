# SPDX-License-Identifier: Apache-2.0
"""The published schema of every `metrics.json`: `docs/metrics.schema.json`, in JSON Schema (draft 2020-12).

It is made from the shapes here, which are in the language of `report.shapes`; that of `dint report` is the shape of its results
under the names of `report.metrics`. `python -m report.metrics_schema` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golden.artifacts import canonical_json

from .metrics import DESIGN_NAMES, ENERGY_NAMES, renamed
from .schema import RESULTS
from .shapes import ANY, COUNT, NUMBER, TEXT, TEXT_OR_NULL, TRUTH, Each, IfThere, Maybe, OneOf, Scalar

__all__ = ["QUANTIZATION", "REPORT", "SYNTHESIS", "json_schema"]

#: `dint synthesize`.
SYNTHESIS: dict[str, Any] = {
    "design": TEXT,
    "design__instance__area": NUMBER,
    "design__instance__count": COUNT,
    "design__instance__area__by_part": Each(NUMBER),
    "design__instance__area__with_parts_kept": NUMBER,
    "timing__setup__ws": NUMBER,
    "clock__period": NUMBER,
    "timing__critical_path__delay": NUMBER,
    "power__total": NUMBER,
    "power__internal__total": NUMBER,
    "power__switching__total": NUMBER,
    "power__leakage__total": NUMBER,
    "power__engine": OneOf(("dint", "opensta")),
    "energy__per_mac": NUMBER,
    "energy__per_mac__by_part": Each(NUMBER),
    "energy__per_mac__zero_delay": IfThere(NUMBER),
    "activity__kind": OneOf(("sdf", "zero-delay", "vectorless")),
    "activity__annotated": NUMBER,
    "activity__cycles": COUNT,
    "activity__sums_compared": COUNT,
    "activity__operands": TEXT_OR_NULL,
    "activity__dataflow": TEXT_OR_NULL,
    "formal__equivalence__proved": IfThere(TRUTH),
    "pdk": {"name": TEXT, "corner": TEXT, "liberty_sha256": [TEXT]},
    "format": TEXT,
    "architecture": TEXT,
    "shape": OneOf(("mac", "pe")),
    "lanes": COUNT,
    "options": ANY,
    "tools": {"yosys": TEXT, "opensta": TEXT},
    "hashes": {"verilog": TEXT, "netlist": TEXT, "delays": TEXT},
}

#: `dint report`.
REPORT: dict[str, Any] = {
    **{
        name: shape
        for name, shape in RESULTS.items()
        if name not in ("simulations", "checks", "stages", "grids", "paretos", "silicon", "clocks")
    },
    "results_sha256": TEXT,
    "clocks": Maybe(RESULTS["clocks"].value),
    "designs": [renamed(RESULTS["designs"][0], DESIGN_NAMES)],
    "energies": [renamed(RESULTS["energies"][0], ENERGY_NAMES)],
    "headline": [
        {"metric": OneOf(("area", "energy")), "kind": TEXT, "reference": TEXT, "candidate": TEXT, "low": NUMBER, "high": NUMBER}
    ],
    "verification": {
        "simulations": RESULTS["simulations"],
        "macs_compared": COUNT,
        "sums_compared": COUNT,
        "checks": RESULTS["checks"].value,
        "gate_level_sums_compared_for_energy": COUNT,
    },
}

#: `dint quantize`.
QUANTIZATION: dict[str, Any] = {**RESULTS["accuracy"], "recipe": ANY}

#: What figures mean; names of METRICS2.1 where it has one.
MEANINGS = {
    "design__instance__area": "area of all cells, in um2",
    "design__instance__count": "number of cells",
    "design__instance__area__by_part": "shares of the area by part of the unit, in um2",
    "design__instance__area__with_parts_kept": "area of the netlist that the shares come from, whose hierarchy is kept, in um2",
    "timing__setup__ws": "worst setup slack, in ns",
    "timing__critical_path__delay": "shortest clock period that the netlist works at, in ns",
    "clock__period": "clock period, in ns",
    "power__total": "average power, in W",
    "power__internal__total": "power inside the cells, in W",
    "power__switching__total": "power of charging pins, in W; wires have no capacitance here",
    "power__leakage__total": "leakage power, in W",
    "power__engine": "what worked out the power",
    "energy__per_mac": "energy of a product, leakage over the clock period included, in J",
    "energy__per_mac__by_part": "the same by kind of cell, in J",
    "energy__per_mac__zero_delay": "the same without glitches, in J",
    "energy__per_mac__standard_error": "its standard error over samples of operands, in J",
    "energy__per_mac__confidence_95": "half the width of its 95 % confidence interval, in J",
    "activity__kind": "simulated with delays (sdf) or without (zero-delay), or assumed (vectorless)",
    "activity__annotated": "share of the nets whose activity is known, 0 to 1",
    "activity__cycles": "recorded clock cycles",
    "activity__sums_compared": "sums compared with the golden model in the simulation of the activity",
    "activity__operands": "where the operands come from",
    "activity__dataflow": "streaming or weights-held",
    "formal__equivalence__proved": "whether the netlist was proved to do what its Verilog does, in every cycle",
    "perplexity_ratio": "perplexity / unquantized perplexity, by text",
    "perplexity_ratio_standard_error": "over windows, of the differences of the losses",
    "losses": "mean negative log-likelihood of each window, by text, in nats per token",
    "divergences": "mean KL divergence to the unquantized model of each window, by text, in nats per token",
    "area_ratio": "baseline / candidate",
    "energy_ratio": "baseline / candidate",
}

_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}


def json_schema() -> dict[str, Any]:
    """The schema: a `metrics.json` is one of the three kinds."""
    kinds = {"synthesis": SYNTHESIS, "report": REPORT, "quantization": QUANTIZATION}
    titles = {"synthesis": "dint synthesize", "report": "dint report", "quantization": "dint quantize"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "metrics.json",
        "description": "Figures in METRICS2.1 names. Further keys may be added; null is a figure that was not measured.",
        "anyOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
        "$defs": {kind: {"title": titles[kind], **_schema(shape)} for kind, shape in kinds.items()},
    }


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, Maybe):
        return {"anyOf": [_schema(shape.value), {"type": "null"}]}
    if isinstance(shape, Each):
        return {"type": "object", "additionalProperties": _schema(shape.value)}
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if isinstance(shape, OneOf):
        return {"enum": [*shape.words, None] if shape.null else list(shape.words)}
    if isinstance(shape, Scalar):
        return _scalar(shape)
    assert isinstance(shape, Mapping)
    inner = {name: value.value if isinstance(value, IfThere) else value for name, value in shape.items()}
    return {
        "type": "object",
        "required": sorted(name for name, value in shape.items() if not isinstance(value, IfThere)),
        "properties": {name: _schema(value) | _meaning(name) for name, value in inner.items()},
    }


def _scalar(shape: Scalar) -> dict[str, Any]:
    if object in shape.types:
        return {}
    names = ["number"] if float in shape.types else [_TYPES[one] for one in shape.types]
    names += ["null"] if shape.null else []
    return {"type": names[0] if len(names) == 1 else names}


def _meaning(name: str) -> dict[str, str]:
    return {"description": MEANINGS[name]} if name in MEANINGS else {}


if __name__ == "__main__":
    print(canonical_json(json_schema()), end="")
