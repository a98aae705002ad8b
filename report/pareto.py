# SPDX-License-Identifier: Apache-2.0
"""Accuracy against silicon: a chart a PDK of what each number format loses in the model and costs in the MAC unit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden.artifacts import canonical_json, sha256_of, write_file

from . import display, given, points
from .accuracy import CLEAR
from .charts import Chart, Key, Panel, slug
from .grid import Table
from .points import Point
from .templates import environment

__all__ = ["Section", "lines", "sections", "write"]

KINDS = {"minimum-area": "minimum area", "equal-clock": "common clock", "fastest": "shortest clock"}
_AXES = {"area": "area per MAC", "energy": "energy per MAC", "delay": "shortest clock period"}
# Choices of a recipe that are as usual.
_USUAL = {"activations": "int8", "attention": "fp32", "form": "symmetric"}
_ORDER = list(KINDS)
_BITS = "bits a weight"
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
    places: Sequence[str]  # in one sentence each
    verdicts: Sequence[str]
    tables: Sequence[Table]
    failures: Sequence[str]
    hashes: Table


def write(found: dict[str, Any], path: Path) -> None:
    """The page of one run by itself."""
    given.check_pareto(found, "pareto.json")
    found = json.loads(canonical_json(found))
    template = environment().get_template("pareto.html")
    write_file(path, template.render(date=found["date"], pareto=_section(found), sha256=sha256_of(found)))


def sections(results: Mapping[str, Any]) -> list[Section]:
    """Those of a report's results."""
    return [_section(one, number) for number, one in enumerate(results.get("paretos", []))]


def lines(found: Mapping[str, Any], out: Path) -> list[str]:
    """What the command says at its end: dINT's places on the fronts, what failed, and where the page is."""
    return [*_verdicts(found), *(f"failed: {one}" for one in _failures(found)), str(out / "index.html")]


def _section(found: Mapping[str, Any], number: int = 0) -> Section:
    model, recipe = found["model"], found["recipe"]
    named = dict.fromkeys(("scaling", "clipping", "rounding", *sorted(recipe)))
    unusual = {name: recipe[name] for name in named if recipe[name] not in ("none", None, _USUAL.get(name))}
    choices = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in unusual.items()) or "rounding to nearest"
    calibration = found["calibration"]
    windows = f"{calibration[0]['windows']} windows of {calibration[0]['length_tokens']} tokens"
    facts = [
        f"{model['name']}, {display.count(model['parameters'])} parameters. Every format is quantized by the same recipe "
        f"({choices}) and calibrated on the same windows; accuracy is the mean over {display.plural(len(calibration), 'draw')} "
        f"of them, {windows} each.",
        "Every format's MAC unit is searched with the same effort: all architectures that can do the format, the same recipes "
        f"of synthesis, the same clocks. {_followed(found)} Area and energy are each of the best unit for it, so that they are "
        "seldom those of one unit; energy is measured on operands of the model quantized in that format, by simulation with "
        "gate delays, every sum compared with the golden model.",
        RULE,
    ]
    facts += _of_blocks(found)
    texts = list(found["protocols"])
    bits = {one["format"]: one["weight_bits"] for one in found["accuracy"] if "weight_bits" in one}
    charts = []
    for text in texts:
        groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for front in found["fronts"]:
            if front["text"] == text:
                groups.setdefault((front["pdk"], front["lanes"]), []).append(front)
        charts += [_chart(where, fronts, text if len(texts) > 1 else "", number, bits) for where, fronts in groups.items()]
    return Section(
        title=f"{model['name']}: KL divergence against area, energy and delay of the MAC",
        facts=facts,
        charts=charts,
        places=_places(found),
        verdicts=_verdicts(found),
        tables=[_accuracy(found), _effort(found)],
        failures=_failures(found),
        hashes=_hashes(found),
    )


def _followed(found: Mapping[str, Any]) -> str:
    """Which architectures came as far as a measurement of energy."""
    limit = next((one.get("kept_below", "not recorded") for one in found["effort"]), "not recorded")
    if limit is None:
        return "The energy of every architecture is measured."
    larger = "much larger than" if limit == "not recorded" else f"of more than {limit:g} times the area of"
    return f"Architectures {larger} the smallest of their format are dropped before energy is measured."


