# SPDX-License-Identifier: Apache-2.0
"""The sub-command `dint table3`: our perplexities in the layout of the reference paper's Table 3, the paper's beside them.

Reference paper (arXiv 2311.05161, Table 3): W4A8V4, OPT in lm-evaluation-harness's `word_perplexity` on its task wikitext,
LLaMA in GPTQ's metric, per token in disjoint windows (here without the special token that GPTQ's first window begins with).
The paper's figure stands beside ours only for a model of the paper, known by its name and shape, in the paper's metric on
WikiText-2's test text. What is done in another way than in the paper is said below the table (`paper_differences`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from golden.artifacts import canonical_json, read_record, record_text, write_file
from golden.errors import InputError
from golden.tables import print_table

from .console import progress_bar, quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from .calibration import Calibration
    from .models import FoundModel, LoadedModel
    from .recipe import Recipe
    from .texts import Source

__all__ = ["PAPER", "ROWS", "paper_column", "table3"]

#: By recipe (`quant.recipes`), what the row is called in the paper; None is the unquantized model.
ROWS: dict[str | None, str] = {
    None: "FP16",
    "w4a8v4-int4-rtn": "INT4 RTN",
    "w4a8v4-int4-optq": "INT4 OPTQ",
    "w4a8v4-int4-sq": "INT4 SQ",
    "w4a8v4-int4-sq-optq": "INT4 SQ+OPTQ",
    "w4a8v4-int4-awq": "INT4 AWQ",
    "w4a8v4-int4-awq-optq": "INT4 AWQ+OPTQ",
    "w4a8v4-int4-aqas": "INT4 AQAS",
    "w4a8v4-int4-aqas-optq": "INT4 AQAS+OPTQ",
    "w4a8v4-dint4-aqas-optq": "dINT4 AQAS+OPTQ",
}
#: The paper's perplexities: by family and name, the model's (layers, channels) and a figure for each of `ROWS`.
PAPER: dict[tuple[str, str], tuple[tuple[int, int], tuple[float, ...]]] = {
    ("opt", "opt-125m"): ((12, 768), (31.95, 42.78, 36.04, 41.31, 36.22, 44.17, 39.10, 36.57, 35.62, 34.92)),
    ("opt", "opt-1.3b"): ((24, 2048), (16.41, 35.17, 19.35, 23.48, 17.70, 25.04, 19.35, 17.68, 17.48, 17.28)),
    ("opt", "opt-2.7b"): ((32, 2560), (14.32, 24.03, 15.61, 33.86, 15.22, 15.88, 16.00, 15.34, 15.08, 15.03)),
    ("opt", "opt-6.7b"): ((32, 4096), (12.29, 15.52, 15.16, 1596.83, 12.82, 322.85, 432.74, 13.42, 12.97, 12.89)),
    ("opt", "opt-13b"): ((40, 5120), (11.50, 36.43, 15.82, 897.25, 11.93, 670.00, 183.83, 12.19, 12.08, 11.98)),
    ("opt", "opt-30b"): ((48, 7168), (10.67, 150.94, 25.23, 19.43, 11.06, 4246.25, 4848.16, 11.08, 11.04, 11.04)),
    ("llama", "llama-7b"): ((32, 4096), (5.68, 6.87, 7.57, 7.08, 8.26, 6.75, 6.52, 6.69, 6.60, 6.48)),
    ("llama", "llama-13b"): ((40, 5120), (5.09, 6.14, 5.85, 6.27, 5.91, 5.84, 5.78, 5.81, 5.71, 5.67)),
    ("llama", "llama-30b"): ((60, 6656), (4.10, 5.52, 5.13, 6.17, 5.11, 5.26, 5.02, 5.14, 5.07, 4.72)),
}
#: Where WikiText-2's test text comes from: the harness's task, and the data set.
_TASK = "wikitext"
_WIKITEXT = "Salesforce/wikitext:wikitext-2-raw-v1:test"

#: Of a model, quantized or not: perplexity and, where there is one, its standard error.
Measure = Callable[["LoadedModel"], tuple[float, float | None]]


def table3(
    models: Sequence[str | None] = (None,),
    *,
    out: Path,
    text: Source | None = None,
    calibration_length: int | None = None,
    calibration_tokens: int | None = None,
    calibration_text: Source | None = None,
    calibration_dataset: str | None = None,
    windows: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure every row of the paper's Table 3 on `models`; writes `table3.json` into `out` and prints the table.

    Parameters
    ----------
    models
        Directories or hub names of OPT or LLaMA models; None is the shipped checkpoint.
    out
        Directory to write.
    text
        Measure on this, in the metric of the model's family; without it on WikiText-2's test text from the hub, by the
        harness's task wikitext (OPT; the extra "evaluation") or by the package datasets (LLaMA).
    calibration_length, calibration_tokens, calibration_text, calibration_dataset, seed
        As `quantize` takes them. The paper: Pile (scales) and C4 (OPTQ), 2048 tokens.
    windows
        LLaMA's metric on at most so many evenly spaced windows.
    device
        Where torch computes: cpu, cuda, cuda:1.
    quiet
        Print nothing.

    Every finished row is kept beside `out` until the table is: an interrupted run that is started again goes on.

    Returns
    -------
    dict
        The contents of `table3.json`.

    Raises
    ------
    InputError
        If a model or a text cannot be used, a package is missing, or `out` cannot be written. What can be known without the
        models' weights is refused before any are read.
    """
    yield_when_idle()
    console = Console(quiet=quiet)
    from .kept import unfinished

    with quiet_libraries(), written(out) as scratch, unfinished(out) as work:
        from .models import check_device
        from .texts import one_source

        check_device(device)
        source = one_source(calibration_text, calibration_dataset, "--calibration")
        calibrated = (calibration_length, source, seed, calibration_tokens)
        with console.status("reading configurations and texts"):
            plans = [_planned(name, calibrated, text, windows) for name in models]
        with progress_bar(console) as progress:
            bar = progress.add_task("", total=len(plans) * len(ROWS))

            def tell(label: str, finished: int = 0) -> None:
                progress.update(bar, description=label, advance=finished)

            columns = [_column(plan, device, work, tell) for plan in plans]
        write_file(scratch / "table3.json", canonical_json({"columns": columns}))
    print_table(console, _table(columns))
    _tell_differences(columns, console)
    console.print(f"{out / 'table3.json'}", highlight=False)
    return {"columns": columns}


