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

from golden import DintError, InputError, MacConfig, ToolError
from golden.artifacts import replacing

from .cocotb_steps import bench_result, run_step
from .simulators import VERILATOR_OPTIONS, Simulator
from .stimulus import Stimulus

__all__ = ["WAVE_SUFFIXES", "Counts", "Design", "SimulationMismatch", "build"]

WAVE_SUFFIXES = {"icarus": (".vcd", ".fst"), "verilator": (".vcd",)}


class SimulationMismatch(DintError):
    """The simulated unit and the golden model (or the operand file) disagree; the message names the operands."""


@dataclass(frozen=True)
class Counts:
    """What one run compared."""

    macs: int  # products that took part in compared sums
    sums: int  # accumulator values compared with the golden model, one each cycle
    stated_sums: int  # complete sums that were compared with the operand file too
    seconds: float


@contextmanager
def build(
    verilog: str, config: MacConfig, simulator: Simulator, *, waves: str = "", time_limit_s: float = 1800.0
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

    config: MacConfig
    simulator: Simulator
    directory: Path
    waves: str
    time_limit_s: float

    def run(self, stimulus: Stimulus, *, waves: Path | None = None, on_progress: Callable[[int], None] | None = None) -> Counts:
        """Replay `stimulus` and compare every cycle; the waves go to the file `waves`, after a mismatch too.

        `on_progress` is called with the number of cycles done, now and then.

        Raises
        ------
        InputError
            If the unit cannot take the stimulus, or the wave file cannot be written.
        SimulationMismatch
            At the first accumulator value that is not the golden model's, or not the operand file's.
        ToolError
            If the simulator fails, exceeds the time limit, or the bench did not compare all there was.
        """
        # Imported here: it imports cocotb, which only a simulation needs.
        from .bench import BENCH_FOLDER, config_as_data

        stimulus.check(self.config)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=self.directory))
        stimulus.save(folder / "stimulus.npz")
        (folder / "config.json").write_text(json.dumps(config_as_data(self.config)))
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
            raise SimulationMismatch(f"{self.config.name}, {stimulus.source} operands, {failure}")
        counts = _counts(folder, stimulus, self.simulator)
        return Counts(*counts, seconds=time.monotonic() - started)

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


def _counts(folder: Path, stimulus: Stimulus, simulator: Simulator) -> tuple[int, int, int]:
    """What the bench says it compared, if it is all there was to compare."""
    result = bench_result(folder, simulator)
    counts = (result["macs"], result["sums"], result["stated_sums"])
    wanted = (stimulus.macs, stimulus.cycles, int(stimulus.completed.sum()))
    if counts != wanted:
        raise ToolError(f"{simulator.name}: the bench compared {counts} MACs, sums and stated sums, not all of {wanted}")
    return counts


def _failure(folder: Path) -> str | None:
    """What the bench found wrong, if it came to an end and did."""
    with suppress(OSError, ValueError):
        failure: str | None = json.loads((folder / "result.json").read_text())["failure"]
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
