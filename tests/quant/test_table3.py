# SPDX-License-Identifier: Apache-2.0
"""`dint table3`: the paper's figures are the paper's, the rows are its recipes, the metric is that of the model's family."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from golden.errors import InputError
from quant import calibration, scaling, table3, word_perplexity
from quant.block import Block, GroupScale
from quant.calibration import Calibration
from quant.evaluation import Evaluator, text_protocol
from quant.models import FoundModel, LoadedModel, find_model
from quant.paper_differences import differences
from quant.recipes import named_recipes
from quant.texts import Text
from quant.word_perplexity import word_protocol, word_score

TEXT = "\n".join(f"Row {number} of the table has {number % 7} figures, and each of them one meaning." for number in range(20))


def test_figures_are_the_papers(reference: Path) -> None:
    lines = (reference / "reference" / "paper.md").read_text().split("(Table 3)")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    names = [re.sub(r"^(OPT|LLaMA) ", "", name) for name in cells[0][1:]]
    assert [name.split("-")[1].upper() for _, name in table3.PAPER] == [name.upper() for name in names]
    assert [row[0] for row in cells[2:]] == list(table3.ROWS.values())
    for column, (_, figures) in enumerate(table3.PAPER.values()):
        assert [float(row[column + 1]) for row in cells[2:]] == list(figures)


def test_rows_are_recipes_of_the_same_kind() -> None:
    recipes = [named_recipes()[name] for name in table3.ROWS if name is not None]
    assert {recipe.attention for recipe in recipes} == {"int8"}
    for recipe, label in zip(recipes, list(table3.ROWS.values())[1:], strict=True):
        assert label.startswith(recipe.number_format.title + " ")
        assert recipe.value_format == recipe.weights
        assert (recipe.rounding == "optq") == ("OPTQ" in label)


def test_only_models_of_the_paper_get_its_figures(tiny_directory: Path) -> None:
    tiny = find_model(tiny_directory)

    def named(name: str, family: str, layers: int, channels: int) -> FoundModel:
        config = SimpleNamespace(num_hidden_layers=layers, hidden_size=channels)
        return replace(tiny, name=name, adapter=replace(tiny.adapter, family=family), config=config)

    figures = table3.paper_column(named("facebook/opt-125m", "opt", 12, 768))
    assert figures is not None
    assert (figures[0], figures[-1]) == (31.95, 34.92)
    assert table3.paper_column(named("huggyllama/llama-7b", "llama", 32, 4096)) is not None
    assert table3.paper_column(named("opt-125m", "opt", 12, 1024)) is None
    assert table3.paper_column(named("opt-125m", "llama", 12, 768)) is None
    assert table3.paper_column(named("opt-125m-tuned", "opt", 12, 768)) is None
    assert table3.paper_column(tiny) is None


@pytest.mark.slow
def test_two_families_in_one_table(
    tiny: LoadedModel,
    llama: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """OPT per word, LLaMA per token; over three rows, as the way there is the same for all."""
    rows = {name: table3.ROWS[name] for name in (None, "w4a8v4-int4-rtn", "w4a8v4-int4-sq-optq")}
    monkeypatch.setattr(table3, "ROWS", rows)
    (tmp_path / "rows.txt").write_text(TEXT)
    models = [str(tiny.directory), str(llama.directory)]
    result = table3.table3(models, out=tmp_path / "out", text=tmp_path / "rows.txt")
    assert json.loads((tmp_path / "out" / "table3.json").read_text()) == result
    opt, other = result["columns"]
    text = Text("rows.txt", TEXT)
    assert opt["metric"]["name"] == "per word"
    assert opt["rows"][0]["perplexity"] == word_score(tiny.model, word_protocol(text, tiny)).perplexity
    assert other["metric"]["name"] == "per token"
    assert other["rows"][0]["perplexity"] == Evaluator(llama.model, text_protocol(text, llama)).score(None).perplexity
    printed = capsys.readouterr().out
    for column in result["columns"]:
        assert [row["row"] for row in column["rows"]] == list(rows.values())
        assert len({row["perplexity"] for row in column["rows"]}) == 3
        for row in column["rows"]:
            assert row["paper"] is None
            assert f"{row['perplexity']:.2f}" in printed


def test_an_interrupted_table_goes_on(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the same bytes in the end; no row is measured twice, no scale searched twice, be it for another rounding."""
    rows = {name: table3.ROWS[name] for name in (None, "w4a8v4-int4-sq", "w4a8v4-int4-sq-optq")}
    monkeypatch.setattr(table3, "ROWS", rows)
    (tmp_path / "rows.txt").write_text(TEXT)
    measured: list[str] = []
    searched: list[tuple[str, str]] = []
    score, search = word_perplexity.word_score, scaling.METHODS["smoothquant"]

    def run(name: str, last: int) -> bytes:
        """Into the folder `name`, interrupted behind the `last` measurement."""

        def interrupting(model: Any, protocol: Any) -> Any:
            if len(measured) == last:
                raise KeyboardInterrupt
            measured.append(protocol.name)
            return score(model, protocol)

        monkeypatch.setattr(word_perplexity, "word_score", interrupting)
        out = tmp_path / name / "out"
        table3.table3([str(tiny.directory)], out=out, text=tmp_path / "rows.txt", calibration_tokens=128)
        assert [entry.name for entry in out.parent.iterdir()] == ["out"]
        return (out / "table3.json").read_bytes()

    whole = run("whole", 99)

    def searching(block: Block) -> GroupScale | None:
        found = search(block)
        if found is not None:
            searched.append((found.layer, found.producer))
        return found

    monkeypatch.setitem(scaling.METHODS, "smoothquant", searching)
    measured.clear()
    for last in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run("parts", last)
        assert [entry.name for entry in (tmp_path / "parts").iterdir()] == [".out.unfinished"]
    assert run("parts", 3) == whole
    assert len(measured) == 3
    assert len(searched) == len(set(searched)) == 2 * 2
    (column,) = json.loads(whole)["columns"]
    printed = " ".join(capsys.readouterr().out.split())
    assert "measured on rows.txt; the paper: on WikiText-2's test text" in column["differences"]
    assert all(line in printed for line in column["differences"])


