# SPDX-License-Identifier: Apache-2.0
"""Measurements of a registered unit: workloads, samples, their spread, and what comes from the cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import INT4, InputError, MacConfig
from synth import measuring, sta
from synth.mapping import Mapped, map_design
from synth.measuring import Measurement, Task, confidence_95, measure_all, standard_error
from synth.pdk import QFLOW, Pdk, find
from synth.recipe import Recipe

CYCLES, SAMPLES = 128, 3


@pytest.fixture(scope="module")
def kit() -> Pdk:
    if shutil.which("iverilog") is None or not sta.available() or not (QFLOW / "osu018").is_dir():
        pytest.skip("needs iverilog, opensta and qflow-tech-osu018")
    return find("osu018")


@pytest.fixture(scope="module")
def mapped(kit: Pdk, cache: Path) -> Mapped:
    """With operand registers."""
    return map_design(MacConfig(INT4, pipeline=1), kit, Recipe(), cache)


def measure(mapped: Mapped, kit: Pdk, cache: Path, *conditions: tuple[str, str, str], **options: Any) -> list[Measurement]:
    options = {"cycles": CYCLES, "seed": 1, "jobs": 1} | options
    return measure_all([Task(mapped, 20.0, *condition, SAMPLES) for condition in conditions], kit, {}, cache=cache, **options)


@pytest.fixture(scope="module")
def measured(mapped: Mapped, kit: Pdk, cache: Path) -> list[Measurement]:
    return measure(mapped, kit, cache, ("uniform", "streaming", "sdf"), ("uniform", "weights-held", "sdf"))


def test_registered_operands(mapped: Mapped, measured: list[Measurement]) -> None:
    """Every sum is compared one cycle later than without registers, every net has activity, and delays apply."""
    assert mapped.config.latency_cycles == 2
    for one in measured:
        assert one.facts["annotated_fraction"] == 1
        assert one.facts["sums_compared"] == SAMPLES * CYCLES
        assert one.facts["cycles"] == SAMPLES * (CYCLES - 4)
    # 28 bits of accumulator, 12 of operands (the weight gated by valid), and whether the sum is kept.
    flops = sum(count for name, count in mapped.cell_counts.items() if name.startswith("DFF"))
    assert flops >= 28 + 12 + 1


def test_held_weights_take_less(measured: list[Measurement]) -> None:
    streaming, held = measured
    assert held.energy_per_mac_j < 0.9 * streaming.energy_per_mac_j
    assert [one.describe()["dataflow"] for one in measured] == ["streaming", "weights-held"]
    assert {one.describe()["operands"] for one in measured} == {"uniform"}


def test_samples_differ_and_give_an_interval(measured: list[Measurement]) -> None:
    for one in measured:
        assert len(set(one.samples_j)) == SAMPLES
        assert one.energy_per_mac_j == pytest.approx(np.mean(one.samples_j))
        described = one.describe()
        assert described["samples"] == SAMPLES
        assert described["energy_per_mac_standard_error_j"] == pytest.approx(np.std(one.samples_j, ddof=1) / SAMPLES**0.5)
        # t of 2 degrees of freedom at 97.5 %
        assert described["energy_per_mac_confidence_95_j"] == pytest.approx(4.303 * (one.standard_error_j or 0), rel=1e-3)
        assert 0 < described["energy_per_mac_confidence_95_j"] < one.energy_per_mac_j


def test_equal_measurements_come_from_the_cache(
    mapped: Mapped, kit: Pdk, cache: Path, measured: list[Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "write_file", lambda *_: pytest.fail("measured again"))
    again = measure(mapped, kit, cache, ("uniform", "streaming", "sdf"))
    assert again[0].samples_j == measured[0].samples_j
    monkeypatch.setattr(measuring, "simulator_version", lambda: "another one")
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        measure(mapped, kit, cache, ("uniform", "streaming", "sdf"))


def test_vectorless_needs_no_operands(mapped: Mapped, kit: Pdk, cache: Path) -> None:
    (one,) = measure_all([Task(mapped, 20.0, None, None, "vectorless", SAMPLES)], kit, {}, CYCLES, 1, cache, 1)
    assert len(one.samples_j) == 1
    described = one.describe()
    assert (described["operands"], described["dataflow"], described["activity"]) == (None, None, "vectorless")
    assert described["cycles"] == described["sums_compared"] == 0
    assert described["energy_per_mac_confidence_95_j"] is None
    assert 0 < one.leakage_w < one.power_w == pytest.approx(one.energy_per_mac_j / 20e-9)


def test_operands_of_a_model_are_needed(mapped: Mapped, kit: Pdk, cache: Path) -> None:
    with pytest.raises(InputError, match="source opt-fc2 needs the operands of a model"):
        measure(mapped, kit, cache, ("opt-fc2", "streaming", "zero-delay"))


@pytest.mark.parametrize(("degrees", "t"), [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (9, 2.2622), (30, 2.0423)])
def test_students_t(degrees: int, t: float) -> None:
    """The usual table, two-sided, 95 %."""
    values = np.random.default_rng(degrees).normal(size=degrees + 1).tolist()
    assert confidence_95(values) == pytest.approx(t * (standard_error(values) or 0), rel=2e-5)


def test_intervals_hold_what_they_promise() -> None:
    """Of 4000 intervals from four normal values each, 95 % contain the mean."""
    random = np.random.default_rng(0)
    inside = [abs(np.mean(v)) <= (confidence_95(v.tolist()) or 0) for v in random.normal(size=(4000, 4))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)


def test_a_single_sample_has_no_interval() -> None:
    assert confidence_95([1.0]) is None
    assert standard_error([1.0]) is None
