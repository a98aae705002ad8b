# SPDX-License-Identifier: Apache-2.0
"""The sub-command `dint quantize`: a model in few bits, beside other methods, and what the hardware multiplies of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from golden.arguments import AnyPath, check_seed
from golden.artifacts import canonical_json, read_record, record_text, write_file
from golden.errors import InputError
from golden.tables import print_table

from .console import figure, progress_bar, quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from rich.progress import Progress

    from .adadim import GroupingChoice
    from .evaluation import Protocol
    from .models import LoadedModel
    from .quantization import QuantizedModel
    from .recipe import Recipe
    from .texts import Source

__all__ = ["quantize"]


def quantize(
    model: str | Path | None = None,
    *,
    out: AnyPath = Path("build/quantized"),
    recipe: str = "default",
    format: str | None = None,
    scaling: str | None = None,
    clipping: str | None = None,
    rounding: str | None = None,
    form: str | None = None,
    group_size: int | None = None,
    grouping: str | None = None,
    activations: str | None = None,
    value_format: str | None = None,
    attention: str | None = None,
    calibration_length: int | None = None,
    calibration_tokens: int | None = None,
    calibration_text: Source | None = None,
    calibration_dataset: str | None = None,
    text: Source | None = None,
    dataset: str | None = None,
    windows: int | None = None,
    table: bool = True,
    full_table: bool = False,
    outliers: int | None = None,
    seed: int = 0,
    execution: str = "float",
    device: str = "cpu",
    quiet: bool = False,
) -> dict[str, Any]:
    """Quantize a model to W4A8 (or W8A8) and measure what it costs in accuracy.

    Writes into `out` a Hugging Face directory of the chosen recipe, `metrics.json` (all measurements with their protocols)
    and, where activations are integers, `operands.npz` (what the hardware multiplies); prints the comparison of the chosen
    recipe with the others.

    Parameters
    ----------
    model
        Directory or hub name of an OPT or LLaMA model; default the shipped checkpoint.
    out
        Output directory.
    recipe
        File of a recipe, or name of one that comes along (`quant.recipes`). What follows overrides it where given:
    format
        Number format of the weights, or a block format, such as mxfp4, which brings its own scales.
    scaling
        none, smoothquant, awq or aqas.
    clipping
        none, or awq: search the range of each channel's weights.
    rounding
        rtn (to nearest) or optq.
    form
        symmetric (signed scales) or asymmetric (zero-points).
    group_size
        Weights of a channel that share a scale; without it all of an output channel.
    grouping
        per-oc: groups lie in output channels; per-ic: in input channels; adadim: in whichever errs less, by layer.
    activations
        int8; fp32: quantize only the weights; or the weights' block format. Only int8 gives operands for the hardware.
    value_format
        Number format of the attention's value tensor, or none.
    attention
        fp32, or int8: the attention's own products multiply integers; it needs a value format.
    calibration_length
        Tokens of a calibration window (SLAC); without it the model's positions, at most 2048.
    calibration_tokens
        Tokens of all calibration windows together; default 16384.
    calibration_text
        UTF-8 file to calibrate on, or a list of strings or of token ids; default a part of Python's documentation.
    calibration_dataset
        Data set to calibrate on instead: NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT, by the package datasets.
    text
        UTF-8 file to evaluate on, or a list of strings or of token ids, besides the held-out part of Python's documentation.
    dataset
        Data set to evaluate on, too.
    windows
        Evaluate at most so many evenly spaced windows of each text; default all.
    table
        Measure and print the comparison; without it only the chosen model and its operands are written, and options of the
        comparison are refused, as are those of calibration where the recipe needs none.
    full_table
        Compare every scaling, clipping and rounding of every format, which takes long.
    outliers
        For study: first make outlier channels in the model, without changing its function (`quant.outliers`); the seed.
    seed
        Decides the calibration windows.
    execution
        How quantized models compute while they are measured: float, or integer (8-bit integers). The results are the same.
    device
        Where torch computes: cpu, cuda, cuda:1.
    quiet
        Print nothing.

    Returns
    -------
    dict
        The contents of `metrics.json`.

    Raises
    ------
    InputError
        If an option, the model or a text cannot be used, or `out` cannot be written.
    """
    yield_when_idle()
    check_seed(seed)
    out = Path(out)
    from .huggingface import check_output, remove_stale
    from .kept import unfinished
    from .layers import check_execution
    from .recipes import read_recipe

    options = {
        "format": format,
        "scaling": scaling,
        "clipping": clipping,
        "rounding": rounding,
        "form": form,
        "group-size": group_size,
        "grouping": grouping,
        "activations": activations,
        "value-format": value_format,
        "attention": attention,
        "calibration-length": calibration_length,
    }
    chosen, length = read_recipe(recipe, options)
    for scheme in chosen.possible_schemes:
        check_execution(execution, scheme)
    if not table:
        compared: dict[str, Any] = {"full-table": full_table, "text": text, "dataset": dataset, "windows": windows}
        _refuse_unused({**compared, "execution": execution if execution != "float" else None}, "--no-table compares nothing")
        calibrating: dict[str, Any] = {"length": calibration_length, "tokens": calibration_tokens}
        calibrating |= {"text": calibration_text, "dataset": calibration_dataset}
        if not chosen.calibrates:
            _refuse_unused(
                {f"calibration-{name}": given for name, given in calibrating.items()},
                f"{chosen.name} needs no calibration, and --no-table compares it with nothing",
            )
    check_output(out)
    console = Console(quiet=quiet)
    with quiet_libraries(), written(out) as scratch, unfinished(out) as work:
        from .calibration import calibration_windows
        from .comparison import accuracy, compared_recipes
        from .evaluation import documentation_protocol, text_protocol
        from .export import has_operands, write_operands
        from .huggingface import save_quantized
        from .models import load_model
        from .outliers import with_outliers
        from .quantization import quantize_model
        from .recipe import calibration_steps, check_groups
        from .texts import Dataset, one_source, text_of

        source_text = one_source(calibration_text, calibration_dataset, "--calibration")
        with console.status("loading the model"):
            loaded = load_model(model, device)
            check_groups(loaded, chosen)
            if outliers is not None:
                loaded = with_outliers(loaded, outliers)
            calibration = calibration_windows(loaded.tokenizer, loaded.positions, length, source_text, seed, calibration_tokens)
            protocols = [documentation_protocol(loaded, windows)]
            if text is not None:
                protocols.append(text_protocol(text_of(text, "--text"), loaded, windows))
            if dataset is not None:
                protocols.append(text_protocol(text_of(Dataset(dataset), "--dataset"), loaded, windows))
        recipes = compared_recipes(chosen, full_table) if table else [chosen]
        calibrated = any(one.calibrates for one in recipes)
        count, length = calibration.windows.shape
        on = f"calibration on {count} windows of {length} tokens" if calibrated else "no calibration"
        console.print(f"{loaded.name}: {loaded.parameters:,} parameters; {on}", highlight=False)
        rows: list[dict[str, Any]] = []
        layers: list[dict[str, Any]] = []
        with progress_bar(console) as progress:
            if table:
                quantized = _compare(
                    loaded, chosen, recipes, calibration.windows, protocols, rows, layers, progress, execution, work
                )
            else:
                bar = progress.add_task(chosen.name, total=calibration_steps(loaded, chosen))
                quantized = quantize_model(loaded, chosen, calibration.windows, lambda: progress.advance(bar), work)
        source = {"name": loaded.name, "sha256": loaded.sha256}
        described = calibration.describe()
        save_quantized(quantized, loaded.tokenizer, scratch, source, described if chosen.calibrates else None)
        exported = None
        if any(has_operands(layer) for layer in quantized.layers().values()):
            exported = write_operands(scratch, quantized.model, protocols[0], source, chosen.describe(), scratch)
        metrics = accuracy(loaded, chosen, described if calibrated else None, protocols if table else [], rows, layers)
        if quantized.groupings:
            metrics["groupings"] = [choice.describe() for choice in quantized.groupings]
        write_file(scratch / "metrics.json", canonical_json(metrics))
        new = {file.name for file in scratch.iterdir()}
    remove_stale(out, new)
    if table:
        for protocol in protocols:
            print_table(console, _comparison_table(metrics, protocol.name))
    else:
        console.print(f"not measured (--no-table): 'dint evaluate {out}' does", highlight=False)
    if quantized.groupings:
        console.print(_choices(quantized.groupings), highlight=False)
    about = "no operands" if exported is None else f"operands of {len(exported.layers)} layers in {out / 'operands.npz'}"
    console.print(f"{chosen.name}: {out}; {about}", highlight=False)
    return metrics


def _choices(groupings: Sequence[GroupingChoice]) -> str:
    """How many of the linear layers of each name have their groups in input channels."""
    counts: dict[str, list[bool]] = {}
    for choice in groupings:
        counts.setdefault(choice.layer.rpartition(".")[2], []).append(choice.grouping == "per-ic")
    return "AdaDim, groups per-ic: " + ", ".join(f"{name} {sum(one)} of {len(one)}" for name, one in counts.items())


def _refuse_unused(options: dict[str, Any], why: str) -> None:
    """Refuse the first of `options` that is given: it would change nothing."""
    for name, given in options.items():
        if given is not None and given is not False:
            value = f" {given}" if isinstance(given, str | Path | int) and given is not True else ""
            raise InputError(f"--{name}{value}: {why}; leave out one")


def _compare(
    loaded: LoadedModel,
    chosen: Recipe,
    recipes: list[Recipe],
    windows: Any,
    protocols: list[Protocol],
    rows: list[dict[str, Any]],
    layers: list[dict[str, Any]],
    progress: Progress,
    execution: str,
    work: Path,
) -> QuantizedModel:
    """Fill `rows` and `layers`; returns the chosen recipe's model. Only one quantized model besides it is held at a time.

    What is measured of a recipe is kept in `work`, where an interrupted run finds it.
    """
    from .comparison import UNQUANTIZED, layer_rows, table_row
    from .evaluation import BATCH_TOKENS, Evaluator
    from .kept import key_of
    from .layers import use_execution
    from .output_error import layer_inputs, output_errors
    from .quantization import quantize_model
    from .recipe import calibration_steps
    from .streamed import discard

    bar = progress.add_task(UNQUANTIZED, total=None)

    def advance() -> None:
        progress.advance(bar)

    evaluators = [Evaluator(loaded.model, protocol, advance) for protocol in protocols]
    batches = sum(evaluator.batches for evaluator in evaluators)
    searched = sum(calibration_steps(loaded, recipe) for recipe in recipes)
    progress.update(bar, total=batches * (1 + len(recipes)) + searched)
    rows.append(table_row(None, False, {one.protocol.name: one.score(None) for one in evaluators}, None))
    sample = protocols[0].windows
    sample = sample[: max(1, BATCH_TOKENS // sample.shape[1])]
    kept_inputs = None if loaded.stream is None else work / "inputs"
    if kept_inputs is not None:
        kept_inputs.mkdir(parents=True, exist_ok=True)
    inputs = layer_inputs(loaded.model, loaded.adapter, sample, kept_inputs)
    result: QuantizedModel | None = None
    for recipe in recipes:
        progress.update(bar, description=recipe.name)
        measured = {"protocols": [one.describe() for one in protocols], "execution": execution, "windows": windows.tolist()}
        file = work / "rows" / f"{key_of(loaded, recipe=recipe.describe(), chosen=recipe == chosen, **measured)}.json"
        found = read_record(file)
        if found is None or recipe == chosen:
            quantized = quantize_model(loaded, recipe, windows, advance, work)
            use_execution(quantized.model, execution)
        else:
            progress.advance(bar, calibration_steps(loaded, recipe))
        if found is None:
            scores = {one.protocol.name: one.score(quantized.model) for one in evaluators}
            errors = output_errors(loaded.model, quantized, inputs)
            found = {"row": table_row(recipe, recipe == chosen, scores, errors), "layers": layer_rows(quantized, errors)}
            file.parent.mkdir(parents=True, exist_ok=True)
            write_file(file, record_text(found))
            if recipe != chosen:
                discard(quantized.files)
        else:
            progress.advance(bar, batches)
        rows.append(found["row"])
        layers.extend(found["layers"])
        if recipe == chosen:
            result = quantized
    assert result is not None
    return result


def _comparison_table(metrics: dict[str, Any], text: str) -> Table:
    protocol = metrics["protocols"][text]
    table = Table(
        title=f"{text}: {protocol['windows']} windows of {protocol['window_tokens']} tokens",
        caption="± standard error over windows: of a perplexity that of the text, which all rows share;\n"
        "of its ratio to the unquantized one, and of the KL to it (nats per token), that of the difference;\n"
        "relative squared output error and its underflow part, mean over layers",
        box=SIMPLE,
        padding=(0, 1, 0, 0),
    )
    for heading in ("", "perplexity", "/ unquantized", "KL\nx 1000", "error\nx 1000", "under-\nflow", "to 0"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in metrics["rows"]:
        error = row["output_error"]
        cells = [row["name"], figure(row["perplexity"][text], row["perplexity_standard_error"][text], 2)]
        if error is not None:
            kl, kl_error = row["kl"][text], row["kl_standard_error"][text]
            cells.append(figure(row["perplexity_ratio"][text], row["perplexity_ratio_standard_error"][text], 4))
            cells.append(figure(1e3 * kl, None if kl_error is None else 1e3 * kl_error, 3))
            cells += [f"{1e3 * error[name]:.3f}" for name in ("total", "underflow")]
            cells.append(f"{row['zero_fraction']:.1%}")
        table.add_row(*cells, style="bold" if row["chosen"] else "")
    return table
