# SPDX-License-Identifier: Apache-2.0
"""Perplexity and KL divergence, each on a named text with a named protocol, and with a standard error.

Protocol: the text is tokenized whole, without special tokens, and cut into disjoint windows as long as the model's
positions allow (at most 2048 tokens): GPTQ's protocol, but for the special tokens that GPTQ's text begins with. An incomplete
last window is left out. The first token of a window is context only and is not predicted.

The standard error of a perplexity is that of how hard the windows are, which all models on the same windows share: it says
nothing about their differences. Those are taken window by window: the ratio of two perplexities is exp(mean difference of
the losses), and its standard error is that of these differences. The KL divergence to the unquantized model counts more than
the one token that the text has, and separates methods better still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from golden.arguments import check_windows
from golden.errors import InputError

from .corpus import documentation_test
from .models import FoundModel, LoadedModel
from .texts import Text

__all__ = ["DOCUMENTATION", "Evaluator", "Protocol", "Score", "documentation_protocol", "text_protocol"]

#: Name of the text that is always measured.
DOCUMENTATION = "python-documentation"
#: Windows are evaluated so many tokens at a time; the same for every model, as the last bits of a float depend on it.
BATCH_TOKENS = 2048
#: Probabilities are worked on so many tokens at a time: beside logits of a large vocabulary there is no second tensor as large.
CHUNK_TOKENS = 128
#: The unquantized model's log-probabilities are kept between evaluations up to this size, and computed anew beyond it.
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class Protocol:
    """A text, cut into the windows that are evaluated."""

    name: str
    windows: Tensor  # (windows, window tokens) int64
    text_sha256: str
    available_windows: int  # complete windows in the whole text

    @property
    def predicted_tokens(self) -> int:
        """Tokens that are predicted: all but the first of each window."""
        return self.windows.shape[0] * (self.windows.shape[1] - 1)

    def describe(self) -> dict[str, Any]:
        """The protocol as plain data."""
        count, length = self.windows.shape
        which = "all" if count == self.available_windows else f"{count} evenly spaced of {self.available_windows}"
        return {
            "description": (
                f"whole text tokenized without special tokens; disjoint windows of {length} tokens, {which}, incomplete last "
                "window left out; first token of each window not predicted; per token, natural logarithm; standard errors "
                "over windows"
            ),
            "window_tokens": length,
            "windows": count,
            "predicted_tokens": self.predicted_tokens,
            "text_sha256": self.text_sha256,
        }


@dataclass(frozen=True)
class Score:
    """One model on one protocol. Standard errors are over windows, and None where there is only one."""

    perplexity: float  # per token
    perplexity_standard_error: float | None  # of the text: models on the same windows share most of it
    kl: float | None  # KL(unquantized || model), nats per token; None for the unquantized model itself
    kl_standard_error: float | None
    perplexity_ratio: float | None = None  # perplexity / unquantized perplexity; None for the unquantized model itself
    perplexity_ratio_standard_error: float | None = None  # paired, window by window
    losses: list[float] | None = None  # mean negative log-likelihood of each window, nats per token
    divergences: list[float] | None = None  # mean KL divergence of each window, nats per token


def documentation_protocol(loaded: LoadedModel | FoundModel, limit: int | None = None) -> Protocol:
    """The held-out topics of Python's documentation, present on every machine."""
    return text_protocol(Text(DOCUMENTATION, documentation_test()), loaded, limit)


