"""Energy measurements of mapped netlists, several at a time, each in a process of its own and cached by content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from golden import MacConfig, Operands
from golden.artifacts import canonical_json, sha256_file, sha256_of, write_file

from . import sta
from .mapping import Mapped, delays
from .pdk import Pdk

__all__ = ["Measurement", "measure_all", "stimulus_for"]

# Sources that no measurement depends on; a change of any other makes earlier ones stale.
_INDIFFERENT = {"command", "comparison", "flow", "mapping", "polarity", "recipe", "yosys", "yosys_child", "bench", "runner"}


@dataclass(frozen=True)
class Measurement:
    """Energy of one netlist with one kind of operands and activity."""

    mapped: Mapped
    kind: str  # which comparison it belongs to
    source: str  # "opt" or "uniform"
    activity: str  # "sdf" or "zero-delay"
    facts: Mapping[str, Any]

    @property
    def energy_per_mac_j(self) -> float:
        """Energy per MAC in J, leakage included."""
        return float(self.facts["energy_per_mac_j"])

    @property
    def power_w(self) -> float:
        """Total power in W."""
        return float(self.facts["power_w"])

    @property
    def leakage_w(self) -> float:
        """Leakage power in W."""
        return float(self.facts["leakage_w"])

    def describe(self, dataflow: str) -> dict[str, Any]:
        """Plain data."""
        design = self.mapped.describe()
        names = ("design", "pdk", "format", "architecture", "lanes", "netlist_sha256")
        return {name: design[name] for name in names} | dict(self.facts) | {"operands": self.source, "dataflow": dataflow}


def stimulus_for(config: MacConfig, operands: Operands | None, cycles: int, seed: int) -> Any:
    """The operands of the quantized model, or uniform ones."""
    from sim.stimulus import Stimulus

    if operands is None:
        return Stimulus.uniform(config, cycles, seed)
    return Stimulus.from_operands(operands, config, cycles, seed)


def measure_all(
    tasks: Sequence[tuple[Mapped, str, str]],
    pdk: Pdk,
    period_ns: float,
    kind: str,
    operands: Mapping[str, Operands],
    cycles: int,
    seed: int,
    cache: Path,
    jobs: int,
    advance: Callable[[str], None] | None = None,
) -> list[Measurement]:
    """Measure every task (netlist, "opt" or "uniform", "sdf" or "zero-delay") at `period_ns`, in order.

    Raises
    ------
    InputError, ToolError
        As `synth.energy.measure`: a wrong sum, delays that do not apply, too few nets with activity.
    """
    from joblib import Parallel, delayed

    calls = []
    for mapped, source, activity in tasks:
        sdf = delays(mapped, pdk) if activity == "sdf" else None
        given = operands[mapped.config.weight_format.name] if source == "opt" else None
        stimulus = stimulus_for(mapped.config, given, cycles, seed)
        key = sha256_of(
            {
                "netlist": mapped.netlist_sha256,
                "pdk": pdk.describe(),
                "period_ns": period_ns,
                "stimulus": stimulus.sha256,
                "activity": activity,
                "opensta": sta.version(),
                "sources": _sources_sha256(),
            }
        )
        path = cache / "energies" / key[:2] / f"{key}.json"
        calls.append((path, mapped, pdk, period_ns, stimulus, sdf))
    results: list[Measurement] = []
    # Processes, since reading waveforms is work for Python.
    parallel = Parallel(jobs if len(calls) > 1 else 1, return_as="generator")
    for (mapped, source, activity), facts in zip(tasks, parallel(delayed(_measure)(*call) for call in calls), strict=True):
        results.append(Measurement(mapped, kind, source, activity, facts))
        if advance is not None:
            advance(f"{pdk.name} {mapped.design}: {source}, {activity}")
    return results


def _measure(path: Path, mapped: Mapped, pdk: Pdk, period_ns: float, stimulus: Any, sdf: Path | None) -> dict[str, Any]:
    """One measurement, from the cache if it is there."""
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        pass
    import tempfile

    from . import energy, liberty

    library = liberty.load(pdk.liberty)
    with tempfile.TemporaryDirectory(prefix="dint-energy-") as workdir:
        result = energy.measure(
            mapped.netlist, mapped.design, mapped.config, library, pdk, stimulus, period_ns, sdf, Path(workdir)
        )
    facts = {
        "period_ns": period_ns,
        "activity": result.activity,
        "energy_per_mac_j": result.energy_per_mac_j,
        "power_w": result.total_w,
        "internal_w": result.internal_w,
        "switching_w": result.switching_w,
        "leakage_w": result.leakage_w,
        "by_part_j": dict(result.by_part_j),
        "annotated_fraction": result.annotated_fraction,
        "cycles": result.cycles,
        "sums_compared": result.sums_compared,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, canonical_json(facts))
    return facts


@lru_cache(maxsize=1)
def _sources_sha256() -> dict[str, str]:
    synth = Path(__file__).parent
    files = sorted(file for folder in (synth, synth.parent / "sim") for file in folder.glob("*.py"))
    return {f"{file.parent.name}/{file.stem}": sha256_file(file) for file in files if file.stem not in _INDIFFERENT}
