# SPDX-License-Identifier: Apache-2.0
"""Look-up tables of a cell library: a delay, a transition time or an energy over input transition and output load."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError

__all__ = ["LOAD", "SLEW", "LookupTable", "TableStack", "numbers", "table"]

SLEW, LOAD = "slew", "load"

# Names that Liberty gives to the two axes, in delay and in power templates.
AXES = {
    "input_net_transition": SLEW,
    "input_transition_time": SLEW,
    "total_output_net_capacitance": LOAD,
}


@dataclass(frozen=True)
class LookupTable:
    """Values over zero, one or two axes, all in the units of the library.

    `axes` names the axes (`SLEW`, `LOAD`, or the library's own word for one that is neither), `indices` holds their
    ascending points, `values` has one dimension per axis.
    """

    axes: tuple[str, ...]
    indices: tuple[NDArray[np.float64], ...]
    values: NDArray[np.float64]

    def at(self, slew: float = 0.0, load: float = 0.0) -> float:
        """Value at an input transition and a load: linear between the points of each axis, and beyond the first and last.

        Linear extrapolation is what OpenSTA does too. An axis of one point is constant.

        Raises
        ------
        InputError
            If the table has an axis that is neither.
        """
        for axis in self.axes:
            if axis not in (SLEW, LOAD):
                raise InputError(f"a look-up table has the axis {axis}: only input transition and output load are known")
        return _interpolate(self._values, self._indices, [slew if axis == SLEW else load for axis in self.axes])

    # One point at a time, so that lists are ten times faster than arrays.

    @cached_property
    def _indices(self) -> list[list[float]]:
        return [index.tolist() for index in self.indices]

    @cached_property
    def _values(self) -> Any:
        return self.values.tolist()


def _interpolate(values: Any, indices: list[list[float]], point: list[float]) -> float:
    """Value of nested lists at `point`, one coordinate per axis."""
    if not point:
        return float(values)
    index, rest = indices[0], indices[1:]
    if len(index) == 1:
        return _interpolate(values[0], rest, point[1:])
    low, fraction = _place(index, point[0])
    below, above = (_interpolate(values[i], rest, point[1:]) for i in (low, low + 1))
    return below + fraction * (above - below)


class TableStack:
    """Several tables read at the same point at once; a missing one (None) reads 0.

    Tables that share their axes, as those of one cell do, are one array.
    """

    def __init__(self, tables: Sequence[LookupTable | None]) -> None:
        self._count = len(tables)
        alike: dict[Any, list[tuple[int, LookupTable]]] = {}
        for place, table in enumerate(tables):
            if table is not None:
                alike.setdefault((table.axes, tuple(map(tuple, table._indices))), []).append((place, table))
        self._blocks = [
            (axes, indices, np.array([place for place, _ in members]), np.stack([table.values for _, table in members]))
            for (axes, indices), members in alike.items()
        ]

    def at(self, slew: float, load: float) -> NDArray[np.float64]:
        """The value of each table, shape (tables,); as `LookupTable.at`."""
        result = np.zeros(self._count)
        for axes, indices, places, values in self._blocks:
            for axis, index in zip(axes, indices, strict=True):
                if axis not in (SLEW, LOAD):
                    raise InputError(f"a look-up table has the axis {axis}: only input transition and output load are known")
                low, fraction = _place(index, slew if axis == SLEW else load)
                # The first axis after that of the tables goes, the next one takes its place.
                values = values[:, 0] if len(index) == 1 else values[:, low] * (1 - fraction) + values[:, low + 1] * fraction
            result[places] = values
        return result


def _place(index: Sequence[float], point: float) -> tuple[int, float]:
    """The interval of `index` that `point` is in or nearest to, and how far along it is."""
    if len(index) == 1:
        return 0, 0.0
    low = min(max(bisect_right(index, point) - 1, 0), len(index) - 2)
    return low, (point - index[low]) / (index[low + 1] - index[low])


def numbers(texts: Sequence[str]) -> list[float]:
    """The numbers of a Liberty list: quoted or bare, separated by commas or blanks."""
    return [float(word) for text in texts for word in text.strip('"').replace("\\", " ").replace(",", " ").split()]


def table(axes: Sequence[str], indices: Sequence[Sequence[float]], values: Sequence[float]) -> LookupTable:
    """A table from Liberty's words for the axes and its flat list of values.

    Raises
    ------
    InputError
        If the number of values is not the product of the index lengths, a number is not finite, or an index does not ascend.
    """
    for number in (*values, *(point for index in indices for point in index)):
        if not math.isfinite(number):
            raise InputError(f"a look-up table has the number {number}: they are all finite")
    points = tuple(np.array(index, dtype=np.float64) for index in indices)
    shape = tuple(len(index) for index in points)
    if len(values) != int(np.prod(shape, dtype=np.int64)):
        raise InputError(f"a look-up table has {len(values)} values for {' x '.join(map(str, shape)) or 1} points")
    if any(np.any(np.diff(index) <= 0) for index in points):
        raise InputError("a look-up table has an index that does not ascend")
    return LookupTable(tuple(AXES.get(axis, axis) for axis in axes), points, np.array(values).reshape(shape))
