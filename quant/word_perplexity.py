# SPDX-License-Identifier: Apache-2.0
"""Word perplexity, as lm-evaluation-harness measures it on its task wikitext and others of rolling log-likelihood.

Protocol: the text is one document, tokenized with the special tokens that the tokenizer adds by itself; *every* token is
predicted, the first one from the beginning-of-text token. Windows are as long as the model's positions allow (at most
2048), each beginning with the last token of the one before as its context; the last window is filled up with earlier
tokens as context. The perplexity is exp(-log-likelihood of all tokens / number of words), words being what white space
separates in the text as it stands. The reference paper's perplexities of OPT are in this metric.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from golden.errors import InputError

from .evaluation import BATCH_TOKENS, Score
from .models import FoundModel, LoadedModel
from .texts import Text

__all__ = ["WordProtocol", "word_protocol", "word_score"]


@dataclass(frozen=True)
class WordProtocol:
    """A text as one document, its tokens and its number of words."""

    name: str
    tokens: Tensor  # (n + 1,) int64: the beginning-of-text token, then the n tokens that are predicted
    words: int
    window_tokens: int
    text_sha256: str

    @property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """Inputs (windows, length) and targets, -100 where a token is only context, of the same shape."""
        length, count = self.window_tokens, len(self.tokens) - 1
        full = count // length
        inputs = self.tokens[: full * length].view(full, length)
        targets = self.tokens[1 : full * length + 1].view(full, length)
        size = max(1, BATCH_TOKENS // length)
        found = list(zip(inputs.split(size), targets.split(size), strict=True)) if full else []
        if rest := count - full * length:
            start = max(0, count - length)
            last = self.tokens[start + 1 :].clone()
            last[:-rest] = -100
            found.append((self.tokens[None, start:-1], last[None]))
        return found

    def describe(self) -> dict[str, Any]:
        """The protocol as plain data."""
        return {
            "description": (
                "word perplexity: the text is one document with the tokenizer's special tokens; windows of "
                f"{self.window_tokens} tokens, one token of context, the last filled up with earlier tokens; every token "
                "predicted; per word, natural logarithm; standard errors over windows"
            ),
            "window_tokens": self.window_tokens,
            "windows": math.ceil((len(self.tokens) - 1) / self.window_tokens),
            "predicted_tokens": len(self.tokens) - 1,
            "words": self.words,
            "text_sha256": self.text_sha256,
        }


def word_protocol(text: Text, loaded: LoadedModel | FoundModel) -> WordProtocol:
    """The protocol of `text`, characters and not token ids, for a model."""
    if not isinstance(text.content, str):
        raise InputError(f"text {text.name}: word perplexity counts the words of a text; token ids have none")
    tokenizer = loaded.tokenizer
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    tokens = torch.tensor([first, *tokenizer(text.content, verbose=False)["input_ids"]], dtype=torch.int64)
    return WordProtocol(text.name, tokens, len(re.split(r"\s+", text.content)), loaded.window, text.sha256)


def word_score(model: nn.Module, protocol: WordProtocol, progress: Callable[[], None] | None = None) -> Score:
    """Word perplexity of a model; `progress` is called after every one of the protocol's batches."""
    losses, counts = [], []
    device: Any = model.device
    with torch.no_grad():
        for inputs, targets in protocol.batches:
            inputs, targets = inputs.to(device), targets.to(device)
            logits = model(input_ids=inputs, use_cache=False).logits.to(torch.float32)
            loss = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
            losses.append(loss.double().sum(dim=1))
            counts.append((targets >= 0).sum(dim=1))
            if progress is not None:
                progress()
    total, count = torch.cat(losses), torch.cat(counts)
    perplexity = math.exp(float(total.sum()) / protocol.words)
    if len(total) == 1:
        return Score(perplexity, None, None, None)
    # Windows differ in tokens (the last one has fewer): what varies is a window's loss beside its share of the mean.
    deviation = total - count * (total.sum() / count.sum())
    error = math.sqrt(float(deviation.square().sum()) * len(total) / (len(total) - 1)) / protocol.words
    return Score(perplexity, perplexity * error, None, None)
