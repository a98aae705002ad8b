# SPDX-License-Identifier: Apache-2.0
"""Commands that write and verify units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.completion import flow_names, pdk_names, platform_names
from commands.options import (
    Activations,
    Architecture,
    Decoded,
    Depth,
    Format,
    Liberty,
    OperandFile,
    Out,
    Pipeline,
    Platforms,
    Quiet,
    Seed,
    Shape,
    Simulator,
    UnitLanes,
    WritableCodebooks,
    ZeroPoints,
)
from commands.running import OUTPUT_PANEL


def formats(quiet: Quiet = False) -> Any:
    """List the number formats with the value of every code.

    Example: dint formats
    """
    from golden.command import formats as run

    return run(quiet=quiet)


def generate(
    number_format: Format = "dint4",
    lanes: UnitLanes = None,
    out: Out = Path("build/rtl"),
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    architecture: Architecture = "",
    period_ns: Annotated[float, typer.Option("--period", "--period-ns", help="Clock period in the .sdc file, in ns.")] = 10.0,
    shape: Shape = "mac",
    decoded: Decoded = False,
    zero_points: ZeroPoints = None,
    activations: Activations = "int8",
    writable_codebooks: WritableCodebooks = False,
    flow: Annotated[
        list[str] | None,
        typer.Option(help="Files for fusesoc, librelane or orfs too; repeat for several.", autocompletion=flow_names),
    ] = None,
    pdk: Annotated[
        list[str] | None,
        typer.Option(help="Platform of --flow; repeat for several; default: all it has.", autocompletion=platform_names),
    ] = None,
    quiet: Quiet = False,
) -> Any:
    """Write the Verilog of a MAC unit or a systolic element, with .json, .sdc and FuseSoC .core beside it.

    Example: dint generate --format dint4 --lanes 16 --out build/rtl

    Example: dint generate --lanes 4 --flow orfs --flow librelane --pdk sky130hd --out build/flows
    """
    from flows.command import generate as run

    files = run(
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
        activations=activations,
        writable_codebooks=writable_codebooks,
        flow=tuple(flow or ()),
        pdk=tuple(pdk or ()),
        quiet=quiet,
    )
    return {suffix: str(file) for suffix, file in files.items()}


def simulate(
    number_format: Format = "dint4",
    lanes: UnitLanes = None,
    simulator: Simulator = "auto",
    operands: OperandFile = None,
    cycles: Annotated[
        int | None,
        typer.Option(help="Cycles of each random stimulus; default: 64000 products, at least 4000; corner cases run whole."),
    ] = None,
    waves: Annotated[Path | None, typer.Option(help="Wave file to write; one that exists is never overwritten.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory for simulation.json.", rich_help_panel=OUTPUT_PANEL)] = None,
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    decoded: Decoded = False,
    shape: Shape = "mac",
    zero_points: ZeroPoints = None,
    architecture: Architecture = "",
    activations: Activations = "int8",
    writable_codebooks: WritableCodebooks = False,
    seed: Seed = 0,
    layer: Annotated[
        int | None, typer.Option(help="Replay every product of this decoder layer of --model, or of --operands.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="With --layer: directory that 'dint quantize' wrote.")] = None,
    tokens: Annotated[int | None, typer.Option(help="With --model: number of tokens; default 32.")] = None,
    pdk: Annotated[
        str | None,
        typer.Option(help="With --layer: PDK of the gate-level sample, or none; default osu018.", autocompletion=pdk_names),
    ] = None,
    netlist: Annotated[Path | None, typer.Option(help="With --layer: netlist for that sample, instead of mapping one.")] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds after which a compilation or a simulation is given up; default 1800, with --layer 3600."),
    ] = None,
    quiet: Quiet = False,
) -> Any:
    """Run the cocotb bench: every output in every cycle against the golden model. With --layer: all sums of a decoder layer.

    Example: dint simulate --format dint4 --lanes 16 --simulator icarus --operands build/opt-dint4/operands.npz

    Example: dint simulate --layer 0 --model build/opt-dint4 --tokens 32
    """
    from pipeline.simulate_command import simulate as run

    return run(
        format=number_format,
        lanes=lanes,
        simulator=simulator,
        operands=operands,
        cycles=cycles,
        waves=waves,
        out=out,
        depth=depth,
        pipeline=pipeline,
        decoded=decoded,
        shape=shape,
        zero_points=zero_points,
        architecture=architecture,
        activations=activations,
        writable_codebooks=writable_codebooks,
        seed=seed,
        layer=layer,
        model=model,
        tokens=tokens,
        pdk=pdk,
        netlist=netlist,
        liberty=tuple(liberty or ()),
        platforms=platforms,
        time_limit=time_limit,
        quiet=quiet,
    )
