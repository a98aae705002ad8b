# SPDX-License-Identifier: Apache-2.0
"""Verilog of a MAC unit, of units for asymmetric weights, or of a processing element, and companion files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golden import AsymmetricConfig, BlockFormat, BlockMacConfig, PeConfig, UnitConfig, any_format, unit_of_options
from golden.artifacts import output_directory, write_file
from golden.errors import InputError, unknown

__all__ = ["generate"]

_LANES = 16


def generate(
    format: str = "dint4",
    lanes: int | None = None,
    out: Path = Path("build/rtl"),
    depth: int = 65536,
    pipeline: int | None = None,
    architecture: str = "",
    period_ns: float = 10.0,
    quiet: bool = False,
    shape: str = "mac",
    decoded: bool = False,
    zero_points: int | None = None,
    activations: str = "int8",
) -> dict[str, Path]:
    """Write `<name>.v`, `.json`, `.sdc` and `.core` of one MAC unit, or what else is asked for, into `out`.

    Parameters
    ----------
    format
        Number format of the weights, or a block format (`golden.BlockMacConfig`).
    lanes
        Products per cycle of a MAC unit, 1 to 64; by default 16.
    out
        Directory of the files; made if need be. Files of the same names are replaced, all four or none.
    depth
        Products that the accumulator, or a partial sum, holds without overflow.
    pipeline
        Register stages before a MAC unit's accumulator: 0, 1 or 2 (`golden.MacConfig`); by default 0.
    architecture
        How to multiply; empty for the format's default.
    period_ns
        Clock period in the constraints.
    quiet
        Print nothing.
    shape
        "mac": a MAC unit (`golden.MacConfig`); "pe": a processing element of a systolic array (`golden.PeConfig`).
    decoded
        The weights of a pipelined MAC unit, or the weight in use of a processing element, are registered as select lines.
    zero_points
        Number of MAC units for asymmetric weights that share a zero-point correction (`golden.AsymmetricConfig`); by default
        one unit for symmetric weights.
    activations
        "int8", or the block format of the weights.

    Returns
    -------
    dict
        Suffix ("v", "json", "sdc", "core") to path.

    Raises
    ------
    InputError
        For an unknown format or architecture, a parameter that is out of range or that the shape does not have, or a directory
        that cannot be written.
    """
    weights = any_format(format)
    config: UnitConfig
    if isinstance(weights, BlockFormat):
        others = {"pipeline": pipeline, "decoded": decoded or None, "zero-points": zero_points, "shape": shape}
        config = _block_unit(weights, activations, others, lanes, depth, architecture)
    else:
        if activations != "int8":
            raise InputError(f"--activations {activations}: {weights.title} weights are multiplied by int8; leave it out")
        config = unit_of_options(
            format,
            lanes=lanes,
            default_lanes=_LANES,
            depth=depth,
            pipeline=pipeline,
            architecture=architecture,
            decoded=decoded,
            shape=shape,
            zero_points=zero_points,
        )
    # Amaranth takes its time to load: not before the parameters are known to be good.
    from . import companions, verilog
    from .architectures import architecture_of

    multiplying = config.unit if isinstance(config, AsymmetricConfig) else config
    architecture_of(config.block_sum if isinstance(config, BlockMacConfig) else multiplying)
    texts = {
        "sdc": companions.constraints(config, period_ns),
        "json": companions.facts(config),
        "core": companions.core(config),
    }
    with output_directory(out) as directory:
        texts["v"] = verilog.generate(config)
        for suffix, text in texts.items():
            write_file(directory / f"{config.name}.{suffix}", text)
    paths = {suffix: out / f"{config.name}.{suffix}" for suffix in ("v", "json", "sdc", "core")}
    if not quiet:
        _print(config, paths)
    return paths


def _block_unit(
    weights: BlockFormat, activations: str, others: dict[str, Any], lanes: int | None, depth: int, architecture: str
) -> BlockMacConfig:
    """The unit of a block format, which has none of the `others` of a plain one's options."""
    for name, value in others.items():
        if value not in (None, "mac"):
            given = "" if value is True else f" {value}"
            raise InputError(f"--{name}{given}: units of {weights.title} have no such choice; leave it out")
    if activations not in ("int8", weights.name):
        raise unknown(f"--activations {activations}", activations, ("int8", weights.name))
    bits = 8 if activations == "int8" else weights.bits
    return BlockMacConfig.of(weights, bits, lanes=_LANES if lanes is None else lanes, depth=depth, architecture=architecture)


def _print(config: UnitConfig, paths: dict[str, Path]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    shape = "processing element"
    if not isinstance(config, PeConfig):
        shape = "1 lane" if config.lanes == 1 else f"{config.lanes} lanes"
    if isinstance(config, AsymmetricConfig):
        shape += f", {config.units} {'unit' if config.units == 1 else 'units'} for asymmetric weights"
    operands = f"{config.weight_format.title} x INT{config.activation_bits}"
    if isinstance(config, BlockMacConfig):
        operands = f"{config.blocks.title} x {config.blocks.title if config.scaled_activations else 'INT8'}"
    console.print(
        f"{config.name}: {operands}, {shape}, {config.architecture},"
        f" {config.accumulator_bits}-bit accumulator, latency {config.latency_cycles}"
    )
    for path in paths.values():
        console.print(f"  {path}", markup=False)