def paper_column(found: FoundModel) -> tuple[float, ...] | None:
    """The paper's figures for a model, by `ROWS`; None for one that is not the paper's by name or by shape."""
    short = found.name.rsplit("/", 1)[-1].lower().removesuffix("-hf")
    shape, figures = PAPER.get((found.adapter.family, short), ((0, 0), ()))
    return figures if shape == (found.config.num_hidden_layers, found.config.hidden_size) else None


@dataclass(frozen=True)
class _Plan:
    """A column before the model's weights are read."""

    found: FoundModel
    calibration: Calibration
    metric: dict[str, Any]
    measure: Measure
    paper: tuple[float, ...] | None
    differences: list[str]


def _planned(name: str | None, calibrated: Sequence[Any], text: Source | None, windows: int | None) -> _Plan:
    from .calibration import calibration_windows
    from .models import find_model
    from .paper_differences import differences

    found = find_model(name)
    calibration = calibration_windows(found.tokenizer, found.positions, *calibrated)
    metric, measure = _metric(found, text, windows)
    told = differences(calibration, metric["name"], None if text is None else metric["text"], windows)
    return _Plan(found, calibration, metric, measure, paper_column(found) if text is None and windows is None else None, told)


def _column(plan: _Plan, device: str, work: Path, tell: Callable[..., None]) -> dict[str, Any]:
    """The column of one model; `work` is the folder for what is finished, `tell` gets a row's label, and a 1 at its end."""
    from .recipes import named_recipes

    tell(plan.found.name)
    loaded = plan.found.load(device)
    rows: list[dict[str, Any]] = []
    for name, label in ROWS.items():
        tell(f"{loaded.name}: {label}")
        recipe = None if name is None else named_recipes()[name]
        figures = _figures(plan, loaded, recipe, work)
        rows.append({"row": label, "recipe": name, **figures, "paper": plan.paper and plan.paper[len(rows)]})
        tell(f"{loaded.name}: {label}", 1)
    return {
        "model": {"name": loaded.name, "sha256": loaded.sha256, "parameters": loaded.parameters},
        "metric": plan.metric,
        "calibration": plan.calibration.describe(),
        "differences": plan.differences,
        "rows": rows,
    }


