# SPDX-License-Identifier: Apache-2.0
"""Names that the shell completes: those that an option knows, as far as what lists them is installed."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import typer


def _if_installed(names: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """`names`, or none: a traceback in the middle of a command line would help nobody."""

    @wraps(names)
    def found(**given: typer.Context) -> list[str]:
        try:
            return names(**given)
        except ImportError:
            return []

    return found


@_if_installed
def format_names() -> list[str]:
    """Number formats."""
    from golden.catalogue import FORMATS, VARIANTS

    return [*FORMATS, *VARIANTS]


@_if_installed
def weight_format_names() -> list[str]:
    """Number formats, and those with scales of their own."""
    from golden.catalogue import FORMATS, SCALED_FORMATS, VARIANTS

    return [*FORMATS, *VARIANTS, *SCALED_FORMATS]


@_if_installed
def unit_format_names() -> list[str]:
    """What a unit takes: weights in a format, and with _a4 activations in it, too."""
    from golden.catalogue import FORMATS, SCALED_FORMATS

    return [*FORMATS, *SCALED_FORMATS, *(f"{name}_a{one.bits}" for name, one in SCALED_FORMATS.items())]


@_if_installed
def architecture_names(ctx: typer.Context) -> list[str]:
    """Multiplier architectures; those that can do the format, if one was given before."""
    from golden import BlockMacConfig
    from golden.catalogue import FORMATS, SCALED_FORMATS, VARIANTS
    from hdl.architectures import ARCHITECTURES

    given = str(ctx.params.get("number_format")).lower()
    chosen = BlockMacConfig.of(SCALED_FORMATS[given]).multiplied if given in SCALED_FORMATS else (FORMATS | VARIANTS).get(given)
    return [name for name, architecture in ARCHITECTURES.items() if chosen is None or architecture.can_do(chosen)]


@_if_installed
def pdk_names(ctx: typer.Context) -> list[str]:
    """PDKs that are on this machine."""
    from synth.pdk import discover

    platforms = ctx.params.get("platforms")
    return [pdk.name for pdk in discover(platforms if platforms is None else Path(platforms))]


@_if_installed
def simulator_names() -> list[str]:
    """Simulators."""
    from sim.simulators import SIMULATORS

    return [*SIMULATORS, "auto"]


@_if_installed
def flow_names() -> list[str]:
    """Flows that files are written for."""
    from flows.command import FLOWS

    return list(FLOWS)


@_if_installed
def platform_names() -> list[str]:
    """Platforms of the physical flows."""
    from flows.platforms import PLATFORMS

    return list(PLATFORMS)


@_if_installed
def recipe_names() -> list[str]:
    """Recipes that come along, without loading what they are made for."""
    import quant

    return list(tomllib.loads(Path(quant.__file__).with_name("recipes.toml").read_text(encoding="utf-8")))
