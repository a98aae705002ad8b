# SPDX-License-Identifier: Apache-2.0
"""The sub-command `dint evaluate`: perplexity, KL divergence and the harness's tasks, of a model quantized or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from golden.arguments import AnyPath, Names, names
from golden.artifacts import canonical_json, write_file
from golden.errors import InputError, unknown
from golden.tables import print_table

from .console import figure, progress_bar, quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from .models import LoadedModel
    from .plugin import DintConfig
    from .texts import Source, Text

__all__ = ["PROTOCOLS", "evaluate"]

#: By name, what a perplexity is per: a token of disjoint windows (`evaluation`), or a word (`word_perplexity`).
PROTOCOLS = ("windows", "words")


def evaluate(
    model: str | Path | None = None,
    *,
    out: AnyPath = Path("build/evaluation"),
    reference: str | Path | None = None,
    text: Source | None = None,
    dataset: str | None = None,
    protocols: Names = ("windows",),
    windows: int | None = None,
    tasks: Names = (),
    limit: int | None = None,
    execution: str = "float",
    device: str = "cpu",
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure a model that `quantize` wrote, or an unquantized one; writes `evaluation.json` into `out`.

    Parameters
    ----------
    model
        Directory of a quantized model, or directory or hub name of an unquantized one; default the shipped checkpoint.
    out
        Directory to write.
    reference
        The unquantized model, for the KL divergence to it; default the shipped checkpoint that it was made of, if any.
    text, dataset
        What to measure on besides the held-out part of Python's documentation, as `quantize` takes them.
    protocols
        Any of `PROTOCOLS`.
    windows
        Of the protocol "windows": at most so many evenly spaced windows of each text; default all.
    tasks
        Of lm-evaluation-harness: names, or task files (.yaml).
    limit
        Only so many documents of each task.
    execution
        How a quantized model computes: float, or integer (8-bit integers). The results are the same.
    device
        Where torch computes: cpu, cuda, cuda:1.
    quiet
        Print nothing.

    Returns
    -------
    dict
        The contents of `evaluation.json`.

    Raises
    ------
    InputError
        If an option, a model, a text or a task cannot be used, or `out` cannot be written.
    """
    yield_when_idle()
    out, protocols, tasks = Path(out), names(protocols), names(tasks)
    for protocol in protocols:
        if protocol not in PROTOCOLS:
            raise unknown(f"--protocol {protocol}", protocol, PROTOCOLS)
    if windows is not None and "windows" not in protocols:
        raise InputError(f"--windows {windows}: it limits the protocol windows; add --protocol windows, or leave it out")
    if limit is not None and not tasks:
        raise InputError(f"--limit {limit}: it is a number of documents of --tasks; name some, or leave it out")
    console = Console(quiet=quiet)
    with quiet_libraries(), written(out) as scratch:
        from .harness import check_tasks, run_tasks
        from .huggingface import load_any

        if tasks:
            check_tasks(tasks, f"--tasks {','.join(tasks)}")
        with console.status("loading the model"):
            texts = _texts(text, dataset)
            loaded, config = load_any(model, execution, device)
            unquantized = _reference(reference, loaded, config, device)
        rows = _measure(loaded, unquantized, texts, protocols, windows, console)
        found = run_tasks(loaded, tasks, limit, quiet) if tasks else []
        evaluation = {
            "model": {"name": loaded.name, "sha256": loaded.sha256, "recipe": None if config is None else config.recipe},
            "reference": None if unquantized is None else {"name": unquantized.name, "sha256": unquantized.sha256},
            "texts": rows,
            "tasks": found,
        }
        write_file(scratch / "evaluation.json", canonical_json(evaluation))
    if config is not None and unquantized is None:
        console.print("KL divergence: not measured; --reference names the unquantized model", highlight=False)
    print_table(console, _text_table(rows))
    if found:
        print_table(console, _task_table(found))
    console.print(f"{loaded.name}: {out / 'evaluation.json'}", highlight=False)
    return evaluation


