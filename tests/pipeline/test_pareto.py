# SPDX-License-Identifier: Apache-2.0
"""`dint pareto`: equal recipes and equal effort, what fails is listed and tried again, a repeated run does nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import InputError, LayerOperands, Operands, ToolError, format_by_name
from golden.artifacts import canonical_json, write_file
from pipeline import pareto as job
from quant.draws import check_recipe
from report import given, points
from synth import pdk, prices
from synth.pdk import Pdk

KLS = {"int8": 0.001, "int4": 0.02, "dint4": 0.019, "int3": 0.09}


class Machine:
    """Stands for quantizing and for searching units: counts what is asked, and fails where it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.quantized: list[Mapping[str, Any]] = []
        self.priced: list[tuple[Any, ...]] = []
        self.fails: set[str] = set()
        self.looked = 0
        patch.setattr(job, "in_child", self.quantize)
        patch.setattr(prices, "prices", self.price)
        patch.setattr(points, "scatter", lambda *_, **__: "<svg></svg>")  # takes most of the time

    def quantize(self, function: Callable[..., Any], **asked: Any) -> None:
        if "format" not in asked:  # looks at the model
            self.looked += 1
            return function(**asked)
        self.quantized.append(asked)
        name, out = asked["format"], asked["out"]
        if name in self.fails:
            raise InputError(f"{name} cannot be quantized")
        number_format = format_by_name(name)
        layer = LayerOperands(
            "fc1", np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.int8), np.zeros((1, 1), np.int64),
            np.ones(1, np.float32), np.ones(1, np.float32),
        )  # fmt: skip
        Operands(number_format, (layer,), {}).save(out / "operands.npz")
        write_file(out / "model.safetensors", f"weights in {name}")
        divergences = [[KLS[name] * (1 + 0.01 * window) for window in range(4)]] * asked["draws"]
        accuracy = {
            "model": {"name": "a model", "parameters": 12, "sha256": "0" * 64},
            "recipe": check_recipe(asked["recipe"], name),
            "weight_bits": 4.125,
            "calibration": [{"text": "t", "length_tokens": 8, "windows": 2, "seed": 0}] * asked["draws"],
            "protocols": {
                "text": {
                    "description": "", "window_tokens": 8, "windows": 4, "predicted_tokens": 28, "text_sha256": "1" * 64,
                }
            },
            "unquantized": {"text": [20.0, 0.5]},
            "texts": {"text": {"losses": divergences, "divergences": divergences}},
        }  # fmt: skip
        write_file(out / "accuracy.json", canonical_json(accuracy))

    def price(self, kit: Pdk, lanes: int, formats: Sequence[str], *_: Any, **__: Any) -> dict[str, Any]:
        self.priced.append((kit.name, lanes, tuple(formats)))
        if kit.name in self.fails:
            raise ToolError("OpenSTA: out of memory")
        failures = {"int3": "energy: a wrong sum"} if "energy" in self.fails and "int3" in formats else {}
        places = (("minimum-area", "area", 9.0), ("minimum-area", "energy", 9.0), ("fastest", "delay", 3.0))
        units = [
            {
                "format": name, "pdk": kit.name, "lanes": lanes, "kind": kind, "objective": objective, "period_ns": period,
                "design": f"mac_{name}_x{lanes}", "architecture": "one", "pipeline": 0, "area_um2": lanes * (10.0 + bits),
                "delay_ns": 2.0 + bits,
                "energy_per_mac_j": None if objective == "delay" else bits * 1e-12,
                "energy_samples_j": None if objective == "delay" else [bits * 0.9e-12, bits * 1.1e-12],
                "netlist_sha256": f"{name} {objective}", "verilog_sha256": name,
            }
            for name in formats
            for bits in [format_by_name(name).bits]
            for kind, objective, period in places
            if name not in failures or objective == "delay"
        ]  # fmt: skip
        tried = {"syntheses": 7, "architectures": ["one"], "energies": 2, "sums_compared": 9, "failed_syntheses": 0}
        return {"units": units, "effort": dict.fromkeys(formats, tried), "failures": failures}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def run(out: Path, **changed: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"formats": ("int8", "int4", "dint4", "int3"), "pdks": ("osu018",), "draws": 2, "quiet": True}
    return job.pareto(out=out, **options | changed)


