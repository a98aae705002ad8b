# SPDX-License-Identifier: Apache-2.0
"""What is measured of what the search found: every netlist once, the finalists more often and with uniform operands as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from golden import MacConfig, format_by_name
from sim.workload import OPT, STREAMING, UNIFORM, WEIGHTS_HELD
from synth import cases
from synth.cases import MINIMUM_AREA, Case
from synth.energy import SDF, ZERO_DELAY
from synth.measuring import Measurement, Task
from synth.omissions import not_measured
from synth.pdk import find
from synth.search import Effort, Found

from .test_comparison import FakeShop, mapped

# By area and source of operands: the middle one takes the least with those of the model, the largest with uniform ones.
ENERGIES = {10.0: {OPT: 3.0, UNIFORM: 4.0}, 11.0: {OPT: 1.0, UNIFORM: 6.0}, 12.0: {OPT: 2.0, UNIFORM: 1.0}}
FORMATS = ("int8", "dint4")
KIT = find("osu018")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The tasks that are measured, in order; nothing is simulated."""
    tasks: list[Task] = []

    def measure_all(new: Sequence[Task], *_: Any) -> list[Measurement]:
        tasks.extend(new)
        return [Measurement(task, _facts(task), (_facts(task)["energy_per_mac_j"],) * task.samples) for task in new]

    monkeypatch.setattr(cases, "measure_all", measure_all)
    return tasks


def _facts(task: Task) -> dict[str, float]:
    return {"energy_per_mac_j": ENERGIES[task.mapped.area_um2][task.source or ""]}


def case(effort: Effort, formats_with_operands: Sequence[str] = FORMATS) -> Case:
    """Three netlists of each format at minimum area, measured."""
    minimum = {name: [mapped(KIT, MacConfig(format_by_name(name)), area, 2.0) for area in ENERGIES] for name in FORMATS}
    made = Case(FakeShop(KIT, {}), 1, Found(minimum=minimum))
    operands: Any = dict.fromkeys(formats_with_operands)
    made.measure(operands, effort, Path(), 1, 0)
    return made


def areas(tasks: Sequence[Task], **wanted: Any) -> list[float]:
    alike = [task for task in tasks if all(getattr(task, name) == value for name, value in wanted.items())]
    return sorted(task.mapped.area_um2 for task in alike if task.mapped.config.weight_format.name == "dint4")


def repeated(tasks: Sequence[Task]) -> list[Task]:
    return [task for i, task in enumerate(tasks) if task in tasks[:i]]


def test_finalists_meet_uniform_operands_as_often_as_those_of_the_model(asked: list[Task]) -> None:
    case(Effort())
    assert areas(asked, source=OPT, activity=SDF, samples=1) == [10.0, 11.0, 12.0]
    for source in (OPT, UNIFORM):
        assert areas(asked, source=source, activity=SDF, samples=Effort().samples) == [10.0, 11.0]
        assert areas(asked, source=source, activity=ZERO_DELAY, samples=1) == [10.0, 11.0]
    assert areas(asked, source=UNIFORM) == [10.0, 10.0, 11.0, 11.0]


@pytest.mark.usefixtures("asked")
def test_each_kind_of_operands_has_its_own_best() -> None:
    made = case(Effort())
    (condition,) = made.conditions
    assert condition.kind == MINIMUM_AREA
    found = {
        (source, objective): best["dint4"].mapped.area_um2
        for (source, _, activity), objective, best in made.best(condition)
        if activity == SDF
    }
    assert found == {(OPT, "area"): 10.0, (OPT, "energy"): 11.0, (UNIFORM, "area"): 10.0, (UNIFORM, "energy"): 10.0}


def test_without_operands_of_every_format_nothing_is_measured_twice(asked: list[Task]) -> None:
    case(Effort(), formats_with_operands=("int8",))
    assert {task.source for task in asked} == {UNIFORM}
    assert not repeated(asked)


def test_a_workload_of_all_netlists_is_not_measured_again_for_the_finalists(asked: list[Task]) -> None:
    case(Effort(workloads=((OPT, STREAMING), (UNIFORM, STREAMING))))
    assert areas(asked, source=UNIFORM, samples=1, activity=SDF) == [10.0, 11.0, 12.0]
    for source, finalists in ((OPT, [10.0, 11.0]), (UNIFORM, [10.0, 12.0])):  # the best of each kind, without delays as well
        assert areas(asked, source=source, activity=ZERO_DELAY, samples=1) == finalists
    assert not repeated(asked)


def test_uniform_operands_may_be_left_out(asked: list[Task]) -> None:
    case(Effort(also=()))
    assert {task.source for task in asked} == {OPT}


@pytest.mark.parametrize(
    ("effort", "said"),
    [
        (Effort(), "Zero-delay activity and uniform operands: measured for the finalists only"),
        (Effort(workloads=((OPT, STREAMING), (UNIFORM, WEIGHTS_HELD))), "Zero-delay activity: measured for the finalists only"),
        (Effort(also=()), "Uniform operands: energies are for the model's operands."),
    ],
)
def test_what_was_not_measured_with_uniform_operands_is_said(effort: Effort, said: str) -> None:
    sentences = not_measured([], True, effort, "mac")
    assert [sentence for sentence in sentences if sentence.startswith(said)]
    assert sum("niform operands:" in sentence for sentence in sentences) == (said[0] == "U" or " and uniform" in said)
