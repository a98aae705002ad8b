"""`dint table3`: the paper's figures are the paper's, the rows are its recipes, the metric is that of the model's family."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from golden.errors import InputError
from quant import table3
from quant.evaluation import Evaluator, text_protocol
from quant.models import LoadedModel
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


def test_only_models_of_the_paper_get_its_figures(tiny: LoadedModel) -> None:
    def named(name: str, family: str, layers: int, channels: int) -> LoadedModel:
        config = SimpleNamespace(num_hidden_layers=layers, hidden_size=channels)
        adapter = replace(tiny.adapter, family=family)
        return replace(tiny, name=name, adapter=adapter, model=SimpleNamespace(config=config))

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


def test_windows_are_no_part_of_word_perplexity(tiny: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--windows 5: the metric of OPT is word perplexity"):
        table3.table3([str(tiny.directory)], out=tmp_path / "out", windows=5, quiet=True)
    assert not (tmp_path / "out").exists()
