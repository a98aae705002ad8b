# SPDX-License-Identifier: Apache-2.0
"""Texts from files, data sets, strings and token ids: the same text gives the same tokens, however it comes."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden.errors import InputError
from quant import texts
from quant.calibration import calibration_windows
from quant.command import quantize
from quant.console import quiet_libraries
from quant.evaluation import text_protocol
from quant.models import LoadedModel
from quant.texts import Dataset, Text, text_of, tokenize

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = [f"Sentence {number} says that every code has a value of its own." for number in range(80)]
JOINED = "\n\n".join(SENTENCES)

needs_datasets = pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="the package datasets is an extra")


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a training and a test split in JSON lines, and two columns."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    directory = tmp_path / "data"
    directory.mkdir()
    for split, sentences in (("train", SENTENCES[::-1]), ("test", SENTENCES)):
        rows = [json.dumps({"number": number, "text": sentence}) for number, sentence in enumerate(sentences)]
        (directory / f"{split}.jsonl").write_text("\n".join(rows))
    return directory


def test_one_text_in_every_form(tiny: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(JOINED)
    ids = tokenize(tiny.tokenizer, JOINED)
    given: list[Any] = [tmp_path / "text.txt", SENTENCES, ids.tolist(), ids, ids.numpy(), tuple(SENTENCES)]
    found = [text_of(source, "--text") for source in given]
    assert [text.name for text in found] == ["text.txt", "strings", "token ids", "token ids", "token ids", "strings"]
    expected = calibration_windows(tiny.tokenizer, 64, 32, given[0], seed=4).windows
    for source, text in zip(given, found, strict=True):
        assert torch.equal(text.tokens(tiny.tokenizer), ids)
        protocol = text_protocol(text, tiny)
        assert torch.equal(protocol.windows.flatten(), ids[: protocol.windows.numel()])
        assert torch.equal(calibration_windows(tiny.tokenizer, 64, 32, source, seed=4).windows, expected)
    assert found[0].sha256 == found[1].sha256 != found[2].sha256 == found[3].sha256 == found[4].sha256


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "--text: the text is empty"),
        (["", ""], "--text: the text is empty"),
        (np.array([], dtype=np.int64), "--text: the text is empty"),
        ([1, "two"], "--text: the list has other things than strings"),
        ([1, True], "--text: the list has other things than strings"),
        ([1.5], "--text: the list has other things"),
        ([[1, 2], [3, 4]], "--text: the list has other things"),
        ("text.txt", "--text: a path, a list of strings or a list of token ids is needed, not str"),
        (7, "--text: a path, a list of strings or a list of token ids is needed, not int"),
    ],
)
def test_lists_that_are_no_text(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        text_of(source, "--text")


def test_token_ids_are_the_tokenizers(tiny: LoadedModel) -> None:
    for wrong in (-1, len(tiny.tokenizer)):
        with pytest.raises(InputError, match=rf"text token ids: token id {wrong} is none of the tokenizer's 0 to 4095"):
            text_of([5, wrong], "--text").tokens(tiny.tokenizer)


def test_strings_and_ids_from_python(tiny_directory: Path, tiny: LoadedModel, tmp_path: Path) -> None:
    ids = tokenize(tiny.tokenizer, JOINED).tolist()
    options: dict[str, Any] = {"scaling": "smoothquant", "windows": 2, "quiet": True}
    first = quantize(str(tiny_directory), out=tmp_path / "a", text=SENTENCES, calibration_text=ids, **options)
    second = quantize(str(tiny_directory), out=tmp_path / "b", text=ids, calibration_text=SENTENCES, **options)
    assert first["calibration"]["text"] == "token ids"
    assert set(first["protocols"]) == {"python-documentation", "strings"}
    by_form = ((first, "strings"), (second, "token ids"))
    perplexities = [[row["perplexity"][name] for row in metrics["rows"]] for metrics, name in by_form]
    assert perplexities[0] == perplexities[1]


def test_attempts_to_reach_the_hub_are_not_told() -> None:
    """Of a hub out of reach there is one line, ours; the client's own, one for every attempt, come back afterwards."""
    client = logging.getLogger("huggingface_hub.utils._http")
    assert client.isEnabledFor(logging.WARNING)
    with quiet_libraries():
        assert not client.isEnabledFor(logging.WARNING)
    assert client.isEnabledFor(logging.WARNING)


