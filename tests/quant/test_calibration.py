# SPDX-License-Identifier: Apache-2.0
"""Calibration windows: length, budget, seed, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from pydoc_data.topics import topics

import pytest
import torch

from golden.errors import InputError
from quant.calibration import CALIBRATION_TOKENS, LONGEST, calibration_windows
from quant.corpus import documentation_test, documentation_train, held_out_topics, training_topics
from quant.models import LoadedModel
from quant.texts import tokenize


@pytest.mark.parametrize("length", [2, 16, 63, 64])
def test_length_decides_windows_not_tokens(tiny: LoadedModel, length: int) -> None:
    calibration = calibration_windows(tiny.tokenizer, tiny.positions, length)
    count, tokens = calibration.windows.shape
    assert tokens == length
    assert count == CALIBRATION_TOKENS // length
    assert calibration.describe()["length_tokens"] == length


def test_default_length_is_the_models_positions(tiny: LoadedModel) -> None:
    assert calibration_windows(tiny.tokenizer, tiny.positions).windows.shape[1] == tiny.positions
    assert calibration_windows(tiny.tokenizer, 1 << 20).windows.shape == (CALIBRATION_TOKENS // LONGEST, LONGEST)
    assert calibration_windows(tiny.tokenizer, 1 << 20, tokens=100).windows.shape == (1, 100)


def test_seed_decides_places(tiny: LoadedModel) -> None:
    first, same, other = (calibration_windows(tiny.tokenizer, 64, seed=seed).windows for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_windows_are_parts_of_the_text(tiny: LoadedModel, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Every window is a part of this text, wherever it begins. " * 20)
    tokens = tokenize(tiny.tokenizer, text.read_text()).tolist()
    calibration = calibration_windows(tiny.tokenizer, 64, 10, text)
    parts = {tuple(tokens[start : start + 10]) for start in range(len(tokens) - 9)}
    assert all(tuple(window) in parts for window in calibration.windows.tolist())
    assert calibration.text == "text.txt"


def runs(text: str) -> list[tuple[str, ...]]:
    """Every 13 words of a text that follow one another: what papers on language models call overlap, if it is in two texts."""
    words = re.findall(r"\w+", text.lower())
    return list(zip(*(words[start:] for start in range(13)), strict=False))


def test_hardly_anything_tested_on_is_trained_or_calibrated_on() -> None:
    """Of the topics as they are, a fifth of the runs is in others too; of the test text, the part of one sentence."""
    seen = {run for text in documentation_train() for run in runs(text)}
    assert seen >= {run for topic in training_topics() for run in runs(topic)}

    def share(text: str) -> float:
        found = runs(text)
        assert len(found) > 5000
        return sum(run in seen for run in found) / len(found)

    assert share("\n\n".join(topics[name] for name in held_out_topics())) > 0.1
    assert share(documentation_test()) < 0.002


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (65, "--calibration-length 65: the model has 64 positions"),
        (1, "--calibration-length 1: .* from 2 to 64"),
        (-3, "--calibration-length -3"),
    ],
)
def test_length_out_of_range(tiny: LoadedModel, length: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        calibration_windows(tiny.tokenizer, tiny.positions, length)


def test_short_text(tiny: LoadedModel, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("Just a few words.")
    with pytest.raises(InputError, match=r"short\.txt: \d+ tokens, but --calibration-length is 64"):
        calibration_windows(tiny.tokenizer, tiny.positions, 64, text)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b" \n ", "is empty"), (b"\xff\xfe\x00", "UTF-8"), (None, "cannot be read")]
)
def test_unusable_text(tiny: LoadedModel, tmp_path: Path, content: bytes | None, message: str) -> None:
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    with pytest.raises(InputError, match=message):
        calibration_windows(tiny.tokenizer, tiny.positions, 64, text)


def test_more_tokens_are_more_windows(tiny: LoadedModel) -> None:
    few = calibration_windows(tiny.tokenizer, tiny.positions, 16).windows
    many = calibration_windows(tiny.tokenizer, tiny.positions, 16, tokens=32768).windows
    assert (few.shape, many.shape) == ((1024, 16), (2048, 16))
    assert calibration_windows(tiny.tokenizer, tiny.positions, 32, tokens=8).windows.shape == (1, 32)
    with pytest.raises(InputError, match="--calibration-tokens 1: 2 or more are needed"):
        calibration_windows(tiny.tokenizer, tiny.positions, tokens=1)
