# SPDX-License-Identifier: Apache-2.0
"""The command that does everything, from the trained model to the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from commands.completion import pdk_names
from commands.options import Liberty, Out, Platforms, Quiet, Seed, Text


def report(
    out: Out = Path("build/report"),
    model: Annotated[str | None, typer.Option(help="Local directory or hub name; default: the shipped checkpoint.")] = None,
    lane: Annotated[list[int] | None, typer.Option(help="Lane count to compare; repeat for several; default 1 and 16.")] = None,
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
        seed=seed,
        quiet=quiet,
    )
    return json.loads(index.with_name("metrics.json").read_text(encoding="utf-8"))
