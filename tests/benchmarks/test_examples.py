# SPDX-License-Identifier: Apache-2.0
"""`make examples` runs what the help of every command says; here one of them, and one that fails."""

from __future__ import annotations

from pathlib import Path

from benchmarks.examples import ORDER, _run, examples


def test_every_command_is_run() -> None:
    assert set(ORDER) == set(examples())
    assert all(examples().values())


def test_an_example_runs_by_itself(tmp_path: Path) -> None:
    status, said = _run("formats", tmp_path)
    assert status == 0
    assert "dint4" in said.lower()


def test_one_that_fails_says_why(tmp_path: Path) -> None:
    status, said = _run("evaluate build/opt-dint4", tmp_path)
    assert status != 0
    assert "build/opt-dint4" in said
