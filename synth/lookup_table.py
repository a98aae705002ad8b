"""Look-up tables of a cell library: a delay, a transition time or an energy over input transition and output load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError

__all__ = ["LOAD", "SLEW", "LookupTable"]

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
        result = self.values
        for axis, index in zip(self.axes, self.indices, strict=True):
            if axis not in (SLEW, LOAD):
                raise InputError(f"a look-up table has the axis {axis}: only input transition and output load are known")
            result = _interpolate(result, index, slew if axis == SLEW else load)
        return float(result)


def _interpolate(values: NDArray[np.float64], index: NDArray[np.float64], point: float) -> NDArray[np.float64]:
    """`values` with its first axis evaluated at `point`."""
    if len(index) == 1:
        return np.asarray(values[0])
    low = min(max(int(np.searchsorted(index, point, side="right")) - 1, 0), len(index) - 2)
    fraction = (point - index[low]) / (index[low + 1] - index[low])
    return np.asarray(values[low] + fraction * (values[low + 1] - values[low]))


def numbers(texts: Sequence[str]) -> list[float]:
    """The numbers of a Liberty list: quoted or bare, separated by commas or blanks."""
    return [float(word) for text in texts for word in text.strip('"').replace("\\", " ").replace(",", " ").split()]


def table(axes: Sequence[str], indices: Sequence[Sequence[float]], values: Sequence[float]) -> LookupTable:
    """A table from Liberty's words for the axes and its flat list of values.

    Raises
    ------
    InputError
        If the number of values is not the product of the index lengths, or an index does not ascend.
    """
    points = tuple(np.array(index, dtype=np.float64) for index in indices)
    shape = tuple(len(index) for index in points)
    if len(values) != int(np.prod(shape, dtype=np.int64)):
        raise InputError(f"a look-up table has {len(values)} values for {' x '.join(map(str, shape)) or 1} points")
    if any(np.any(np.diff(index) <= 0) for index in points):
        raise InputError("a look-up table has an index that does not ascend")
    return LookupTable(tuple(AXES.get(axis, axis) for axis in axes), points, np.array(values).reshape(shape))
