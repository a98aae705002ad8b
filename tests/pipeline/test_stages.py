# SPDX-License-Identifier: Apache-2.0
"""Stages are reused exactly as long as what they were made from, and what they made, stays the same."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from golden.errors import InputError, ToolError
from pipeline.stages import Stages, in_child, source_hash


class Counter:
    """A stage's work that counts how often it is done."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, directory: Path) -> None:
        self.calls += 1
        (directory / "result.json").write_text(f'{{"call": {self.calls}}}')


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    return Stages(tmp_path / "report" / "stages", Console(file=io.StringIO()))


def test_a_stage_runs_once_while_nothing_changes(stages: Stages) -> None:
    work = Counter()
    first = stages.run("area", {"lanes": 1}, work)
    second = stages.run("area", {"lanes": 1}, work)
    assert work.calls == 1
    assert (first.reused, second.reused) == (False, True)
    assert second.json("result.json") == {"call": 1}
    assert second.seconds == first.seconds


def test_changed_inputs_run_it_again(stages: Stages) -> None:
    work = Counter()
    stages.run("area", {"lanes": 1}, work)
    assert not stages.run("area", {"lanes": 2}, work).reused
    assert work.calls == 2


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_damaged_output_runs_it_again(stages: Stages, damage: str) -> None:
    work = Counter()
    file = stages.run("area", {}, work).path("result.json")
    if damage == "change":
        file.write_text('{"call": 9}')
    else:
        file.unlink()
    stage = stages.run("area", {}, work)
    assert not stage.reused
    assert stage.json("result.json") == {"call": 2}


@pytest.mark.parametrize("error", [InputError("bad"), KeyboardInterrupt()])
def test_a_failed_stage_leaves_nothing_and_runs_again(stages: Stages, tmp_path: Path, error: BaseException) -> None:
    def fail(directory: Path) -> None:
        (directory / "half.json").write_text("{")
        raise error

    with pytest.raises(type(error)):
        stages.run("area", {}, fail)
    assert list(tmp_path.iterdir()) == []
    assert not stages.run("area", {}, Counter()).reused


def test_source_hash_follows_the_sources() -> None:
    assert source_hash(["golden"]) == source_hash(["golden"])
    assert source_hash(["golden"]) != source_hash(["golden", "hdl"])


def test_errors_of_a_child_process_arrive_whole() -> None:
    from golden import format_by_name

    with pytest.raises(InputError, match="did you mean dint4"):
        in_child(format_by_name, name="dint44")
    assert in_child(format_by_name, name="dint4").bits == 4


def test_a_child_process_that_dies_is_one_line() -> None:
    with pytest.raises(ToolError, match="abort: its process ended without an answer"):
        in_child(os.abort)