def _reference(name: str | Path | None, loaded: LoadedModel, config: DintConfig | None, device: str) -> LoadedModel | None:
    from .models import ALSO_SHIPPED, SHIPPED, load_model, weights_sha256

    if name is None:
        source = None if config is None else config.source.get("sha256")
        for directory in (SHIPPED, *ALSO_SHIPPED.values()):
            if source is not None and directory.is_dir() and source == weights_sha256(directory):
                return load_model(directory, device)
        return None
    reference = load_model(name, device)
    sizes = [one.model.config.vocab_size for one in (reference, loaded)]
    if sizes[0] != sizes[1]:
        raise InputError(
            f"--reference {name}: it has {sizes[0]} tokens, {loaded.name} has {sizes[1]}; give the model it was made of"
        )
    return reference


def _texts(text: Source | None, dataset: str | None) -> list[Text]:
    from .corpus import documentation_test
    from .evaluation import DOCUMENTATION
    from .texts import Dataset, Text, text_of

    texts = [Text(DOCUMENTATION, documentation_test())]
    if text is not None:
        texts.append(text_of(text, "--text"))
    if dataset is not None:
        texts.append(text_of(Dataset(dataset), "--dataset"))
    return texts


def _measure(
    loaded: LoadedModel,
    reference: LoadedModel | None,
    texts: list[Text],
    protocols: Sequence[str],
    windows: int | None,
    console: Console,
) -> list[dict[str, Any]]:
    from .evaluation import Evaluator, text_protocol
    from .word_perplexity import word_protocol, word_score

    rows = []
    with progress_bar(console) as progress:
        bar = progress.add_task("", total=None)

        def advance() -> None:
            progress.advance(bar)

        def score(text: Text, protocol: str) -> tuple[Any, Any]:
            """What is measured, and how: the protocol and its score."""
            if protocol == "words":
                words = word_protocol(text, loaded)
                progress.update(bar, total=len(words.batches), completed=0)
                return words, word_score(loaded.model, words, advance)
            chosen = text_protocol(text, loaded, windows)
            evaluator = Evaluator((reference or loaded).model, chosen, advance)
            progress.update(bar, total=evaluator.batches, completed=0)
            return chosen, evaluator.score(None if reference is None else loaded.model)

        for text in texts:
            for name in protocols:
                progress.update(bar, description=f"{text.name}, {name}")
                used, found = score(text, name)
                rows.append({"text": text.name, "protocol": name, **used.describe(), **asdict(found)})
    return rows


def _text_table(rows: list[dict[str, Any]]) -> Table:
    per = {"windows": "token", "words": "word"}
    lines = []
    for row in rows:
        kl, kl_error = (None if row[name] is None else 1e3 * row[name] for name in ("kl", "kl_standard_error"))
        figures = (
            figure(row["perplexity"], row["perplexity_standard_error"], 2),
            figure(row["perplexity_ratio"], row["perplexity_ratio_standard_error"], 4),
            figure(kl, kl_error, 3),
        )
        lines.append((row["text"], f"{per[row['protocol']]}, {row['windows']} of {row['window_tokens']}", *figures))
    caption = (
        "± standard error over windows: of a perplexity that of the text, which all models share;\n"
        "of its ratio to the unquantized one, and of the KL to it (nats per token), that of the difference"
    )
    return _table(("", "per, windows of tokens", "perplexity", "/ unquantized", "KL x 1000"), lines, caption)


def _task_table(rows: list[dict[str, Any]]) -> Table:
    def shown(row: dict[str, Any]) -> str:
        error = "" if row["standard_error"] is None else f" ± {row['standard_error']:.4f}"
        return f"{row['value']:.4f}{error}"

    lines = [(row["task"], row["metric"], str(row["documents"] or ""), shown(row)) for row in rows]
    return _table(("task", "metric", "documents", "value"), lines, f"lm-evaluation-harness {rows[0]['harness_version']}")


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]], caption: str) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), caption=caption)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < 2 else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    return table
