"""dINT: from a number format to the quantized model, the MAC unit, its verification and its price in silicon.

This module is the command line (`dint --help`) and the names that a user imports; everything is loaded when it is first
used, so that neither `dint --help` nor `import dint` imports torch. Once it is imported, `transformers` loads the
directories that `dint quantize` writes.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import wrapt

from golden.errors import DintError, InputError

if TYPE_CHECKING:
    from golden import (
        DINT3,
        DINT4,
        FORMATS,
        FP4_E2M1,
        INT3,
        INT4,
        INT8,
        AsymmetricConfig,
        MacConfig,
        NumberFormat,
        Operands,
        PeConfig,
    )
    from hdl import Asymmetric, Mac, Pe

__all__ = [
    "DINT3",
    "DINT4",
    "FORMATS",
    "FP4_E2M1",
    "INT3",
    "INT4",
    "INT8",
    "Asymmetric",
    "AsymmetricConfig",
    "Mac",
    "MacConfig",
    "NumberFormat",
    "Operands",
    "Pe",
    "PeConfig",
    "main",
]

_HOME = dict.fromkeys(__all__, "golden") | {"Asymmetric": "hdl", "Mac": "hdl", "Pe": "hdl"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dint' has no attribute {name!r}")


@wrapt.when_imported("transformers.quantizers.auto")
def _register_quantizer(_: Any) -> None:
    importlib.import_module("quant.huggingface").register()


app = typer.Typer(
    name="dint",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Hardware generator for the dINT MAC unit: quantize, generate, simulate, synthesize, report.",
)

Format = Annotated[str, typer.Option("--format", help="Number format of the weights; 'dint formats' lists them.")]
Lanes = Annotated[int, typer.Option(help="Products per cycle, 1 to 64.")]
UnitLanes = Annotated[int | None, typer.Option("--lanes", help="Products per cycle of a MAC unit, 1 to 64; default 16.")]
Shape = Annotated[str, typer.Option(help="mac: a MAC unit; pe: a weight-stationary systolic element.")]
ZeroPoints = Annotated[
    int | None, typer.Option(help="For asymmetric weights: so many MAC units that share a zero-point correction.")
]
Depth = Annotated[int, typer.Option(help="Products that the accumulator holds without overflow.")]
Pipeline = Annotated[
    int | None, typer.Option(help="Of a MAC unit: 0: none (default); 1: operand registers; 2: and compressed products.")
]
Decoded = Annotated[bool, typer.Option("--decoded", help="Register weights as select lines; of a pipelined MAC unit or a pe.")]
Architecture = Annotated[str, typer.Option(help="Multiplier architecture; default: the format's own.")]
Out = Annotated[Path, typer.Option(help="Directory to write.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
OperandFile = Annotated[Path | None, typer.Option(help="Operand file of 'dint quantize' or 'dint operands'.")]
Liberty = Annotated[list[Path] | None, typer.Option(help="Liberty file of a PDK, .lib or .lib.gz; repeat for several.")]
Platforms = Annotated[Path | None, typer.Option(help="Folder in the layout of OpenROAD-flow-scripts' flow/platforms.")]
_OF_RECIPE = "the recipe's"  # shown as the default of an option
Text = Annotated[Path | None, typer.Option(help="Text file to measure on, beside the held-out Python documentation.")]

Dataset = Annotated[str | None, typer.Option(help="Data set to measure on: NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT.")]
Windows = Annotated[int | None, typer.Option(help="Measure on at most so many windows of each text.")]
CalibrationText = Annotated[Path | None, typer.Option(help="Text to calibrate on; default: Python's topics.")]
CalibrationDataset = Annotated[str | None, typer.Option(help="Data set to calibrate on, as --dataset.")]


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False) -> None:
    global _debug
    _debug = debug


_debug = False


@app.command()
def quantize(
    model: Annotated[
        str | None, typer.Argument(help="Directory, hub name, or llama (the shipped one); default: the shipped OPT.")
    ] = None,
    out: Out = Path("build/quantized"),
    recipe: Annotated[
        str, typer.Option(help="A .toml file, or a name such as w4a8v4-dint4-aqas-optq; options override it.")
    ] = "default",
    number_format: Annotated[
        str | None, typer.Option("--format", help="Number format of the weights.", show_default=_OF_RECIPE)
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
    activations: Annotated[
        str | None, typer.Option(help="int8, or fp32: quantize only the weights.", show_default=_OF_RECIPE)
    ] = None,
    value_format: Annotated[
        str | None, typer.Option(help="Number format of the attention's values, or none.", show_default=_OF_RECIPE)
    ] = None,
    attention: Annotated[
        str | None, typer.Option(help="fp32, or int8: the attention's own products too.", show_default=_OF_RECIPE)
    ] = None,
    calibration_length: Annotated[
        int | None, typer.Option(help="SLAC: tokens per calibration sequence.", show_default=_OF_RECIPE)
    ] = None,
    calibration_text: CalibrationText = None,
    calibration_dataset: CalibrationDataset = None,
    text: Text = None,
    dataset: Dataset = None,
    windows: Windows = None,
    table: Annotated[bool, typer.Option(help="Measure, beside the other methods; --no-table only writes.")] = True,
    full_table: Annotated[bool, typer.Option("--full-table", help="Compare all methods on all formats.")] = False,
    outliers: Annotated[
        int | None, typer.Option(metavar="SEED", help="For study: make outlier channels first; the function stays the same.")
    ] = None,
    seed: Seed = 0,
    execution: Annotated[str, typer.Option(help="Measure with float, or integer: INT8 products, the same results.")] = "float",
    device: Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, cuda:1.")] = "cpu",
    quiet: Quiet = False,
) -> None:
    """Quantize an OPT or a LLaMA to W4A8 and measure it.

    Example: dint quantize --format dint4 --scaling aqas --calibration-length 128 --out build/opt-dint4
    """
    from quant.command import quantize as run

    run(
        model=model,
        out=out,
        recipe=recipe,
        format=number_format,
        scaling=scaling,
        clipping=clipping,
        rounding=rounding,
        form=form,
        group_size=group_size,
        activations=activations,
        value_format=value_format,
        attention=attention,
        calibration_length=calibration_length,
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


@app.command()
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
    quiet: Quiet = False,
) -> None:
    """Measure a model, quantized or not: perplexity, KL divergence, tasks of lm-evaluation-harness.

    Example: dint evaluate build/opt-dint4 --protocol windows --protocol words --tasks my-task.yaml
    """
    from quant.evaluate_command import evaluate as run

    run(
        model=model,
        out=out,
        reference=reference,
        text=text,
        dataset=dataset,
        protocols=tuple(protocol or ("windows",)),
        windows=windows,
        tasks=tuple(tasks.split(",")) if tasks else (),
        limit=limit,
        quiet=quiet,
    )


@app.command()
def table3(
    model: Annotated[
        list[str] | None,
        typer.Argument(help="Directories or hub names of OPT or LLaMA models; default: the shipped checkpoint."),
    ] = None,
    out: Out = Path("build/table3"),
    text: Annotated[Path | None, typer.Option(help="Measure on this text; default: WikiText-2's, from the hub.")] = None,
    calibration_length: Annotated[int | None, typer.Option(help="Tokens per calibration sequence.")] = None,
    calibration_text: CalibrationText = None,
    calibration_dataset: CalibrationDataset = None,
    windows: Windows = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Measure the rows of the paper's Table 3 (W4A8V4 perplexity), the paper's figures beside ours.

    Example, for whom the hub is within reach: dint table3 facebook/opt-125m --out build/table3. OPT is measured by
    lm-evaluation-harness's word perplexity, LLaMA per token in disjoint windows, as in the paper.
    """
    from quant.table3 import table3 as run

    run(
        models=tuple(model or (None,)),
        out=out,
        text=text,
        calibration_length=calibration_length,
        calibration_text=calibration_text,
        calibration_dataset=calibration_dataset,
        windows=windows,
        seed=seed,
        quiet=quiet,
    )


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="Directory that 'dint quantize' wrote, with weights in INT4.")],
    out: Out = Path("build/compressed-tensors"),
    quiet: Quiet = False,
) -> None:
    """Write an INT4 model in the layout of compressed-tensors, which transformers loads by itself.

    Example: dint export build/opt-int4 --out build/opt-int4-compressed-tensors
    """
    from quant.compressed_tensors import export as run

    run(directory=directory, out=out, quiet=quiet)


