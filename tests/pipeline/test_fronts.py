# SPDX-License-Identifier: Apache-2.0
"""Pareto fronts: who beats whom by the means, and where noise decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipeline.fronts import Cost, front, mean_and_error


def points(costs: dict[str, float], kls: dict[str, float], noise: float = 0.0) -> dict[str, dict[str, Any]]:
    """The front of exact costs, KLs on two draws and four windows, each format with noise of its own."""
    random = np.random.default_rng(3)
    wobble = {name: random.standard_normal((2, 4)) for name in kls}
    values = {name: (kl + noise * (wobble[name] - wobble[name].mean())).tolist() for name, kl in kls.items()}
    found = front({name: Cost(cost) for name, cost in costs.items()}, values)
    assert [point["cost"] for point in found] == sorted(costs.values())
    return {point["format"]: point for point in found}


def test_the_front_is_the_lower_left_staircase() -> None:
    costs = {"int8": 9.0, "int4": 5.0, "dint4": 5.5, "int3": 3.0, "dint3": 3.5, "fp4_e2m1": 8.0}
    kls = {"int8": 0.1, "int4": 2.0, "dint4": 2.5, "int3": 9.0, "dint3": 7.0, "fp4_e2m1": 1.9}
    found = points(costs, kls)
    assert [name for name, point in found.items() if point["on_front"]] == ["int3", "dint3", "int4", "fp4_e2m1", "int8"]
    (rival,) = found["dint4"]["rivals"]
    assert (rival["format"], rival["beats"], rival["noise"]) == ("int4", True, [])
    assert rival["cost_ratio"] == pytest.approx(5.0 / 5.5)
    assert rival["kl_difference"] == pytest.approx(-0.5)
    assert all(not point["rivals"] for name, point in found.items() if name != "dint4")


@pytest.mark.parametrize(("kl", "on_front"), [(2.0, True), (1.9, False), (2.1, True)])
def test_of_equal_costs_the_lower_kl_counts(kl: float, on_front: bool) -> None:
    """Equals in both do not beat each other."""
    found = points({"int4": 5.0, "dint4": 5.0}, {"int4": kl, "dint4": 2.0})
    assert found["dint4"]["on_front"] == on_front


@pytest.mark.parametrize("lower", ["int4", "dint4"])
def test_a_difference_within_noise_is_told_whichever_way_it_goes(lower: str) -> None:
    found = points({"int4": 5.0, "dint4": 5.5}, {"int4": 2.0, "dint4": 2.0, lower: 1.99}, noise=0.5)
    (rival,) = found["dint4"]["rivals"]
    assert rival["noise"] == ["kl"]
    assert found["dint4"]["on_front"] != rival["beats"] == (lower == "int4")
    assert rival["kl_difference_standard_error"] > 0.005
    assert not found["int4"]["rivals"]  # dearer beyond doubt


def test_noise_of_costs_is_that_of_the_same_samples() -> None:
    """Energies that wander together differ clearly; those that do not are within noise."""
    kls = {"int4": [[2.0, 2.0]], "dint4": [[1.0, 1.0]]}
    together = {"int4": Cost(5.0, (4.0, 5.0, 6.0)), "dint4": Cost(5.5, (4.5, 5.51, 6.49))}
    apart = {"int4": Cost(5.0, (4.0, 5.0, 6.0)), "dint4": Cost(5.5, (6.5, 5.5, 4.5))}
    clear, unclear = ({point["format"]: point for point in front(costs, kls)} for costs in (together, apart))
    assert not clear["int4"]["rivals"]
    (rival,) = unclear["int4"]["rivals"]
    assert (rival["format"], rival["beats"], rival["noise"]) == ("dint4", False, ["cost"])
    assert unclear["int4"]["on_front"]
    assert clear["dint4"]["cost_standard_error"] == pytest.approx(float(np.std((4.5, 5.51, 6.49), ddof=1)) / math.sqrt(3))


def test_errors_are_of_windows_and_of_draws() -> None:
    assert mean_and_error([[1.0, 3.0]]) == (2.0, pytest.approx(1.0))
    assert mean_and_error([[1.0, 1.0], [3.0, 3.0]]) == (2.0, pytest.approx(1.0))
    assert mean_and_error([[1.0, 3.0], [3.0, 5.0]]) == (3.0, pytest.approx(math.sqrt(2)))