def _of_blocks(found: Mapping[str, Any]) -> list[str]:
    """What differs in block formats, in sentences: what their units include, and their recipes."""
    blocks = {one["format"]: one["block"] for one in found["accuracy"] if one.get("block")}
    facts = []
    if blocks:
        lengths = ", ".join(f"{display.format_name(name)} {length}" for name, length in blocks.items())
        facts.append(
            "Figures of block formats include all of their scales: decoder, registers, multiplier by the significand, shifter, "
            "and the accumulator that is wide enough for every shift. They are divided by the products of a cycle, as others "
            f"are: what is done once in a block is shared by its products ({lengths})."
        )
    said = []
    for one in found["accuracy"]:
        own, usual = one.get("recipe", {}), found["recipe"]
        differs = [name for name in usual if name in own and own[name] != usual[name]]
        if differs:
            choices = ", ".join(f"{name} {own[name]}" for name in differs)
            said.append(f"{display.format_name(one['format'])}: {choices}")
    return [*facts, f"Block formats prescribe their scales, and take the recipe with {'; '.join(said)}."] if said else facts


def _chart(
    where: tuple[str, int], fronts: Sequence[Mapping[str, Any]], text: str, number: int, bits: Mapping[str, float]
) -> Chart:
    """The panels of a kit and lane count, and a table of a line a format; `bits` are those a weight takes, by format."""
    place = f"{where[0]}, {display.lanes(where[1])}"
    panels = []
    rows: dict[str, dict[str, str]] = {}
    ordered = sorted(fronts, key=_order)
    for front in ordered:
        scale, unit = _unit(front)
        drawn, said = [], []
        for point in front["points"]:
            label = display.format_name(point["format"])
            stored = bits.get(point["format"])
            error = None if point["cost_standard_error"] is None else point["cost_standard_error"] * scale
            cost = display.significant(point["cost"] * scale, 3)
            cost += f" {unit}" if error is None else f" ± {display.significant(error, 2)} {unit}"
            kl = _thousandths(point["kl"], point["kl_standard_error"])
            colour = "c2" if point["format"].startswith("dint") else "c1"
            errors = (error or 0.0, 1e3 * point["kl_standard_error"])
            shown = label if stored is None else f"{label} ({stored:.3g})"
            drawn.append(Point(shown, point["cost"] * scale, 1e3 * point["kl"], *errors, colour, point["on_front"]))
            mark = ", on the front" if point["on_front"] else ""
            said.append(f"{label} {cost}, KL × 1000 {kl}{mark}")
            known = {"KL × 1000": kl} | ({} if stored is None else {_BITS: f"{stored:.3g}"})
            rows.setdefault(label, known)[_heading(front)] = cost + (" (front)" if point["on_front"] else "")
        name = slug("pareto", str(number), *map(str, where), text, front["kind"], str(front["period_ns"]), front["metric"])
        title = f"{place}: KL divergence against {_what(front)}"
        axis = f"{_AXES[front['metric']]}, {unit}"
        svg = points.scatter(drawn, axis, "KL × 1000, nats per token", name, title, "; ".join(said) + ".")
        panels.append(Panel(_heading(front), svg))
    legend = [
        Key("●", "c2", "dINT"),
        Key("●", "c1", "other formats"),
        Key("○", "muted", "hollow: not on the front"),
        Key("⌐", "c3", "front"),
        Key("├", "ink", "standard error"),
    ]
    columns = ("format", *([_BITS] if bits else []), "KL × 1000", *map(_heading, ordered))
    table = [(label, *(found.get(column, display.NOT_MEASURED) for column in columns[1:])) for label, found in rows.items()]
    title = f"{place}{f', {text}' if text else ''}"
    note = "Lower left is better. Wires are not included."
    note += " In brackets: bits of storage for each weight, all scales included." if bits else ""
    return Chart(slug("pareto", str(number), *map(str, where), text), title, note, panels, legend, columns, table, open=True)


def _order(front: Mapping[str, Any]) -> tuple[Any, ...]:
    return front["pdk"], front["lanes"], _ORDER.index(front["kind"]), front["metric"]


def _unit(front: Mapping[str, Any]) -> tuple[float, str]:
    """Factor and unit of the costs of a front."""
    if front["metric"] == "energy":
        return (1e12, "pJ") if max(point["cost"] for point in front["points"]) >= 1e-11 else (1e15, "fJ")
    return 1.0, "µm²" if front["metric"] == "area" else "ns"


