# SPDX-License-Identifier: Apache-2.0
"""Verilog of a MAC unit, of units for asymmetric weights, or of a processing element, and companion files."""

from __future__ import annotations

from pathlib import Path

from golden import AsymmetricConfig, BlockMacConfig, PeConfig, UnitConfig
from golden.artifacts import output_directory, write_file

__all__ = ["write_unit"]


def write_unit(config: UnitConfig, out: Path, period_ns: float = 10.0, quiet: bool = False) -> dict[str, Path]:
    """Write `<name>.v`, `.json`, `.sdc` and `.core` of a unit into `out`.

    Parameters
    ----------
    config
        The unit.
    out
        Directory of the files; made if need be. Files of the same names are replaced, all four or none.
    period_ns
        Clock period in the constraints.
    quiet
        Print nothing.

    Returns
    -------
    dict
        Suffix ("v", "json", "sdc", "core") to path.

    Raises
    ------
    InputError
        For an unknown architecture or one that cannot do the format, a period out of range, or a directory that cannot be
        written.
    """
    # Amaranth takes its time to load: not with the command line.
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


def _print(config: UnitConfig, paths: dict[str, Path]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    shape = "processing element"
    if not isinstance(config, PeConfig):
        shape = "1 lane" if config.lanes == 1 else f"{config.lanes} lanes"
    if isinstance(config, AsymmetricConfig):
        shape += f", {config.units} {'unit' if config.units == 1 else 'units'} for asymmetric weights"
    console.print(
        f"{config.name}: {' x '.join(config.operand_titles)}, {shape}, {config.architecture},"
        f" {config.accumulator_bits}-bit accumulator, latency {config.latency_cycles}"
    )
    for path in paths.values():
        console.print(f"  {path}", markup=False)
