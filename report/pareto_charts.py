# SPDX-License-Identifier: Apache-2.0
"""The charts of accuracy against silicon: KL divergence, and perplexity, over area, energy and delay of each format's unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import display, points
from .charts import Chart, Key, Panel, slug
from .points import Point

__all__ = ["BITS", "KINDS", "chart", "heading", "order", "perplexity_chart", "thousandths", "what", "with_error"]

KINDS = {"minimum-area": "minimum area", "equal-clock": "common clock", "fastest": "shortest clock"}
_AXES = {"area": "area per MAC", "energy": "energy per MAC", "delay": "shortest clock period"}
_ORDER = list(KINDS)
BITS = "bits a weight"
_ON = "on the front of"
_POINT = "point"


def chart(
    where: tuple[str, int], fronts: Sequence[Mapping[str, Any]], text: str, number: int, bits: Mapping[str, float]
) -> Chart:
    """The panels of a kit and lane count, and a table of a line a format; `bits` are those a weight takes, by format."""
    place = f"{where[0]}, {display.lanes(where[1])}"
    panels = []
    rows: dict[str, dict[str, str]] = {}
    ordered = sorted(fronts, key=order)
    numbers = _numbers(ordered)
    for front in ordered:
        scale, unit = _unit(front)
        drawn, said = [], []
        for point in front["points"]:
            label = display.format_name(point["format"])
            stored = bits.get(point["format"])
            error = None if point["cost_standard_error"] is None else point["cost_standard_error"] * scale
            cost = display.significant(point["cost"] * scale, 3)
            cost += f" {unit}" if error is None else f" ± {display.significant(error, 2)} {unit}"
            kl = thousandths(point["kl"], point["kl_standard_error"])
            errors = (error or 0.0, 1e3 * point["kl_standard_error"])
            shown = numbers.get(point["format"]) or _labelled(point["format"], bits)
            drawn.append(Point(shown, point["cost"] * scale, 1e3 * point["kl"], *errors, _colour(point), point["on_front"]))
            mark = ", on the front" if point["on_front"] else ""
            said.append(f"{label} {cost}, KL × 1000 {kl}{mark}")
            known = {"KL × 1000": kl, _ON: "", _POINT: shown} | ({} if stored is None else {BITS: f"{stored:.3g}"})
            line = rows.setdefault(label, known)
            line[f"{heading(front)}, {unit}"] = cost.removesuffix(f" {unit}")
            if point["on_front"]:
                line[_ON] += "; " * bool(line[_ON]) + heading(front)
        name = slug("pareto", str(number), *map(str, where), text, front["kind"], str(front["period_ns"]), front["metric"])
        title = f"{place}: KL divergence against {what(front)}"
        axis = f"{_AXES[front['metric']]}, {unit}"
        svg = points.scatter(drawn, axis, "KL × 1000, nats per token", name, title, "; ".join(said) + ".")
        panels.append(Panel(heading(front), svg))
    costs = [f"{heading(front)}, {_unit(front)[1]}" for front in ordered]
    columns = ("format", *([_POINT] if numbers else []), *([BITS] if bits else []), "KL × 1000", *costs, _ON)
    table = [(label, *(found.get(column, display.NOT_MEASURED) for column in columns[1:])) for label, found in rows.items()]
    title = f"{place}{f', {text}' if text else ''}"
    note = "Lower left is better. Wires are not included."
    note += " In brackets: bits of storage for each weight, all scales included." if bits else ""
    legend, name = _legend(numbers, bits), slug("pareto", str(number), *map(str, where), text)
    return Chart(name, title, note, panels, legend, columns, table, open=True)


def _legend(numbers: Mapping[str, str], bits: Mapping[str, float], *, errors: bool = True) -> list[Key]:
    return [
        Key("●", "c2", "dINT"),
        Key("●", "c1", "other formats"),
        Key("○", "muted", "hollow: not on the front"),
        Key("⌐", "c3", "front"),
        *([Key("├", "ink", "standard error")] if errors else []),
        *(Key(number, "ink", _labelled(name, bits)) for name, number in numbers.items()),
    ]


def _numbers(fronts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of many formats each a number, in place of its name beside its points."""
    names = list(dict.fromkeys(point["format"] for front in fronts for point in front["points"]))
    return {name: str(i) for i, name in enumerate(names, 1)} if len(names) > points.FEW else {}


