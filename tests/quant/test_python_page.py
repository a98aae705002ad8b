# SPDX-License-Identifier: Apache-2.0
"""The example of docs/python.md, from a model to figures of silicon, with a tiny model in place of the one that comes along."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


def blocks() -> list[str]:
    return re.findall(r"```python\n(.+?)```", (ROOT / "docs" / "python.md").read_text(), flags=re.DOTALL)


def test_the_example_runs(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not all(map(shutil.which, ("iverilog", "sta"))) or not Path("/usr/share/qflow/tech/osu018").is_dir():
        pytest.skip("Icarus, OpenSTA or osu018 is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("quant.models.SHIPPED", tiny_directory)
    found: dict[str, Any] = {}
    for block in blocks():
        exec(block, found)
    assert found["quantized"] == json.loads(Path("build/opt-dint4/metrics.json").read_text())
    assert found["measured"] == json.loads(Path("build/evaluation/evaluation.json").read_text())
    assert found["measured"]["texts"][0]["kl"] > 0
    assert {str(path) for path in found["files"].values()} == {f"build/rtl/{path.name}" for path in Path("build/rtl").iterdir()}
    assert [run["source"] for run in found["runs"]] == ["opt", "uniform", "corners"]
    assert found["figures"] == json.loads(Path("build/synthesis/metrics.json").read_text())
    assert found["figures"]["activity__operands"] == "opt"
    assert type(found["model"]).__name__ == "OPTForCausalLM"
