# SPDX-License-Identifier: Apache-2.0
"""The main job from end to end, on a tiny model and with little search: every stage real, and reused the second time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import OPTConfig, OPTForCausalLM

from pipeline.main_job import main_job
from pipeline.stages import ROOT
from report.verification import verification
from synth.search import Effort

LITTLE = Effort(keep=1.05, margins=(0.03,), fast=1, adders=((64, ()),), recover=1, cycles=((64, 64),), samples=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained OPT of two small layers, with the shipped checkpoint's tokenizer."""
    directory = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    config = OPTConfig(
        vocab_size=4096,
        hidden_size=32,
        word_embed_proj_dim=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        ffn_dim=64,
        max_position_embeddings=64,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    OPTForCausalLM(config).save_pretrained(directory)
    for file in (ROOT / "quant" / "checkpoint").glob("tokenizer*"):
        shutil.copy(file, directory)
    return directory


@pytest.mark.slow
def test_from_the_model_to_the_page_and_again(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"

    def run() -> Path:
        return main_job(out=out, model=str(model), lanes=(2,), pdks=("osu018",), effort=LITTLE)

    index = run()
    assert index == out / "index.html"
    metrics = json.loads((out / "metrics.json").read_text())
    kinds = {(row["kind"], row["objective"]) for row in metrics["comparisons"]}
    assert kinds == {(kind, objective) for kind in ("equal-clock", "minimum-area") for objective in ("area", "energy")}
    for row in metrics["comparisons"]:
        assert row["area_ratio"] == pytest.approx(row["baseline"]["area_um2"] / row["candidate"]["area_um2"])
        assert row["energy_ratio"] == pytest.approx(row["baseline"]["energy_per_mac_j"] / row["candidate"]["energy_per_mac_j"])
    ways = {(row["operands"], row["dataflow"], row["activity"]) for row in metrics["comparisons"]}
    assert ways == {(source, "streaming", activity) for source in ("opt", "uniform") for activity in ("sdf", "zero-delay")}
    leading = [entry for entry in metrics["headline"] if entry["leading"] and entry["metric"] == "energy"]
    assert leading
    assert all(entry["operands"] == "opt" and entry["with_uniform"] for entry in leading)
    assert "timing__setup__ws" in json.dumps(metrics)
    page = index.read_text()
    assert "Widths: INT8 32 bits" in page or "INT8 32 bits" in page
    results = json.loads((out / "results.json").read_text())
    assert verification(results)["incomplete"] == []  # every winner was simulated at RTL and at gate level
    assert {run["level"] for run in results["simulations"]} == {"rtl"}
    known = {entry["artefact"] for entry in results["provenance"]}
    assert all(source in known for entry in results["provenance"] for source in entry["made_from"])
    assert f"Page: {index}" in capsys.readouterr().out.replace("\n", "")

    before = (out / "metrics.json").read_bytes()
    run()
    again = json.loads((out / "results.json").read_text())
    assert all(stage["reused"] for stage in again["stages"])
    assert (out / "metrics.json").read_bytes() == before
