# SPDX-License-Identifier: Apache-2.0
"""The benchmark of accuracy measures what it says, on the tiny model and a few of its methods."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.accuracy import aqas_loss, grid, slac
from benchmarks.accuracy.__main__ import main
from quant.calibration import calibration_windows
from quant.evaluation import Evaluator, documentation_protocol
from quant.models import LoadedModel
from quant.output_error import layer_inputs
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.scaling import fold, search_scales
from report import given


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few methods, formats, variants and calibrations."""
    methods = {"RTN": {}, "scaled": {"scaling": "smoothquant", "rounding": "optq"}}
    variants = {"symmetric": {}, "asymmetric": {"form": "asymmetric"}, "values": {"attention": "int8"}}
    for name, value in {"METHODS": methods, "VARIANTS": variants, "FORMATS": ("int4", "dint4", "fp4_e2m1")}.items():
        monkeypatch.setattr(grid, name, value)
    for name, value in {"SLAC_METHODS": ("OPTQ",), "LENGTHS": (16,), "SEEDS": (0, 1), "SHORT": 32}.items():
        monkeypatch.setattr(slac, name, value)


@pytest.mark.usefixtures("few")
def test_the_grid(tiny: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tiny.directory), "--windows", "4", "--only", "grid", "--out", str(tmp_path)]
    main(arguments)
    results = json.loads((tmp_path / "accuracy.json").read_text())
    found = {(row["variant"], row["method"], row["format"]): row for row in results["grid"]}
    every = ("int4", "dint4", "fp4_e2m1")
    formats = {"symmetric": every, "asymmetric": ("int4", "dint4"), "values": every}
    assert list(found) == [
        (variant, method, name) for variant, tried in formats.items() for name in tried for method in ("RTN", "scaled")
    ]
    windows = calibration_windows(tiny.tokenizer, tiny.positions).windows
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 4))
    scaled = quantize_model(tiny, Recipe("dint4", scaling="smoothquant", rounding="optq"), windows).model
    assert found["symmetric", "scaled", "dint4"]["kl"] == evaluator.score(scaled).kl
    by_window = {}
    for name in ("int4", "dint4"):
        recipe = Recipe(name, value_format=name, attention="int8")
        model = quantize_model(tiny, recipe, windows).model
        assert found["values", "RTN", name]["kl"] == evaluator.score(model).kl
        by_window[name] = evaluator.by_window(model)[1].numpy()  # type: ignore[union-attr]
    compared = {(one["variant"], one["method"], one["rival"]): one for one in results["differences"]}
    met = compared["values", "RTN", "int4"]
    differences = by_window["int4"] - by_window["dint4"]
    assert met["kl"] == pytest.approx(differences.mean(), abs=1e-8)
    assert met["kl_standard_error"] == pytest.approx(differences.std(ddof=1) / 2, abs=1e-8)
    assert met["ratio"] == pytest.approx(by_window["int4"].mean() / by_window["dint4"].mean(), rel=1e-6)
    assert len(compared) == len(results["differences"]) == 2 * (2 + 1 + 2)
    verdict = next(one for one in results["verdicts"] if (one["variant"], one["rival"]) == ("values", "int4"))
    both = [compared["values", method, "int4"] for method in ("RTN", "scaled")]
    clear = [one for one in both if abs(one["kl"]) > 2 * one["kl_standard_error"]]
    lower = sum(one["kl"] > 0 for one in clear)
    counts = (lower, 2 - len(clear), len(clear) - lower)
    assert (verdict["lower"], verdict["not_clear"], verdict["higher"]) == counts
    assert verdict["clipped"] is False
    assert verdict["mean_ratio"] == pytest.approx(math.sqrt(both[0]["ratio"] * both[1]["ratio"]))
    best = next(one for one in results["best"] if (one["variant"], one["rival"]) == ("symmetric", "int4"))
    for side, name in (("rival", "int4"), ("dint", "dint4")):
        kls = {method: found["symmetric", method, name]["kl"] for method in ("RTN", "scaled")}
        assert best[f"{side}_kl"] == kls[best[f"{side}_method"]] == min(kls.values())
    assert best["kl"] == pytest.approx(best["rival_kl"] - best["dint_kl"], rel=1e-4)
    given.check_grid(results, "accuracy.json")
    printed = capsys.readouterr().out
    assert f"{1e3 * found['symmetric', 'scaled', 'dint4']['kl']:.2f} ± " in printed
    assert len(list((tmp_path / "cells").iterdir())) == len(found)

    # Again, everything is taken from the files.
    for file in (tmp_path / "cells").iterdir():
        file.write_text(file.read_text().replace(f"{found['asymmetric', 'RTN', 'int4']['perplexity']!r}", "12345.0"))
    main([*arguments, "--variant", "asymmetric", "--variant", "symmetric", "--method", "RTN"])
    again = json.loads((tmp_path / "accuracy.json").read_text())["grid"]
    names = [(row["variant"], row["method"], row["format"]) for row in again]
    assert names == [
        *(("asymmetric", "RTN", name) for name in ("int4", "dint4")),
        *(("symmetric", "RTN", name) for name in ("int4", "dint4", "fp4_e2m1")),
    ]
    assert [row["perplexity"] for row in again] == [12345.0, *(found[name]["perplexity"] for name in names[1:])]