def text_protocol(text: Text, loaded: LoadedModel | FoundModel, limit: int | None = None) -> Protocol:
    """Windows of `text`, all of them or `limit` evenly spaced ones; refused if there is not one complete window."""
    check_windows(limit)
    length = loaded.window
    tokens = text.tokens(loaded.tokenizer)
    available = len(tokens) // length
    if not available:
        raise InputError(f"text {text.name}: {len(tokens)} tokens, but a window has {length}; give a longer text")
    windows = tokens[: available * length].view(available, length)
    if limit is not None and limit < available:
        windows = windows[[index * available // limit for index in range(limit)]]
    return Protocol(text.name, windows, text.sha256, available)


@dataclass
class Evaluator:
    """Scores models against one unquantized model on one protocol."""

    reference: nn.Module
    protocol: Protocol
    progress: Callable[[], None] | None = None  # called after every batch
    _kept: list[Tensor] = field(default_factory=list)
    _unquantized: Tensor | None = None  # losses of the reference (windows,), once a model was measured beside it

    @property
    def batches(self) -> int:
        """Number of batches of a score: of calls of `progress`."""
        return len(self._batches())

    def score(self, model: nn.Module | None) -> Score:
        """Score `model`; None is the unquantized model itself."""
        return self.summary(*self.by_window(model))

    def summary(self, losses: Tensor, divergences: Tensor | None) -> Score:
        """The score of what `by_window` gave for a model."""
        loss, loss_error = _mean_and_error(losses)
        score = Score(math.exp(loss), _scaled(math.exp(loss), loss_error), None, None, losses=_shown(losses))
        if divergences is None:
            return score
        assert self._unquantized is not None
        increase, increase_error = _mean_and_error(losses - self._unquantized)
        kl, kl_error = _mean_and_error(divergences)
        return replace(
            score,
            kl=kl,
            kl_standard_error=kl_error,
            perplexity_ratio=math.exp(increase),
            perplexity_ratio_standard_error=_scaled(math.exp(increase), increase_error),
            divergences=_shown(divergences),
        )

    def by_window(self, model: nn.Module | None) -> tuple[Tensor, Tensor | None]:
        """Mean loss and mean KL divergence (windows,) of each window, float64; no divergence of the unquantized model."""
        losses, divergences, unquantized = [], [], []
        with torch.no_grad():
            for batch, expected in zip(self._batches(), self._reference(), strict=True):
                actual = expected if model is None else _log_probabilities(model, batch)
                losses.append(_losses(actual, batch))
                if model is not None:
                    unquantized.append(_losses(expected, batch))
                    divergences.append(_divergences(actual, expected))
                if self.progress is not None:
                    self.progress()
        found = torch.cat(losses)
        if not bool(torch.isfinite(found).all()):
            raise InputError(f"text {self.protocol.name}: the model's output is not finite on it; use a sound checkpoint")
        if model is None:
            return found, None
        self._unquantized = torch.cat(unquantized)
        return found, torch.cat(divergences)

    def _batches(self) -> tuple[Tensor, ...]:
        windows: Tensor = self.protocol.windows.to(self.reference.device)  # type: ignore[arg-type]
        return windows.split(max(1, BATCH_TOKENS // windows.shape[1]))

    def _reference(self) -> Iterator[Tensor]:
        """Log-probabilities of the unquantized model, batch by batch."""
        for index, batch in enumerate(self._batches()):
            if index < len(self._kept):
                yield self._kept[index]
                continue
            expected = _log_probabilities(self.reference, batch)
            if index == len(self._kept) and expected.nbytes * (index + 1) <= KEPT_BYTES:
                self._kept.append(expected)
            yield expected


def _log_probabilities(model: nn.Module, batch: Tensor) -> Tensor:
    """Log-probabilities (windows, tokens - 1, vocabulary), float32, of the tokens after each but the last."""
    logits: Tensor = model(input_ids=batch, use_cache=False).logits[:, :-1].to(torch.float32)
    for chunk in logits.split(CHUNK_TOKENS, dim=1):
        chunk.copy_(torch.log_softmax(chunk, dim=-1))
    return logits


def _divergences(actual: Tensor, expected: Tensor) -> Tensor:
    """Mean KL divergence (windows,), float64, of log-probabilities (windows, tokens, vocabulary) from those expected."""
    chunks = zip(actual.split(CHUNK_TOKENS, dim=1), expected.split(CHUNK_TOKENS, dim=1), strict=True)
    by_token = [torch.nn.functional.kl_div(*chunk, reduction="none", log_target=True).sum(dim=2) for chunk in chunks]
    return torch.cat(by_token, dim=1).double().mean(dim=1)


def _losses(log_probabilities: Tensor, batch: Tensor) -> Tensor:
    """Mean negative log-likelihood (windows,), float64, of the tokens after each first one."""
    return -log_probabilities.gather(2, batch[:, 1:, None]).squeeze(2).double().mean(dim=1)


def _mean_and_error(values: Tensor) -> tuple[float, float | None]:
    """Mean of the windows' means, and its standard error; None where there is only one window."""
    error = float(values.std()) / len(values) ** 0.5 if len(values) > 1 else None
    return float(values.mean()), error


def _scaled(factor: float, error: float | None) -> float | None:
    return None if error is None else factor * error


def _shown(values: Tensor) -> list[float]:
    """As they are written: to 1e-8 nats, beyond which float32's noise begins."""
    return [round(value, 8) for value in values.tolist()]
