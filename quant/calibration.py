# SPDX-License-Identifier: Apache-2.0
"""Calibration windows. Their length is a parameter of the method (SLAC), not a constant.

Sequence-length-aware calibration (reference paper, arXiv 2311.05161, section 3.3): calibrate at the length at which the
model will be used, because the range of the activations can grow with it. Here `length` sets the length of the windows and
the number of windows follows, so that every length sees the same number of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golden.errors import InputError

from .corpus import training_topics
from .texts import Dataset, Source, Text, text_of

__all__ = ["CALIBRATION_TOKENS", "LONGEST", "SEARCH_TOKENS", "Calibration", "calibration_windows", "check_finite", "searched"]

#: Tokens of all calibration windows together, unless told otherwise: windows x length, at least one window. OPTQ, whose second
#: moments have a row for each input of a layer, needs so many (docs/accuracy.md).
CALIBRATION_TOKENS = 16384
#: Searches of scales and of the values' ranges look at the first windows, of so many tokens together (at least one): they
#: gain nothing from more, and run their block dozens of times on all of them at once.
SEARCH_TOKENS = 4096
#: Longest window, in tokens, unless told otherwise: GPTQ's.
LONGEST = 2048
#: A window of one token has no context: its attention is constant.
MINIMUM_LENGTH = 2


@dataclass(frozen=True)
class Calibration:
    """Token windows and where they come from."""

    windows: Tensor  # (windows, length) int64
    text: str  # what the text is
    text_sha256: str
    seed: int

    def describe(self) -> dict[str, Any]:
        """The facts that decide the windows, as plain data."""
        count, length = self.windows.shape
        return {
            "text": self.text,
            "text_sha256": self.text_sha256,
            "length_tokens": length,
            "windows": count,
            "seed": self.seed,
        }


def searched(windows: Tensor) -> Tensor:
    """Those of the calibration `windows` (n, length) on which scales are searched."""
    return windows[: max(1, SEARCH_TOKENS // windows.shape[1])]


def check_finite(activations: Tensor, of: str) -> None:
    """Refuse activations, or sums of their squares, that are not finite; they are the input of the layer `of`."""
    if not bool(torch.isfinite(activations).all()):
        raise InputError(f"calibration: the input of {of} is not finite; use a sound checkpoint")


def calibration_windows(
    tokenizer: Any,
    positions: int,
    length: int | None = None,
    text: Source | None = None,
    seed: int = 0,
    tokens: int | None = None,
) -> Calibration:
    """Windows of `length` tokens from random places of a text.

    Parameters
    ----------
    tokenizer
        Of the model.
    positions
        Longest sequence of the model, in tokens.
    length
        Length of a window, 2 to `positions`; default `positions`, at most `LONGEST` and `tokens`.
    text
        A file, a data set, strings or token ids; default Python's documentation without the held-out topics (test text).
    seed
        Decides the places, drawn uniformly and independently; windows may overlap (GPTQ's way).
    tokens
        Of all windows together, at least 2; default `CALIBRATION_TOKENS`. There is always one window.

    Raises
    ------
    InputError
        If the length or the number of tokens is out of its range, or the text cannot be read or is shorter than one window.
    """
    tokens = CALIBRATION_TOKENS if tokens is None else tokens
    if tokens < MINIMUM_LENGTH:
        raise InputError(f"--calibration-tokens {tokens}: {MINIMUM_LENGTH} or more are needed; {CALIBRATION_TOKENS} is usual")
    length = min(positions, LONGEST, tokens) if length is None else length
    if length < MINIMUM_LENGTH:
        raise InputError(f"--calibration-length {length}: it is a number of tokens from {MINIMUM_LENGTH} to {positions}")
    if length > positions:
        raise InputError(f"--calibration-length {length}: the model has {positions} positions; give at most that")
    if text is None:
        name = "Python documentation (pydoc_data.topics), topics not held out"
        chosen = Text(name, "\n\n".join(training_topics()))
    else:
        chosen = text_of(text, "--calibration-dataset" if isinstance(text, Dataset) else "--calibration-text")
    given = chosen.tokens(tokenizer)
    if len(given) < length:
        raise InputError(
            f"calibration text {chosen.name}: {len(given)} tokens, but --calibration-length is {length}; "
            "give a longer text or a smaller length"
        )
    generator = torch.Generator().manual_seed(seed)
    count = max(1, tokens // length)
    starts = torch.randint(len(given) - length + 1, (count,), generator=generator)
    windows = torch.stack([given[start : start + length] for start in starts.tolist()])
    return Calibration(windows, chosen.name, chosen.sha256, seed)
