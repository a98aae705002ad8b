# SPDX-License-Identifier: Apache-2.0
"""`dint generate --flow`: the Verilog and its companions, and what other flows need beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from golden import UnitConfig, unit_of_options
from golden.artifacts import output_directory, write_file
from golden.errors import InputError, unknown

from . import fusesoc, librelane, orfs
from .platforms import PLATFORMS, Platform

__all__ = ["FLOWS", "generate"]

FLOWS = FUSESOC, LIBRELANE, ORFS = "fusesoc", "librelane", "orfs"
_DesignFolder = Callable[[UnitConfig, float, Platform, str], dict[str, str]]
_PHYSICAL: dict[str, _DesignFolder] = {LIBRELANE: librelane.design_folder, ORFS: orfs.design_folder}
_LANES = 16


def generate(
    flow: Sequence[str],
    pdk: Sequence[str] = (),
    out: Path = Path("build/rtl"),
    period_ns: float = 10.0,
    quiet: bool = False,
    **options: Any,
) -> dict[str, Path]:
    """Write a unit as `hdl.command.generate` does, and the files of each `flow`.

    For FuseSoC a core with the cocotb bench and a generator core, beside the Verilog; for the other two a design folder for
    each platform, `FLOW/PDK/NAME`, that needs nothing else.

    Parameters
    ----------
    flow
        Names of `FLOWS`.
    pdk
        Names of `PLATFORMS`; by default all that the flow has.
    out, period_ns, quiet, options
        As `hdl.command.generate` has them; `period_ns` is the clock period in the constraints of all.

    Returns
    -------
    dict
        What `hdl.command.generate` returns, and the path of each further file by its name below `out`.

    Raises
    ------
    InputError
        If there is no such flow or platform, the flow does not have it, or what `hdl.command.generate` refuses.
    """
    platforms = {name: _platforms(name, pdk) for name in dict.fromkeys(flow)}
    given = {"format": "dint4", **_given(options)}
    config = unit_of_options(**{"lanes": None, "default_lanes": _LANES} | given)
    from hdl.command import generate as write_verilog

    paths = write_verilog(**given, out=out, period_ns=period_ns, quiet=quiet)
    verilog = paths["v"].read_text(encoding="utf-8")
    folders: dict[Path, Mapping[str, str]] = {}
    for name, wanted in platforms.items():
        if name == FUSESOC:
            folders[Path()] = fusesoc.cores(config, given)
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


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
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
