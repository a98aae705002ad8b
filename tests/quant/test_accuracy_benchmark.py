"""The benchmark of accuracy measures what it says, on the tiny model and a few of its methods."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import accuracy
from quant.calibration import calibration_windows
from quant.evaluation import Evaluator, documentation_protocol
from quant.models import LoadedModel
from quant.recipe import Recipe, quantize_model


@pytest.mark.slow
def test_the_grid_and_slac(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = {"RTN": {}, "OPTQ": {"rounding": "optq"}}
    for name, value in {"METHODS": methods, "SLAC_METHODS": ("OPTQ",), "LENGTHS": (16,), "SEEDS": (0, 1), "SHORT": 32}.items():
        monkeypatch.setattr(accuracy, name, value)
    accuracy.main([str(tiny.directory), "--windows", "4", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "accuracy.json").read_text())
    assert [(row["method"], row["format"]) for row in results["grid"]] == [
        ("unquantized", None), ("RTN", "int4"), ("RTN", "dint4"), ("OPTQ", "int4"), ("OPTQ", "dint4"),
    ]  # fmt: skip
    windows = calibration_windows(tiny.tokenizer, tiny.positions).windows
    expected = Evaluator(tiny.model, documentation_protocol(tiny, 4)).score(
        quantize_model(tiny, Recipe("dint4"), windows).model
    )
    assert results["grid"][2]["kl"] == expected.kl
    assert [row["length"] for row in results["ranges"]] == [16, 64]
    found = {(row["format"], row["calibration_length"], row["seed"], row["length"]): row["kl"] for row in results["slac"]}
    assert len(found) == len(results["slac"]) == 2 * 2 * 2 * 2
    assert len(set(found.values())) == len(found)
    printed = capsys.readouterr().out
    assert f"{1e3 * results['grid'][2]['kl']:.2f} ± " in printed
    mean = 1e3 * (found["int4", 16, 0, 32] + found["int4", 16, 1, 32]) / 2
    assert f"{mean:.2f} ± " in printed


def test_an_error_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: model /no/such/model: no such directory"):
        accuracy.main(["/no/such/model", "--out", str(tmp_path)])
