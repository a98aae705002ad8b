"""The bench that runs inside the simulator: replays a stimulus and holds every sum against the golden model.

cocotb imports this module; `sim.runner` starts the simulator and names the folder of the run in the environment variable
`DINT_BENCH`: `config.json` and `stimulus.npz` are read there, `result.json` and `progress` written. `result.json` says how
much was compared, so that a bench that compared nothing cannot pass for one that found nothing.

Timing: inputs change at the falling edge of the clock and are taken at the rising one; the accumulator is sampled at the
falling edge after it. Every cycle is compared, not only the last of a sum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from numpy.typing import NDArray

from golden import MacConfig, format_by_name
from sim.memory_files import packed
from sim.stimulus import Stimulus

__all__ = ["BENCH_FOLDER", "config_as_data", "config_from_data", "inputs", "replay"]

BENCH_FOLDER = "DINT_BENCH"
_CHUNK = 2048  # cycles converted at a time: bounds the memory of a long run, and is the step of its progress
_PERIOD_NS = 10


@cocotb.test()
async def replay(dut: Any) -> None:
    """Replay the stimulus; fail at the first accumulator that differs, and say which operands made it."""
    folder = Path(os.environ[BENCH_FOLDER])
    config = config_from_data(json.loads((folder / "config.json").read_text()))
    stimulus = Stimulus.load(folder / "stimulus.npz")
    check = _Check(config, stimulus)
    try:
        _check_ports(dut, config)
        await _run(dut, config, stimulus, check, folder / "progress")
    except AssertionError as error:
        check.counts["failure"] = str(error)
        raise
    finally:
        (folder / "result.json").write_text(json.dumps(check.counts))


async def _run(dut: Any, config: MacConfig, stimulus: Stimulus, check: _Check, progress: Path) -> None:
    """Reset, then the stimulus, then as many idle cycles as the last sum takes to appear."""
    falling, accumulator = dut.clk.falling_edge, dut.accumulator
    signals = (dut.weights, dut.activations, dut.first, dut.valid, dut.rst)
    levels: list[int | None] = [None] * len(signals)

    def drive(row: tuple[int, ...]) -> None:
        for index, level in enumerate(row):
            if levels[index] != level:
                levels[index] = level
                signals[index].value = level

    weights, activations, *_ = next(inputs(config, stimulus, 0, 1))
    drive((weights, activations, 0, 1, 1))  # reset is held with valid operands present, which must not count
    Clock(dut.clk, _PERIOD_NS, unit="ns").start(start_high=False)
    for _ in range(config.latency_cycles + 2):
        await falling
    check.after_reset(str(accumulator.value))

    delay = config.latency_cycles - 1  # cycles that a sum takes to be seen, beyond the one that takes its operands
    for start in range(0, stimulus.cycles + delay, _CHUNK):
        progress.write_text(str(start))
        rows = inputs(config, stimulus, start, min(start + _CHUNK, stimulus.cycles + delay))
        for cycle, row in enumerate(rows, start - delay):
            drive(row)
            await falling
            if cycle >= 0:
                check.cycle(cycle, str(accumulator.value))


class _Check:
    """Compares what the unit shows with the golden model and with what the operand file states, and counts."""

    def __init__(self, config: MacConfig, stimulus: Stimulus) -> None:
        self._config, self._stimulus = config, stimulus
        self._expected = stimulus.expected(config).tolist()
        width = config.accumulator_bits
        self._bits = [format(value & (1 << width) - 1, f"0{width}b") for value in self._expected]
        self._stated = {int(cycle): int(stimulus.stated[cycle]) for cycle in np.flatnonzero(stimulus.completed)}
        self._lanes_in_sum = np.where(stimulus.valid & ~stimulus.reset, stimulus.lanes, 0).tolist()
        self.counts: dict[str, Any] = {"sums": 0, "macs": 0, "stated_sums": 0, "failure": None}

    def after_reset(self, shown: str) -> None:
        if shown.strip("0"):
            raise AssertionError(f"after reset the accumulator is {_number(shown)}, expected 0")

    def cycle(self, cycle: int, shown: str) -> None:
        # As strings of bits: exact, ten times faster than numbers, and X or Z never equals anything.
        if shown != self._bits[cycle]:
            raise AssertionError(self._mismatch(cycle, f"got {_number(shown)}, expected {self._expected[cycle]}"))
        if cycle in self._stated:
            if _number(shown) != str(stated := self._stated[cycle]):
                raise AssertionError(
                    self._mismatch(
                        cycle,
                        f"the operand file states {stated} for the sum that ends here, but its operands make "
                        f"{_number(shown)} in the unit and {self._expected[cycle]} in the golden model; the file is wrong",
                    )
                )
            self.counts["stated_sums"] += 1
        self.counts["sums"] += 1
        self.counts["macs"] += self._lanes_in_sum[cycle]

    def _mismatch(self, cycle: int, what: str) -> str:
        stimulus, number_format = self._stimulus, self._config.weight_format
        before = self._expected[cycle - 1] if cycle else 0
        first, valid, reset = (int(column[cycle]) for column in (stimulus.first, stimulus.valid, stimulus.reset))
        lanes = "; ".join(
            f"lane {lane}: code {code} = {number_format.decode_one(code)} x {activation}"
            for lane, (code, activation) in enumerate(
                zip(stimulus.weights[cycle].tolist(), stimulus.activations[cycle].tolist(), strict=True)
            )
        )
        controls = f"first={first} valid={valid} rst={reset}"
        return f"cycle {cycle}: accumulator (in units of {number_format.unit}) {what}; before it {before}; {controls}; {lanes}"


def _check_ports(dut: Any, config: MacConfig) -> None:
    """Refuse a unit whose ports are not those of its configuration: a simulator would truncate or extend in silence."""
    widths = {
        "weights": config.weight_format.bits * config.lanes,
        "activations": config.activation_bits * config.lanes,
        "accumulator": config.accumulator_bits,
    }
    for name, width in widths.items():
        if (found := len(getattr(dut, name))) != width:
            raise AssertionError(f"port {name} has {found} bits, expected {width}")


def inputs(config: MacConfig, stimulus: Stimulus, start: int, stop: int) -> Iterator[tuple[int, ...]]:
    """Levels of weights, activations, first, valid and rst in cycles `start` to `stop` - 1; beyond the stimulus, idle."""
    rows = slice(start, min(stop, stimulus.cycles))
    columns = (
        _packed(stimulus.weights[rows], config.weight_format.bits),
        _packed(stimulus.activations[rows].view(np.uint8), config.activation_bits),
        stimulus.first[rows].astype(int).tolist(),
        stimulus.valid[rows].astype(int).tolist(),
        stimulus.reset[rows].astype(int).tolist(),
    )
    yield from zip(*columns, strict=True)
    yield from [(0, 0, 0, 0, 0)] * (stop - max(start, rows.stop))


def _packed(fields: NDArray[np.uint8], bits: int) -> list[int]:
    """Rows of (cycles, lanes) as one number each: lane i in bits `bits` x i and up."""
    return [int.from_bytes(row.tobytes(), "little") for row in packed(fields, bits)]


def _number(bits: str) -> str:
    """A two's complement word in decimal; as it is, if it has bits that are neither 0 nor 1."""
    if set(bits) - set("01"):
        return bits
    value = int(bits, 2)
    return str(value - (1 << len(bits)) if bits[0] == "1" else value)


def config_as_data(config: MacConfig) -> dict[str, Any]:
    """`config` as plain data, for another process."""
    rest = {field.name: getattr(config, field.name) for field in fields(config) if field.name != "weight_format"}
    return {"format": config.weight_format.name, **rest}


def config_from_data(data: dict[str, Any]) -> MacConfig:
    """Undo `config_as_data`."""
    rest = {name: value for name, value in data.items() if name != "format"}
    return MacConfig(format_by_name(data["format"]), **rest)