@app.command()
def operands(
    directory: Annotated[Path, typer.Argument(help="Directory that 'dint quantize' wrote.")],
    out: Out = Path("build/operands"),
    layer: Annotated[
        list[str] | None, typer.Option(help="Linear layer by name, or all of a decoder layer by number; repeat for several.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Number of tokens.")] = None,
    text: Text = None,
    quiet: Quiet = False,
) -> None:
    """Export what the quantized model multiplies: weight codes, activations, expected accumulators.

    Example: dint operands build/opt-dint4 --layer model.decoder.layers.0.fc1 --tokens 32 --out build/operands
    """
    from quant.command import operands as run

    run(directory=directory, out=out, layers=layer, tokens=tokens, text=text, quiet=quiet)


@app.command()
def generate(
    number_format: Format = "dint4",
    lanes: UnitLanes = None,
    out: Out = Path("build/rtl"),
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    architecture: Architecture = "",
    period_ns: Annotated[float, typer.Option(help="Clock period in the .sdc file, in ns.")] = 10.0,
    shape: Shape = "mac",
    decoded: Decoded = False,
    zero_points: ZeroPoints = None,
    quiet: Quiet = False,
) -> None:
    """Write the Verilog of a MAC unit or a systolic element, with .json, .sdc and FuseSoC .core beside it.

    Example: dint generate --format dint4 --lanes 16 --out build/rtl
    """
    from hdl.command import generate as run

    run(
        format=number_format,
        lanes=lanes,
        out=out,
        depth=depth,
        pipeline=pipeline,
        architecture=architecture,
        period_ns=period_ns,
        shape=shape,
        decoded=decoded,
        zero_points=zero_points,
        quiet=quiet,
    )


