# SPDX-License-Identifier: Apache-2.0
"""The bench that runs inside the simulator: drives every input port, and holds every output port against what it must be.

cocotb imports this module; `sim.runner` starts the simulator and names the folder of the run in the environment variable
`DINT_BENCH`: `job.json` and `rows.npz` are read there, `result.json` and `progress` written. Nothing is known here of what the
unit computes: levels and what must follow come from a stimulus and the golden model (`sim.replay`). `result.json` says how
many rows were compared, so that a bench that compared nothing cannot pass for one that found nothing.

Timing: inputs change at the falling edge of the clock and are taken at the rising one; outputs are sampled at the falling edge
after it, in every cycle and not only the last of a sum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from numpy.typing import NDArray

__all__ = ["BENCH_FOLDER", "replay"]

BENCH_FOLDER = "DINT_BENCH"
_CHUNK = 2048  # rows converted at a time: bounds the memory of a long run, and is the step of its progress
_PERIOD_NS = 10


@cocotb.test()
async def replay(dut: Any) -> None:
    """Replay the rows; fail at the first output that differs."""
    folder = Path(os.environ[BENCH_FOLDER])
    job = json.loads((folder / "job.json").read_text())
    with np.load(folder / "rows.npz", allow_pickle=False) as archive:
        rows = {name: archive[name] for name in archive.files}
    result: dict[str, Any] = {"compared": 0, "failure": None}
    try:
        result["failure"] = _wrong_port(dut, job["inputs"] | job["outputs"])
        if result["failure"] is None:
            await _run(dut, job, rows, result, folder / "progress")
        assert result["failure"] is None
    finally:
        (folder / "result.json").write_text(json.dumps(result))


async def _run(dut: Any, job: dict[str, Any], rows: dict[str, NDArray[Any]], result: dict[str, Any], progress: Path) -> None:
    """Drive row by row until an output differs: then `failure` says in which row, which port, and what it shows."""
    falling, lead = dut.clk.falling_edge, job["lead"]
    drivers = [getattr(dut, name) for name in job["inputs"]]
    shown = [getattr(dut, name) for name in job["outputs"]]
    levels: list[int | None] = [None] * len(drivers)
    count = len(next(iter(rows.values())))
    started = False
    for start in range(0, count, _CHUNK):
        progress.write_text(str(max(0, start - lead)))
        part = slice(start, start + _CHUNK)
        driven = zip(*(_numbers(rows[name][part]) for name in job["inputs"]), strict=True)
        expected = zip(*(_words(rows[name][part], width) for name, width in job["outputs"].items()), strict=True)
        for row, (inputs, wanted) in enumerate(zip(driven, expected, strict=True), start):
            for index, level in enumerate(inputs):
                if levels[index] != level:
                    levels[index] = level
                    drivers[index].value = level
            if not started:
                started = True
                Clock(dut.clk, _PERIOD_NS, unit="ns").start(start_high=False)
            await falling
            if row < lead - 1:
                continue
            for port, handle, word in zip(job["outputs"], shown, wanted, strict=True):
                # As strings of bits: exact, ten times faster than numbers, and X or Z never equals anything.
                if (found := str(handle.value)) != word:
                    result["failure"] = {"row": row - lead, "port": port, "shown": found}
                    return
            result["compared"] += row >= lead


def _wrong_port(dut: Any, widths: Mapping[str, int]) -> str | None:
    """What is wrong with the ports, if anything: a simulator would truncate or extend in silence."""
    for name, width in widths.items():
        if (found := len(getattr(dut, name))) != width:
            return f"port {name} has {found} bits, expected {width}"
    return None


def _numbers(packed: NDArray[np.uint8]) -> Iterator[int]:
    return (int.from_bytes(row.tobytes(), "little") for row in packed)


def _words(packed: NDArray[np.uint8], width: int) -> Iterator[str]:
    """The bits of a port, the most significant first, row by row."""
    return (format(number, f"0{width}b") for number in _numbers(packed))
