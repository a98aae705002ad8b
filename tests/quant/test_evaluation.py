# SPDX-License-Identifier: Apache-2.0
"""Perplexity and KL divergence against textbook definitions; protocols; the error split against the plain error."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import quant.evaluation
from golden.errors import InputError
from quant.corpus import documentation_test, text_sha256
from quant.evaluation import Evaluator, documentation_protocol, text_protocol
from quant.models import LoadedModel
from quant.output_error import layer_inputs, mean_error, output_errors, split_error
from quant.quantization import QuantizedModel, quantize_model
from quant.recipe import Recipe
from quant.texts import text_of, tokenize


@pytest.fixture(scope="module")
def quantized(tiny: LoadedModel, windows: torch.Tensor) -> QuantizedModel:
    return quantize_model(tiny, Recipe("dint4", scaling="aqas"), windows)


def test_documentation_protocol(tiny: LoadedModel) -> None:
    protocol = documentation_protocol(tiny)
    tokens = tokenize(tiny.tokenizer, documentation_test())
    assert protocol.windows.shape == (len(tokens) // 64, 64)
    assert torch.equal(protocol.windows.flatten(), tokens[: protocol.windows.numel()])
    described = protocol.describe()
    assert described["predicted_tokens"] == protocol.windows.shape[0] * 63
    assert described["text_sha256"] == text_sha256(documentation_test())
    limited = documentation_protocol(tiny, 10)
    assert limited.windows.shape == (10, 64)
    assert "10 evenly spaced of" in limited.describe()["description"]
    assert torch.equal(limited.windows[0], protocol.windows[0])


def test_texts_that_cannot_be_evaluated(tiny: LoadedModel, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("too short")
    with pytest.raises(InputError, match=r"short\.txt: \d+ tokens, but a window has 64"):
        text_protocol(text_of(short, "--text"), tiny)
    with pytest.raises(InputError, match=r"--text .*: cannot be read"):
        text_protocol(text_of(tmp_path / "none.txt", "--text"), tiny)
    with pytest.raises(InputError, match="--windows 0"):
        documentation_protocol(tiny, 0)


def test_unquantized_perplexity_is_transformers_loss(tiny: LoadedModel) -> None:
    protocol = documentation_protocol(tiny, 5)
    with torch.no_grad():
        losses = [float(tiny.model(input_ids=window[None], labels=window[None]).loss) for window in protocol.windows]
    score = Evaluator(tiny.model, protocol).score(None)
    mean = sum(losses) / 5
    deviation = math.sqrt(sum((loss - mean) ** 2 for loss in losses) / 4)
    assert score.perplexity == pytest.approx(math.exp(mean), rel=1e-4)
    assert score.perplexity_standard_error == pytest.approx(math.exp(mean) * deviation / math.sqrt(5), rel=1e-3)
    assert score.kl is None
    assert score.perplexity_ratio is None


def test_ratio_of_perplexities_is_paired(tiny: LoadedModel, quantized: QuantizedModel) -> None:
    """Its error is that of the windows' differences, far below that of the windows' difficulty, which both models share."""
    protocol = documentation_protocol(tiny, 6)
    increases = []
    with torch.no_grad():
        for window in protocol.windows:
            losses = [float(one(input_ids=window[None], labels=window[None]).loss) for one in (quantized.model, tiny.model)]
            increases.append(losses[0] - losses[1])
    mean = sum(increases) / 6
    error = math.sqrt(sum((increase - mean) ** 2 for increase in increases) / 5 / 6)
    evaluator = Evaluator(tiny.model, protocol)
    score, plain = evaluator.score(quantized.model), evaluator.score(None)
    assert score.perplexity_ratio == pytest.approx(math.exp(mean), rel=1e-5)
    assert score.perplexity_ratio == pytest.approx(score.perplexity / plain.perplexity, rel=1e-9)
    assert score.perplexity_ratio_standard_error == pytest.approx(math.exp(mean) * error, rel=1e-2)
    assert score.losses is not None
    assert plain.losses is not None
    assert [one - other for one, other in zip(score.losses, plain.losses, strict=True)] == pytest.approx(increases, abs=1e-5)
    assert score.divergences is not None
    assert sum(score.divergences) / 6 == pytest.approx(score.kl, rel=1e-4)


def test_one_window_has_no_standard_error(tiny: LoadedModel, quantized: QuantizedModel) -> None:
    score = Evaluator(tiny.model, documentation_protocol(tiny, 1)).score(quantized.model)
    assert score.kl is not None
    assert score.perplexity_ratio is not None
    errors = (score.perplexity_standard_error, score.kl_standard_error, score.perplexity_ratio_standard_error)
    assert errors == (None, None, None)


def test_kl_is_the_definition(tiny: LoadedModel, quantized: QuantizedModel) -> None:
    protocol = documentation_protocol(tiny, 4)
    score = Evaluator(tiny.model, protocol).score(quantized.model)
    with torch.no_grad():
        p, q = (
            torch.softmax(one(input_ids=protocol.windows).logits.double()[:, :-1], -1) for one in (tiny.model, quantized.model)
        )
    divergence = (p * (p / q).log()).sum(-1)
    assert score.kl == pytest.approx(float(divergence.mean()), rel=1e-3)
    assert score.kl_standard_error == pytest.approx(float(divergence.mean(1).std()) / 2, rel=1e-2)
    itself = Evaluator(tiny.model, protocol).score(tiny.model)
    assert itself.kl == 0


def test_kept_and_recomputed_references_give_equal_scores(
    tiny: LoadedModel, quantized: QuantizedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = documentation_protocol(tiny, 70)
    steps: list[None] = []
    evaluator = Evaluator(tiny.model, protocol, lambda: steps.append(None))
    assert evaluator.batches > 1
    scores = [evaluator.score(quantized.model), evaluator.score(quantized.model)]
    assert len(steps) == 2 * evaluator.batches
    monkeypatch.setattr(quant.evaluation, "KEPT_BYTES", 0)
    scores.append(Evaluator(tiny.model, protocol).score(quantized.model))
    assert scores[0] == scores[1] == scores[2]


def test_split_of_one_weight_each() -> None:
    """W = (1, 0.1), approximated by (1.2, 0), X = (x, y): Du X = -0.1 y, Dr X = 0.2 x."""
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 0.1]], dtype=torch.float64)
    approximation = torch.tensor([[1.2, 0.0]], dtype=torch.float64)
    error = split_error(weight, approximation, approximation == 0, x)
    signal = 1.2**2 + 2.9**2
    assert error.underflow == pytest.approx((0.2**2 + 0.1**2) / signal)
    assert error.rounding == pytest.approx((0.2**2 + 0.6**2) / signal)
    assert error.cross == pytest.approx(2 * (-0.2 * 0.2 + 0.1 * 0.6) / signal)
    assert error.total == pytest.approx((0.0**2 + 0.7**2) / signal)
    assert error.zero_fraction == 0.5


def test_exact_zeros_are_no_underflow() -> None:
    weight = torch.tensor([[0.0, 0.0, 0.1, 1.0]], dtype=torch.float64)
    approximation = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    assert split_error(weight, approximation, approximation == 0, torch.eye(4, dtype=torch.float64)).zero_fraction == 0.5


@pytest.mark.parametrize("recipe", [Recipe("dint4"), Recipe("dint4", scaling="aqas"), Recipe("int4", form="asymmetric")])
def test_total_is_the_error_of_a_model_with_these_weights(tiny: LoadedModel, windows: torch.Tensor, recipe: Recipe) -> None:
    """Also where rows and columns were scaled: the parts add up to the error in the unscaled channels."""
    quantized = quantize_model(tiny, recipe, windows)
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors = output_errors(tiny.model, quantized, inputs)
    assert sorted(errors) == sorted(tiny.adapter.linear_names(tiny.model))
    columns, rows = quantized.column_scales(), quantized.row_scales()
    name = "model.decoder.layers.1.self_attn.v_proj"  # scaled on both sides
    layer, x = quantized.layers()[name], inputs[name].double()
    weight = layer.integer_weight().double() * layer.scales.double()[:, None] * float(layer.number_format.unit)
    scaled_x = x / columns[name].double() if columns else x
    output = (scaled_x @ weight.T) * (rows[name].double() if rows else 1)
    exact = x @ tiny.model.get_submodule(name).weight.double().T
    assert errors[name].total == pytest.approx(float((output - exact).square().sum() / exact.square().sum()), rel=1e-6)
    mean = mean_error(errors)
    assert mean.total == pytest.approx(mean.underflow + mean.rounding + mean.cross)


def test_dint_has_less_underflow_than_int(tiny: LoadedModel, windows: torch.Tensor) -> None:
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    dint, integer = (
        mean_error(output_errors(tiny.model, quantize_model(tiny, Recipe(name), windows), inputs)) for name in ("dint4", "int4")
    )
    assert dint.underflow < 0.5 * integer.underflow
    assert dint.zero_fraction < 0.7 * integer.zero_fraction
