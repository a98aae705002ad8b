# SPDX-License-Identifier: Apache-2.0
"""Accuracy against silicon: a chart a PDK of what each number format loses in the model and costs in the MAC unit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.artifacts import read_json, sha256_of, write_file
from golden.errors import InputError

from . import display, drawing, schema
from .accuracy import CLEAR
from .charts import Chart, Key, Panel, slug
from .drawing import Point
from .grid import Table

__all__ = ["Section", "lines", "read", "sections", "write"]

KINDS = {"minimum-area": "at minimum area", "equal-clock": "at a common clock", "fastest": "at the shortest clock of each"}
_AXES = {"area": "area per MAC", "energy": "energy per MAC", "delay": "shortest clock period"}
_ORDER = list(KINDS)
RULE = (
    "A format is on the front (filled; the lower left staircase) if no other costs as little or less at a KL divergence as low "
    f"or lower. Noise is a difference of KL up to {CLEAR:g} standard errors, window by window and draw by draw, and of energy "
    "within its 95 % confidence interval, sample by sample."
)


@dataclass(frozen=True)
class Section:
    """What one run found, ready to be written."""

    title: str
    facts: Sequence[str]
    charts: Sequence[Chart]
    verdicts: Sequence[str]
    tables: Sequence[Table]
    failures: Sequence[str]
    hashes: Table


def read(path: Path) -> dict[str, Any]:
    """A `pareto.json`, its shape checked.

    Raises
    ------
    InputError
        If it cannot be read, or is something else.
    """
    try:
        found: dict[str, Any] = read_json(path)
    except OSError as error:
        raise InputError(f"--pareto {path}: cannot be read ({error.strerror}); `dint pareto` makes it") from None
    except ValueError as error:
        raise InputError(f"--pareto {path}: is not JSON ({error}); `dint pareto` makes it") from None
    schema.check_pareto(found, f"--pareto {path}")
    return found


def write(found: dict[str, Any], path: Path) -> None:
    """The page of one run by itself."""
    from .page import environment

    schema.check_pareto(found, "pareto.json")
    template = environment().get_template("pareto.html")
    write_file(path, template.render(date=found["date"], pareto=_section(found), sha256=sha256_of(found)))


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Those of a report's results."""
    return [_section(one, number) for number, one in enumerate(results.get("paretos", []))]


def lines(found: Mapping[str, Any], out: Path) -> list[str]:
    """What the command says at its end: the accuracy, dINT's places on the fronts, what failed, and where the page is."""
    said = [f"{row[0]}: {', '.join(f'{name} {cell}' for name, cell in zip(_accuracy_columns(), row[1:], strict=False))}"
            for row in _accuracy(found).rows]  # fmt: skip
    return [*said, *_verdicts(found), *(f"failed: {one}" for one in _failures(found)), str(out / "index.html")]


def _section(found: Mapping[str, Any], number: int = 0) -> Section:
    found = json.loads(json.dumps(found))  # the report's copy has other objects in the same order
    model, recipe = found["model"], found["recipe"]
    choices = ", ".join(f"{name} {value}" for name, value in recipe.items() if value not in ("none", None))
    calibration = found["calibration"]
    windows = f"{calibration[0]['windows']} windows of {calibration[0]['length_tokens']} tokens"
    facts = [
        f"{model['name']}, {display.count(model['parameters'])} parameters. Every format is quantized by the same recipe "
        f"({choices}) and calibrated on the same windows; accuracy is the mean over {display.plural(len(calibration), 'draw')} "
        f"of them, {windows} each.",
        "Every format's MAC unit is searched with the same effort: all architectures that can do the format, the same recipes "
        "of synthesis, the same clocks. Area and energy are each of the best unit for it, so that they are seldom those of one "
        "unit; energy is measured on operands of the model quantized in that format, by simulation with gate delays, every sum "
        "compared with the golden model.",
        RULE,
    ]
    texts = list(found["protocols"])
    charts = []
    for text in texts:
        groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for front in found["fronts"]:
            if front["text"] == text:
                groups.setdefault((front["pdk"], front["lanes"]), []).append(front)
        charts += [_chart(where, fronts, text if len(texts) > 1 else "", number) for where, fronts in groups.items()]
    return Section(
        title=f"{model['name']}: KL divergence against area, energy and delay of the MAC",
        facts=facts,
        charts=charts,
        verdicts=_verdicts(found),
        tables=[_accuracy(found), _effort(found)],
        failures=_failures(found),
        hashes=_hashes(found),
    )


