# SPDX-License-Identifier: Apache-2.0
"""Mapped netlists at gate level: every product, the corner cases, and operands of the model, every output in every cycle.

Parts of units for asymmetric weights are given random operands.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import golden as golden_model
from golden import MacConfig, Operands, PeConfig, UnitConfig
from golden.artifacts import read_record, record_text, sha256_file, sha256_of, write_file
from sim import column
from sim.gate_level import run_gate_level
from sim.replay import Replay
from sim.simulators import find_simulator
from sim.stimulus import Stimulus
from sim.workload import STREAMING, UNIFORM, workload

from . import liberty
from .cell_models import cell_models
from .mapping import Mapped
from .measuring import sources_sha256
from .netlist import read_netlist
from .pdk import Pdk

__all__ = ["verify", "verify_all"]

_CYCLES = 2000  # of the model's operands
_PERIOD_NS = 1.0  # of a simulation without delays


def verify(
    mapped: Mapped, pdk: Pdk, operands: Operands | None = None, seed: int = 0, cache: Path | None = None
) -> dict[str, int]:
    """Replay on a netlist, without delays, all there is to compare; cycles compared, by source. `cache` keeps what passed.

    Raises
    ------
    ToolError
        At the first output that differs from the golden model, or if Icarus is missing or fails.
    """
    library = liberty.load(pdk.liberty)
    gates = read_netlist(mapped.netlist, mapped.design)
    plain = gates.with_plain_names()
    with tempfile.TemporaryDirectory(prefix="dint-verify-") as name:
        folder = Path(name)
        write_file(folder / "netlist.v", plain.verilog)
        write_file(folder / "cells.v", cell_models(library, gates.cells))
        compared = {}
        for stimulus in _stimuli(mapped.config, operands, seed):
            kept = None if cache is None else _entry(mapped, pdk, stimulus, cache)
            if kept is not None and (facts := read_record(kept)) is not None:
                compared[stimulus.source] = facts["sums_compared"]
                continue
            run = run_gate_level(
                folder / "netlist.v",
                folder / "cells.v",
                mapped.config,
                stimulus,
                _PERIOD_NS,
                folder,
                top=mapped.design,
                time_limit_s=1800.0,
                record=False,
            )
            compared[stimulus.source] = run.sums_compared
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_file(kept, record_text({"sums_compared": run.sums_compared}))
    return compared


def _entry(mapped: Mapped, pdk: Pdk, stimulus: Replay, cache: Path) -> Path:
    """Where it is kept that a netlist passed."""
    golden = Path(golden_model.__file__).parent  # which says what must come out
    key = sha256_of(
        {
            "netlist": mapped.netlist_sha256,
            "pdk": pdk.describe(),
            "stimulus": stimulus.sha256,
            "simulator": find_simulator("icarus").version,
            "sources": sources_sha256() | {file.name: sha256_file(file) for file in (*golden.glob("*.py"), Path(__file__))},
        }
    )
    return cache / "verified" / key[:2] / f"{key}.json"


def verify_all(
    netlists: Sequence[Mapped],
    pdk: Pdk,
    operands: Mapping[str, Operands],
    jobs: int,
    seed: int = 0,
    cache: Path | None = None,
) -> list[dict[str, Any]]:
    """`verify` of every netlist, several at a time: `netlist_sha256`, `design` and `compared`."""
    from joblib import Parallel, delayed

    given = [operands.get(mapped.config.format_name) for mapped in netlists]
    calls = (delayed(verify)(mapped, pdk, own, seed, cache) for mapped, own in zip(netlists, given, strict=True))
    found = Parallel(jobs if len(netlists) > 1 else 1)(calls)
    return [
        {"netlist_sha256": mapped.netlist_sha256, "design": mapped.design, "pdk": pdk.name, "compared": compared}
        for mapped, compared in zip(netlists, found, strict=True)
    ]


def _stimuli(config: UnitConfig, operands: Operands | None, seed: int) -> list[Replay]:
    if isinstance(config, PeConfig):
        file = [] if operands is None else [column.from_operands(operands, config, _CYCLES, seed)]
        return [column.products(config), column.corners(config), column.uniform(config, _CYCLES, seed), *file]
    if isinstance(config, MacConfig):
        model = [] if operands is None else [Stimulus.from_operands(operands, config, _CYCLES, seed)]
        return [Stimulus.products(config, seed), Stimulus.corners(config), *model]
    return [workload(config, UNIFORM, STREAMING, None, _CYCLES, seed)]
