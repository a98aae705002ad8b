# SPDX-License-Identifier: Apache-2.0
"""Drawings: lengths stand for values, colours and fonts come from the page, any label fits."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from report.canvas import COLOURS
from report.drawing import Bar, Dot, Group, Row, bars, dots


def widths(svg: str) -> dict[str, list[float]]:
    """Widths of the filled shapes by colour variable."""
    found: dict[str, list[float]] = {}
    for path, colour in re.findall(r'<path d="([^"]+)"[^>]*style="fill: var\(--(\w+)\)', svg):
        x = [float(value) for value in re.findall(r"[ML] (-?[\d.]+) ", path)]
        found.setdefault(colour, []).append(max(x) - min(x))
    return found


def bar_chart(*groups: Group) -> str:
    return bars(groups, "area, µm²", "name", "Title", "Words")


def test_lengths_are_proportional_to_values() -> None:
    svg = bar_chart(Group("g", [Bar("a", [(1.0, "c1"), (3.0, "c2")], "4"), Bar("b", [(2.0, "c3")], "2")]))
    found = widths(svg)
    (one,), (three,), (two,) = found["c1"], found["c2"], found["c3"]
    assert three / one == pytest.approx(3, rel=1e-3)
    assert two / one == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("label", ["a", "x" * 80, "$x_1$ & <b>", "µ×", " "])
def test_any_label_is_drawn_inside_as_it_is(label: str) -> None:
    svg = bar_chart(Group(label, [Bar(label, [(1.0, "c1")], label)]))
    root = ElementTree.fromstring(svg)
    texts = ["".join(text.itertext()) for text in root.iter("text")]
    assert texts.count(label) == 3 or not label.strip()
    width = float(root.attrib["width"])
    shapes = [float(x) for path in re.findall(r' d="([^"]+)"', svg) for x in re.findall(r"[ML] (-?[\d.]+) ", path)]
    assert all(-5 <= x <= width for x in shapes)


def test_colours_and_font_are_the_pages_own() -> None:
    svg = bar_chart(Group("g", [Bar("a", [(1.0, name) for name in COLOURS], "9", error=0.1, faded=True)]))
    assert not re.search(r"#[0-9a-fA-F]{6}", svg)
    assert "DejaVu" not in svg
    assert set(re.findall(r"var\(--(\w+)\)", svg)) == {*COLOURS, "font"}


@pytest.mark.parametrize("values", [(0.86, 0.94), (1.5, 2.4), (1.0,), (0.2, 12.0)])
def test_ratio_axis_has_a_tick_at_one(values: tuple[float, ...]) -> None:
    row = Row("r", [Dot(value, "o", "c1", True) for value in values])
    svg = dots([row], "ratio", [(1.93, "paper")], "name", "Title", "Words")
    ticks = [float(text) for text in re.findall(r">(-?\d+(?:\.\d+)?)</text>", svg)]
    assert 1.0 in ticks
    assert 2 <= len(ticks) <= 8


def test_ratios_close_to_one_can_be_read_too() -> None:
    svg = dots([Row("r", [Dot(0.97, "s", "c2", True)])], "ratio", [], "name", "Title", "Words")
    assert len(re.findall(r">0\.9\d+</text>", svg)) >= 2


def test_zero_bars_are_a_drawing_too() -> None:
    assert "<svg" in bar_chart(Group("", [Bar("a", [(0.0, "c1")], "0")]))


def test_the_title_is_spoken_and_escaped() -> None:
    svg = bars([Group("", [Bar("a", [(1.0, "c1")], "1")])], "x", "n", "A & <B>", "one < two")
    assert '<title id="n-title">A &amp; &lt;B&gt;</title>' in svg
    assert '<desc id="n-desc">one &lt; two</desc>' in svg
    assert 'role="img" aria-labelledby="n-title n-desc"' in svg