def _chart(where: tuple[str, int], fronts: Sequence[Mapping[str, Any]], text: str, number: int) -> Chart:
    place = f"{where[0]}, {display.lanes(where[1])}"
    panels, table = [], []
    for front in sorted(fronts, key=lambda one: (_ORDER.index(one["kind"]), one["metric"])):
        scale, unit = _unit(front)
        what = f"{_AXES[front['metric']]}, {_condition(front)}"
        points, said = [], []
        for point in front["points"]:
            label = display.format_name(point["format"])
            cost = display.significant(point["cost"] * scale, 3)
            cost_error = None if point["cost_standard_error"] is None else point["cost_standard_error"] * scale
            kl = _thousandths(point["kl"], point["kl_standard_error"])
            colour = "c2" if point["format"].startswith("dint") else "c1"
            errors = (cost_error or 0.0, 1e3 * point["kl_standard_error"])
            points.append(Point(label, point["cost"] * scale, 1e3 * point["kl"], *errors, colour, point["on_front"]))
            said.append(f"{label} {cost} {unit}, KL {kl}{', on the front' if point['on_front'] else ''}")
            with_error = cost if cost_error is None else f"{cost} ± {display.significant(cost_error, 2)}"
            table.append((what, label, f"{with_error} {unit}", kl, "yes" if point["on_front"] else _beaten(point)))
        name = slug("pareto", str(number), *map(str, where), text, front["kind"], str(front["period_ns"]), front["metric"])
        title = f"{place}: KL divergence against {what}"
        axis = f"{_AXES[front['metric']]}, {unit}"
        svg = drawing.scatter(points, axis, "KL × 1000, nats per token", name, title, "; ".join(said) + ".")
        panels.append(Panel(f"{what[:1].upper()}{what[1:]}", svg))
    legend = [
        Key("●", "c2", "dINT"),
        Key("●", "c1", "other formats"),
        Key("○", "muted", "hollow: not on the front"),
        Key("⌐", "c3", "front"),
        Key("├", "ink", "standard error"),
    ]
    note = "Lower left is better. Wires are not included."
    columns = ("panel", "format", "cost", "KL × 1000", "on the front")
    title = f"{place}{f', {text}' if text else ''}"
    return Chart(slug("pareto", str(number), *map(str, where), text), title, note, panels, legend, columns, table)


def _unit(front: Mapping[str, Any]) -> tuple[float, str]:
    """Factor and unit of the costs of a front."""
    if front["metric"] == "energy":
        return (1e12, "pJ") if max(point["cost"] for point in front["points"]) >= 1e-11 else (1e15, "fJ")
    return 1.0, "µm²" if front["metric"] == "area" else "ns"


def _condition(front: Mapping[str, Any]) -> str:
    clock = f" of {display.period(front['period_ns'])}" if front["kind"] == "equal-clock" else ""
    if front["kind"] == "minimum-area" and front["metric"] == "energy":
        clock = f", clock {display.period(front['period_ns'])}"
    return "" if front["kind"] == "fastest" else f"{KINDS[front['kind']]}{clock}"


def _beaten(point: Mapping[str, Any]) -> str:
    by = [display.format_name(rival["format"]) for rival in point["rivals"] if rival["beats"]]
    return f"no: {', '.join(by)}"


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    """A sentence for every dINT format on every front."""
    several = len(found["protocols"]) > 1
    said = []
    for front in found["fronts"]:
        where = f"{front['pdk']}, {display.lanes(front['lanes'])}, {_AXES[front['metric']]}"
        where += f" {_condition(front)}".rstrip() + (f", {front['text']}" if several else "")
        for point in front["points"]:
            if point["format"].startswith("dint"):
                said.append(f"{where}: {_verdict(point)}")
    return said


