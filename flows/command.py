# SPDX-License-Identifier: Apache-2.0
"""`dint generate`: the Verilog and its companions, and what other flows need beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from golden import UnitConfig, unit_of_options
from golden.arguments import AnyPath, Names, names
from golden.artifacts import output_directory, write_file
from golden.errors import InputError, unknown

from . import fusesoc_cores, librelane, orfs
from .platforms import PLATFORMS, Platform

__all__ = ["FLOWS", "generate"]

FLOWS = FUSESOC, LIBRELANE, ORFS = "fusesoc", "librelane", "orfs"
_DesignFolder = Callable[[UnitConfig, float, Platform, str], dict[str, str]]
_PHYSICAL: dict[str, _DesignFolder] = {LIBRELANE: librelane.design_folder, ORFS: orfs.design_folder}


def generate(
    format: str = "dint4",
    lanes: int | None = None,
    out: AnyPath = Path("build/rtl"),
    depth: int = 65536,
    pipeline: int | None = None,
    architecture: str = "",
    period_ns: float = 10.0,
    shape: str = "mac",
    decoded: bool = False,
    zero_points: int | None = None,
    activations: str = "int8",
    writable_codebooks: bool = False,
    flow: Names = (),
    pdk: Names = (),
    quiet: bool = False,
) -> dict[str, Path]:
    """Write `<name>.v`, `.json`, `.sdc` and `.core` of a unit, and the files of each `flow`.

    For FuseSoC a core with the cocotb bench and a generator core, beside the Verilog; for the other two a design folder for
    each platform, `FLOW/PDK/NAME`, that needs nothing else.

    Parameters
    ----------
    format
        Number format of the weights, or a block format.
    lanes
        Products per cycle of a MAC unit, 1 to 64; by default 16.
    out
        Directory of the files; made if need be. Files of the same names are replaced, each flow's all or none.
    depth
        Products that the accumulator, or a partial sum, holds without overflow.
    pipeline
        Register stages before a MAC unit's accumulator: 0, 1 or 2 (`golden.MacConfig`), of a block format 0 or 1
        (`golden.BlockMacConfig`); before the partial sum of an element 0 or 1 (`golden.PeConfig`); by default 0.
    architecture
        How to multiply; empty for the format's default.
    period_ns
        Clock period in the constraints.
    shape
        "mac": a MAC unit (`golden.MacConfig`); "pe": a processing element of a systolic array (`golden.PeConfig`).
    decoded
        The weights of a pipelined MAC unit, or the weight in use of a processing element, are registered as select lines.
    zero_points
        Number of MAC units for asymmetric weights that share a zero-point correction (`golden.AsymmetricConfig`); by default
        one unit for symmetric weights.
    activations
        "int8", or the block format of the weights.
    writable_codebooks
        Of formats with codebooks: they are in registers with a port to write them, not part of the circuit.
    flow
        Names of `FLOWS`.
    pdk
        Names of `PLATFORMS`; by default all that the flow has.
    quiet
        Print nothing.

    Returns
    -------
    dict
        Suffix ("v", "json", "sdc", "core") to path; and each further file's path by its name below `out`.

    Raises
    ------
    InputError
        For an unknown format, architecture, flow or platform, a parameter that is out of range or that the shape does not have,
        or a directory that cannot be written.
    """
    flow, pdk, out = names(flow), names(pdk), Path(out)
    if pdk and not flow:
        raise InputError(f"--pdk {pdk[0]}: is for the design folders of --flow; give it, too, or leave it out")
    platforms = {name: _platforms(name, pdk) for name in dict.fromkeys(flow)}
    options = _given(
        format=format,
        lanes=lanes,
        depth=depth,
        pipeline=pipeline,
        architecture=architecture,
        shape=shape,
        decoded=decoded,
        zero_points=zero_points,
        activations="" if activations == "int8" else activations,
        writable_codebooks=writable_codebooks,
    )
    config = unit_of_options(**options)
    from hdl.unit_files import write_unit

    paths = write_unit(config, out, period_ns, quiet)
    if not flow:
        return paths
    verilog = paths["v"].read_text(encoding="utf-8")
    folders: dict[Path, Mapping[str, str]] = {}
    for name, wanted in platforms.items():
        if name == FUSESOC:
            folders[Path()] = fusesoc_cores.cores(config)
        for platform in wanted:
            folders[Path(name, platform.name, config.name)] = _PHYSICAL[name](config, period_ns, platform, verilog)
    with ExitStack() as stack:
        for folder, texts in folders.items():
            scratch = stack.enter_context(output_directory(out / folder))
            for file, text in texts.items():
                write_file(scratch / file, text)
    more = {str(folder / file): out / folder / file for folder, texts in folders.items() for file in texts}
    if not quiet:
        for path in more.values():
            print(f"  {path}")
    return paths | more


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others have defaults wherever they are read."""
    return {name: value for name, value in options.items() if value not in (None, "") and value is not False}


def _platforms(flow: str, pdk: Sequence[str]) -> list[Platform]:
    """The platforms that are meant, in a flow that has them."""
    if flow not in FLOWS:
        raise unknown(f"--flow is {flow!r}", flow, FLOWS)
    if flow == FUSESOC:
        return []
    has = {name: platform for name, platform in PLATFORMS.items() if flow == ORFS or platform.librelane}
    for name in pdk:
        if name not in PLATFORMS:
            raise unknown(f"--pdk is {name!r}", name, PLATFORMS)
        if name not in has:
            raise InputError(
                f"--pdk is {name!r}: {flow} does not have it; choose from {', '.join(has)}, or leave --flow {flow}"
            )
    return [has[name] for name in dict.fromkeys(pdk or has)]