def _figures(plan: _Plan, loaded: LoadedModel, recipe: Recipe | None, work: Path) -> dict[str, Any]:
    """Perplexity and standard error of one row, measured once: they are a file in `work`."""
    from .kept import key_of
    from .quantization import quantize_model
    from .streamed import discard

    windows = plan.calibration.windows
    described = None if recipe is None else recipe.describe()
    key = key_of(loaded, recipe=described, windows=windows.tolist(), metric=plan.metric)
    file = work / "rows" / f"{key}.json"
    if (kept := read_record(file)) is not None:
        return kept
    if recipe is None:
        perplexity, error = plan.measure(loaded)
    else:
        quantized = quantize_model(loaded, recipe, windows, work=work)
        perplexity, error = plan.measure(replace(loaded, model=quantized.model))
        discard(quantized.files)
    figures = {"perplexity": perplexity, "standard_error": error}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, record_text(figures))
    return figures


def _metric(found: FoundModel, text: Source | None, windows: int | None) -> tuple[dict[str, Any], Measure]:
    """What the paper's perplexity of this family is, described, and its measurement."""
    from .evaluation import Evaluator, text_protocol
    from .texts import Dataset, text_of
    from .word_perplexity import word_protocol, word_score

    if found.adapter.family == "llama":
        protocol = text_protocol(text_of(Dataset(_WIKITEXT) if text is None else text, "--text"), found, windows)

        def by_windows(loaded: LoadedModel) -> tuple[float, float | None]:
            score = Evaluator(loaded.model, protocol).score(None)
            return score.perplexity, score.perplexity_standard_error

        return {"name": "per token", "text": protocol.name, **protocol.describe()}, by_windows
    if windows is not None:
        raise InputError(f"--windows {windows}: the metric of OPT is word perplexity, of a whole text; leave it out")
    if text is not None:
        words = word_protocol(text_of(text, "--text"), found)

        def by_words(loaded: LoadedModel) -> tuple[float, float | None]:
            score = word_score(loaded.model, words)
            return score.perplexity, score.perplexity_standard_error

        return {"name": "per word", "text": words.name, **words.describe()}, by_words

    from .harness import HARNESS, check_tasks, run_tasks

    check_tasks([_TASK], f"lm-evaluation-harness's task {_TASK}", "give WikiText-2's test text by --text")

    def by_harness(loaded: LoadedModel) -> tuple[float, float | None]:
        rows = run_tasks(loaded, [_TASK])
        return next((row["value"], row["standard_error"]) for row in rows if row["metric"] == "word_perplexity")

    return {
        "name": "per word",
        "text": f"lm-evaluation-harness's task {_TASK}",
        "harness_version": version(HARNESS),
    }, by_harness


def _table(columns: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        title="Perplexity, W4A8V4, laid out as Table 3 of arXiv 2311.05161",
        caption="ours ± standard error, the paper's beside it where the same model was measured on the same text",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("")
    for column in columns:
        table.add_column(f"{column['model']['name']}\n{column['metric']['name']}", justify="right", no_wrap=True)
        table.add_column("paper", justify="right")
    for index, label in enumerate(ROWS.values()):
        cells = [label]
        for column in columns:
            row = column["rows"][index]
            error = "" if row["standard_error"] is None else f" ± {row['standard_error']:.2f}"
            cells += [f"{row['perplexity']:.2f}{error}", "" if row["paper"] is None else f"{row['paper']:.2f}"]
        table.add_row(*cells)
    return table


def _tell_differences(columns: Sequence[dict[str, Any]], console: Console) -> None:
    """In what the columns' measurements differ from the paper's; models are named where it is not the same for all."""
    names: dict[str, list[str]] = {}
    for column in columns:
        for line in column["differences"]:
            names.setdefault(line, []).append(column["model"]["name"])
    console.print("In what this measurement differs from the paper's:", highlight=False)
    for line, having in names.items():
        which = "" if len(having) == len(columns) else f"{', '.join(having)}: "
        console.print(f"- {which}{line}", highlight=False, markup=False)
