"""The fair comparison: both sides through the same search, at minimum area and at the baseline's tightest clock.

Per kit and lane count:

1. every architecture that can do a format is mapped for area, by the same recipes; those over `Effort.keep` times the smallest
   of their format are dropped, on every side alike;
2. the others are mapped for speed, the two fastest of each format by more recipes; the clock period is the shortest at which
   an INT8 unit closes, to the resolution of the search (if no dINT4 unit can follow, the shortest at which both close, and
   the result says so);
3. at that period, of every architecture the smallest netlist that closes counts, after gates were sized down for the period;
4. every architecture's netlist is simulated with the same kind of operands, and each side is represented by its best
   architecture *for the metric compared*: the smallest, or the most frugal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golden import MacConfig, Operands, format_by_name
from golden.errors import InputError

from .flow import (
    FIRST_ADDER,
    JOBS,
    Workshop,
    area_recipes,
    fast_recipes,
    fastest,
    recovery_recipes,
    smallest,
)
from .mapping import DEFAULT_CACHE, Mapped, area_by_part
from .measuring import Measurement, Task, confidence_95, measure_all, standard_error
from .pdk import Pdk

__all__ = ["EQUAL_CLOCK", "MINIMUM_AREA", "Effort", "compare"]

EQUAL_CLOCK, MINIMUM_AREA = "equal-clock", "minimum-area"
BASELINE, CANDIDATE, REFERENCE = FORMATS = ("int8", "dint4", "int4")
STREAMING = "streaming"


@dataclass(frozen=True)
class Effort:
    """How much is tried; the same for every format.

    Parameters
    ----------
    keep
        Architectures above this multiple of the smallest area of their format are not followed further.
    margin
        The clock period lies above the shortest found by this share, the resolution of the search: at the shortest itself a
        single netlist closes, and its area is a matter of luck.
    fast
        Number of architectures of each format, the fastest first, that more adders than the first are tried for.
    adders
        Those adders.
    recover
        Number of netlists of each architecture that are sized for the clock period.
    cycles
        Clock cycles of each sample of an energy measurement, by lane count up to which they apply.
    samples
        Samples of operands, each with a simulation of its own, for the finalists' energy; their spread gives its standard
        error.
    clock_reference
        Take INT4 to the common clock too; otherwise the cost of the denormal codes is given at minimum area only.
    """

    keep: float = 1.5
    margin: float = 0.03
    fast: int = 2
    adders: tuple[str, ...] = ("kogge-stone",)
    recover: int = 1
    cycles: tuple[tuple[int, int], ...] = ((1, 512), (64, 192))
    samples: int = 3
    clock_reference: bool = False

    def cycles_for(self, lanes: int) -> int:
        """Cycles of an energy measurement of a unit with `lanes`."""
        return next(cycles for limit, cycles in self.cycles if lanes <= limit)


@dataclass
class _Case:
    """One kit and lane count while it is worked on."""

    workshop: Workshop
    configs: dict[str, list[MacConfig]]  # format -> one configuration an architecture
    lanes: int
    minimum: dict[str, list[Mapped]] = field(default_factory=dict)  # format -> smallest netlist of each architecture
    clocked: dict[str, list[Mapped]] = field(default_factory=lambda: {name: [] for name in FORMATS})  # closing at the period
    period_ns: float = math.nan
    tightest_ns: dict[str, float] = field(default_factory=dict)  # format -> shortest period found
    measurements: list[Measurement] = field(default_factory=list)


def compare(
    pdks: Sequence[Pdk],
    lanes: Sequence[int] = (1, 16),
    operands: Mapping[str, Operands] | None = None,
    depth: int = 65536,
    pipeline: int = 0,
    effort: Effort | None = None,
    cache: Path = DEFAULT_CACHE,
    jobs: int = JOBS,
    seed: int = 0,
    advance: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Compare dINT4 x INT8 with INT8 x INT8 and with INT4 x INT8 on every kit and lane count.

    Parameters
    ----------
    pdks, lanes
        What to compare on.
    operands
        By format, the operands of the quantized model. Formats without them are measured with uniform operands only.
    effort
        How much is tried.
    cache, jobs
        Folder of earlier results; syntheses and simulations at a time.
    seed
        For the choice of operands.
    advance
        Called with a few words after every synthesis and every simulation.

    Returns
    -------
    dict
        Plain data: `designs`, `energies`, `comparisons`, `clocks`, `effort`, `not_measured`.

    Raises
    ------
    InputError, ToolError
        If there is no kit, a Liberty file cannot be used, or a tool is missing or fails.
    """
    if not pdks:
        raise InputError("no pdk to compare on: install qflow-tech-osu018, or name Liberty files with --liberty")
    effort = effort or Effort()
    operands = operands or {}
    results: dict[str, Any] = {"designs": [], "energies": [], "comparisons": [], "clocks": [], "effort": {}, "not_measured": []}
    for pdk in pdks:
        for count in lanes:
            workshop = Workshop(pdk, cache, jobs, advance)
            case = _Case(workshop, _configurations(count, depth, pipeline), count)
            _search(case, effort)
            _measure(case, operands, effort, cache, jobs, seed, advance)
            _report(case, results, effort)
    results["not_measured"] = _not_measured(results["not_measured"], operands)
    return results


