# SPDX-License-Identifier: Apache-2.0
"""`dint evaluate`: on quantized and plain directories, offline; word perplexity as lm-evaluation-harness computes it."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import dint
from golden.errors import InputError
from quant.command import quantize
from quant.evaluate_command import evaluate
from quant.evaluation import DOCUMENTATION
from quant.harness import run_tasks
from quant.models import LoadedModel, load_model
from quant.texts import Text
from quant.word_perplexity import word_protocol, word_score

TEXT = "\n".join(f"Line {number}: a format has {number % 7} codes, and each of them one value." for number in range(12))


@pytest.fixture(scope="module")
def quantized(tiny_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quantized") / "tiny-int4"
    quantize(str(tiny_directory), out=out, format="int4", scaling="none", windows=3, quiet=True)
    return out


@pytest.fixture
def tasks(tmp_path: Path) -> list[str]:
    """Two tasks with their data beside them: one of rolling log-likelihood, one of multiple choice."""
    (tmp_path / "prose.jsonl").write_text(json.dumps({"text": TEXT}) + "\n")
    questions = ({"question": f"Is {number} even?", "answer": number % 2} for number in range(4))
    (tmp_path / "parity.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    head = "task: {0}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {1}/{0}.jsonl\ntest_split: test\n"
    (tmp_path / "prose.yaml").write_text(
        head.format("prose", tmp_path) + "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\n"
        "metric_list:\n  - metric: word_perplexity\n"
    )
    (tmp_path / "parity.yaml").write_text(
        head.format("parity", tmp_path) + "output_type: multiple_choice\ndoc_to_text: '{{question}}'\n"
        "doc_to_choice: ['yes', 'no']\ndoc_to_target: answer\nmetric_list:\n  - metric: acc\n"
    )
    return [str(tmp_path / f"{name}.yaml") for name in ("prose", "parity")]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.mark.parametrize("count", [5, 64, 65, 128, 200])
def test_word_perplexity_by_hand(tiny: LoadedModel, count: int) -> None:
    """Each token by itself, from what stands before it in its window; texts shorter, as long as and longer than a window."""
    words = TEXT.split(" ")
    text = next(
        Text("t", " ".join(words[:n])) for n in range(1, 999) if len(tiny.tokenizer(" ".join(words[:n]))["input_ids"]) >= count
    )
    protocol = word_protocol(text, tiny)
    tokens = [tiny.tokenizer.bos_token_id, *tiny.tokenizer(str(text.content))["input_ids"]]
    loss, predicted, length = 0.0, len(tokens) - 1, 64
    for position in range(1, len(tokens)):
        start = (position - 1) // length * length
        if start + length > predicted:  # the last window, filled up with earlier tokens
            start = max(0, predicted - length)
        with torch.no_grad():
            logits = tiny.model(torch.tensor([tokens[start:position]])).logits[0, -1].double()
        loss -= float(torch.log_softmax(logits, 0)[tokens[position]])
    assert (
        sum(int((targets >= 0).sum()) for _, targets in protocol.batches)
        == predicted
        == protocol.describe()["predicted_tokens"]
    )
    score = word_score(tiny.model, protocol)
    assert math.log(score.perplexity) == pytest.approx(loss / len(re.split(r"\s+", str(text.content))), rel=1e-5)


def test_standard_error_of_word_perplexity(tiny: LoadedModel) -> None:
    """Of windows with equal numbers of tokens it is the textbook's; a single window has none."""
    tokens = tuple(range(100, 100 + 5 * 64))
    protocol = word_protocol(Text("t", "a b c d"), tiny)
    protocol = type(protocol)("t", torch.tensor([2, *tokens]), 100, 64, "")
    losses = []
    with torch.no_grad():
        for inputs, targets in protocol.batches:
            logits = tiny.model(inputs).logits.transpose(1, 2)
            losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none").double().sum(1))
    total = torch.cat(losses)
    score = word_score(tiny.model, protocol)
    assert len(total) == 5
    assert score.perplexity_standard_error == pytest.approx(
        score.perplexity * float(total.std()) * math.sqrt(5) / 100, rel=1e-6
    )
    assert word_score(tiny.model, word_protocol(Text("t", "a b c d"), tiny)).perplexity_standard_error is None


def answered_rightly(loaded: LoadedModel) -> float:
    """Share of the task `parity` whose right answer is the likelier one."""
    right = 0
    for number in range(4):
        question = f"Is {number} even?"
        begin, likelihoods = len(loaded.tokenizer(question)["input_ids"]), []
        for choice in ("yes", "no"):
            tokens = torch.tensor([loaded.tokenizer(f"{question} {choice}")["input_ids"]])
            with torch.no_grad():
                found = loaded.model(tokens[:, :-1]).logits.log_softmax(-1)[0, begin - 1 :]
            likelihoods.append(float(found.gather(1, tokens[0, begin:, None]).sum()))
        right += likelihoods[number % 2] > likelihoods[1 - number % 2]
    return right / 4


