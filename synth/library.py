# SPDX-License-Identifier: Apache-2.0
"""A cell library as data: units, cells, pins, timing and power tables. `synth.liberty` reads one from Liberty files.

Named after the groups and attributes of the Liberty reference manual. Only what a gate-level model, a delay and a power
estimate need is kept. Every number stays in the library's own unit; `Units` gives the factors to SI units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from golden.errors import InputError

from .lookup_table import LookupTable

__all__ = ["Cell", "FlipFlop", "InternalPower", "Latch", "Leakage", "Library", "Pin", "TimingArc", "Units"]


@dataclass(frozen=True)
class Units:
    """Factors from the library's numbers to SI units."""

    time_s: float
    capacitance_f: float
    voltage_v: float
    leakage_w: float

    @property
    def energy_j(self) -> float:
        """Unit of internal energy: capacitance x voltage^2, as the reference manual has it."""
        return self.capacitance_f * self.voltage_v**2


@dataclass(frozen=True)
class TimingArc:
    """One `timing` group: tables by name (`cell_rise`, `rise_transition`, `rise_constraint`, ...)."""

    related_pins: tuple[str, ...]
    timing_type: str
    sense: str  # positive_unate, negative_unate, non_unate, or empty
    when: str | None
    sdf_cond: str | None
    tables: Mapping[str, LookupTable]


@dataclass(frozen=True)
class InternalPower:
    """One `internal_power` group: energy per rise and fall of the pin, in units of `Units.energy_j`.

    `related_pins` is empty for the power of an input pin. Groups that differ only in `related_pg_pin` are parts of one
    energy and have to be added.
    """

    related_pins: tuple[str, ...]
    related_pg_pin: str | None
    when: str | None
    rise: LookupTable | None
    fall: LookupTable | None


@dataclass(frozen=True)
class Leakage:
    """One `leakage_power` group: power in a state, in units of `Units.leakage_w`; `when` is None for any other state."""

    value: float
    when: str | None
    related_pg_pin: str | None


@dataclass(frozen=True)
class Pin:
    """A signal pin; capacitances in units of `Units.capacitance_f`."""

    name: str
    direction: str  # input, output, inout or internal
    capacitance: float
    rise_capacitance: float
    fall_capacitance: float
    is_clock: bool
    function: str | None
    three_state: str | None
    max_capacitance: float | None
    timing: tuple[TimingArc, ...]
    internal_power: tuple[InternalPower, ...]


@dataclass(frozen=True)
class FlipFlop:
    """An `ff` group: expressions over pins; `state` and `inverted_state` are the names that output functions use."""

    state: str
    inverted_state: str
    clocked_on: str
    next_state: str
    clear: str | None
    preset: str | None
    clear_preset_state: str  # value of `state` while both are active: L, H, N, T or X


@dataclass(frozen=True)
class Latch:
    """A `latch` group."""

    state: str
    inverted_state: str
    enable: str
    data_in: str
    clear: str | None
    preset: str | None


@dataclass(frozen=True, eq=False)
class Cell:
    """A library cell; area in the library's unit (um2 in every library met so far)."""

    name: str
    area: float
    pins: Mapping[str, Pin]
    flip_flops: tuple[FlipFlop, ...]
    latches: tuple[Latch, ...]
    has_state_table: bool
    dont_use: bool
    leakage: tuple[Leakage, ...]
    cell_leakage: float | None

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """Input pins in the library's order."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "input")

    @property
    def outputs(self) -> tuple[Pin, ...]:
        """Output pins in the library's order."""
        return tuple(pin for pin in self.pins.values() if pin.direction == "output")

    @property
    def is_sequential(self) -> bool:
        """Whether the cell holds a state."""
        return bool(self.flip_flops or self.latches or self.has_state_table)


@dataclass(frozen=True, eq=False)
class Library:
    """One corner of a cell library, from one or several files."""

    name: str
    paths: tuple[Path, ...]
    units: Units
    voltage: float  # nominal, in V
    cells: Mapping[str, Cell]  # read when first asked for
    flip_flops: tuple[str, ...]  # names of the cells that have an `ff` group
    slew_thresholds: tuple[float, float]  # where transitions are measured, as fractions of the supply
    has_power_tables: bool
    leakage_in_library: bool  # False: no cell gives a leakage power above zero, so that leakage is unknown, not zero

    def cell(self, name: str) -> Cell:
        """The cell called `name`.

        Raises
        ------
        InputError
            If there is none.
        """
        if name not in self.cells:
            raise InputError(f"cell {name} is not in library {self.name} ({self._files}): give the Liberty file that has it")
        return self.cells[name]

    def require_power(self) -> None:
        """Raise InputError if no cell has an internal power table."""
        if not self.has_power_tables:
            raise InputError(
                f"library {self.name} ({self._files}) has no internal_power tables: area and delay can be had from it, "
                "energy needs a library characterized for power"
            )

    @property
    def _files(self) -> str:
        return ", ".join(path.name for path in self.paths)