def test_all_formats_are_treated_alike_and_the_files_say_the_same(machine: Machine, tmp_path: Path) -> None:
    found = run(tmp_path / "out", lanes=(2, 4))
    assert found["ok"]
    assert len({canonical_json({k: v for k, v in one.items() if k not in ("format", "out")}) for one in machine.quantized}) == 1
    assert machine.priced == [("osu018", lanes, ("int8", "int4", "dint4", "int3")) for lanes in (2, 4)]
    assert found["recipe"]["rounding"] == "optq"
    assert given.read_pareto(tmp_path / "out/pareto.json") | {"ok": True} == found
    area = next(one for one in found["fronts"] if (one["metric"], one["lanes"]) == ("area", 4))
    assert [(point["format"], point["cost"], point["on_front"]) for point in area["points"]] == [
        ("int3", 13.0, True), ("dint4", 14.0, True), ("int4", 14.0, False), ("int8", 18.0, True)
    ]  # fmt: skip
    with (tmp_path / "out/pareto.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found["units"]) == 2 * 4 * 3
    row = next(row for row in rows if (row["format"], row["objective"], row["lanes"]) == ("int4", "area", "4"))
    assert (float(row["area_per_mac_um2"]), row["on_front"], row["text"]) == (14.0, "False", "text")
    assert float(row["kl"]) == pytest.approx(KLS["int4"] * 1.015)
    page = (tmp_path / "out/index.html").read_text()
    assert "INT4 costs the same" not in page  # it is dINT that verdicts are about
    assert page.count("<svg") == 2 * 6  # KL, and perplexity


def test_a_repeated_run_does_nothing_and_writes_the_same(machine: Machine, tmp_path: Path) -> None:
    run(tmp_path / "out")
    names = ("pareto.json", "pareto.csv", "index.html")
    before = [(tmp_path / "out" / name).read_bytes() for name in names]
    machine.quantized.clear()
    machine.priced.clear()
    run(tmp_path / "out")
    assert not machine.quantized
    assert not machine.priced
    assert [(tmp_path / "out" / name).read_bytes() for name in names] == before
    run(tmp_path / "out", seed=1)
    assert len(machine.quantized) == 4


def test_failures_are_listed_and_tried_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kit = pdk.find("osu018")  # a second one need not be on this machine
    monkeypatch.setattr(pdk, "find", lambda name, platforms: replace(kit, name=name))  # noqa: ARG005
    machine.fails = {"int8", "energy", "osu035"}
    found = run(tmp_path / "out", pdks=("osu018", "osu035"), lanes=(2,), quiet=False)
    assert not found["ok"]
    assert [(one["pdk"], one["lanes"], one["format"], one["error"]) for one in found["failures"]] == [
        (None, None, "int8", "int8 cannot be quantized"),
        ("osu018", 2, "int3", "energy: a wrong sum"),
        ("osu035", 2, None, "OpenSTA: out of memory"),
    ]
    assert {unit["pdk"] for unit in found["units"]} == {"osu018"}
    said = " ".join(capsys.readouterr().out.split())
    page = (tmp_path / "out/index.html").read_text()
    for why in ("INT8: int8 cannot be quantized", "osu018, 2 lanes, INT3: energy: a wrong sum", "osu035, 2 lanes: OpenSTA"):
        assert why in page
        assert f"failed: {why}" in said
    machine.fails = set()
    machine.quantized.clear()
    machine.priced.clear()
    assert run(tmp_path / "out", pdks=("osu018", "osu035"), lanes=(2,))["ok"]
    assert [one["format"] for one in machine.quantized] == ["int8"]
    assert [name for name, *_ in machine.priced] == ["osu018", "osu035"]
    machine.fails, out = {"int8", "int4", "dint4", "int3"}, tmp_path / "none"
    with pytest.raises(InputError, match="no format could be quantized, the first because: int8 cannot"):
        run(out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"formats": ("int4", "int4")}, "formats are int4: a front has two or more"),
        ({"formats": ("int4", "dint5")}, "dint5"),
        ({"draws": 0}, "--draws 0: it is a number of draws"),
        ({"windows": 0}, "--windows 0: it is a number of windows"),
        ({"recipe": "nonsense"}, "--recipe nonsense"),
        ({"recipe": "w4a16-int4-rtn"}, "--recipe w4a16-int4-rtn: asymmetric weights; the units of int8 take"),
        ({"model": "./nowhere"}, "no such directory"),
    ],
)
def test_refused_before_anything_is_done(machine: Machine, tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path / "out", **changed)
    assert not machine.quantized
    assert not (tmp_path / "out").exists()


def test_a_model_is_looked_at_once(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"model_type": "gpt2"}')
    machine.fails = {"int8"}
    with pytest.raises(InputError, match="model_type is 'gpt2'"):
        run(tmp_path / "out", model=str(tmp_path / "model"))
    assert [one["format"] for one in machine.quantized] == ["int8"]
    assert machine.looked == 1


@pytest.mark.usefixtures("machine")
def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "out")
    found = json.loads((tmp_path / "out/pareto.json").read_text())
    found["fronts"][0]["points"][0]["kl"] = 0.0
    (tmp_path / "zero.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"zero\.json: fronts\[0\]\.points\[0\]\.kl is 0\.0, expected a number above 0"):
        given.read_pareto(tmp_path / "zero.json")
    with pytest.raises(InputError, match=r"--pareto .*none\.json: cannot be read .*`dint pareto` makes it"):
        given.read_pareto(tmp_path / "none.json")