def _configurations(lanes: int, depth: int, pipeline: int) -> dict[str, list[MacConfig]]:
    from hdl.architectures import ARCHITECTURES

    return {
        name: [
            MacConfig(format_by_name(name), lanes=lanes, depth=depth, pipeline=pipeline, architecture=architecture.name)
            for architecture in ARCHITECTURES.values()
            if name in architecture.formats
        ]
        for name in FORMATS
    }


def _search(case: _Case, effort: Effort) -> None:
    """Steps 1 to 3: netlists of minimum area, the clock period, and netlists that close at it."""
    shop, pdk = case.workshop, case.workshop.pdk
    shop.run_recipes((config, area_recipes(config, pdk)) for config in _all(case.configs))
    for name, configs in case.configs.items():
        best = [_best(shop.results(config)) for config in configs]
        limit = effort.keep * min(mapped.area_um2 for mapped in best)
        case.minimum[name] = [mapped for mapped in best if mapped.area_um2 <= limit]
    formats = [BASELINE, CANDIDATE] + [REFERENCE] * effort.clock_reference
    kept = {name: [mapped.config for mapped in case.minimum[name]] for name in formats}

    shop.run_recipes((config, fast_recipes(config, (FIRST_ADDER,))) for config in _all(kept))
    ahead = {
        name: sorted(configs, key=lambda config: fastest(shop.results(config)).delay_ns)[: effort.fast]
        for name, configs in kept.items()
    }
    shop.run_recipes((config, fast_recipes(config, effort.adders)) for config in _all(ahead))
    for name, configs in kept.items():
        case.tightest_ns[name] = min(fastest(shop.results(config)).delay_ns for config in configs)
    # In whole picoseconds; the baseline decides, unless the candidate cannot follow.
    wanted = max((1 + effort.margin) * case.tightest_ns[BASELINE], case.tightest_ns[CANDIDATE])
    case.period_ns = math.ceil(1000 * wanted) / 1000

    sized = []
    # Every architecture, since the smallest is seldom the most frugal.
    for config in _all(kept):
        near = sorted(
            (mapped for mapped in shop.results(config) if mapped.recipe.delay_ps == 1),
            # Sizing makes netlists a little faster too, so what misses by a little has a chance.
            key=lambda mapped: (mapped.delay_ns > 1.02 * case.period_ns, mapped.area_um2),
        )[: effort.recover]
        sized += [(config, recovery_recipes(mapped.recipe, case.period_ns)) for mapped in near]
    shop.run_recipes(sized)
    for name, configs in kept.items():
        closing = (smallest(shop.results(config), case.period_ns) for config in configs)
        case.clocked[name] = [mapped for mapped in closing if mapped is not None]


def _measure(
    case: _Case,
    operands: Mapping[str, Operands],
    effort: Effort,
    cache: Path,
    jobs: int,
    seed: int,
    advance: Callable[[str], None] | None,
) -> None:
    """Step 4: every architecture by one sample; the best two of each format by more, without delays, and uniform."""
    cycles = effort.cycles_for(case.lanes)

    def measure(tasks: Sequence[Task], kind: str, samples: int) -> list[Measurement]:
        period_ns = _period(case, kind)
        return measure_all(tasks, case.workshop.pdk, period_ns, kind, operands, cycles, seed, cache, jobs, advance, samples)

    def source_of(mapped: Mapped) -> str:
        return "opt" if mapped.config.weight_format.name in operands else "uniform"

    for kind in (EQUAL_CLOCK, MINIMUM_AREA):
        netlists = _netlists(case, kind)
        done = measure(
            [(mapped, source_of(mapped), STREAMING, "sdf") for best in netlists.values() for mapped in best], kind, 1
        )
        finalists = {
            mapped.netlist_sha256: mapped
            for best in filter(None, netlists.values())
            for mapped in (_best(best), _frugal(best, done))
            if mapped
        }
        case.measurements += [m for m in done if m.mapped.netlist_sha256 not in finalists]
        case.measurements += measure([(m, source_of(m), STREAMING, "sdf") for m in finalists.values()], kind, effort.samples)
        others = [(mapped, source_of(mapped), STREAMING, "zero-delay") for mapped in finalists.values()]
        others += [(mapped, "uniform", STREAMING, "sdf") for mapped in finalists.values() if source_of(mapped) == "opt"]
        case.measurements += measure(others, kind, 1)


