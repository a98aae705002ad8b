# SPDX-License-Identifier: Apache-2.0
"""Commands that quantize and measure models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.completion import format_names, recipe_names, weight_format_names
from commands.options import (
    CalibrationDataset,
    CalibrationText,
    CalibrationTokens,
    Dataset,
    Device,
    Execution,
    Out,
    Quiet,
    Seed,
    Text,
    Windows,
    checked_seed,
)

_OF_RECIPE = "the recipe's"  # shown as the default of an option


def quantize(
    model: Annotated[
        str | None, typer.Argument(help="Directory, hub name, or llama (the shipped one); default: the shipped OPT.")
    ] = None,
    out: Out = Path("build/quantized"),
    recipe: Annotated[
        str,
        typer.Option(
            help="A .toml file, or a name such as w4a8v4-dint4-aqas-optq; options override it.", autocompletion=recipe_names
        ),
    ] = "default",
    number_format: Annotated[
        str | None,
        typer.Option("--format", help="Format of the weights.", show_default=_OF_RECIPE, autocompletion=weight_format_names),
    ] = None,
    scaling: Annotated[str | None, typer.Option(help="none, smoothquant, awq or aqas.", show_default=_OF_RECIPE)] = None,
    clipping: Annotated[
        str | None, typer.Option(help="none, or awq: search the range of each channel's weights.", show_default=_OF_RECIPE)
    ] = None,
    rounding: Annotated[str | None, typer.Option(help="rtn (to nearest) or optq.", show_default=_OF_RECIPE)] = None,
    form: Annotated[
        str | None, typer.Option(help="symmetric (signed scales) or asymmetric (zero-points).", show_default=_OF_RECIPE)
    ] = None,
    group_size: Annotated[
        int | None, typer.Option(help="Weights that share a scale; else an output channel.", show_default=_OF_RECIPE)
    ] = None,
    grouping: Annotated[
        str | None,
        typer.Option(
            help="Groups in output channels (per-oc), input channels (per-ic), or by layer (adadim).", show_default=_OF_RECIPE
        ),
    ] = None,
    activations: Annotated[
        str | None, typer.Option(help="int8; fp32: only the weights; or as them, mxfp4 or nvfp4.", show_default=_OF_RECIPE)
    ] = None,
    value_format: Annotated[
        str | None,
        typer.Option(
            help="Number format of the attention's values, or none.", show_default=_OF_RECIPE, autocompletion=format_names
        ),
    ] = None,
    attention: Annotated[
        str | None, typer.Option(help="fp32, or int8: the attention's own products too.", show_default=_OF_RECIPE)
    ] = None,
    calibration_length: Annotated[
        int | None, typer.Option(help="SLAC: tokens per calibration sequence.", show_default=_OF_RECIPE)
    ] = None,
    calibration_tokens: CalibrationTokens = None,
    calibration_text: CalibrationText = None,
    calibration_dataset: CalibrationDataset = None,
    text: Text = None,
    dataset: Dataset = None,
    windows: Windows = None,
    table: Annotated[bool, typer.Option(help="Measure, beside the other methods; --no-table only writes.")] = True,
    full_table: Annotated[bool, typer.Option("--full-table", help="Compare all methods on all formats.")] = False,
    outliers: Annotated[
        int | None,
        typer.Option(
            metavar="SEED",
            callback=checked_seed,
            help="For study: make outlier channels first; the function stays the same.",
        ),
    ] = None,
    seed: Seed = 0,
    execution: Execution = "float",
    device: Device = "cpu",
    quiet: Quiet = False,
) -> Any:
    """Quantize an OPT or a LLaMA to W4A8 and measure it.

    Example: dint quantize --format dint4 --scaling aqas --calibration-length 128 --out build/opt-dint4

    Example: dint quantize --format int4 --out build/opt-int4
    """
    from quant.command import quantize as run

    return run(
        model=model,
        out=out,
        recipe=recipe,
        format=number_format,
        scaling=scaling,
        clipping=clipping,
        rounding=rounding,
        form=form,
        group_size=group_size,
        grouping=grouping,
        activations=activations,
        value_format=value_format,
        attention=attention,
        calibration_length=calibration_length,
        calibration_tokens=calibration_tokens,
        calibration_text=calibration_text,
        calibration_dataset=calibration_dataset,
        text=text,
        dataset=dataset,
        windows=windows,
        table=table,
        full_table=full_table,
        outliers=outliers,
        seed=seed,
        execution=execution,
        device=device,
        quiet=quiet,
    )


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(help="Directory that 'dint quantize' wrote, or an unquantized model's directory or hub name."),
    ] = None,
    out: Out = Path("build/evaluation"),
    reference: Annotated[str | None, typer.Option(help="Unquantized model, for the KL divergence to it.")] = None,
    text: Text = None,
    dataset: Dataset = None,
    protocol: Annotated[
        list[str] | None, typer.Option(help="windows: per token, GPTQ's; words: per word, lm-eval's; default windows.")
    ] = None,
    windows: Windows = None,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks of lm-evaluation-harness or task files (.yaml), separated by commas.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many documents of each task.")] = None,
    execution: Execution = "float",
    device: Device = "cpu",
    quiet: Quiet = False,
) -> Any:
    """Measure a model, quantized or not: perplexity, KL divergence, tasks of lm-evaluation-harness.

    Example: dint evaluate build/opt-dint4 --protocol windows --protocol words
    """
    from quant.evaluate_command import evaluate as run

    return run(
        model=model,
        out=out,
        reference=reference,
        text=text,
        dataset=dataset,
        protocols=tuple(protocol or ("windows",)),
        windows=windows,
        tasks=tuple(tasks.split(",")) if tasks else (),
        limit=limit,
        execution=execution,
        device=device,
        quiet=quiet,
    )


def table3(
    model: Annotated[
        list[str] | None,
        typer.Argument(help="Directories or hub names of OPT or LLaMA models; default: the shipped checkpoint."),
    ] = None,
    out: Out = Path("build/table3"),
    text: Annotated[Path | None, typer.Option(help="Measure on this text; default: WikiText-2's, from the hub.")] = None,
    calibration_length: Annotated[int | None, typer.Option(help="Tokens per calibration sequence.")] = None,
    calibration_tokens: CalibrationTokens = None,
    calibration_text: CalibrationText = None,
    calibration_dataset: CalibrationDataset = None,
    windows: Windows = None,
    seed: Seed = 0,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> Any:
    """Measure the rows of the paper's Table 3 (W4A8V4 perplexity), the paper's figures beside ours.

    OPT is measured by lm-evaluation-harness's word perplexity, LLaMA per token in disjoint windows, as in the paper. Models
    and WikiText-2 come from the hub, unless directories and --text are given.

    Example: dint table3 facebook/opt-125m --out build/table3
    """
    from quant.table3 import table3 as run

    return run(
        models=tuple(model or (None,)),
        out=out,
        text=text,
        calibration_length=calibration_length,
        calibration_tokens=calibration_tokens,
        calibration_text=calibration_text,
        calibration_dataset=calibration_dataset,
        windows=windows,
        seed=seed,
        device=device,
        quiet=quiet,
    )


def export(
    directory: Annotated[Path, typer.Argument(help="Directory that 'dint quantize' wrote, with weights in INT4.")],
    out: Out = Path("build/compressed-tensors"),
    quiet: Quiet = False,
) -> Any:
    """Write an INT4 model in the layout of compressed-tensors, which transformers loads by itself.

    It begins with a model in INT4: dint quantize --format int4 --out build/opt-int4

    Example: dint export build/opt-int4 --out build/opt-int4-compressed-tensors
    """
    from quant.compressed_tensors import export as run

    return run(directory=directory, out=out, quiet=quiet)


def operands(
    directory: Annotated[Path, typer.Argument(help="Directory that 'dint quantize' wrote.")],
    out: Out = Path("build/operands"),
    layer: Annotated[
        list[str] | None, typer.Option(help="Linear layer by name, or all of a decoder layer by number; repeat for several.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Number of tokens.")] = None,
    text: Text = None,
    quiet: Quiet = False,
) -> Any:
    """Export what the quantized model multiplies: weight codes, activations, expected accumulators.

    Example: dint operands build/opt-dint4 --layer model.decoder.layers.0.fc1 --tokens 32 --out build/operands
    """
    from quant.operands_command import operands as run

    return run(directory=directory, out=out, layers=layer, tokens=tokens, text=text, quiet=quiet)
