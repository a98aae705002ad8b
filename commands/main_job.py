# SPDX-License-Identifier: Apache-2.0
"""The commands that do everything, from the trained model to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.completion import pdk_names, recipe_names, unit_format_names
from commands.options import Liberty, Out, Platforms, Quiet, Seed, Text, Windows


def report(
    out: Out = Path("build/report"),
    model: Annotated[str | None, typer.Option(help="Local directory or hub name; default: the shipped checkpoint.")] = None,
    lane: Annotated[
        list[int] | None, typer.Option("--lane", "--lanes", help="Lane count to compare; repeat for several; default 1 and 16.")
    ] = None,
    pdk: Annotated[
        list[str] | None,
        typer.Option(help="PDK to compare on; repeat for several; default: osu018 and --platforms.", autocompletion=pdk_names),
    ] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    text: Text = None,
    accuracy: Annotated[
        list[Path] | None, typer.Option(help="accuracy.json of `make benchmark-accuracy`, for the page; repeat for several.")
    ] = None,
    pareto: Annotated[
        list[Path] | None, typer.Option(help="pareto.json of 'dint pareto', for the page; repeat for several.")
    ] = None,
    silicon: Annotated[Path | None, typer.Option(help="Directory of `make benchmark-silicon`, for the page.")] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> Any:
    """Do the main job: quantize, generate, simulate, synthesize, compare; write index.html and metrics.json.

    Example: dint report --out build/report --lane 1 --lane 16
    """
    from pipeline.main_job import main_job as run

    index = run(
        out=out,
        model=model,
        lanes=tuple(lane or (1, 16)),
        pdks=tuple(pdk or ()),
        liberty=tuple(liberty or ()),
        platforms=platforms,
        text=text,
        accuracy=tuple(accuracy or ()),
        paretos=tuple(pareto or ()),
        silicon=silicon,
        seed=seed,
        quiet=quiet,
    )
    return json.loads(index.with_name("metrics.json").read_text(encoding="utf-8"))


def pareto(
    out: Out = Path("build/pareto"),
    model: Annotated[str | None, typer.Option(help="Local directory or hub name; default: the shipped checkpoint.")] = None,
    number_format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="Format, or nvfp4_a4 for W4A4; repeat for several; default: all plain ones, groups of 32, and block formats.",
            autocompletion=unit_format_names,
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="How every format is quantized: a name, or a .toml file.", autocompletion=recipe_names)
    ] = "every-method",
    draws: Annotated[int, typer.Option(help="Draws of the calibration windows that accuracy is the mean of.")] = 3,
    lane: Annotated[
        list[int] | None, typer.Option("--lane", "--lanes", help="Lane count; repeat for several; default 16.")
    ] = None,
    pdk: Annotated[
        list[str] | None,
        typer.Option(help="PDK; repeat for several; default: osu018 and --platforms.", autocompletion=pdk_names),
    ] = None,
    liberty: Liberty = None,
    platforms: Platforms = None,
    text: Text = None,
    windows: Windows = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> Any:
    """Accuracy against silicon: KL and perplexity of each number format, area, delay and energy of its MAC, and the fronts.

    Every format gets the same recipe and the same search. Results are kept: a repeated run does nothing anew, what failed is
    tried again. Exit code 0 only if nothing failed.

    Example: dint pareto --out build/pareto --format int4 --format dint4 --pdk osu018
    """
    from pipeline.pareto import pareto as run

    given: dict[str, Any] = {"formats": tuple(number_format)} if number_format else {}
    return run(
        out=out,
        model=model,
        recipe=recipe,
        draws=draws,
        lanes=tuple(lane or (16,)),
        pdks=tuple(pdk or ()),
        liberty=tuple(liberty or ()),
        platforms=platforms,
        text=text,
        windows=windows,
        seed=seed,
        quiet=quiet,
        **given,
    )