@needs_datasets
def test_a_data_set_is_its_rows_joined(data_set: Path, tiny: LoadedModel) -> None:
    test = text_of(Dataset(str(data_set)), "--dataset")
    assert test == Text(str(data_set), JOINED)
    train = text_of(Dataset(f"{data_set}:train"), "--dataset")
    assert train.content == "\n\n".join(SENTENCES[::-1])
    assert text_of(Dataset(f"{data_set}:default:test"), "--dataset").content == JOINED
    assert text_protocol(test, tiny).windows.shape[0] > 5


@needs_datasets
def test_only_the_beginning_of_a_large_data_set_is_read(data_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAXIMUM_CHARACTERS", 100)
    assert text_of(Dataset(str(data_set)), "--dataset").content == JOINED[:100]


@needs_datasets
def test_data_sets_from_the_command(tiny_directory: Path, data_set: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"dataset": str(data_set), "calibration_dataset": f"{data_set}:train", "windows": 2}
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", scaling="smoothquant", **options, quiet=True)
    assert metrics["calibration"]["text"] == f"{data_set}:train"
    assert all(row["perplexity"][str(data_set)] > 1 for row in metrics["rows"])


@needs_datasets
@pytest.mark.parametrize(
    ("suffix", "rows", "message"),
    [
        (":validation", None, r"cannot be read \(.*validation"),
        (":other:test", None, r"cannot be read \(.*other"),
        (":a:b:c", None, "it is NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT"),
        ("", [{"a": "one", "b": "two"}], "no column 'text', and not one column of strings; its columns are a, b"),
        ("", [{"a": 1}], "its columns are a"),
        ("", [{"a": ""}], "the text is empty"),
        ("-none", None, "cannot be read"),
    ],
)
def test_data_sets_that_cannot_be_used(data_set: Path, suffix: str, rows: list[dict[str, Any]] | None, message: str) -> None:
    if rows is not None:
        (data_set / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (data_set / "train.jsonl").unlink()
    with pytest.raises(InputError, match=message) as caught:
        text_of(Dataset(f"{data_set}{suffix}"), "--dataset")
    assert "\n" not in str(caught.value)


@needs_datasets
def test_a_data_set_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = (
        r"--calibration-dataset no/such: no such directory, and the hub cannot be reached \(.*\); without a network give its "
        "directory, or a file by --calibration-text"
    )
    with pytest.raises(InputError, match=line) as caught:
        text_of(Dataset("no/such"), "--calibration-dataset")
    assert "\n" not in str(caught.value)


def test_without_the_package(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"--dataset wikitext: .* is missing; 'dint doctor' says how to install it"):
        quantize(str(tiny_directory), out=tmp_path / "out", dataset="wikitext", quiet=True)
    with pytest.raises(InputError, match="--calibration-dataset c4: --calibration-text is given, too"):
        quantize(str(tiny_directory), out=tmp_path / "out", calibration_dataset="c4", calibration_text=SENTENCES, quiet=True)
    assert not (tmp_path / "out").exists()


def test_options_of_the_command_line(
    tiny_directory: Path, tmp_path: Path, command_line: Callable[..., tuple[int, str]]
) -> None:
    found = command_line("quantize", str(tiny_directory), "--out", str(tmp_path / "out"), "--quiet", "--dataset", "a:b:c:d")
    assert found == (1, "error: --dataset a:b:c:d: it is NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT\n")