@pytest.mark.slow
def test_the_harness_agrees(quantized: Path, tiny_directory: Path, tasks: list[str], tmp_path: Path) -> None:
    """A quantized and a plain directory through the harness, without a network: word perplexity is that of our protocol."""
    pytest.importorskip("lm_eval")
    (tmp_path / "prose.txt").write_text(TEXT)
    found = {}
    for directory in (quantized, tiny_directory):
        result = evaluate(
            str(directory), out=tmp_path / "out", text=tmp_path / "prose.txt", protocols=("words",), tasks=tasks, quiet=True
        )
        assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == result
        values = {row["metric"]: row["value"] for row in result["tasks"]}
        ours = next(row["perplexity"] for row in result["texts"] if row["text"] == "prose.txt")
        assert values["word_perplexity"] == pytest.approx(ours, rel=1e-4)
        assert directory == quantized or values["acc"] == answered_rightly(load_model(directory))
        assert {row["documents"] for row in result["tasks"]} == {1, 4}
        assert all(row["harness_version"] for row in result["tasks"])
        found[directory] = values["word_perplexity"]
    assert found[quantized] != found[tiny_directory]
    loaded = load_model(tiny_directory)
    assert [row["documents"] for row in run_tasks(loaded, tasks[1:], limit=2)] == [2]
    with pytest.raises(InputError, match=r"--tasks no-such-task: .*not a registered task.*give tasks of lm-eval"):
        run_tasks(loaded, ["no-such-task"])
    with pytest.raises(InputError, match="--limit 0"):
        run_tasks(loaded, tasks, limit=0)


def test_without_the_harness(monkeypatch: pytest.MonkeyPatch, tiny_directory: Path, tmp_path: Path) -> None:
    """One line, before any work."""
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(
        InputError, match=r"^--tasks a,b: the package lm_eval.* is missing; 'dint doctor' says how to install it$"
    ):
        evaluate(str(tiny_directory), out=tmp_path / "out", tasks=("a", "b"), quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_quantized_directory(quantized: Path, tiny_directory: Path, tmp_path: Path) -> None:
    """Its perplexity and KL divergence are those measured when it was written; without the unquantized model there is no KL."""
    measured = json.loads((quantized / "metrics.json").read_text())
    row = next(row for row in measured["rows"] if row["chosen"])
    result = evaluate(str(quantized), out=tmp_path / "a", reference=str(tiny_directory), windows=3, quiet=True)
    (text,) = result["texts"]
    assert text["perplexity"] == pytest.approx(row["perplexity"][DOCUMENTATION], rel=1e-6)
    assert text["kl"] == pytest.approx(row["kl"][DOCUMENTATION], rel=1e-6)
    assert text["kl_standard_error"] > 0
    assert text["description"] == measured["protocols"][DOCUMENTATION]["description"]
    assert result["model"]["recipe"]["weights"] == "int4"
    assert result["reference"]["sha256"] == measured["model"]["sha256"]
    alone = evaluate(str(quantized), out=tmp_path / "b", windows=3, quiet=True)
    assert alone["reference"] is None
    assert alone["texts"][0]["kl"] is None
    assert alone["texts"][0]["perplexity"] == text["perplexity"]


def test_the_command(tiny_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "essay.txt").write_text(TEXT)
    options = ["--protocol", "windows", "--protocol", "words", "--windows", "2", "--text", str(tmp_path / "essay.txt")]
    result = CliRunner().invoke(dint.app, ["evaluate", str(tiny_directory), *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "out" / "evaluation.json").read_text())["texts"]
    assert [(row["text"], row["protocol"]) for row in rows] == [
        (text, protocol) for text in (DOCUMENTATION, "essay.txt") for protocol in ("windows", "words")
    ]
    for row in rows:
        assert f"{row['perplexity']:.2f}" in result.output


def test_execution_changes_no_figure(quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        evaluate(str(quantized), out=tmp_path / name, windows=2, execution=name, device="cpu:0", quiet=True)
        for name in ("float", "integer")
    ]
    assert found[0] == found[1]
    monkeypatch.setattr("quant.layers.IntegerMatrix", None)
    with pytest.raises(TypeError):  # it is the integers that were used
        evaluate(str(quantized), out=tmp_path / "none", windows=2, execution="integer", quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocols": ("bytes",)}, "--protocol bytes: known are windows, words"),
        ({"text": [5, 6] * 100, "protocols": ("words",), "windows": None}, "token ids: word perplexity counts the words"),
        ({"protocols": ("words",), "windows": 3}, "--windows 3: it limits the protocol windows; add --protocol windows, or"),
        ({"reference": "/no/such/model"}, "no such directory"),
        ({"device": "abacus"}, "--device abacus: cannot be used"),
        ({"execution": "analog"}, "--execution analog: known are float, integer"),
        ({"execution": "integer"}, "--execution integer: tiny is not quantized"),
        ({"model": "/no/such/model"}, "no such directory"),
    ],
)
def test_bad_input_leaves_nothing(tiny_directory: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        evaluate(**{"model": str(tiny_directory), "out": tmp_path / "out", "windows": 1, "quiet": True, **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
