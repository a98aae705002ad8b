# SPDX-License-Identifier: Apache-2.0
"""Where the time of a quantization goes, by stage: asked for by the benchmark, free of cost otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["Lap", "stage", "stopwatch"]


@dataclass(frozen=True)
class Lap:
    """One run of a stage."""

    stage: str
    seconds: float  # of the clock on the wall
    cpu_seconds: float  # of the processor, all threads together


_laps: ContextVar[list[Lap] | None] = ContextVar("_laps", default=None)


@contextmanager
def stopwatch() -> Iterator[list[Lap]]:
    """The laps of all stages that run inside the block, as they end."""
    laps: list[Lap] = []
    token = _laps.set(laps)
    try:
        yield laps
    finally:
        _laps.reset(token)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """What runs inside the block belongs to the stage `name`; stages do not contain one another."""
    laps = _laps.get()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        if laps is not None:
            laps.append(Lap(name, time.perf_counter() - wall, time.process_time() - cpu))
