# SPDX-License-Identifier: Apache-2.0
"""What is claimed of the number formats, on the trained checkpoint.

By output error, which ranks methods cleanly. On this model the KL divergences of INT4 and dINT4 differ by less than another
draw of calibration windows changes them, and perplexities by less than their standard error: no claim rests on them.
"""

from __future__ import annotations

from typing import Any

import pytest

from golden.errors import InputError
from quant.calibration import calibration_windows
from quant.command import quantize
from quant.evaluation import Evaluator, documentation_protocol
from quant.models import ALSO_SHIPPED, SHIPPED, load_model, local_directory
from quant.outliers import with_outliers
from quant.quantization import quantize_model
from quant.recipe import Recipe

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHIPPED / "config.json").exists(), reason="the shipped checkpoint is not there"),
]
TEXT = "python-documentation"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    metrics = quantize(out=tmp_path_factory.mktemp("shipped"), windows=8, quiet=True)
    assert metrics["model"]["name"] == "shipped checkpoint"
    return {row["name"]: row for row in metrics["rows"]}


def test_eight_bits_cost_almost_nothing(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["W8A8 INT8"]["kl"][TEXT] < 0.05 * rows["W4A8 dINT4"]["kl"][TEXT]


@pytest.mark.parametrize("suffix", ["", ", AQAS", ", asymmetric"])
def test_dint4_has_less_output_error_than_int4(rows: dict[str, dict[str, Any]], suffix: str) -> None:
    dint, integer = (rows[f"W4A8 {name}{suffix}"]["output_error"]["total"] for name in ("dINT4", "INT4"))
    assert dint < 0.99 * integer


def test_scaling_lowers_the_output_error(rows: dict[str, dict[str, Any]]) -> None:
    for name in ("W4A8 INT4", "W4A8 dINT4"):
        assert rows[f"{name}, AQAS"]["output_error"]["total"] < rows[name]["output_error"]["total"]


def test_denormals_remove_most_of_the_underflow(rows: dict[str, dict[str, Any]]) -> None:
    integer, dint = rows["W4A8 INT4"], rows["W4A8 dINT4"]
    assert dint["output_error"]["underflow"] < 0.3 * integer["output_error"]["underflow"]
    assert dint["zero_fraction"] < 0.7 * integer["zero_fraction"]


def test_scaling_undoes_made_outliers() -> None:
    """With outliers, rounding to nearest costs several times as much, and SmoothQuant brings it back to about what it was."""
    loaded = load_model()
    evaluator = Evaluator(loaded.model, documentation_protocol(loaded, 8))
    kl = {}
    for name, model, scaling in (
        ("plain", loaded, "none"),
        ("outliers", with_outliers(loaded, 0), "none"),
        ("scaled", with_outliers(loaded, 0), "smoothquant"),
    ):
        windows = calibration_windows(model.tokenizer, model.positions).windows
        score = evaluator.score(quantize_model(model, Recipe("dint4", scaling=scaling), windows).model)
        assert score.kl is not None
        kl[name] = score.kl
    assert kl["outliers"] > 3 * kl["plain"]
    assert kl["scaled"] < 1.5 * kl["plain"]


def test_the_shipped_llama() -> None:
    """By name; it has what makes a LLaMA other than an OPT, and quantizes as the OPT does."""
    if not (ALSO_SHIPPED["llama"] / "config.json").exists():
        with pytest.raises(InputError, match="model llama: the shipped checkpoint of this name is missing"):
            local_directory("llama")
        pytest.skip("the shipped LLaMA is not there")
    loaded = load_model("llama")
    config = loaded.model.config
    assert loaded.name == "shipped llama" == load_model(ALSO_SHIPPED["llama"]).name
    assert config.num_key_value_heads < config.num_attention_heads
    evaluator = Evaluator(loaded.model, documentation_protocol(loaded, 8))
    assert evaluator.score(None).perplexity < 60
    windows = calibration_windows(loaded.tokenizer, loaded.positions).windows
    kl = {}
    for number_format in ("int8", "int4", "dint4"):
        score = evaluator.score(quantize_model(loaded, Recipe(number_format), windows).model)
        assert score.kl is not None
        kl[number_format] = score.kl
    assert kl["int8"] < 0.1 * min(kl["int4"], kl["dint4"])
