# SPDX-License-Identifier: Apache-2.0
"""What every stimulus is: levels of input ports, cycle by cycle, and sums that an operand file states for them.

A stimulus is plain arrays, made once and replayed unchanged by every level of simulation (RTL, netlist, any simulator), so
that results of different levels are comparable and a hash names what was simulated. Which ports there are, and what they must
show, a unit's configuration says (`golden.UnitConfig`); benches need to know nothing else.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from golden import InputError, UnitConfig

__all__ = ["PortStimulus", "Replay", "Rows", "checked_column"]


class Rows(NamedTuple):
    """Input and output ports of a unit, each (rows, fields): outputs are those after the row's edge.

    There are `latency_cycles` - 1 idle rows after a stimulus, so that all of it has been seen.
    """

    inputs: dict[str, NDArray[np.int64]]
    outputs: dict[str, NDArray[np.int64]]


class Replay(ABC):
    """The inputs of a unit, one row per clock cycle.

    `source` says where operands come from; `completed`, (cycles,) bool, which sums a file states, and `stated`, (cycles,), what
    they are, in units of the format: the sum that is visible at the `latency_cycles`-th edge from there on.
    """

    source: str
    completed: NDArray[np.bool_]
    stated: NDArray[np.int64]

    @property
    @abstractmethod
    def inputs(self) -> dict[str, NDArray[Any]]:
        """The input ports, each (cycles, fields)."""

    @property
    def cycles(self) -> int:
        """Number of clock cycles."""
        return len(self.completed)

    @property
    @abstractmethod
    def macs(self) -> int:
        """Number of products that take part in sums."""

    @property
    def sha256(self) -> str:
        """Name of the stimulus: equal operands and controls, equal hash."""
        digest = hashlib.sha256()
        for name, array in self._hashed.items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    @property
    def _hashed(self) -> Mapping[str, NDArray[Any]]:
        return self.inputs | {"completed": self.completed, "stated": self.stated}

    def check(self, config: UnitConfig) -> None:
        """Refuse what `config` cannot take: other ports, or numbers that do not fit them."""
        inputs = self.inputs
        wanted = {port.name: port for port in config.inputs}
        if inputs.keys() != wanted.keys():
            raise InputError(f"the stimulus has ports {', '.join(inputs)}; {config.name} has {', '.join(wanted)}")
        for name, port in wanted.items():
            if inputs[name].shape[1] != port.fields:
                raise InputError(
                    f"the stimulus has {inputs[name].shape[1]} numbers a cycle for {name} of {config.name}, which takes "
                    f"{port.fields}: make it for this unit"
                )
            low, high = (-(1 << port.bits - 1), (1 << port.bits - 1) - 1) if port.signed else (0, (1 << port.bits) - 1)
            least, greatest = int(inputs[name].min()), int(inputs[name].max())
            if not low <= least <= greatest <= high:
                worst = least if least < low else greatest
                raise InputError(f"{name} of {config.name} is {worst} in the stimulus: it takes {low} to {high}")

    def rows(self, config: UnitConfig) -> Rows:
        """What a simulation of `config` drives, and what the golden model says that it must show."""
        self.check(config)
        idle = config.latency_cycles - 1
        inputs = {name: np.pad(column.astype(np.int64), ((0, idle), (0, 0))) for name, column in self.inputs.items()}
        return Rows(inputs, config.respond(inputs))

    def rows_from_reset(self, config: UnitConfig) -> tuple[Rows, int]:
        """`rows` after those of reset, and how many these are: `latency_cycles` + 2, the last of which shows the reset."""
        lead = config.latency_cycles + 2
        held = {name: np.repeat(row, lead, axis=0) for name, row in self.reset_row(config).items()}
        sides = zip(Rows(held, config.respond(held)), self.rows(config), strict=True)
        return Rows(
            *({name: np.concatenate([column, then[name]]) for name, column in first.items()} for first, then in sides)
        ), lead

    def reset_row(self, config: UnitConfig) -> dict[str, NDArray[np.int64]]:
        """The row that is held before the first, (1, fields) each: the unit's reset, and the first operands otherwise."""
        first = {name: column[:1].astype(np.int64) for name, column in self.inputs.items()}
        return first | {name: np.full_like(first[name], level) for name, level in config.reset.items()}

    def describe(self, config: UnitConfig, cycle: int) -> str:
        """The inputs that the sum of a cycle is made of, in words."""
        last = min(cycle + config.latency_cycles, self.cycles)
        return "; ".join(
            f"cycle {at}: " + " ".join(f"{name}={_shown(column[at])}" for name, column in self.inputs.items())
            for at in range(cycle, last)
        )


@dataclass(frozen=True, eq=False)
class PortStimulus(Replay):
    """A stimulus of any unit, by port.

    Parameters
    ----------
    columns
        The input ports, each (cycles, fields).
    source, completed, stated
        As those of `Replay`; without the latter two nothing is stated.

    Raises
    ------
    InputError
        If lengths disagree or there is no cycle.
    """

    columns: Mapping[str, NDArray[Any]]
    source: str
    completed: NDArray[np.bool_] = None  # type: ignore[assignment]  # replaced by an array below
    stated: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        columns = {name: np.asarray(column).reshape(len(column), -1) for name, column in self.columns.items()}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise InputError(f"the ports of a stimulus have {sorted(lengths)} cycles: the same number, at least 1, is needed")
        (cycles,) = lengths
        object.__setattr__(self, "columns", columns)
        for name, dtype in (("completed", np.bool_), ("stated", np.int64)):
            given = getattr(self, name)
            object.__setattr__(self, name, checked_column(name, np.zeros(cycles) if given is None else given, dtype))

    @property
    def inputs(self) -> dict[str, NDArray[Any]]:
        """The input ports, each (cycles, fields)."""
        return dict(self.columns)

    @property
    def macs(self) -> int:
        """Number of products that take part in sums: in every cycle that is not told otherwise."""
        operands = next(self.columns[name] for name in ("weights", "weight", "activations") if name in self.columns)
        taken = np.ones(self.cycles, bool)
        if "valid" in self.columns:
            taken = (self.columns["valid"].astype(bool) & ~self.columns["rst"].astype(bool))[:, 0]
        return int(np.count_nonzero(taken)) * operands.shape[1]


def checked_column(name: str, given: Any, wanted: DTypeLike) -> NDArray[Any]:
    """`given` as an array of type `wanted`, contiguous and read-only; refused if a value would change."""
    array = np.asarray(given)
    with np.errstate(invalid="ignore"):
        converted = np.array(array, dtype=wanted, order="C")
    if not np.array_equal(converted, array):
        worst = array[converted != array].flat[0]
        raise InputError(f"{name} of a stimulus holds {worst}, which does not fit {np.dtype(wanted).name}")
    converted.flags.writeable = False
    return converted


def _shown(fields: NDArray[Any]) -> str:
    numbers = [int(number) for number in fields]
    return str(numbers[0] if len(numbers) == 1 else numbers)
