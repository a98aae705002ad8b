# SPDX-License-Identifier: Apache-2.0
"""Commands that map units on a PDK."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.completion import format_names
from commands.options import (
    Activations,
    Architecture,
    Decoded,
    Depth,
    Format,
    Kit,
    Kits,
    Lanes,
    Liberty,
    OperandFile,
    Out,
    Pipeline,
    Platforms,
    Quiet,
    Seed,
    Shape,
    WritableCodebooks,
)


def pdks(liberty: Liberty = None, platforms: Platforms = None, quiet: Quiet = False) -> Any:
    """List the PDKs that are found here, and how to get the others.

    Example: dint pdks
    """
    from synth.command import pdks as run

    return run(liberty=tuple(liberty or ()), platforms=platforms, quiet=quiet)


def synthesize(
    number_format: Format = "dint4",
    lanes: Annotated[int | None, typer.Option(help="Products per cycle of a MAC unit, 1 to 64; default 1.")] = None,
    pdk: Kit = "osu018",
    period_ns: Annotated[
        float | None, typer.Option("--period", "--period-ns", help="Clock period in ns; default: smallest area.")
    ] = None,
    out: Out = Path("build/synthesis"),
    operands: OperandFile = None,
    depth: Depth = 65536,
    pipeline: Pipeline = None,
    decoded: Decoded = False,
    shape: Shape = "mac",
    architecture: Architecture = "",
    activations: Activations = "int8",
    writable_codebooks: WritableCodebooks = False,
    liberty: Liberty = None,
    platforms: Platforms = None,
    cycles: Annotated[int, typer.Option(help="Clock cycles of the energy measurement.")] = 512,
    dataflow: Annotated[
        str | None, typer.Option(help="streaming, or weights-held: weights stay for 64 cycles; a pe holds them always.")
    ] = None,
    activity: Annotated[str, typer.Option(help="sdf or zero-delay (simulated), or vectorless (default activities).")] = "sdf",
    power_engine: Annotated[str, typer.Option(help="dint, or opensta where it has read_vcd.")] = "dint",
    saif: Annotated[bool, typer.Option("--saif", help="Write activity.saif too, for other power tools.")] = False,
    vcd: Annotated[bool, typer.Option("--vcd", help="Write activity.vcd too: gate-level waveforms, of activity.v.")] = False,
    front: Annotated[bool, typer.Option("--front", help="Area against clock period, from smallest to fastest.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> Any:
    """Map a unit with Yosys; report area, timing, and energy from gate-level simulation.

    Example: dint synthesize --format dint4 --lanes 1 --pdk osu018 --period 8 --out build/synthesis
    """
    from synth.synthesize_command import synthesize as run

    return run(
        format=number_format,
        lanes=lanes,
        pdk=pdk,
        period_ns=period_ns,
        out=out,
        operands=operands,
        depth=depth,
        pipeline=pipeline,
        decoded=decoded,
        shape=shape,
        architecture=architecture,
        activations=activations,
        writable_codebooks=writable_codebooks,
        liberty=tuple(liberty or ()),
        platforms=platforms,
        cycles=cycles,
        dataflow=dataflow,
        activity=activity,
        power_engine=power_engine,
        saif=saif,
        vcd=vcd,
        front=front,
        seed=seed,
        quiet=quiet,
    )


def codes(
    number_format: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Number format of up to 4 bits.", autocompletion=format_names)
    ] = "dint4",
    out: Out = Path("build/codes"),
    architecture: Annotated[str, typer.Option(help="digit-grid, direct-grid or baugh-wooley.")] = "digit-grid",
    count: Annotated[int, typer.Option("--map", help="Map the best so many tables, as many at random, the catalogue's.")] = 0,
    lanes: Annotated[int, typer.Option(help="Lanes of the mapped units.")] = 4,
    pdk: Kits = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> Any:
    """Search which code should carry which value, and compare with the catalogue's table.

    Example: dint codes dint4 --map 8 --pdk osu018
    """
    from synth.codes import codes as run

    of_mapping = {"--pdk": pdk and pdk[0], "--liberty": liberty and liberty[0], "--platforms": platforms}
    if not count and (given := [f"{name} {value}" for name, value in of_mapping.items() if value is not None]):
        from golden.errors import InputError

        raise InputError(f"{given[0]}: is for the tables that --map maps; give their number, or leave it out")
    return run(
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


def zero_points(
    number_format: Annotated[
        list[str] | None,
        typer.Option("--format", help="Format; repeat for several; default int8, int4 and dint4.", autocompletion=format_names),
    ] = None,
    out: Out = Path("build/zero-points"),
    lanes: Lanes = 16,
    units: Annotated[int, typer.Option(help="MAC units that share the correction, 1 to 64.")] = 16,
    pdk: Kit = "osu018",
    depth: Depth = 65536,
    liberty: Liberty = None,
    platforms: Platforms = None,
    quiet: Quiet = False,
) -> Any:
    """Map MAC units with and without zero-points; print what asymmetric weights cost.

    Example: dint zero-points --lanes 16 --units 16 --pdk osu018
    """
    from synth.zero_points import zero_points as run

    return run(
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


def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="What to do; docs/sweep.md describes it.")],
    out: Out = Path("build/sweep"),
    operands: Annotated[
        list[Path] | None, typer.Option(help="Operand file; repeat for the other formats; default: uniform operands.")
    ] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    jobs: Annotated[int | None, typer.Option(help="Points at a time on this machine; default: one a core.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers take the points, tcp://HOST:8786.")
    ] = None,
    quiet: Quiet = False,
) -> Any:
    """Map and measure all combinations of options that a file lists; write a row for each to sweep.csv and sweep.json.

    The file is TOML. Its keys are options of dint synthesize, each with a value or a list of values, as in lanes = [1, 16].
    Results are kept: a repeated sweep runs nothing, an interrupted one goes on. Exit code 0 only if no point failed.

    Example: dint sweep docs/sweep.toml --out build/sweep
    """
    from sweep.command import sweep as run

    return run(
        file=file,
        out=out,
        operands=tuple(operands or ()),
        liberty=tuple(liberty or ()),
        platforms=platforms,
        jobs=jobs,
        cluster=cluster,
        quiet=quiet,
    )