def _report(case: _Case, results: dict[str, Any], effort: Effort) -> None:
    """Plain data of one case, appended to `results`."""
    pdk, lanes = case.workshop.pdk, case.lanes
    listed: set[str] = set()
    for kind in (EQUAL_CLOCK, MINIMUM_AREA):
        for best in _netlists(case, kind).values():
            for mapped in best:
                if mapped.netlist_sha256 not in listed:
                    listed.add(mapped.netlist_sha256)
                    results["designs"].append(_design(case, mapped, kind, split=mapped == _best(best)))
    results["energies"] += [measurement.describe() for measurement in case.measurements]
    for kind in (EQUAL_CLOCK, MINIMUM_AREA):
        for reference in (BASELINE, REFERENCE):
            results["comparisons"] += _comparisons(case, kind, reference)
    for name, configs in case.configs.items():
        entry = results["effort"].setdefault(name, {"syntheses": 0, "architectures": [c.architecture for c in configs]})
        entry["syntheses"] += case.workshop.count(name, lanes)
        entry["energies"] = entry.get("energies", 0) + sum(
            measurement.mapped.config.weight_format.name == name for measurement in case.measurements
        )
        entry["kept_below"] = effort.keep
    baseline, candidate = case.tightest_ns[BASELINE], case.tightest_ns[CANDIDATE]
    results["clocks"].append(
        {
            "pdk": pdk.name,
            "lanes": lanes,
            "period_ns": case.period_ns,
            "tightest_ns": dict(case.tightest_ns),
            "margin": effort.margin,
            "set_by": CANDIDATE if candidate > (1 + effort.margin) * baseline else BASELINE,
        }
    )
    if candidate > (1 + effort.margin) * baseline:
        results["not_measured"].append(
            f"{pdk.name}, {_lanes(lanes)}: INT8 closes at {baseline:.3f} ns, dINT4 only at {candidate:.3f} ns; "
            f"they are compared at the latter, the shortest period at which both close."
        )
    if not effort.clock_reference:
        results["not_measured"].append(
            "INT4 at the common clock: the cost of the denormal codes is given at minimum area only."
        )
    elif not case.clocked[REFERENCE]:
        results["not_measured"].append(
            f"{pdk.name}, {_lanes(lanes)}: no INT4 unit closes at {case.period_ns:.3f} ns, so the cost of the denormal codes "
            f"is given at minimum area only."
        )


def _design(case: _Case, mapped: Mapped, kind: str, split: bool) -> dict[str, Any]:
    entry = mapped.describe()
    entry["objective"] = "speed" if kind == EQUAL_CLOCK else "area"
    entry["target_period_ns"] = case.period_ns if kind == EQUAL_CLOCK else None
    entry["area_by_part_um2"] = None
    entry["accumulator_bits"], entry["depth"] = mapped.config.accumulator_bits, mapped.config.depth
    entry["slack_ns"] = case.period_ns - mapped.delay_ns if kind == EQUAL_CLOCK else None
    if split:
        entry["area_by_part_um2"], whole = area_by_part(mapped, case.workshop.pdk, case.workshop.cache)
        entry["options"]["area_with_parts_kept_um2"] = whole
    return entry


