# SPDX-License-Identifier: Apache-2.0
"""Compile a unit and run the bench on it, through cocotb's runner, for Icarus and Verilator alike.

    with build(verilog, config, find_simulator("icarus")) as design:
        counts = design.run(stimulus)

Everything happens in a private temporary directory, so that any number of runs can go on at once.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from golden import DintError, InputError, ToolError, UnitConfig
from golden.artifacts import replacing

from .cocotb_steps import bench_result, run_step
from .memory_files import packed_ports
from .replay import Replay
from .simulators import VERILATOR_OPTIONS, Simulator

__all__ = ["WAVE_SUFFIXES", "Counts", "Design", "SimulationMismatch", "build"]

WAVE_SUFFIXES = {"icarus": (".vcd", ".fst"), "verilator": (".vcd",)}


class SimulationMismatch(DintError):
    """The simulated unit and the golden model (or the operand file) disagree; the message names the operands."""


@dataclass(frozen=True)
class Counts:
    """What one run compared."""

    macs: int  # products that took part in compared sums
    sums: int  # sums compared with the golden model, one each cycle
    stated_sums: int  # complete sums that were compared with the operand file too
    seconds: float


@contextmanager
def build(
    verilog: str, config: UnitConfig, simulator: Simulator, *, waves: str = "", time_limit_s: float = 1800.0
) -> Iterator[Design]:
    """Compile `verilog` (the text of module `config.name`); the result lives as long as the block.

    `waves` is ".vcd", ".fst" or empty: runs record waves in that format.

    Raises
    ------
    InputError
        If the simulator cannot write such waves.
    ToolError
        If the text does not compile, or not within the time limit.
    """
    if waves and waves not in WAVE_SUFFIXES[simulator.name]:
        known = " or ".join(WAVE_SUFFIXES[simulator.name])
        raise InputError(f"--waves: {simulator.name} cannot write {waves!r} files; give a name that ends in {known}")
    with tempfile.TemporaryDirectory(prefix="dint-sim-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        source = directory / f"{config.name}.v"
        source.write_text(verilog)
        design = Design(config, simulator, directory, waves, time_limit_s)
        arguments: dict[str, Any] = {
            "sources": [str(source)],
            "hdl_toplevel": config.name,
            "build_dir": str(directory / "build"),
            "always": True,
            "timescale": ["1ns", "1ps"],
            "waves": bool(waves),
            "build_args": list(VERILATOR_OPTIONS) if simulator.name == "verilator" else [],
        }
        design._step("build", arguments, directory)
        yield design


@dataclass(frozen=True)
class Design:
    """A compiled unit, ready to run stimuli."""

    config: UnitConfig
    simulator: Simulator
    directory: Path
    waves: str
    time_limit_s: float

    def run(self, stimulus: Replay, *, waves: Path | None = None, on_progress: Callable[[int], None] | None = None) -> Counts:
        """Replay `stimulus` and compare every cycle; the waves go to the file `waves`, after a mismatch too.

        `on_progress` is called with the number of cycles done, now and then.

        Raises
        ------
        InputError
            If the unit cannot take the stimulus, or the wave file cannot be written.
        SimulationMismatch
            At the first output that is not the golden model's, or a sum that is not the operand file's.
        ToolError
            If the simulator fails, exceeds the time limit, or the bench did not compare all there was.
        """
        # Imported here: it imports cocotb, which only a simulation needs.
        from .bench import BENCH_FOLDER

        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.directory))
        rows = _write_job(folder, self.config, stimulus)
        trace = folder / f"waves{self.waves}"
        arguments: dict[str, Any] = {
            "test_module": "sim.bench",
            "hdl_toplevel": self.config.name,
            "hdl_toplevel_lang": "verilog",
            "build_dir": str(self.directory / "build"),
            "test_dir": str(folder),
            "results_xml": str(folder / "results.xml"),
            "extra_env": {BENCH_FOLDER: str(folder), "COCOTB_LOG_LEVEL": "WARNING", "COCOTB_REWRITE_ASSERTION_FILES": ""},
            "seed": 0,
            "waves": bool(self.waves),
            "timescale": ["1ns", "1ps"],
        }
        environment = {}
        if self.waves and self.simulator.name == "icarus":
            arguments["plusargs"] = [f"+dumpfile_path={trace}"]
            environment["SIM_CMD_SUFFIX"] = f"-{self.waves[1:]}"  # the last such argument decides the format
        elif self.waves:
            arguments["test_args"] = ["--trace-file", str(trace)]
        started = time.monotonic()
        try:
            self._step("test", arguments, folder, environment, on_progress)
        except ToolError:
            if not (folder / "result.json").is_file():
                raise
            # The bench has finished: what it found says more than the simulator's exit code.
        if waves is not None and trace.is_file():
            _move(trace, waves)
        if failure := _failure(folder):
            raise self._mismatch(stimulus, failure if isinstance(failure, str) else _in_words(self.config, stimulus, **failure))
        _check_compared(folder, rows, self.simulator)
        if wrong := _wrongly_stated(self.config, stimulus):
            raise self._mismatch(stimulus, wrong)
        stated = int(stimulus.completed.sum())
        return Counts(stimulus.macs, stimulus.cycles, stated, seconds=time.monotonic() - started)

    def _mismatch(self, stimulus: Replay, what: str) -> SimulationMismatch:
        return SimulationMismatch(f"{self.config.name}, {stimulus.source} operands, {what}")

    def _step(
        self,
        step: str,
        arguments: dict[str, Any],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        run_step(
            self.simulator,
            step,
            arguments,
            folder,
            what=self.config.name,
            time_limit_s=self.time_limit_s,
            if_too_long="use fewer --cycles, or --simulator verilator for long runs",
            environment=environment,
            each_poll=lambda: on_progress and on_progress(_progress(folder)),
        )


def _write_job(folder: Path, config: UnitConfig, stimulus: Replay) -> int:
    """Write what the bench reads; the number of rows that it must compare beside the last one of reset."""
    rows, lead = stimulus.rows_from_reset(config)
    packed = {port.name: packed_ports([port], rows.inputs) for port in config.inputs}
    packed |= {port.name: packed_ports([port], rows.outputs) for port in config.outputs}
    np.savez(folder / "rows.npz", allow_pickle=False, **packed)
    sides = {
        "inputs": {port.name: port.width for port in config.inputs},
        "outputs": {port.name: port.width for port in config.outputs},
    }
    (folder / "job.json").write_text(json.dumps(sides | {"lead": lead}))
    return len(next(iter(packed.values()))) - lead


def _in_words(config: UnitConfig, stimulus: Replay, row: int, port: str, shown: str) -> str:
    """The first difference that the bench found; -1 is the last row of reset."""
    if row < 0:
        rows, lead = stimulus.rows_from_reset(config)
        return f"after reset {port} is {_number(shown)}, expected {int(rows.outputs[port][lead - 1, 0])}"
    expected = stimulus.rows(config).outputs[port][:, 0].tolist()
    cycle = row - (config.latency_cycles - 1)  # whose operands are in the sum for the first time
    unit = f" (in units of {config.weight_format.unit})" if port == config.sum_port.name else ""
    before = expected[row - 1] if row else 0
    what = f"{port}{unit} got {_number(shown)}, expected {expected[row]}; before it {before}"
    return f"cycle {cycle}: {what}" + (f"; {stimulus.describe(config, cycle)}" if cycle >= 0 else "")


def _wrongly_stated(config: UnitConfig, stimulus: Replay) -> str | None:
    """The first sum that the operand file states, and the unit, which agrees with the golden model, does not make."""
    sums = stimulus.rows(config).outputs[config.sum_port.name][config.latency_cycles - 1 :, 0]
    wrong = np.flatnonzero(stimulus.completed & (sums != stimulus.stated))
    if not len(wrong):
        return None
    cycle = int(wrong[0])
    return (
        f"cycle {cycle}: {config.sum_port.name}: the operand file states {stimulus.stated[cycle]} for the sum that ends here, "
        f"but its operands make {sums[cycle]} in the unit and in the golden model; the file is wrong; "
        + stimulus.describe(config, cycle)
    )


def _number(bits: str) -> str:
    """A two's complement word in decimal; as it is, if it has bits that are neither 0 nor 1."""
    if set(bits) - set("01"):
        return bits
    value = int(bits, 2)
    return str(value - (1 << len(bits)) if bits[0] == "1" and len(bits) > 1 else value)


def _check_compared(folder: Path, rows: int, simulator: Simulator) -> None:
    """ToolError unless cocotb says that its test passed, and the bench that it compared all there was to compare."""
    if (compared := bench_result(folder, simulator).get("compared")) != rows:
        raise ToolError(f"{simulator.name}: the bench compared {compared} cycles, not all of {rows}")


def _failure(folder: Path) -> str | dict[str, Any] | None:
    """What the bench found wrong, if it came to an end and did."""
    with suppress(OSError, ValueError):
        failure: str | dict[str, Any] | None = json.loads((folder / "result.json").read_text())["failure"]
        return failure
    return None


def _progress(folder: Path) -> int:
    try:
        return int((folder / "progress").read_text())
    except (OSError, ValueError):  # not there yet, or just being written
        return 0


def _move(source: Path, target: Path) -> None:
    """Move across file systems, whole or not at all, and never over a file that another run made meanwhile."""
    try:
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
            target.touch(exist_ok=False)
    except FileExistsError:
        raise InputError(f"--waves {target}: the file exists by now and is not overwritten; give another name") from None
    except OSError as error:
        raise InputError(f"--waves {target}: cannot be written ({error.strerror}); name another file") from None