@app.command()
def simulate(
    number_format: Format = "dint4",
    lanes: UnitLanes = None,
    simulator: Annotated[str, typer.Option(help="icarus, verilator or auto.")] = "auto",
    operands: OperandFile = None,
    cycles: Annotated[
        int | None, typer.Option(help="Cycles of each random stimulus; default 4000; corner cases run whole.")
    ] = None,
    waves: Annotated[Path | None, typer.Option(help="Wave file to write; one that exists is never overwritten.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for simulation.json.")] = None,
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    decoded: Decoded = False,
    shape: Shape = "mac",
    zero_points: ZeroPoints = None,
    architecture: Architecture = "",
    seed: Seed = 0,
    layer: Annotated[
        int | None, typer.Option(help="Replay every product of this decoder layer of --model, or of --operands.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="With --layer: directory that 'dint quantize' wrote.")] = None,
    tokens: Annotated[int | None, typer.Option(help="With --model: number of tokens; default 32.")] = None,
    pdk: Annotated[
        str | None, typer.Option(help="With --layer: PDK of the gate-level sample, or none; default osu018.")
    ] = None,
    netlist: Annotated[Path | None, typer.Option(help="With --layer: netlist for that sample, instead of mapping one.")] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    quiet: Quiet = False,
) -> None:
    """Run the cocotb bench: every output in every cycle against the golden model. With --layer: all sums of a decoder layer.

    Example: dint simulate --format dint4 --lanes 16 --simulator icarus --operands build/opt-dint4/operands.npz

    Example: dint simulate --layer 0 --model build/quantized --tokens 32
    """
    of_layers = {"--model": model, "--tokens": tokens, "--pdk": pdk, "--netlist": netlist, "--platforms": platforms}
    of_layers["--liberty"] = liberty[0] if liberty else None
    if layer is not None:
        if waves is not None:
            raise InputError(f"--waves {waves}: a whole layer records none; leave out --waves or --layer")
        if shape != "mac" or zero_points is not None:
            given_shape = f"--shape {shape}" if zero_points is None else f"--zero-points {zero_points}"
            raise InputError(f"{given_shape}: a whole layer is replayed through a MAC unit; leave it out, or --layer")
        from pipeline.whole_layer import simulate_layer

        run = partial(
            simulate_layer,
            layer,
            lanes=lanes or 16,
            pipeline=pipeline or 0,
            model=model,
            tokens=tokens,
            pdk=pdk or "",
            netlist=netlist,
            liberty=tuple(liberty or ()),
            platforms=platforms,
        )
    elif given := [f"{name} {value}" for name, value in of_layers.items() if value is not None]:
        raise InputError(f"{given[0]}: belongs to --layer, the number of a decoder layer; give it, too, or leave it out")
    else:
        from sim.command import simulate as without_layer

        run = partial(without_layer, lanes=lanes, pipeline=pipeline, shape=shape, zero_points=zero_points, waves=waves)
    run(
        format=number_format,
        simulator=simulator,
        operands=operands,
        cycles=cycles,
        out=out,
        depth=depth,
        decoded=decoded,
        architecture=architecture,
        seed=seed,
        quiet=quiet,
    )


@app.command()
def synthesize(
    number_format: Format = "dint4",
    lanes: Annotated[int | None, typer.Option(help="Products per cycle of a MAC unit, 1 to 64; default 1.")] = None,
    pdk: Annotated[str, typer.Option(help="Name of a PDK; 'dint pdks' lists them.")] = "osu018",
    period_ns: Annotated[float | None, typer.Option("--period", help="Clock period in ns; default: smallest area.")] = None,
    out: Out = Path("build/synthesis"),
    operands: OperandFile = None,
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    decoded: Decoded = False,
    shape: Shape = "mac",
    architecture: Architecture = "",
    liberty: Liberty = None,
    platforms: Platforms = None,
    cycles: Annotated[int, typer.Option(help="Clock cycles of the energy measurement.")] = 512,
    dataflow: Annotated[
        str | None, typer.Option(help="streaming, or weights-held: weights stay for 64 cycles; a pe holds them always.")
    ] = None,
    activity: Annotated[str, typer.Option(help="sdf or zero-delay (simulated), or vectorless (default activities).")] = "sdf",
    power_engine: Annotated[str, typer.Option(help="dint, or opensta where it has read_vcd.")] = "dint",
    front: Annotated[bool, typer.Option("--front", help="Area against clock period, from smallest to fastest.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Map a unit with Yosys; report area, timing, and energy from gate-level simulation.

    Example: dint synthesize --format dint4 --lanes 1 --pdk osu018 --period 8 --out build/synthesis
    """
    from synth.command import synthesize as one
    from synth.front_command import front as every

    if front and period_ns is not None:
        raise InputError(f"--period {period_ns:g}: --front gives the netlists of all periods; leave one of them out")
    run = every if front else partial(one, period_ns=period_ns)
    run(
        format=number_format,
        lanes=lanes,
        pdk=pdk,
        out=out,
        operands=operands,
        depth=depth,
        pipeline=pipeline,
        decoded=decoded,
        shape=shape,
        architecture=architecture,
        liberty=tuple(liberty or ()),
        platforms=platforms,
        cycles=cycles,
        dataflow=dataflow,
        activity=activity,
        power_engine=power_engine,
        seed=seed,
        quiet=quiet,
    )


@app.command()
def codes(
    number_format: Annotated[str, typer.Argument(metavar="FORMAT", help="Number format of up to 4 bits.")] = "dint4",
    out: Out = Path("build/codes"),
    architecture: Annotated[str, typer.Option(help="digit-grid, direct-grid or baugh-wooley.")] = "digit-grid",
    count: Annotated[int, typer.Option("--map", help="Map the best so many tables, as many at random, the catalogue's.")] = 0,
    lanes: Annotated[int, typer.Option(help="Lanes of the mapped units.")] = 4,
    pdk: Annotated[list[str] | None, typer.Option(help="PDK to map on; repeat for several; default osu018.")] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Search which code should carry which value, and compare with the catalogue's table.

    Example: dint codes dint4 --map 8 --pdk osu018
    """
    from synth.codes import codes as run

    run(
        format=number_format,
        out=out,
        architecture=architecture,
        map=count,
        lanes=lanes,
        pdks=tuple(pdk or ("osu018",)),
        liberty=tuple(liberty or ()),
        platforms=platforms,
        seed=seed,
        quiet=quiet,
    )


@app.command("zero-points")
def zero_points(
    number_format: Annotated[
        list[str] | None, typer.Option("--format", help="Format; repeat for several; default int8, int4 and dint4.")
    ] = None,
    out: Out = Path("build/zero-points"),
    lanes: Lanes = 16,
    units: Annotated[int, typer.Option(help="MAC units that share the correction, 1 to 64.")] = 16,
    pdk: Annotated[str, typer.Option(help="PDK; 'dint pdks' lists them.")] = "osu018",
    depth: Depth = 65536,
    liberty: Liberty = None,
    platforms: Platforms = None,
    quiet: Quiet = False,
) -> None:
    """Map MAC units with and without zero-points; print what asymmetric weights cost.

    Example: dint zero-points --lanes 16 --units 16 --pdk osu018
    """
    from synth.zero_points import zero_points as run

    run(
        formats=tuple(number_format or ("int8", "int4", "dint4")),
        out=out,
        lanes=lanes,
        units=units,
        pdk=pdk,
        depth=depth,
        liberty=tuple(liberty or ()),
        platforms=platforms,
        quiet=quiet,
    )


@app.command()
def report(
    out: Out = Path("build/report"),
    model: Annotated[str | None, typer.Option(help="Local directory or hub name; default: the shipped checkpoint.")] = None,
    lane: Annotated[list[int] | None, typer.Option(help="Lane count to compare; repeat for several; default 1 and 16.")] = None,
    pdk: Annotated[
        list[str] | None, typer.Option(help="PDK to compare on; repeat for several; default: osu018 and --platforms.")
    ] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    text: Text = None,
    seed: Seed = 0,
) -> None:
    """Do the main job: quantize, generate, simulate, synthesize, compare; write index.html and metrics.json.

    Example: dint report --out build/report --lane 1 --lane 16
    """
    from pipeline.main_job import main_job as run

    run(
        out=out,
        model=model,
        lanes=tuple(lane or (1, 16)),
        pdks=tuple(pdk or ()),
        liberty=tuple(liberty or ()),
        platforms=platforms,
        text=text,
        seed=seed,
    )


@app.command()
def formats() -> None:
    """List the number formats with the value of every code.

    Example: dint formats
    """
    from golden.command import formats as run

    print(run())


@app.command()
def pdks(liberty: Liberty = None, platforms: Platforms = None) -> None:
    """List the PDKs that are found here, and how to get the others.

    Example: dint pdks --platforms $FLOW_HOME/platforms
    """
    from synth.command import pdks as run

    run(liberty=tuple(liberty or ()), platforms=platforms)


_INTERRUPTED = 128 + signal.SIGINT


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Python drops an interrupt that arrives in a callback, as of the import system: it is sent once more, a moment later."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        main_thread = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, [main_thread, signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(lost)


def main() -> None:
    """Entry point of the command line: errors in one line, exit code 1; 130 when interrupted by Ctrl-C or SIGTERM."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        sys.unraisablehook = _interrupt_again
        app(prog_name="dint")
    except (DintError, OSError) as error:
        if _debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:  # typer makes that code of an interrupt
            raise
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
