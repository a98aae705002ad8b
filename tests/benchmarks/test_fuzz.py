# SPDX-License-Identifier: Apache-2.0
"""A slice of the fuzzing, and that it finds what it is for."""

from __future__ import annotations

import importlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from benchmarks import fuzz
from benchmarks.fuzzing import engine
from benchmarks.fuzzing.engine import Case, Garbage, Outcome, Target
from golden.errors import InputError

# What takes longer to import than the cases take; the processes of the cases are forked from this one.
HEAVY = ("hdl.architectures", "synth.command", "quant.huggingface", "transformers.models.opt.modeling_opt")


def test_a_slice_of_everything() -> None:
    """The command line includes models; real processes are started by the tests of the command line."""
    for name in HEAVY:
        importlib.import_module(name)
    targets = [target for name, target in fuzz.TARGETS.items() if name != "processes"]
    outcomes = fuzz.fuzz(targets, cases=500, seed=7)
    assert [outcome for outcome in outcomes if outcome.is_finding] == []
    refused = Counter(outcome.target for outcome in outcomes if outcome.kind == engine.REFUSED)
    assert len(outcomes) > 450
    assert refused.total() > 350
    assert refused.keys() == {target.name for target in targets} - {"stages", "caches"}  # these do the work again


def planted(run: Callable[[Path], Any], check: Callable[[Any], None] = lambda _: None) -> list[Outcome]:
    """Three cases of a parser of numbers, which are none."""

    def case(_: None, rng: Random, folder: Path) -> Case:
        path = folder / "number"
        path.write_text(rng.choice(("one", "two")))  # one, two, one
        return Case(lambda: run(path), check)

    target = Target("planted", 1, lambda _: None, case, cpu_s=1)
    return list(engine.run(target, 1, range(3), wall_s=60))


def kinds(run: Callable[[Path], Any], check: Callable[[Any], None] = lambda _: None) -> set[str]:
    return {outcome.kind for outcome in planted(run, check)}


def refuse(message: str) -> None:
    raise InputError(message)


def test_what_is_refused_or_sound_is_no_finding() -> None:
    assert kinds(lambda path: refuse(f"{path}: no number")) == {engine.REFUSED}
    assert kinds(lambda path: path.read_text()) == {engine.SOUND}


def test_tracebacks_are_found() -> None:
    assert kinds(lambda path: {}[path.read_text()]) == {engine.TRACEBACK}
    assert kinds(lambda path: float(path.read_text())) == {engine.TRACEBACK}
    assert "KeyError: 'two'" in {line for one in planted(lambda path: {}[path.read_text()]) for line in one.detail.splitlines()}


def test_hangs_and_crashes_are_found_one_by_one() -> None:
    def spin(path: Path) -> None:
        while path.read_text() == "two":
            pass

    outcomes = planted(spin)
    assert [outcome.index for outcome in outcomes] == [0, 1, 2]
    assert [outcome.kind for outcome in outcomes] == [engine.SOUND, engine.HANG, engine.SOUND]
    assert kinds(lambda _: os.kill(os.getpid(), signal.SIGKILL)) == {engine.CRASH}


def test_a_wait_without_end_is_found() -> None:
    target = Target("planted", 1, lambda _: None, lambda *_: Case(lambda: time.sleep(100), lambda _: None))
    assert [outcome.kind for outcome in engine.run(target, 1, range(2), wall_s=0.5)] == [engine.HANG] * 2


def test_garbage_that_is_accepted_is_found() -> None:
    def check(text: str) -> None:
        if not text.isdigit():
            raise Garbage("number: none")

    assert kinds(lambda path: path.read_text(), check) == {engine.GARBAGE}
    assert kinds(lambda path: path.read_text(), lambda text: float(text)) == {engine.GARBAGE}  # it cannot even be looked at


def test_unclear_errors_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("golden.errors.one_line", str)
    for message in ("two\nlines", "", "Traceback (most recent call last)", "\ud800", "x" * 30_000):
        assert kinds(lambda _, message=message: refuse(message)) == {engine.UNCLEAR}, message


def test_what_is_left_behind_is_found() -> None:
    def leave(path: Path) -> None:
        path.with_name("half").write_text("x")
        refuse("no number")

    def change(path: Path) -> None:
        path.write_text("changed")
        refuse("no number")

    assert kinds(leave) == kinds(change) == {engine.LEFT}
    assert kinds(lambda _: Path(os.environ["TMPDIR"], "half").write_text("x")) == {engine.LEFT}


def test_a_case_is_made_from_its_number_alone(tmp_path: Path) -> None:
    target = fuzz.TARGETS["liberty files"]
    (tmp_path / "material").mkdir()
    material = target.prepare(tmp_path / "material")
    contents = []
    for index in (5, 6, 5):
        folder = tmp_path / f"{len(contents)}"
        folder.mkdir()
        target.case(material, Random(f"{target.name}:1:{index}"), folder)
        contents.append([(file.name, file.read_bytes()) for file in folder.iterdir()])
    assert contents[0] == contents[2] != contents[1]


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code and file tell of a planted fault, and its replay finds it again."""

    def case(_: None, rng: Random, folder: Path) -> Case:
        del folder
        return Case(lambda: {0: 0}[rng.randrange(2)], lambda _: None)

    monkeypatch.setattr(fuzz, "TARGETS", {"planted": Target("planted", 1, lambda _: None, case)})
    monkeypatch.setattr("sys.argv", ["fuzz", "--cases", "20", "--jobs", "1", "--out", str(tmp_path)])
    assert fuzz.main() == 1
    [row] = json.loads((tmp_path / "fuzz.json").read_text())["results"]
    assert (row["target"], row["cases"], row["refused"], row["sound"] + row["findings"]) == ("planted", 20, 0, 20)
    [fault] = row["faults"]
    assert (fault["kind"], fault["count"]) == (engine.TRACEBACK, row["findings"])
    assert "KeyError" in fault["where"]
    assert fault["replay"][0] in capsys.readouterr().out
    before = Path.cwd(), os.environ.get("TMPDIR")
    monkeypatch.setattr("sys.argv", ["fuzz", "--replay", fault["replay"][0]])
    assert fuzz.main() == 1
    assert (Path.cwd(), os.environ.get("TMPDIR")) == before
