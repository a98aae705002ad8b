# SPDX-License-Identifier: Apache-2.0
"""Examples of docs/python.md, with a tiny model in place of the one that comes along, and of docs/models.md."""

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


@pytest.mark.slow
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


def test_the_recipe_of_the_page_can_be_read(tmp_path: Path) -> None:
    from quant.recipes import read_recipe

    (text,) = re.findall(r"```toml\n(.+?)```", (ROOT / "docs" / "models.md").read_text(), flags=re.DOTALL)
    (tmp_path / "mine.toml").write_text(text)
    recipe, _ = read_recipe(str(tmp_path / "mine.toml"), {})
    assert (recipe.weights, recipe.scaling, recipe.group_size) == ("dint4", "awq", 64)