def _comparisons(case: _Case, kind: str, reference: str) -> list[dict[str, Any]]:
    """One comparison for each objective, kind of operands and kind of activity."""
    netlists = _netlists(case, kind)
    if not netlists[reference] or not netlists[CANDIDATE]:
        return []
    rows = []
    measured = [m for m in case.measurements if m.kind == kind]
    conditions = sorted({(m.source, m.activity) for m in measured if m.mapped.config.weight_format.name == CANDIDATE})
    for source, activity in conditions:
        alike = [m for m in measured if (m.source, m.activity) == (source, activity)]
        # Finalists only: a single sample of another netlist must not win by luck.
        most = max(len(m.samples_j) for m in alike)
        by_netlist = {m.mapped.netlist_sha256: m for m in alike if len(m.samples_j) == most}
        for objective in ("area", "energy"):
            sides, samples = [], []
            for name in (reference, CANDIDATE):
                best = _best(netlists[name]) if objective == "area" else _frugal(netlists[name], by_netlist.values())
                measurement = by_netlist.get(best.netlist_sha256) if best else None
                if best is None or measurement is None:
                    break
                sides.append(_side(best, measurement))
                samples.append(measurement.samples_j)
            if len(sides) < 2:
                continue
            baseline, candidate = sides
            # Sample by sample, since both sides' operands come from the same places of the model.
            ratios = [a / b for a, b in zip(*samples, strict=False)]
            rows.append(
                {
                    "pdk": case.workshop.pdk.name,
                    "lanes": case.lanes,
                    "period_ns": _period(case, kind),
                    "objective": objective,
                    "kind": kind,
                    "reference": reference,
                    "baseline": baseline,
                    "candidate": candidate,
                    "area_ratio": baseline["area_um2"] / candidate["area_um2"],
                    "energy_ratio": baseline["energy_per_mac_j"] / candidate["energy_per_mac_j"],
                    "energy_ratio_standard_error": standard_error(ratios),
                    "energy_ratio_confidence_95": confidence_95(ratios),
                    "operands": source,
                    "dataflow": STREAMING,
                    "activity": activity,
                }
            )
    return rows


def _side(mapped: Mapped, measurement: Measurement) -> dict[str, Any]:
    return {
        "format": mapped.config.weight_format.name,
        "architecture": mapped.config.architecture,
        "area_um2": mapped.area_um2,
        "delay_ns": mapped.delay_ns,
        "energy_per_mac_j": measurement.energy_per_mac_j,
        "energy_per_mac_standard_error_j": measurement.standard_error_j,
        "power_w": measurement.power_w,
        "leakage_w": measurement.leakage_w,
    }


def _netlists(case: _Case, kind: str) -> dict[str, list[Mapped]]:
    return case.clocked if kind == EQUAL_CLOCK else case.minimum


def _period(case: _Case, kind: str) -> float:
    """The common period: at minimum area the shortest at which all netlists of that kind close, in picoseconds rounded up."""
    if kind == EQUAL_CLOCK:
        return case.period_ns
    return math.ceil(1000 * max(mapped.delay_ns for best in case.minimum.values() for mapped in best)) / 1000


def _best(results: Iterable[Mapped]) -> Mapped:
    best = smallest(results)
    assert best is not None
    return best


def _frugal(netlists: Sequence[Mapped], measurements: Iterable[Measurement]) -> Mapped | None:
    """The netlist of least energy, of those that were measured."""
    known = {mapped.netlist_sha256: mapped for mapped in netlists}
    energies = [(m.energy_per_mac_j, m.mapped.netlist_sha256) for m in measurements if m.mapped.netlist_sha256 in known]
    return known[min(energies)[1]] if energies else None


def _lanes(lanes: int) -> str:
    return f"{lanes} lane{'s' if lanes > 1 else ''}"


def _all(configs: Mapping[str, Sequence[MacConfig]]) -> list[MacConfig]:
    return [config for group in configs.values() for config in group]


def _not_measured(found: list[str], operands: Mapping[str, Operands]) -> list[str]:
    sentences = [
        "Wires: areas are cell areas, delays and energies are without wire capacitance and without a clock tree.",
        "Other corners: every library is typical only.",
        "Weights held over many cycles: operands stream, a new weight and activation for every product.",
        "INT8 as sign and magnitude (+-127): it cannot hold -128, which the unit's interface allows.",
        "Every final adder with every architecture: at minimum area ripple and Brent-Kung, at the clock Sklansky for all and "
        "Kogge-Stone for the two fastest architectures of each format.",
        "Uniform operands and zero-delay activity were measured for the finalists only: the smallest netlist of each format, "
        "and the one that is most frugal with the model's operands and with delays.",
    ]
    if not operands:
        sentences.append("Operands of a model: none were given, so energies are for uniform random operands.")
    return sentences + list(dict.fromkeys(found))