def _heading(front: Mapping[str, Any]) -> str:
    """A front in a few words."""
    if front["kind"] == "fastest":
        return "Shortest clock"
    words = [KINDS[front["kind"]]] * (front["kind"] == "minimum-area")
    if front["kind"] == "equal-clock" or front["metric"] == "energy":
        words.append(f"{display.period(front['period_ns'])} clock")
    return f"{front['metric'].capitalize()}: {', '.join(words)}"


def _what(front: Mapping[str, Any]) -> str:
    """A front within a sentence."""
    _, _, words = _heading(front).partition(": ")
    return f"{_AXES[front['metric']]}{f' ({words})' if words else ''}"


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    """On how many fronts every dINT format is; then a sentence for each on each."""
    several = len(found["protocols"]) > 1
    said = _places(found)
    for front in sorted(found["fronts"], key=_order):
        where = ", ".join((front["pdk"], display.lanes(front["lanes"]), _what(front), *[front["text"]] * several))
        said += [f"{where}: {_verdict(point)}" for point in front["points"] if point["format"].startswith("dint")]
    return said


def _places(found: Mapping[str, Any]) -> list[str]:
    said = []
    for name in (one["format"] for one in found["accuracy"] if one["format"].startswith("dint")):
        places = [point["on_front"] for front in found["fronts"] for point in front["points"] if point["format"] == name]
        said.append(f"{display.format_name(name)} is on {sum(places)} of {display.plural(len(places), 'front')}.")
    return said


def _verdict(point: Mapping[str, Any]) -> str:
    name = display.format_name(point["format"])
    beaten = [_how(rival) for rival in point["rivals"] if rival["beats"]]
    if beaten:
        return f"{name} is not on the front: {'; '.join(beaten)}."
    if point["rivals"]:
        return f"{name} is on the front, but by noise alone: {'; '.join(map(_how, point['rivals']))}."
    return f"{name} is on the front."


def _how(rival: Mapping[str, Any]) -> str:
    """What a rival costs and loses beside the format."""
    share, kl = 100 * (rival["cost_ratio"] - 1), 1e3 * rival["kl_difference"]
    noise = {name: " (within noise)" if name in rival["noise"] else "" for name in ("cost", "kl")}
    cost = "costs the same" if abs(share) < 0.05 else f"costs {abs(share):.1f} % {'less' if share < 0 else 'more'}"
    difference = _with_error(abs(kl), 1e3 * rival["kl_difference_standard_error"])
    side = "lower" if kl <= 0 else "higher"
    name = display.format_name(rival["format"])
    return f"{name} {cost}{noise['cost']} and its KL × 1000 is {side} by {difference}{noise['kl']}"


def _thousandths(value: float, error: float) -> str:
    return _with_error(1e3 * value, 1e3 * error)


def _with_error(value: float, error: float) -> str:
    """As many decimals as show two digits of the error."""
    decimals = len(display.significant(error, 2).partition(".")[2]) if error else 3
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _accuracy(found: Mapping[str, Any]) -> Table:
    several = len(found["protocols"]) > 1
    rows = []
    for text, plain in found["unquantized"].items():
        of = f", {text}" if several else ""
        rows.append([f"unquantized{of}", "", "", "", _with_error(plain["perplexity"], plain["perplexity_standard_error"])])
        for one in found["accuracy"]:
            values = one["texts"].get(text)
            if values is not None:
                draws = ", ".join(display.significant(1e3 * kl, 4) for kl in values["kl_by_draw"])
                shown = _with_error(values["perplexity"], values["perplexity_standard_error"])
                kl = _thousandths(values["kl"], values["kl_standard_error"])
                bits = f"{one['weight_bits']:.4g}" if "weight_bits" in one else ""
                rows.append([f"{display.format_name(one['format'])}{of}", bits, kl, draws, shown])
    headings = ["weights", _BITS, "KL × 1000", "of each draw", "perplexity"]
    if not any(row[1] for row in rows):  # a run of before they were counted
        headings, rows = [headings[0], *headings[2:]], [[row[0], *row[2:]] for row in rows]
    return Table("Accuracy of each format", headings, rows)


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
        what = f"{unit['pdk']}, {KINDS[unit['kind']]}, best in {unit['objective']}; Verilog {unit['verilog_sha256']}"
        netlists.setdefault(unit["netlist_sha256"], [unit["design"], unit["netlist_sha256"], what])
    return Table("Provenance", ["artefact", "SHA-256", "of"], rows + list(netlists.values()))