@pytest.mark.usefixtures("few")
def test_the_loss_of_aqas(tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With weights of eight bits the activations' error counts, and other scales are found."""
    monkeypatch.setattr(aqas_loss, "STUDIED", ("int8",))
    monkeypatch.setattr(aqas_loss, "SEEDS", (0,))
    main([str(tiny.directory), "--windows", "4", "--only", "loss", "--out", str(tmp_path)])
    (first,) = json.loads((tmp_path / "accuracy.json").read_text())["loss"]
    windows = calibration_windows(tiny.tokenizer, tiny.positions, seed=0).windows
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 4))
    assert first["kl"] == evaluator.score(quantize_model(tiny, Recipe("int8", scaling="aqas"), windows).model).kl
    folded, scheme = copy.deepcopy(tiny.model), replace(Recipe("int8").scheme, activations="fp32")
    fold(folded, search_scales(tiny.model, tiny.adapter, windows, "aqas", scheme))
    without = quantize_model(replace(tiny, model=folded), Recipe("int8"), windows).model
    assert first["kl_without"] == evaluator.score(without).kl != first["kl"]
    assert first["difference"]["kl"] == pytest.approx(first["kl_without"] - first["kl"], abs=1e-8)


@pytest.mark.usefixtures("few")
def test_slac(tiny: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tiny.directory), "--windows", "4", "--only", "slac", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "accuracy.json").read_text())
    assert [row["length"] for row in results["ranges"]] == [16, 64]
    tokens = documentation_protocol(tiny, 4).windows
    inputs = layer_inputs(tiny.model, tiny.adapter, tokens)
    kinds = ("self_attn.q_proj", "self_attn.out_proj", "fc1", "fc2")  # what q, k and v read counts once
    largest = [float(x.abs().max()) for name, x in inputs.items() if name.endswith(kinds)]
    assert results["ranges"][1]["mean_largest_activation"] == pytest.approx(sum(largest) / len(largest), rel=1e-6)
    found = {
        (row["format"], row["calibration_length"], row["cut"], row["seed"], row["length"]): row["kl"] for row in results["slac"]
    }
    assert len(found) == len(results["slac"]) == 2 * (2 + 1) * 2 * 2
    assert len(set(found.values())) == len(found)
    windows = calibration_windows(tiny.tokenizer, tiny.positions, seed=1).windows.reshape(-1, 16)
    model = quantize_model(tiny, Recipe("int4", rounding="optq"), windows).model
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 4))
    assert found["int4", 16, True, 1, 64] == evaluator.score(model).kl
    mean = 1e3 * (found["int4", 16, False, 0, 32] + found["int4", 16, False, 1, 32]) / 2
    assert f"{mean:.2f} ± " in capsys.readouterr().out


def test_an_error_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: model /no/such/model: no such directory"):
        main(["/no/such/model", "--out", str(tmp_path)])