def _colour(point: Mapping[str, Any]) -> str:
    return "c2" if point["format"].startswith("dint") else "c1"


def perplexity_chart(
    where: tuple[str, int],
    fronts: Sequence[Mapping[str, Any]],
    text: str,
    number: int,
    bits: Mapping[str, float],
    perplexities: Mapping[str, float],
    unquantized: float,
) -> Chart:
    """The same units over the perplexity of each format, by name, on one text; fronts are those of the means."""
    place = f"{where[0]}, {display.lanes(where[1])}"
    ordered = sorted(fronts, key=order)
    numbers = _numbers(ordered)
    panels = []
    for front in ordered:
        scale, unit = _unit(front)
        shown = [(point, point["cost"], perplexities[point["format"]]) for point in front["points"]]
        drawn, said = [], []
        for point, cost, perplexity in shown:
            beaten = any(x <= cost and y <= perplexity and (x, y) != (cost, perplexity) for _, x, y in shown)
            label = numbers.get(point["format"]) or _labelled(point["format"], bits)
            drawn.append(Point(label, cost * scale, perplexity, 0.0, 0.0, _colour(point), not beaten))
            spoken = f"{display.significant(cost * scale, 3)} {unit}, {perplexity:.2f}"
            said.append(f"{display.format_name(point['format'])} {spoken}{'' if beaten else ', on the front'}")
        name = slug("perplexity", str(number), *map(str, where), text, front["kind"], str(front["period_ns"]), front["metric"])
        axis, title = f"{_AXES[front['metric']]}, {unit}", f"{place}: perplexity against {what(front)}"
        svg = points.scatter(drawn, axis, "perplexity", name, title, "; ".join(said) + ".", logarithmic=False)
        panels.append(Panel(heading(front), svg))
    formats = list(dict.fromkeys(point["format"] for front in ordered for point in front["points"]))
    rows = [(display.format_name(one), f"{perplexities[one]:.2f}", f"{perplexities[one] / unquantized:.4f}") for one in formats]
    note = (
        f"Lower left is better; unquantized {unquantized:.2f}. The standard error of a perplexity is that of how hard the text "
        "is, which all formats share, and is not drawn: KL, above, tells formats apart that perplexity does not."
    )
    title = f"{place}{f', {text}' if text else ''}: perplexity"
    name, columns = slug("perplexity", str(number), *map(str, where), text), ("format", "perplexity", "/ unquantized")
    return Chart(name, title, note, panels, _legend(numbers, bits, errors=False), columns, rows)


def _labelled(name: str, bits: Mapping[str, float]) -> str:
    """A format, and the bits that a weight takes in it, where they are known."""
    label = display.format_name(name)
    return f"{label} ({bits[name]:.3g})" if name in bits else label


def order(front: Mapping[str, Any]) -> tuple[Any, ...]:
    return front["pdk"], front["lanes"], _ORDER.index(front["kind"]), front["period_ns"] or 0.0, front["metric"]


def _unit(front: Mapping[str, Any]) -> tuple[float, str]:
    """Factor and unit of the costs of a front."""
    if front["metric"] == "energy":
        return (1e12, "pJ") if max(point["cost"] for point in front["points"]) >= 1e-11 else (1e15, "fJ")
    return 1.0, "µm²" if front["metric"] == "area" else "ns"


def heading(front: Mapping[str, Any]) -> str:
    """A front in a few words."""
    if front["kind"] == "fastest":
        return "Shortest clock"
    words = [KINDS[front["kind"]]] * (front["kind"] == "minimum-area")
    if front["kind"] == "equal-clock" or front["metric"] == "energy":
        words.append(f"{display.period(front['period_ns'])} clock")
    return f"{front['metric'].capitalize()}: {', '.join(words)}"


def what(front: Mapping[str, Any]) -> str:
    """A front within a sentence."""
    _, _, words = heading(front).partition(": ")
    return f"{_AXES[front['metric']]}{f' ({words})' if words else ''}"


def thousandths(value: float, error: float) -> str:
    return with_error(1e3 * value, 1e3 * error)


def with_error(value: float, error: float) -> str:
    """As many decimals as show two digits of the error."""
    decimals = len(display.significant(error, 2).partition(".")[2]) if error else 3
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"
