# SPDX-License-Identifier: Apache-2.0
"""The training script: what it releases loads, and its model card says what was measured."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.errors import InputError
from quant.corpus import text_sha256
from quant.evaluation import Evaluator, text_protocol
from quant.models import LoadedModel, load_model
from quant.texts import Text, tokenize
from quant.training import Corpus, batches, language_model_loss, llama, release, train


def test_released_directory_has_the_measured_perplexity(tiny: LoadedModel, tmp_path: Path) -> None:
    text = "A number format is declared once, and everything else is derived from it. " * 40
    tokens = tokenize(tiny.tokenizer, text).numpy().astype(np.uint16)
    data = Corpus(tiny.tokenizer, tokens, {"essay": text}, text_sha256(text))
    out = tmp_path / "released"
    results = release(copy.deepcopy(tiny.model), data, out, steps=200, seed=3)
    loaded = load_model(out)
    assert results == {"essay": Evaluator(loaded.model, text_protocol(Text("essay", text), loaded)).score(None).perplexity}
    card = (out / "README.md").read_text()
    assert f"| essay | {results['essay']:.2f} | `{text_sha256(text)}` |" in card
    assert "$" not in card


def test_llama_is_trained_by_one_option(tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss falls, the same steps give the same weights, a state of another family is refused, the release loads."""
    monkeypatch.setattr("quant.training.BATCH_WINDOWS", 2)
    monkeypatch.setattr("quant.training.WARMUP_STEPS", 1)
    text = "Grouped queries share the heads of keys and values. " * 800
    tokens = tokenize(tiny.tokenizer, text).numpy().astype(np.uint16)
    data = Corpus(tiny.tokenizer, tokens, {"essay": text}, text_sha256(text))
    untrained, model = llama().eval(), train(data, tmp_path / "a.pt", 4, 3, family="llama").eval()
    window = torch.from_numpy(tokens[None, :64].astype(np.int64))
    with torch.no_grad():
        losses = [float(language_model_loss(one(input_ids=window).logits, window)) for one in (untrained, model)]
    assert losses[1] < losses[0] - 1
    again = train(data, tmp_path / "b.pt", 4, 3, family="llama").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(InputError, match="made with family llama, not opt; remove it"):
        train(data, tmp_path / "a.pt", 4, 3)
    release(model, data, tmp_path / "released", steps=4, seed=3)
    loaded = load_model(tmp_path / "released")
    assert loaded.adapter.family == "llama"
    assert (tmp_path / "released" / "model.safetensors").stat().st_size < 10_000_000
    card = (tmp_path / "released" / "README.md").read_text()
    assert "`LlamaForCausalLM`: 4 layers of 256 channels, 4,196,608 parameters" in card
    assert "--family llama" in card
    assert "$" not in card


def test_loss_is_the_next_tokens(tiny: LoadedModel, windows: torch.Tensor) -> None:
    with torch.no_grad():
        loss = language_model_loss(tiny.model(input_ids=windows).logits, windows)
        expected = tiny.model(input_ids=windows, labels=windows).loss
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_interrupted_training_sees_the_same_batches() -> None:
    tokens = np.arange(40000, dtype=np.uint16)
    whole = list(batches(tokens, 5, 0, 14))
    assert len(whole) == 14
    rest = list(batches(tokens, 5, 6, 14))
    assert all(torch.equal(one, other) for one, other in zip(whole[6:], rest, strict=True))
    assert not torch.equal(whole[0], next(iter(batches(tokens, 6, 0, 14))))
