# SPDX-License-Identifier: Apache-2.0
"""Accuracy against silicon: a chart a PDK of what each number format loses in the model and costs in the MAC unit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden import MXFP4
from golden.artifacts import canonical_json, sha256_of, write_file

from . import display, download, given
from .accuracy import CLEAR
from .charts import Chart
from .grid import Table
from .pareto_charts import BITS, KINDS, chart, order, perplexity_chart, thousandths, what, with_error
from .templates import environment

__all__ = ["Section", "lines", "sections", "write"]

# Choices of a recipe that are as usual.
_USUAL = {"activations": "int8", "attention": "fp32", "form": "symmetric"}
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
    packed = download.packed_address(found)
    write_file(path, template.render(date=found["date"], pareto=_section(found), sha256=sha256_of(found), packed=packed))


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
        f"of synthesis, the same clocks. {_followed(found)} {_clocks(found)}Area and energy are each of the best unit for it, "
        "so that they are seldom those of one unit; energy is measured on operands of the model quantized in that format, by "
        "simulation with gate delays, every sum compared with the golden model.",
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
        shown = text if len(texts) > 1 else ""
        perplexities = {one["format"]: one["texts"][text]["perplexity"] for one in found["accuracy"] if text in one["texts"]}
        plain = found["unquantized"][text]["perplexity"]
        for where, fronts in groups.items():
            charts.append(chart(where, fronts, shown, number, bits))
            charts.append(perplexity_chart(where, fronts, shown, number, bits, perplexities, plain))
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


def _clocks(found: Mapping[str, Any]) -> str:
    """By kit, lanes and common clock: whose units close with a register only, and whose do not."""
    units: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for unit in found["units"]:
        if unit["kind"] != "fastest":  # which have no energy: one that could not be measured is a failure
            units.setdefault((unit["pdk"], unit["lanes"]), []).append(unit)
    said = []
    for (pdk, lanes), here in sorted(units.items()):
        formats = dict.fromkeys(unit["format"] for unit in here)
        for period_ns in sorted({unit["period_ns"] for unit in here if unit["kind"] == "equal-clock"}):
            closing = [unit for unit in here if (unit["kind"], unit["period_ns"]) == ("equal-clock", period_ns)]
            registered = _listed(dict.fromkeys(unit["format"] for unit in closing if unit.get("pipeline")))
            missing = _listed(name for name in formats if name not in {unit["format"] for unit in closing})
            where = f"{pdk}, {display.lanes(lanes)}, {display.period(period_ns)}: "
            if registered:
                said.append(
                    f"{where}units of {registered} close with a register behind what scales a block alone, and have it. "
                )
            if missing:
                said.append(f"{where}no unit of {missing} closes. ")
    return "".join(said)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(display.format_name, names))


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
    if any(name.startswith(MXFP4.name) for name in blocks):
        facts.append("Not included: choosing MXFP4's base, the exponent that stands for no shift, once for each sum.")
    said = []
    for one in found["accuracy"]:
        own, usual = one.get("recipe", {}), found["recipe"]
        differs = [name for name in usual if name in own and own[name] != usual[name]]
        if differs:
            choices = ", ".join(f"{name} {own[name]}" for name in differs)
            said.append(f"{display.format_name(one['format'])}: {choices}")
    return (
        [*facts, f"Of block formats, which prescribe scales or codebooks, the recipe is with {'; '.join(said)}."]
        if said
        else facts
    )


def _verdicts(found: Mapping[str, Any]) -> list[str]:
    """On how many fronts every dINT format is; then a sentence for each on each."""
    several = len(found["protocols"]) > 1
    said = _places(found)
    for front in sorted(found["fronts"], key=order):
        where = ", ".join((front["pdk"], display.lanes(front["lanes"]), what(front), *[front["text"]] * several))
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
    difference = with_error(abs(kl), 1e3 * rival["kl_difference_standard_error"])
    side = "lower" if kl <= 0 else "higher"
    name = display.format_name(rival["format"])
    return f"{name} {cost}{noise['cost']} and its KL × 1000 is {side} by {difference}{noise['kl']}"


def _accuracy(found: Mapping[str, Any]) -> Table:
    several = len(found["protocols"]) > 1
    rows = []
    for text, plain in found["unquantized"].items():
        of = f", {text}" if several else ""
        rows.append([f"unquantized{of}", "", "", "", with_error(plain["perplexity"], plain["perplexity_standard_error"])])
        for one in found["accuracy"]:
            values = one["texts"].get(text)
            if values is not None:
                draws = ", ".join(display.significant(1e3 * kl, 4) for kl in values["kl_by_draw"])
                shown = with_error(values["perplexity"], values["perplexity_standard_error"])
                kl = thousandths(values["kl"], values["kl_standard_error"])
                bits = f"{one['weight_bits']:.4g}" if "weight_bits" in one else ""
                rows.append([f"{display.format_name(one['format'])}{of}", bits, kl, draws, shown])
    headings = ["weights", BITS, "KL × 1000", "of each draw", "perplexity"]
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
        what = f"{unit['pdk']}, {KINDS[unit['kind']]}, best in {unit['objective']}"
        netlists.setdefault(unit["netlist_sha256"], [f"{unit['design']}, netlist", unit["netlist_sha256"], what])
    verilog = {unit["verilog_sha256"]: [f"{unit['design']}, Verilog", unit["verilog_sha256"], ""] for unit in found["units"]}
    return Table("Provenance", ["artefact", "SHA-256", "of"], rows + list(verilog.values()) + list(netlists.values()))
