# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: no console message, no request beyond the file itself, and what it does for those who use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from report import page

from .browser import CHROMIUM, DESKTOP, PAPER, PHONE, Browser
from .made_up_pareto import synthetic_pareto


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def index(make_results: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written page."""
    return page.write(make_results() | {"paretos": [synthetic_pareto(more=True)]}, tmp_path_factory.mktemp("report"))


def complaints(browser: Browser) -> list[dict[str, Any]]:
    """What the page wrote to the console, or threw."""
    messages = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [event for event in browser.events if event["method"] in messages]


ROWS = "document.querySelector('table.comparisons').tBodies[0].rows"


def test_tables_sort_by_keyboard(browser: Browser, index: Path) -> None:
    """By the column under a heading that stands beneath a wider one, as numbers, then the other way round."""
    browser.open(index, DESKTOP)
    headings = "[...document.querySelector('table.comparisons').tHead.querySelectorAll('th')]"
    heading = f"{headings}.find(heading => heading.textContent === 'area, µm²')"
    values = f"[...{ROWS}].map(row => parseFloat(row.cells[7].textContent.replace(/,/g, '')))"
    before = browser.evaluate(values)
    assert before != sorted(before)
    for direction, ordered in (("ascending", sorted(before)), ("descending", sorted(before, reverse=True))):
        browser.evaluate(f"{heading}.querySelector('button').focus()")
        browser.press_enter()
        assert browser.evaluate(values) == ordered
        assert browser.evaluate(f"{heading}.getAttribute('aria-sort')") == direction
    browser.evaluate("document.querySelector('table.comparisons th button').click()")
    names = browser.evaluate(f"[...{ROWS}].map(row => row.cells[0].textContent)")
    assert names == sorted(names)
    assert browser.evaluate("document.querySelectorAll('table.comparisons')[0].querySelectorAll('[aria-sort]').length") == 1
    assert complaints(browser) == []


def test_what_is_missing_sorts_last(browser: Browser, index: Path) -> None:
    browser.open(index, DESKTOP)
    table = "document.querySelector('[aria-labelledby=accuracy] table')"
    heading = f"[...{table}.tHead.querySelectorAll('th')].find(h => h.textContent === 'output error')"
    for _ in range(2):
        browser.evaluate(f"{heading}.querySelector('button').click()")
        assert browser.evaluate(f"[...{table}.tBodies[0].rows].at(-1).cells[0].textContent") == "unquantized"


def test_a_hash_is_copied(browser: Browser, index: Path) -> None:
    browser.open(index, DESKTOP)
    browser.send("Page.bringToFront")
    code = "document.querySelector('[aria-labelledby=provenance] code.hash')"
    browser.evaluate(f"{code}.nextElementSibling.click(); new Promise(done => setTimeout(done, 200))")
    assert browser.evaluate(f"{code}.nextElementSibling.textContent") == "copied"
    assert browser.evaluate("document.querySelector('[role=status]').textContent") == "copied"
    assert browser.evaluate("getSelection().toString()") == browser.evaluate(f"{code}.textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, index: Path, scheme: str) -> None:
    """Text at least 4.5 to its ground, colours of the charts 3 (WCAG 2.2, 1.4.3 and 1.4.11)."""
    browser.open(index, DESKTOP, scheme)
    faint = browser.evaluate(
        """(() => {
            const parse = text => text.match(/[\\d.]+/g).map(Number);
            const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const contrast = (a, b) => {
                const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
                return (x + 0.05) / (y + 0.05);
            };
            const ground = element => {
                for (let at = element; at; at = at.parentElement) {
                    const colour = parse(getComputedStyle(at).backgroundColor);
                    if (colour.length === 3 || colour[3] > 0) return colour;
                }
            };
            for (const details of document.querySelectorAll('details')) details.open = true;
            const found = new Set();
            const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (words.nextNode()) {
                const element = words.currentNode.parentElement;
                if (!words.currentNode.data.trim() || element.matches('.spoken, .key, script, style, title, desc')) continue;
                const style = getComputedStyle(element);
                const ink = parse(element.closest('svg') ? style.fill : style.color);
                if (contrast(ink, ground(element)) < 4.5) found.add(element.textContent.slice(0, 40) + ' ' + ink);
            }
            const root = getComputedStyle(document.documentElement);
            const swatch = document.body.appendChild(document.createElement('i'));
            for (const name of ['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'grey']) {
                swatch.style.color = `var(--${name})`;
                swatch.style.background = 'var(--surface)';
                const style = getComputedStyle(swatch);
                if (contrast(parse(style.color), parse(style.backgroundColor)) < 3) found.add(name);
            }
            return [...found];
        })()"""
    )
    assert faint == []


def test_on_paper_nothing_is_folded_or_cut(browser: Browser, index: Path) -> None:
    browser.open(index, PAPER, "dark", media="print")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") > 10
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    hidden = browser.evaluate("[...document.querySelectorAll('table')].filter(t => !t.getBoundingClientRect().height).length")
    assert hidden == 0
    cut = browser.evaluate(
        f"""[...document.querySelectorAll('main *')].filter(e => !e.closest('.spoken, svg')
            && e.getBoundingClientRect().right > {PAPER[0]} + 1).map(e => e.tagName + ' ' + e.textContent.slice(0, 60))"""
    )
    assert cut == []
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("document.querySelector('nav').offsetParent") is None
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") > 10


def test_a_screen_reader_finds_its_way(browser: Browser, index: Path) -> None:
    """Landmarks, no level of heading left out, captions and scopes of tables, words for each drawing, a way past the top."""
    browser.open(index, PHONE)
    assert browser.evaluate("['header', 'nav', 'main', 'footer'].map(tag => document.querySelectorAll(tag).length)") == [
        1,
        1,
        1,
        1,
    ]
    levels = browser.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert browser.evaluate("[...document.querySelectorAll('table')].filter(t => !t.caption || !t.tHead).length") == 0
    assert browser.evaluate("[...document.querySelectorAll('th')].filter(h => !h.scope).length") == 0
    captions = browser.evaluate("[...document.querySelectorAll('caption')].map(c => c.textContent)")
    assert len(captions) > 20
    unnamed = (
        "[...document.querySelectorAll('figure svg')].filter(s => s.getAttribute('role') !== 'img' || !s.querySelector('desc'))"
    )
    assert browser.evaluate(f"{unnamed}.length") == 0
    skip = "document.querySelector('a.skip')"
    assert browser.evaluate(f"{skip} === document.querySelector('a')")
    browser.evaluate(f"{skip}.focus(); new Promise(done => setTimeout(done, 50))")
    assert browser.evaluate(f"{skip}.getBoundingClientRect().top") >= 0
    assert browser.evaluate(f"document.querySelector({skip}.getAttribute('href')).tagName") == "MAIN"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_opens_from_disk(browser: Browser, index: Path, size: tuple[int, int], scheme: str) -> None:
    browser.open(index, size, scheme)
    screenshot = browser.screenshot()

    requests = [event["params"]["request"]["url"] for event in browser.events if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in requests if not url.startswith("data:")} == {index.as_uri()}
    assert complaints(browser) == []

    assert int.from_bytes(screenshot[16:20]) == size[0]  # the PNG header's width
    assert len(screenshot) > 20_000  # an empty page of this size compresses to a few kilobytes
    assert browser.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert (
        browser.evaluate("getComputedStyle(document.body).backgroundColor")
        == {
            "light": "rgb(246, 247, 248)",
            "dark": "rgb(18, 22, 27)",
        }[scheme]
    )


def test_labels_keep_apart_and_inside(browser: Browser, index: Path) -> None:
    """No two texts of one drawing touch, none leaves its drawing, and all are large enough to read on a phone."""
    browser.open(index, PHONE)
    faults = browser.evaluate(
        """[...document.querySelectorAll('figure svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
            const faults = [];
            for (const [name, box] of boxes) {
                if (box.left < frame.left - 2 || box.right > frame.right + 2) faults.push(`${name} leaves its drawing`);
                if (box.height < 10) faults.push(`${name} is too small`);
            }
            boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
                const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (x > 1 && y > 3) faults.push(`${name} meets ${other}`);
            }));
            return faults;
        })"""
    )
    assert browser.evaluate("document.querySelectorAll('figure svg text').length") > 100
    assert faults == []