def test_only_what_differs_is_told() -> None:
    def told(windows: int, length: int, text: str | None, limit: int | None, metric: str = "per word") -> str:
        calibration = Calibration(torch.zeros(windows, length, dtype=torch.int64), "some text", "", 0)
        return "\n".join(differences(calibration, metric, text, limit))

    theirs = told(128, 2048, None, None)
    assert "GPTQ's begins with" in told(128, 2048, None, None, "per token")
    assert "GPTQ's begins with" not in theirs
    assert "as today's lm-evaluation-harness does" in theirs
    assert "calibrated on some text" in theirs
    assert not re.search("OPTQ sees|measured on|at most", theirs)
    ours = told(64, 256, "rows.txt", 5)
    first = f"searches the first {calibration.SEARCH_TOKENS} tokens"
    assert f"OPTQ sees 64 windows of 256 tokens, {first}; the paper's OPTQ: 128 of 2048" in ours
    assert "measured on rows.txt" in ours
    assert "at most 5 windows" in ours


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": 5}, "--windows 5: the metric of OPT is word perplexity"),
        ({"text": Path("/no/such/text")}, "--text /no/such/text: cannot be read"),
        ({"calibration_text": Path("/no/such/text")}, "--calibration-text /no/such/text: cannot be read"),
        ({"calibration_length": 65}, "--calibration-length 65: the model has 64 positions"),
        ({"device": "abacus"}, "--device abacus: cannot be used"),
        ({"models": ("{tiny}", "/no/such/model")}, "model /no/such/model: no such directory"),
    ],
)
def test_refused_before_weights_are_read(
    tiny_directory: Path, tmp_path: Path, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quant.models.in_memory", None)
    models = [name.format(tiny=tiny_directory) for name in options.pop("models", ("{tiny}",))]
    with pytest.raises(InputError, match=message):
        table3.table3(models, out=tmp_path / "out", **{"text": [TEXT], **options}, quiet=True)
    assert list(tmp_path.iterdir()) == []
