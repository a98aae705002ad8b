# SPDX-License-Identifier: Apache-2.0
"""What the stages of the main job found, gathered into the plain data that `report` shows."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from golden import Operands
from golden.artifacts import sha256_file
from report.selection import winners

from .checks import collect_checks
from .stages import HARDWARE_PACKAGES, QUANTIZATION_PACKAGES, Stage, Stages, package_versions

if TYPE_CHECKING:
    from synth.pdk import Pdk

__all__ = ["collect", "versions"]


def collect(
    stages: Stages,
    kits: list[Pdk],
    quantized: dict[str, Stage],
    units: Stage,
    simulated: list[Stage],
    compared: list[Stage],
) -> dict[str, Any]:
    """Everything that the report shows, as plain data."""
    comparisons = [stage.json("comparison.json") for stage in compared]
    merged = {
        key: [entry for comparison in comparisons for entry in comparison[key]]
        for key in ("designs", "energies", "comparisons", "clocks", "not_measured")
    }
    checks, not_run = collect_checks()
    operands = {name: Operands.load(stage.path("operands.npz")) for name, stage in quantized.items()}
    return {
        **merged,
        "not_measured": list(dict.fromkeys([*merged["not_measured"], *not_run])),
        "checks": checks,
        "date": max(stage.date for stage in stages.done),
        "versions": versions(),
        "accuracy": quantized["dint4"].json("metrics.json"),
        "operands": {name: _operand_facts(quantized[name], file) for name, file in operands.items()},
        "simulations": [run for stage in simulated for run in stage.json("simulation.json")],
        "effort": _total_effort(comparison["effort"] for comparison in comparisons),
        "pdks": {kit.name: {"corner": kit.corner, "liberty_sha256": list(kit.liberty_sha256)} for kit in kits},
        "stages": [{"name": stage.name, "seconds": stage.seconds, "reused": stage.reused} for stage in stages.done],
        "provenance": _provenance(kits, quantized, units, simulated, compared, comparisons),
    }


def versions() -> dict[str, str]:
    from sim.simulators import find_simulator
    from synth.sta import version as opensta_version

    simulator = find_simulator()
    return {
        **package_versions(QUANTIZATION_PACKAGES + HARDWARE_PACKAGES),
        "dint": importlib.metadata.version("dint"),
        simulator.name: simulator.version,
        "opensta": opensta_version(),
    }


def _operand_facts(stage: Stage, operands: Operands) -> dict[str, Any]:
    return {
        "sha256": sha256_file(stage.path("operands.npz")),
        "format": operands.number_format.name,
        "layers": [layer.name for layer in operands.layers],
        "tokens": operands.layers[0].activations.shape[0],
        "recipe": operands.provenance.get("recipe"),
        **_statistics(operands),
    }


def _statistics(operands: Operands) -> dict[str, float]:
    """RMS and share of zeros of what the hardware multiplies: activations as INT8, weights in steps of the format.

    A layer counts as often as the unit meets it: its activations once an output channel, its weights once a token.
    """
    products, activations, weights = 0, np.zeros(2), np.zeros(2)
    for layer in operands.layers:
        (outputs, inputs), tokens = layer.weights.shape, layer.activations.shape[0]
        products += outputs * inputs * tokens
        activations += outputs * _sums(layer.activations.astype(np.float64))
        if layer.zero_points is None:
            values = operands.number_format.decode(layer.weights)
        else:
            values = np.stack(
                [
                    operands.number_format.with_zero_point(int(zero_point)).decode(codes)
                    for codes, zero_point in zip(layer.weights, layer.zero_points, strict=True)
                ]
            )
        weights += tokens * _sums(values * float(operands.number_format.unit))
    (activation_square, activation_zeros), (weight_square, weight_zeros) = activations / products, weights / products
    return {
        "activation_rms": float(np.sqrt(activation_square)),
        "activation_zero_fraction": float(activation_zeros),
        "weight_rms_steps": float(np.sqrt(weight_square)),
        "weight_zero_fraction": float(weight_zeros),
    }


def _sums(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Sum of squares, and number of zeros."""
    return np.array([np.square(values).sum(), (values == 0).sum()], dtype=np.float64)


def _total_effort(efforts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Counts of the search, by format, over all PDKs."""
    total: dict[str, Any] = {}
    for effort in efforts:
        for name, entry in effort.items():
            counts = total.setdefault(name, {**entry, "syntheses": 0, "energies": 0})
            counts["syntheses"] += entry["syntheses"]
            counts["energies"] += entry["energies"]
    return total


def _provenance(
    kits: list[Pdk],
    quantized: dict[str, Stage],
    units: Stage,
    simulated: list[Stage],
    compared: list[Stage],
    comparisons: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The chain of hashes from the checkpoint to the netlists' figures: each artefact and what it was made from."""
    model = quantized["dint4"].json("metrics.json")["model"]["sha256"]
    chain = [_link("checkpoint", model)]
    for name, stage in quantized.items():
        for file in ("model.safetensors", "operands.npz"):
            made_from = ["checkpoint"] if file == "model.safetensors" else [f"{name}/model.safetensors"]
            chain.append(_link(f"{name}/{file}", sha256_file(stage.path(file)), made_from))
    texts = {verilog.name: verilog.read_bytes() for verilog in sorted(units.directory.glob("*.v"))}
    chain += [_link(name, sha256(text).hexdigest()) for name, text in texts.items()]
    libraries = {
        kit.name: [_link(f"{kit.name} Liberty {number}", digest) for number, digest in enumerate(kit.liberty_sha256, 1)]
        for kit in kits
    }
    chain += [link for links in libraries.values() for link in links]
    known = {link["artefact"] for link in chain}

    def verilog_of(entry: Mapping[str, Any]) -> str:
        """Name of the link of a design's Verilog, which is added where it is met first."""
        name = _verilog_name(entry, texts)
        if name not in known:
            known.add(name)
            chain.append(_link(name, entry["verilog_sha256"]))
        return name

    for stage in simulated:
        runs = stage.json("simulation.json")
        made_from = sorted({f"{run['format']}/operands.npz" for run in runs}) + sorted({verilog_of(run) for run in runs})
        chain.append(_link(stage.name, sha256_file(stage.path("simulation.json")), made_from))
    for stage, comparison in zip(compared, comparisons, strict=True):
        netlists = []
        for design in winners(comparison):
            made_from = [verilog_of(design), *(link["artefact"] for link in libraries[design["pdk"]])]
            netlist = f"{design['pdk']} {design['design']} netlist {design['netlist_sha256'][:8]}, for {design['objective']}"
            netlists.append(netlist)
            chain.append(_link(netlist, design["netlist_sha256"], made_from))
        made_from = [f"{name}/operands.npz" for name in quantized] + netlists
        chain.append(_link(stage.name, sha256_file(stage.path("comparison.json")), made_from))
    return chain


def _verilog_name(design: Mapping[str, Any], generated: dict[str, bytes]) -> str:
    """The generated file behind a netlist, where its text is the same; else a name that tells the two texts apart."""
    name = f"{design['design']}.v"
    if name not in generated:
        return name
    same = design["verilog_sha256"] == sha256(generated[name]).hexdigest()
    return name if same else f"{name} as synthesized"


def _link(artefact: str, digest: str, made_from: list[str] | None = None) -> dict[str, Any]:
    return {"artefact": artefact, "sha256": digest, "made_from": made_from or []}
