# SPDX-License-Identifier: Apache-2.0
"""The fair comparison: both sides through the same search, measured alike, each represented by its best netlist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from golden import Operands, format_by_name
from golden.errors import InputError, ToolError
from golden.shapes import MAC

from . import liberty
from .cases import EQUAL_CLOCK, MINIMUM_AREA, Case, Condition
from .flow import JOBS, Workshop, smallest_of
from .mapping import DEFAULT_CACHE, Mapped
from .measuring import confidence_95, standard_error
from .omissions import lanes_in_words, not_measured
from .pdk import Pdk
from .search import BASELINE, CANDIDATE, FORMATS, REFERENCE, Effort, search, units
from .verification import verify_all

__all__ = ["EQUAL_CLOCK", "MINIMUM_AREA", "compare"]


def compare(
    pdks: Sequence[Pdk],
    lanes: Sequence[int] = (1, 16),
    operands: Mapping[str, Operands] | None = None,
    depth: int = 65536,
    pipeline: int | None = None,
    effort: Effort | None = None,
    cache: Path = DEFAULT_CACHE,
    jobs: int = JOBS,
    seed: int = 0,
    advance: Callable[[str], None] | None = None,
    shape: str = MAC,
    verified: bool = False,
) -> dict[str, Any]:
    """Compare dINT4 x INT8 with INT8 x INT8 and with INT4 x INT8 on every kit and lane count.

    Parameters
    ----------
    pdks, lanes, shape
        What to compare on; a processing element has one lane.
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
    verified
        Whether every netlist of a comparison is replayed with every product as well, and more of the model's operands.

    Returns
    -------
    dict
        Plain data: `designs`, `energies`, `comparisons`, `clocks`, `effort`, `not_measured`, and where asked for
        `verifications` (`synth.verification`).

    Raises
    ------
    InputError, ToolError
        If there is no kit, a Liberty file cannot be used, or a tool is missing or fails.
    """
    if shape != MAC and tuple(lanes) != (1,):
        raise InputError(f"lanes are {tuple(lanes)}: a {shape} has one; leave them out")
    if not pdks:
        raise InputError("no pdk to compare on: install qflow-tech-osu018, or name Liberty files with --liberty")
    effort = effort or Effort()
    operands = operands or {}
    results: dict[str, Any] = {"designs": [], "energies": [], "comparisons": [], "clocks": [], "effort": {}, "not_measured": []}
    for pdk in pdks:
        for count in lanes:
            workshop = Workshop(pdk, cache, jobs, advance)
            plain = units(count, depth, pipeline, shape)
            case = Case(workshop, count, search(workshop, plain, effort))
            if case.found.failed:
                raise ToolError(next(iter(case.found.failed.values())))
            case.measure(operands, effort, cache, jobs, seed, advance)
            _report(case, results, effort)
            if verified:
                finalists = {m.task.mapped.netlist_sha256: m.task.mapped for m in case.measurements if len(m.samples_j) > 1}
                checked = verify_all(list(finalists.values()), pdk, operands, jobs, seed, cache)
                results.setdefault("verifications", []).extend(checked)
    results["not_measured"] = not_measured(results["not_measured"], all(name in operands for name in FORMATS), effort, shape)
    return results


def _report(case: Case, results: dict[str, Any], effort: Effort) -> None:
    """Plain data of one case, appended to `results`."""
    groups = [(condition, best) for condition in case.conditions for best in condition.netlists.values() if best]
    smallest_ones = {mapped.netlist_sha256: mapped for mapped in (smallest_of(best) for _, best in groups)}
    parts = dict(zip(smallest_ones, case.workshop.areas_by_part(list(smallest_ones.values())), strict=True))
    listed: set[str] = set()
    for condition, best in groups:
        for mapped in best:
            if mapped.netlist_sha256 not in listed:
                listed.add(mapped.netlist_sha256)
                design = _design(mapped, condition, parts.get(mapped.netlist_sha256))
                results["designs"].append(design | _flip_flops(mapped, case.workshop.pdk))
    results["energies"] += [measurement.describe() for measurement in case.measurements]
    for condition in case.conditions:
        for reference in (BASELINE, REFERENCE):
            results["comparisons"] += _comparisons(case, condition, reference)
    for name in FORMATS:
        entry = results["effort"].setdefault(name, {"syntheses": 0, "architectures": [], "energies": 0})
        entry["syntheses"] += case.workshop.count(name, case.lanes)
        tried = case.workshop.architectures(name)
        entry["architectures"] = list(dict.fromkeys([*entry["architectures"], *tried]))
        entry["energies"] += sum(measurement.task.mapped.config.format_name == name for measurement in case.measurements)
        entry["kept_below"] = effort.keep
    results["clocks"] += _clocks(case, effort)
    results["not_measured"] += _not_compared(case, effort)


def _clocks(case: Case, effort: Effort) -> list[dict[str, Any]]:
    """Where the common periods come from, and how many architectures close at each."""
    tightest = case.found.tightest_ns
    return [
        {
            "pdk": case.workshop.pdk.name,
            "lanes": case.lanes,
            "period_ns": period_ns,
            "tightest_ns": dict(tightest),
            "margin": margin,
            "set_by": CANDIDATE if tightest[CANDIDATE] > tightest[BASELINE] else BASELINE,
            "closing": {name: len(best) for name, best in netlists.items() if best},
        }
        for margin, (period_ns, netlists) in zip(effort.margins, case.found.clocked.items(), strict=True)
    ]


def _not_compared(case: Case, effort: Effort) -> list[str]:
    """What a reader should know of the clocks of one case."""
    place = f"{case.workshop.pdk.name}, {lanes_in_words(case.lanes)}"
    tightest = case.found.tightest_ns
    found = [
        f"{case.workshop.pdk.name}, {task.config.name} mapped by {task.recipe.in_words()}: failed ({why})."
        for task, why in case.workshop.failed.items()
    ]
    if tightest[CANDIDATE] > tightest[BASELINE]:
        found.append(
            f"{place}: INT8 closes at {tightest[BASELINE]:.3f} ns, dINT4 only at {tightest[CANDIDATE]:.3f} ns; the clocks are "
            f"those of the latter, the shortest period at which both close."
        )
    if not effort.clock_reference:
        found.append("INT4 at a common clock: the cost of the denormal codes is given at minimum area only.")
    for period_ns, netlists in case.found.clocked.items():
        for name in [BASELINE, CANDIDATE] + [REFERENCE] * effort.clock_reference:
            title = format_by_name(name).title
            if not netlists[name]:
                found.append(f"{place}: no {title} unit closes at {period_ns:.3f} ns, so it is not compared there.")
            elif len(netlists[name]) == 1:
                only = netlists[name][0].config.architecture
                found.append(f"{place}: at {period_ns:.3f} ns only one {title} unit closes ({only}), so nothing more frugal.")
    return found


def _design(mapped: Mapped, condition: Condition, parts: tuple[dict[str, float], float] | None) -> dict[str, Any]:
    clocked = condition.kind == EQUAL_CLOCK
    entry = mapped.describe()
    entry["objective"] = "speed" if clocked else "area"
    entry["target_period_ns"] = condition.period_ns if clocked else None
    entry["area_by_part_um2"] = None
    entry["accumulator_bits"], entry["depth"] = mapped.config.accumulator_bits, mapped.config.depth
    entry["slack_ns"] = condition.period_ns - mapped.delay_ns if clocked else None
    if parts is not None:
        entry["area_by_part_um2"], entry["options"]["area_with_parts_kept_um2"] = parts
    return entry


def _flip_flops(mapped: Mapped, pdk: Pdk) -> dict[str, Any]:
    """How many there are, and the area that they take: it is much the same on both sides."""
    cells = {name: liberty.load(pdk.liberty).cell(name) for name in mapped.cell_counts}
    counts = {name: count for name, count in mapped.cell_counts.items() if cells[name].is_sequential}
    area = sum(float(cells[name].area) * count for name, count in counts.items())
    return {"flip_flops": sum(counts.values()), "flip_flop_area_um2": round(area, 6)}


def _comparisons(case: Case, condition: Condition, reference: str) -> list[dict[str, Any]]:
    """One comparison for each objective, kind of operands and kind of activity."""
    rows = []
    for (source, dataflow, activity), objective, best in case.best(condition):
        if reference not in best or CANDIDATE not in best:
            continue
        baseline, candidate = best[reference].describe(), best[CANDIDATE].describe()
        # Sample by sample, since both sides' operands come from the same places of the model.
        samples = (best[name].measurement.samples_j for name in (reference, CANDIDATE))
        ratios = [a / b for a, b in zip(*samples, strict=False)]
        rows.append(
            {
                "pdk": case.workshop.pdk.name,
                "shape": baseline["shape"],
                "lanes": case.lanes,
                "pipeline": baseline["pipeline"],
                "period_ns": condition.period_ns,
                "objective": objective,
                "kind": condition.kind,
                "reference": reference,
                "baseline": baseline,
                "candidate": candidate,
                "area_ratio": baseline["area_um2"] / candidate["area_um2"],
                "energy_ratio": baseline["energy_per_mac_j"] / candidate["energy_per_mac_j"],
                "energy_ratio_standard_error": standard_error(ratios),
                "energy_ratio_confidence_95": confidence_95(ratios),
                "operands": source,
                "dataflow": dataflow,
                "activity": activity,
            }
        )
    return rows
