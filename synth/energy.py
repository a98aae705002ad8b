# SPDX-License-Identifier: Apache-2.0
"""Energy per MAC: gate-level simulation of a mapped netlist with given operands, and the power of what happened there.

Beside it the power at the activities that tools assume by default.

What a figure includes: every cell of the netlist, that is decoders, partial products, compressor, final adder, accumulator and,
in a pipelined unit, operand registers; the internal power of the flip-flops' clock pins in every cycle; glitches, if delays are
given; leakage over the clock period. What it does not include: wires and their capacitance, the clock tree, whatever
drives the input ports (their nets are not counted), and loads at the output ports.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from golden.artifacts import write_file
from golden.errors import InputError, ToolError, unknown
from golden.unit import UnitConfig
from sim.gate_level import SCOPE, GateLevelRun, run_gate_level
from sim.replay import Replay

from . import liberty_text, sta, vectorless
from .activity import Activity, read_activity, share_at_delays
from .boolean import parse
from .cell_models import cell_models
from .liberty import Cell, Library
from .netlist import Netlist, PlainNetlist, read_netlist
from .pdk import Pdk
from .power import REQUIRED_ANNOTATION, Power, PowerModel, total
from .sdf import Delays, for_icarus, read_delays

__all__ = [
    "ACTIVITIES",
    "ENGINES",
    "FULL_ADDERS",
    "OPENSTA",
    "OTHER_LOGIC",
    "OWN_ENGINE",
    "REGISTERS",
    "REQUIRED_AT_DELAYS",
    "SDF",
    "VECTORLESS",
    "ZERO_DELAY",
    "Energy",
    "Unit",
    "check_engine",
]

ACTIVITIES = SDF, ZERO_DELAY, VECTORLESS = "sdf", "zero-delay", "vectorless"
ENGINES = OWN_ENGINE, OPENSTA = "dint", "opensta"

REGISTERS, FULL_ADDERS, OTHER_LOGIC = "registers", "full adders", "other logic"

# Share of output changes that must fall on exact arc delays. With delays applied all do, but for those caused before the
# recording; without them, or with other ones, under 1 % do.
REQUIRED_AT_DELAYS = 0.95


@dataclass(frozen=True)
class Energy:
    """Power and energy of a unit with given operands at a given clock, and how it was obtained."""

    internal_w: float
    switching_w: float
    leakage_w: float
    period_ns: float
    products: int  # a cycle, of the whole unit
    cycles: int  # recorded clock cycles, after the warm-up; 0 without a simulation
    activity: str  # "sdf" (with delays, glitches count), "zero-delay" or "vectorless" (assumed, no simulation)
    annotated_fraction: float  # of the nets
    at_delays_fraction: float | None  # of output changes, on exact arc delays; None without delays
    sums_compared: int
    leakage_in_library: bool  # False: the library gives no leakage, and `leakage_w` is 0 because unknown
    by_part: Mapping[str, Power]  # registers, full adders, other logic

    @property
    def total_w(self) -> float:
        """Average power."""
        return self.internal_w + self.switching_w + self.leakage_w

    @property
    def energy_per_cycle_j(self) -> float:
        """Average energy of a clock cycle, leakage over the period included."""
        return self.total_w * self.period_ns * 1e-9

    @property
    def energy_per_mac_j(self) -> float:
        """Energy of a cycle, shared by its products."""
        return self.energy_per_cycle_j / self.products

    @property
    def by_part_j(self) -> dict[str, float]:
        """Energy per MAC by part; adds up to `energy_per_mac_j`."""
        return {part: power.total * self.period_ns * 1e-9 / self.products for part, power in self.by_part.items()}


class Unit:
    """A mapped unit, read once, whose energy can be measured with any number of workloads.

    Parameters
    ----------
    netlist, top
        Flat gate-level Verilog of the cells of `library`, and its module, which has the ports of `config`.
    pdk
        Gives the transition time at the input ports and the clock.
    sdf
        OpenSTA's SDF for this netlist, as it is; without, only what needs no delays can be measured.

    Raises
    ------
    InputError
        If the library has no power tables or lacks a cell, or the netlist has other ports.
    """

    def __init__(
        self, netlist: Path, top: str, config: UnitConfig, library: Library, pdk: Pdk, sdf: Path | None = None
    ) -> None:
        library.require_power()
        self._top, self._config, self._library, self._pdk, self._sdf = top, config, library, pdk, sdf
        self._gates = read_netlist(netlist, top)
        _check_ports(netlist, self._gates, config)

    @cached_property
    def _plain(self) -> PlainNetlist:
        return self._gates.with_plain_names()

    @cached_property
    def _delays(self) -> Delays:
        assert self._sdf is not None
        return read_delays(self._sdf, self._gates, self._library)

    @cached_property
    def _power(self) -> PowerModel:
        return PowerModel(self._gates, self._library, self._pdk.input_transition_ns * 1e-9)

    def measure(
        self,
        stimulus: Replay,
        period_ns: float,
        activity: str,
        workdir: Path,
        time_limit_s: float = 1800.0,
        engine: str = OWN_ENGINE,
    ) -> Energy:
        """Simulate the unit with the operands of `stimulus` and work out its energy.

        The first cycles (reset, and four of the stimulus) warm up and are not counted. Every sum of the stimulus is compared
        with the golden model.

        Parameters
        ----------
        activity
            "sdf", with delays, or "zero-delay": then the simulation has no glitches.
        workdir
            An existing directory for temporary files (the recorded waveforms can take hundreds of megabytes); nothing is left.
        engine
            What works out the power of the recorded activity: "dint" (`synth.power`) or "opensta".

        Raises
        ------
        InputError
            If the engine or the activity is unknown, or there are no delays.
        ToolError
            If a sum is wrong, the simulator fails, delays do not apply, the activity of more than 1 % of the nets is missing,
            or the engine cannot be used.
        """
        check_engine(engine)
        with self._recording(stimulus, period_ns, activity, workdir, time_limit_s) as (files, run, recorded, at_delays):
            theirs = self._by_opensta(files["netlist"], period_ns, run.vcd) if engine == OPENSTA else None
        return self._energy(
            theirs or self._power.estimate(recorded),
            period_ns=recorded.duration_s / run.cycles * 1e9,
            cycles=run.cycles,
            activity=activity,
            annotated_fraction=recorded.annotated,
            at_delays_fraction=at_delays,
            sums_compared=run.sums_compared,
        )

    def record(
        self,
        stimulus: Replay,
        period_ns: float,
        activity: str,
        workdir: Path,
        vcd: Path | None = None,
        time_limit_s: float = 1800.0,
    ) -> tuple[Activity, Netlist]:
        """What every net did in the simulation of `measure` with the same arguments, and the netlist.

        With `vcd` the waveforms of these cycles are left there, in the scope `sim.gate_level.SCOPE`; and with the
        ending .v the netlist that they are of, whose names are plain. Raises what `measure` raises.
        """
        with self._recording(stimulus, period_ns, activity, workdir, time_limit_s) as (files, run, recorded, _):
            if vcd is not None:
                shutil.move(run.vcd, vcd)
                shutil.move(files["netlist"], vcd.with_suffix(".v"))
            return recorded, self._gates

    @contextmanager
    def _recording(
        self, stimulus: Replay, period_ns: float, activity: str, workdir: Path, time_limit_s: float
    ) -> Iterator[tuple[Mapping[str, Path], GateLevelRun, Activity, float | None]]:
        """A simulation, its files until the block ends, what its nets did, and the share of changes that are at delays."""
        if activity not in (SDF, ZERO_DELAY) or (activity == SDF and self._sdf is None):
            raise InputError(f"activity is {activity!r}: choose {SDF}, which needs an SDF file, or {ZERO_DELAY}")
        delays = self._delays if activity == SDF else None
        try:
            with tempfile.TemporaryDirectory(prefix="dint-energy-", dir=workdir) as scratch:
                folder = Path(scratch)
                files = _write_inputs(folder, self._gates, self._plain, self._library, delays)
                run = run_gate_level(
                    files["netlist"],
                    files["cells"],
                    self._config,
                    stimulus,
                    period_ns,
                    folder,
                    sdf=files.get("sdf"),
                    top=self._top,
                    time_limit_s=time_limit_s,
                )
                recorded = read_activity(
                    run.vcd, SCOPE, self._gates, self._library, self._plain.instances, (run.start, run.end)
                )
                yield files, run, recorded, self._share_at_delays(recorded, delays)
        except OSError as error:
            raise ToolError(f"energy: {error.filename or workdir}: {error.strerror}; is there space left?") from None

    def _share_at_delays(self, recorded: Activity, delays: Delays | None) -> float | None:
        if delays is None:
            return None
        at_delays = share_at_delays(recorded, self._gates, delays)
        if at_delays < REQUIRED_AT_DELAYS:
            raise ToolError(
                f"icarus: only {at_delays:.1%} of the output changes of {self._top} come at the delays of {self._sdf}, at "
                f"least {REQUIRED_AT_DELAYS:.0%} are needed: the delays were not applied"
            )
        return at_delays

    def assume(self, period_ns: float) -> Energy:
        """Energy at default activities of all inputs, without operands and simulation (`synth.vectorless`).

        Raises
        ------
        InputError
            If the period is not positive.
        ToolError
            If the activities do not settle.
        """
        if not period_ns > 0:
            raise InputError(f"period is {period_ns:g} ns: it must be positive")
        rates = vectorless.propagate(self._gates, self._library)
        transition_s = self._pdk.input_transition_ns * 1e-9
        return self._energy(
            vectorless.estimate(self._gates, self._library, rates, period_ns * 1e-9, transition_s),
            period_ns=period_ns,
            cycles=0,
            activity=VECTORLESS,
            annotated_fraction=1.0,
            at_delays_fraction=None,
            sums_compared=0,
        )

    def _energy(self, powers: Mapping[str, Power], **how: Any) -> Energy:
        whole = total(powers)
        return Energy(
            internal_w=whole.internal,
            switching_w=whole.switching,
            leakage_w=whole.leakage,
            products=self._config.products,
            leakage_in_library=self._library.leakage_in_library,
            by_part=_by_part(self._gates, self._library, powers),
            **how,
        )

    def _by_opensta(self, netlist: Path, period_ns: float, vcd: Path) -> dict[str, Power]:
        """OpenSTA's power of every instance, from the netlist that was simulated and its waveforms."""
        liberty = liberty_text.unpacked(self._pdk.liberty, netlist.parent)
        rows, annotated = sta.power(
            netlist, self._top, liberty, period_ns, self._pdk.input_transition_ns, vcd, SCOPE.replace(".", "/")
        )
        instances = self._plain.instances
        if annotated < REQUIRED_ANNOTATION or rows.keys() != set(instances.values()):
            raise ToolError(f"OpenSTA: it found the activity of only {annotated:.1%} of the pins of {self._top} in {vcd.name}")
        return {name: Power(*(rows[inside][i] for i in (0, 1, 2))) for name, inside in instances.items()}