def _verdict(point: Mapping[str, Any]) -> str:
    name = display.format_name(point["format"])
    if not point["on_front"]:
        beaten = [_how(rival) for rival in point["rivals"] if rival["beats"]]
        return f"{name} is not on the front: {'; '.join(beaten)}."
    if not point["rivals"]:
        return f"{name} is on the front."
    return f"{name} is on the front, but by noise alone: {'; '.join(map(_how, point['rivals']))}."


def _how(rival: Mapping[str, Any]) -> str:
    """What a rival costs and loses beside the format."""
    share, kl = 100 * (rival["cost_ratio"] - 1), 1e3 * rival["kl_difference"]
    cost = "costs the same" if abs(share) < 0.05 else f"costs {abs(share):.1f} % {'less' if share < 0 else 'more'}"
    error = 1e3 * rival["kl_difference_standard_error"]
    noise = "" if rival["clear"] else ", within noise"
    side = "lower" if kl <= 0 else "higher"
    return f"{display.format_name(rival['format'])} {cost}, its KL × 1000 is {side} by {_with_error(abs(kl), error)}{noise}"


def _thousandths(value: float, error: float) -> str:
    return _with_error(1e3 * value, 1e3 * error)


def _with_error(value: float, error: float) -> str:
    """As many decimals as show two digits of the error."""
    decimals = len(display.significant(error, 2).partition(".")[2]) if error else 3
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _accuracy_columns() -> tuple[str, ...]:
    return ("KL × 1000", "of each draw", "perplexity")


def _accuracy(found: Mapping[str, Any]) -> Table:
    several = len(found["protocols"]) > 1
    rows = []
    for text, (perplexity, error) in found["unquantized"].items():
        of = f", {text}" if several else ""
        rows.append([f"unquantized{of}", "", "", _with_error(perplexity, error)])
        for one in found["accuracy"]:
            values = one["texts"].get(text)
            if values is not None:
                draws = ", ".join(display.significant(1e3 * kl, 4) for kl in values["kl_by_draw"])
                shown = _with_error(values["perplexity"], values["perplexity_standard_error"])
                kl = _thousandths(values["kl"], values["kl_standard_error"])
                rows.append([f"{display.format_name(one['format'])}{of}", kl, draws, shown])
    return Table("Accuracy of each format", ["weights", *_accuracy_columns()], rows)


def _effort(found: Mapping[str, Any]) -> Table:
    rows = [
        [
            f"{one['pdk']}, {display.lanes(one['lanes'])}, {display.format_name(one['format'])}",
            display.count(one["syntheses"]),
            display.count(one["sums_compared"]),
            ", ".join(one["architectures"]),
        ]
        for one in found["effort"]
    ]
    return Table("Effort for each format", ["unit", "netlists", "sums compared in simulation", "architectures"], rows)


def _failures(found: Mapping[str, Any]) -> list[str]:
    said = []
    for one in found["failures"]:
        lanes = None if one["lanes"] is None else display.lanes(one["lanes"])
        of = (one["pdk"], lanes, one["format"] and display.format_name(one["format"]))
        said.append(f"{', '.join(filter(None, of))}: {one['error']}")
    return said


def _hashes(found: Mapping[str, Any]) -> Table:
    """What the figures are of: artefact, SHA-256, and what it is."""
    rows = [["checkpoint", found["model"]["sha256"], found["model"]["name"]], ["sources", found["sources_sha256"], ""]]
    for one in found["accuracy"]:
        name = display.format_name(one["format"])
        rows += [[f"{name} {file}", digest, ""] for file, digest in one["weights_sha256"].items()]
        rows.append([f"{name} operands.npz", one["operands_sha256"], ""])
    rows += [
        [f"{name} Liberty", digest, kit["corner"]] for name, kit in found["pdks"].items() for digest in kit["liberty_sha256"]
    ]
    netlists: dict[str, list[str]] = {}
    for unit in found["units"]:
        what = f"{unit['pdk']}, {KINDS[unit['kind']]}, for {unit['objective']}; Verilog {unit['verilog_sha256']}"
        netlists.setdefault(unit["netlist_sha256"], [unit["design"], unit["netlist_sha256"], what])
    return Table("Provenance", ["artefact", "SHA-256", "of"], rows + list(netlists.values()))
