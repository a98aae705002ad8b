# SPDX-License-Identifier: Apache-2.0
"""The rules of docs/flows.md are what they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.rules import check
from golden.artifacts import canonical_json
from report.metrics import metrics
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "flows.md").read_text()


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
