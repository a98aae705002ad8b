"""`dint generate`: Verilog of a MAC unit and its companion files."""

from __future__ import annotations

from pathlib import Path

from golden import MacConfig, format_by_name
from golden.artifacts import output_directory, write_file

__all__ = ["generate"]


def generate(
    format: str = "dint4",
    lanes: int = 16,
    out: Path = Path("build/rtl"),
    depth: int = 65536,
    pipeline: int = 0,
    architecture: str = "",
    period_ns: float = 10.0,
    quiet: bool = False,
) -> dict[str, Path]:
    """Write `<name>.v`, `.json`, `.sdc` and `.core` of one MAC unit into `out`.

    Parameters
    ----------
    format
        Number format of the weights.
    lanes
        Products per cycle, 1 to 64.
    out
        Directory of the files; made if need be. Files of the same names are replaced, all four or none.
    depth
        Products that the accumulator holds without overflow.
    pipeline
        Register stages before the accumulator: 0, 1 or 2 (`golden.MacConfig`).
    architecture
        How to multiply; empty for the format's default.
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
        For an unknown format or architecture, a parameter out of range, or a directory that cannot be written.
    """
    config = MacConfig(format_by_name(format), lanes=lanes, depth=depth, pipeline=pipeline, architecture=architecture)
    # Amaranth takes its time to load: not before the parameters are known to be good.
    from . import companions, verilog
    from .architectures import architecture_of

    architecture_of(config)
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


def _print(config: MacConfig, paths: dict[str, Path]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    facts = config.describe()
    lanes = "1 lane" if config.lanes == 1 else f"{config.lanes} lanes"
    console.print(
        f"{config.name}: {config.weight_format.title} x INT{config.activation_bits}, {lanes}, {config.architecture},"
        f" {facts['accumulator_bits']}-bit accumulator, latency {config.latency_cycles}"
    )
    for path in paths.values():
        console.print(f"  {path}", markup=False)
