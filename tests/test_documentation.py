# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/: examples run, command lines can be typed, tables are those of the code, links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from golden import FORMATS, SCALED_FORMATS, BlockMacConfig, MacConfig, NumberFormat
from hdl.architectures import ARCHITECTURES
from synth import pdk
from tests.conftest import ROOT
from tests.test_commands import parse

PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
MARKDOWN = PAGES | {f"../{page.name}": page.read_text(encoding="utf-8") for page in ROOT.glob("*.md")}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "pycon")])
def test_sessions_are_as_shown(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = doctest.DocTestParser().get_doctest("\n".join(blocks(page, "pycon")), {}, page, None, None)
    failed, tried = doctest.DocTestRunner().run(session)
    assert failed == 0, capsys.readouterr().out
    assert tried > 1


@pytest.mark.parametrize("page", PAGES)
def test_lines_in_code_blocks_can_be_typed(page: str) -> None:
    for line in re.findall(r"^    dint ([^#\n]+)", PAGES[page], flags=re.MULTILINE):
        parse(line)


def drawn(number_format: NumberFormat) -> str:
    """Values in ascending order, and under each its code."""
    codes = sorted(range(len(number_format.values)), key=lambda code: (number_format.values[code], code))
    lines = {
        "steps": [str(number_format.values[code] * number_format.unit) for code in codes],
        "code": [f"{code:0{number_format.bits}b}" for code in codes],
    }
    return "\n".join(f"{head:<6}" + "".join(f"{one:>5}" for one in line) for head, line in lines.items())


@pytest.mark.parametrize("name", ["dint4", "dint3", "fp4_e2m1"])
def test_codes_are_those_of_the_catalogue(name: str) -> None:
    assert f"```\n{drawn(FORMATS[name])}\n```\n" in PAGES["format.md"]


def test_widths_are_those_of_the_catalogue() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (1|1/2) \| (\d+) \| (\d+) bits \|$", PAGES["format.md"], flags=re.MULTILINE)
    assert rows == [
        (one.title, str(one.unit), str(one.largest_product(8)), str(MacConfig(one).accumulator_bits))
        for one in FORMATS.values()
    ]


def test_widths_of_block_units_are_those_of_the_code() -> None:
    row = r"^\| `mac_(\w+?)(_a4)?` \(W4A[84]\) \| .*?0 to (\d+)\b[^|]* \| (\d+) bits \| (\d+) bits \|$"
    rows = re.findall(row, PAGES["block-formats.md"], flags=re.MULTILINE)
    assert len(rows) == 10
    for name, scaled, span, block_bits, bits in rows:
        config = BlockMacConfig.of(SCALED_FORMATS[name], 4 if scaled else 8)
        assert (config.span, config.block_sum.accumulator_bits, config.accumulator_bits) == (
            int(span),
            int(block_bits),
            int(bits),
        )


def test_architectures_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", PAGES["architecture.md"], flags=re.MULTILINE)
    assert rows == [
        (one.name, one.summary, ", ".join(FORMATS[name].title for name in one.formats))
        for one in ARCHITECTURES.values()
        if not one.for_speed
    ]


def test_the_example_of_a_pdk_describes_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("add-a-pdk.md", "python")
    exec(block, found := {})
    monkeypatch.setattr(pdk, "TECHNOLOGIES", (found["tiny"],))
    kit = pdk.find(liberty=[ROOT / "tests" / "synth" / "tiny.lib"])
    assert kit.name == "tiny"
    assert (kit.full_adder, kit.flip_flop) == tuple(found["tiny"].description[role] for role in ("full_adder", "flip_flop"))
    assert kit.tie_high is not None
    assert kit.tie_low is not None


@pytest.mark.parametrize("page", MARKDOWN)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", MARKDOWN[page]):
        if "://" not in link:
            target, _, heading = link.partition("#")
            file = (ROOT / "docs" / page).parent / target if target else ROOT / "docs" / page
            assert file.exists(), link
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE) if heading else []
            assert not heading or heading in {re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings}, link


def test_every_page_is_in_the_index() -> None:
    assert set(re.findall(r"^\| \[([\w.-]+)\]\(\1\) \|", PAGES["README.md"], re.MULTILINE)) == PAGES.keys() - {"README.md"}
    assert all(Path(ROOT / "docs" / page).is_file() for page in PAGES)
