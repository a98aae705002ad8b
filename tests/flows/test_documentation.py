# SPDX-License-Identifier: Apache-2.0
"""The command lines and rules of docs/flows.md are what they say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import dint
from flows.rules import check
from golden.artifacts import canonical_json
from report.metrics import metrics
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "flows.md").read_text()
GROUP: Any = typer.main.get_command(dint.app)


def test_lines_in_code_blocks_can_be_typed() -> None:
    lines = re.findall(r"^    dint ([^#\n]+)", TEXT, flags=re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        name, *arguments = shlex.split(line)
        GROUP.commands[name].make_context(name, arguments)


@pytest.mark.parametrize("block", re.findall(r"```json\n(.+?)```", TEXT, flags=re.DOTALL))
def test_rules_are_about_metrics_that_exist(block: str, tmp_path: Path, make_results: Any) -> None:
    (tmp_path / "rules.json").write_text(block)
    figures = metrics(make_results()) if "comparisons" in block else dict.fromkeys(json.loads(block), 1.0)
    (tmp_path / "metrics.json").write_text(canonical_json(figures))
    found = check(tmp_path / "metrics.json", [tmp_path / "rules.json"], quiet=True)
    assert found["rules"] == len(json.loads(block))


def test_the_rules_that_come_along_are_those_of_the_page() -> None:
    assert json.loads((ROOT / "docs" / "rules.json").read_text()) in [
        json.loads(block) for block in re.findall(r"```json\n(.+?)```", TEXT, flags=re.DOTALL)
    ]
