# SPDX-License-Identifier: Apache-2.0
"""Made outliers: the function stays, the activations get channels far above the others; and how well codes are used."""

from __future__ import annotations

import copy
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from quant.block import GroupScale
from quant.code_use import code_use, entropy_bits
from quant.command import quantize
from quant.models import LoadedModel
from quant.outliers import OUTLIERS, with_outliers
from quant.output_error import layer_inputs
from quant.quantization import quantize_model
from quant.recipe import Recipe


@pytest.mark.parametrize("family", ["tiny", "llama"])
def test_only_the_activations_change(request: pytest.FixtureRequest, windows: torch.Tensor, family: str) -> None:
    loaded: LoadedModel = request.getfixturevalue(family)
    made = with_outliers(loaded, 3)
    assert made.name == f"{loaded.name} with made outliers (seed 3)"
    with torch.no_grad():
        expected, found = (one.model(input_ids=windows).logits for one in (loaded, made))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    before, after = (layer_inputs(one.model, one.adapter, windows) for one in (loaded, made))
    for name, inputs in after.items():
        ratio = inputs.abs().amax(dim=0) / before[name].abs().amax(dim=0).clamp(min=1e-9)
        if name.endswith(("out_proj", "o_proj", "fc2", "down_proj")):  # no normalization stands before them
            torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=1e-2, atol=1e-2)
        else:
            assert int((ratio > 20 * 0.8**3).sum()) <= len(ratio) // 4
            assert sorted(ratio.tolist())[-OUTLIERS] > 5 * float(ratio.median())


def test_the_seed_decides(tiny: LoadedModel) -> None:
    weights = [with_outliers(tiny, seed).model.state_dict() for seed in (0, 0, 1)]
    name = "model.decoder.layers.1.final_layer_norm.weight"
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not torch.equal(weights[0][name], weights[2][name])
    assert not torch.equal(weights[0][name], tiny.model.state_dict()[name])


def test_made_on_the_models_device(tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an accelerator needs, shown on torch's device without data."""
    found: list[GroupScale] = []
    monkeypatch.setattr("quant.outliers.fold", lambda _, made: found.extend(made))
    with_outliers(replace(tiny, model=copy.deepcopy(tiny.model).to("meta")), 0)
    assert len(found) == 4
    assert all(one.scale.is_meta for one in found)


def test_results_say_so(tiny_directory: Path, tmp_path: Path) -> None:
    name = f"{tiny_directory.name} with made outliers (seed 5)"
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", scaling="none", outliers=5, table=False, quiet=True)
    assert metrics["model"]["name"] == name
    assert json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]["source"]["name"] == name


def test_entropy() -> None:
    assert entropy_bits([5] * 16) == pytest.approx(4)
    assert entropy_bits([1, 1, 2, 0]) == pytest.approx(1.5)
    assert entropy_bits([7, 0]) == 0


@pytest.mark.parametrize("name", ["dint4", "int3", "int8"])
def test_code_use_counts_the_codes(tiny: LoadedModel, windows: torch.Tensor, name: str) -> None:
    for layer in list(quantize_model(tiny, Recipe(name), windows).layers().values())[:2]:
        counted = Counter(layer.unpacked_codes().flatten().tolist())
        counts = [counted[code] for code in range(1 << layer.number_format.bits)]
        used = code_use(layer)
        assert used["code_counts"] == (None if name == "int8" else counts)
        assert used["code_entropy_bits"] == pytest.approx(entropy_bits(counts))
        assert sum(counts) == layer.in_features * layer.out_features
