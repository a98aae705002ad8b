# SPDX-License-Identifier: Apache-2.0
"""A small sweep that has been run once: two units, and two that cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweep.command import sweep
from synth import sta
from synth.pdk import QFLOW

FILE = """
format = ["int3", "dint3"]
architecture = ["digit-grid", "booth"]
depth = 64
activity = "zero-delay"
cycles = 32
"""


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A directory with `sweep.toml`, `out` and `build/cache`, and what the command returned."""
    if shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir():
        pytest.skip("needs iverilog, opensta and qflow-tech-osu018")
    place = tmp_path_factory.mktemp("swept")
    (place / "sweep.toml").write_text(FILE)
    found = sweep(place / "sweep.toml", place / "out", jobs=2, cache=place / "build/cache", quiet=True)
    return place, found


@pytest.fixture
def anew(swept: tuple[Path, dict[str, Any]], tmp_path: Path) -> Callable[[], Path]:
    """Gives a directory in which the sweep is still to be done, with its netlists at hand."""

    def make() -> Path:
        shutil.copytree(swept[0], tmp_path / "anew", ignore=shutil.ignore_patterns("points", "out", "again"))
        return tmp_path / "anew"

    return make
