# SPDX-License-Identifier: Apache-2.0
"""Pareto fronts of accuracy against cost: which formats no other beats in both, and where noise decides.

A format is beaten by another that costs no more and whose KL divergence is no higher, one of the two lower. What is not beaten
is the front: the lower left staircase. That is said of means. A rival is a format that beats another, or may as well: by
neither figure it is worse by more than the noise of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from report.accuracy import CLEAR
from synth.measuring import confidence_95

__all__ = ["Cost", "front", "mean_and_error"]


@dataclass(frozen=True)
class Cost:
    """A figure of merit of a format's unit, the lower the better; `samples` of the same operands for all, if it has noise."""

    mean: float
    samples: tuple[float, ...] = ()


def mean_and_error(values: ArrayLike) -> tuple[float, float]:
    """Mean of `values` (draws, windows) and its standard error over windows and, where there are several, over draws.

    Both are counted as independent: the root of the sum of the squares of the standard errors of both means.
    """
    array: NDArray[np.float64] = np.asarray(values, np.float64)
    errors = (_standard_error(array.mean(axis=0)), _standard_error(array.mean(axis=1)))
    return float(array.mean()), math.hypot(*errors)


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def front(costs: Mapping[str, Cost], divergences: Mapping[str, Sequence[Sequence[float]]]) -> list[dict[str, Any]]:
    """The points of a front, the cheapest first.

    Parameters
    ----------
    costs
        By format.
    divergences
        By format, the KL divergence of every draw of the calibration on every window of a text (draws, windows).

    Returns
    -------
    list
        For each format its `cost`, `kl` and standard errors, `on_front`, and its `rivals`: `format`, `cost_ratio` and
        `kl_difference` of rival and format, whether it `beats` the format, and which of `cost` and `kl` differ by no more than
        `noise`: two standard errors of the KL's difference, window by window and draw by draw, and the 95 % confidence interval
        of the cost's, sample by sample.
    """
    values = {name: np.asarray(divergences[name], np.float64) for name in costs}
    points = []
    for name, cost in costs.items():
        kl, error = mean_and_error(values[name])
        rivals = [_rival(other, costs[other], cost, values[other] - values[name]) for other in costs if other != name]
        kept = sorted(filter(None, rivals), key=lambda one: (not one["beats"], one["cost_ratio"], one["format"]))
        points.append(
            {
                "format": name,
                "cost": cost.mean,
                "cost_standard_error": _standard_error(np.array(cost.samples)) if cost.samples else None,
                "kl": kl,
                "kl_standard_error": error,
                "on_front": not any(one["beats"] for one in kept),
                "rivals": kept,
            }
        )
    return sorted(points, key=lambda point: (point["cost"], point["kl"], point["format"]))


def _rival(name: str, cost: Cost, of: Cost, differences: NDArray[np.float64]) -> dict[str, Any] | None:
    """What `name` is to a format of cost `of`; `differences` (draws, windows) of its KL. None if it is clearly worse."""
    kl, error = mean_and_error(differences)
    spread = confidence_95([a - b for a, b in zip(cost.samples, of.samples, strict=True)]) or 0.0
    dearer = cost.mean - of.mean
    if kl > CLEAR * error or dearer > spread:
        return None
    return {
        "format": name,
        "cost_ratio": cost.mean / of.mean,
        "kl_difference": kl,
        "kl_difference_standard_error": error,
        "beats": kl <= 0 and dearer <= 0 and (kl < 0 or dearer < 0),
        "noise": ["cost"] * (abs(dearer) <= spread > 0) + ["kl"] * (abs(kl) <= CLEAR * error),
    }