def check_engine(engine: str) -> None:
    """Raise InputError if there is no such power engine, ToolError if it needs another OpenSTA than the one that is here."""
    if engine not in ENGINES:
        raise unknown(f"--power-engine is {engine!r}", engine, ENGINES)
    if engine == OPENSTA:
        sta.require_vcd()


def _check_ports(path: Path, gates: Netlist, config: UnitConfig) -> None:
    widths = {port["name"]: port["width"] for port in config.describe_ports()}
    found = {name: len(port.bits) for name, port in gates.ports.items()}
    if found != widths:
        wrong = sorted(set(found.items()) ^ set(widths.items()))
        raise InputError(f"netlist {path}: its ports are not those of {config.name}; they differ in {wrong[0][0]}")


def _write_inputs(
    folder: Path, gates: Netlist, plain: PlainNetlist, library: Library, delays: Delays | None
) -> dict[str, Path]:
    files = {"netlist": folder / "netlist.v", "cells": folder / "cells.v"}
    write_file(files["netlist"], plain.verilog)
    write_file(files["cells"], cell_models(library, gates.cells))
    if delays is not None:
        files["sdf"] = folder / "delays.sdf"
        write_file(files["sdf"], for_icarus(delays, plain, gates))
    return files


def _by_part(gates: Netlist, library: Library, powers: Mapping[str, Power]) -> dict[str, Power]:
    kinds = {name: _part(library.cell(name)) for name in gates.cells}
    parts = {part: Power(0.0, 0.0, 0.0) for part in (REGISTERS, FULL_ADDERS, OTHER_LOGIC)}
    for instance in gates.instances:
        parts[kinds[instance.cell]] += powers[instance.name]
    return parts


def _part(cell: Cell) -> str:
    """Which part a cell belongs to, by what it does: a full adder has an output that is the parity of its three inputs."""
    if cell.is_sequential:
        return REGISTERS
    inputs = [pin.name for pin in cell.inputs]
    if len(inputs) != 3 or len(cell.outputs) < 2:
        return OTHER_LOGIC
    parity = np.array([bin(state).count("1") % 2 == 1 for state in range(8)])
    tables = [parse(pin.function).truth_table(inputs) for pin in cell.outputs if pin.function]
    return FULL_ADDERS if any((table == parity).all() or (table != parity).all() for table in tables) else OTHER_LOGIC
