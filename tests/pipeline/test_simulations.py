# SPDX-License-Identifier: Apache-2.0
"""Units go through the RTL bench; winners of the comparison each once, and those that were there before not again."""

from __future__ import annotations

import io
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from golden import DINT4, INT8, LayerOperands, MacConfig, NumberFormat, Operands, ToolError
from hdl.verilog import generate
from pipeline.simulations import simulate_compared, simulate_units, unit_of
from pipeline.stages import Stage, Stages
from sim import SimulationMismatch

WINNER = MacConfig(DINT4, lanes=2, architecture="direct-grid")
DEFAULT = MacConfig(INT8, lanes=2)
LOSER = MacConfig(DINT4, lanes=2, architecture="multiply")


def stage(folder: Path, name: str) -> Stage:
    folder.mkdir()
    return Stage(name, folder, key="", date="2026-01-02", seconds=1.0, reused=False)


def save_operands(number_format: NumberFormat, path: Path) -> None:
    random = np.random.default_rng(5)
    weights = random.integers(0, 1 << number_format.bits, (3, 12), dtype=np.uint8)
    activations = random.integers(-128, 128, (2, 12), dtype=np.int8)
    sums = activations.astype(np.int64) @ number_format.decode(weights).T
    layer = LayerOperands("fc1", weights, activations, sums, np.ones(3, np.float32), np.ones(2, np.float32))
    Operands(number_format, (layer,), {}).save(path)


def design(config: MacConfig, area_um2: float, pdk: str) -> dict[str, Any]:
    return {
        "design": config.name,
        "pdk": pdk,
        "format": config.weight_format.name,
        "architecture": config.architecture,
        "lanes": config.lanes,
        "depth": config.depth,
        "area_um2": area_um2,
        "netlist_sha256": f"{config.name} on {pdk}",
        "verilog_sha256": sha256(generate(config).encode()).hexdigest(),
    }


@pytest.fixture
def job(tmp_path: Path) -> dict[str, Any]:
    """Two kits on which dINT4 with another architecture wins against the default INT8, which was simulated."""
    quantized = {}
    for number_format in (DINT4, INT8):
        name = number_format.name
        quantized[name] = stage(tmp_path / name, f"quantize {name}")
        save_operands(number_format, quantized[name].path("operands.npz"))
    simulated = stage(tmp_path / "simulated", "simulate")
    runs = [{"verilog_sha256": design(DEFAULT, 1, "")["verilog_sha256"]}]
    simulated.path("simulation.json").write_text(json.dumps(runs))
    compared = []
    for pdk in ("first", "second"):
        designs = [design(DEFAULT, 200, pdk), design(WINNER, 100, pdk), design(LOSER, 150, pdk)]
        row = {"pdk": pdk, "lanes": 2, "baseline": designs[0], "candidate": designs[1]}
        compared.append(stage(tmp_path / pdk, f"compare {pdk}"))
        compared[-1].path("comparison.json").write_text(json.dumps({"designs": designs, "comparisons": [row]}))
    console = Console(file=io.StringIO(), width=200)
    stages = Stages(tmp_path / "stages", console)
    return {"stages": stages, "compared": compared, "simulated": simulated, "quantized": quantized, "seed": 0}


def change_designs(job: dict[str, Any], **changes: Any) -> None:
    for one in job["compared"]:
        path = one.path("comparison.json")
        comparison = json.loads(path.read_text())
        for entry in comparison["designs"]:
            if entry["design"] == WINNER.name:
                entry.update(changes)
        path.write_text(json.dumps(comparison))


def test_winners_are_simulated_once_and_reused(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    done = simulate_compared(**job)
    assert done is not None
    runs = done.json("simulation.json")
    assert [(run["design"], run["source"]) for run in runs] == [(WINNER.name, name) for name in ("opt", "uniform", "corners")]
    assert all(run["level"] == "rtl" and run["sums_compared"] == run["cycles"] for run in runs)
    assert [run["cycles"] for run in runs[:2]] == [500, 500]
    assert runs[0]["stated_sums_compared"] > 50
    assert WINNER.name in job["stages"].console.file.getvalue()

    def again(*_: Any, **__: Any) -> None:
        pytest.fail("simulated again")

    monkeypatch.setattr("sim.command.simulate_verilog", again)
    reused = simulate_compared(**job)
    assert reused is not None
    assert reused.reused


def test_several_units_at_a_time(job: dict[str, Any]) -> None:
    done = simulate_units(job["stages"], "simulate", [DEFAULT, WINNER], job["quantized"], 0, 100)
    runs = done.json("simulation.json")
    assert {(run["design"], run["source"]) for run in runs} == {
        (config.name, source) for config in (DEFAULT, WINNER) for source in ("opt", "uniform", "corners")
    }
    assert {run["cycles"] for run in runs if run["source"] == "uniform"} == {100}


def test_nothing_is_left_to_simulate(job: dict[str, Any]) -> None:
    runs = [{"verilog_sha256": design(config, 1, "")["verilog_sha256"]} for config in (DEFAULT, WINNER)]
    job["simulated"].path("simulation.json").write_text(json.dumps(runs))
    assert simulate_compared(**job) is None
    assert job["stages"].done == []


def test_a_wrong_unit_ends_the_job(job: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = generate(WINNER).replace("accumulator <= ", "accumulator <= 1 + ")
    assert broken != generate(WINNER)
    change_designs(job, verilog_sha256=sha256(broken.encode()).hexdigest())
    monkeypatch.setattr("synth.mapping._verilog", {WINNER: broken})
    with pytest.raises(SimulationMismatch, match=f"{WINNER.name}, .*accumulator"):
        simulate_compared(**job)
    assert not list(job["stages"].root.rglob("simulation.json"))


def test_another_text_than_the_compared_one_is_refused(job: dict[str, Any]) -> None:
    change_designs(job, verilog_sha256="0" * 64)
    with pytest.raises(ToolError, match=f"the Verilog of {WINNER.name} is not what was compared"):
        simulate_compared(**job)


def test_the_unit_of_an_entry() -> None:
    for config in (WINNER, DEFAULT, MacConfig(INT8, lanes=3, depth=96)):
        assert unit_of(design(config, 1, "")) == config
    assert unit_of({"format": "dint4", "lanes": 4}) == MacConfig(DINT4, lanes=4)
