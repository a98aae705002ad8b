# SPDX-License-Identifier: Apache-2.0
"""`dint synthesize`: one netlist (`synth.command`), or with `--front` the netlists of all clocks (`synth.front_command`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golden.arguments import AnyPath, Paths, check_seed, path, paths
from golden.errors import InputError

from .pdk import DEFAULT_PDK
from .request import Request

__all__ = ["synthesize"]


def synthesize(
    format: str = "dint4",
    lanes: int | None = None,
    pdk: str = DEFAULT_PDK,
    period_ns: float | None = None,
    out: AnyPath = Path("build/synthesis"),
    operands: AnyPath | None = None,
    depth: int = 65536,
    pipeline: int | None = None,
    decoded: bool = False,
    shape: str = "mac",
    architecture: str = "",
    activations: str = "int8",
    writable_codebooks: bool = False,
    liberty: Paths = (),
    platforms: AnyPath | None = None,
    cycles: int = 512,
    dataflow: str | None = None,
    activity: str = "sdf",
    power_engine: str = "dint",
    saif: bool = False,
    vcd: bool = False,
    front: bool = False,
    seed: int = 0,
    cache: AnyPath = Path("build/cache"),
    jobs: int = 2,
    quiet: bool = False,
) -> dict[str, Any]:
    """Map a unit on a PDK; measure its area, its timing, and its energy by gate-level simulation.

    Parameters
    ----------
    format, lanes, depth, pipeline, decoded, shape, architecture, activations, writable_codebooks
        The unit, as for `dint generate`; by default a MAC unit with one lane.
    pdk, liberty, platforms
        Name of the PDK, or its Liberty files instead; folder in the layout of OpenROAD-flow-scripts' `flow/platforms`, where
        PDKs are looked for besides the usual places.
    period_ns
        Clock period. By default the smallest netlist is taken, at the shortest period it works at.
    out
        Directory for `netlist.v`, `constraints.sdc`, `delays.sdf` and `metrics.json`; for `front.json`.
    operands
        Operand file of a quantized model, in `format`, for the energy; by default operands are uniform.
    cycles, seed
        Number and choice of the operands, one set a clock cycle.
    dataflow, activity, power_engine
        How energy is measured (`synth.request.Request`).
    saif, vcd
        Write `activity.saif`, or `activity.vcd` and the netlist that it is of, too: what the nets did in the simulation.
    front
        Area against clock period instead, from the smallest netlist to the fastest, each simulated at its own period.
    cache, jobs
        Folder of earlier results; syntheses at a time.
    quiet
        Print nothing.

    Returns
    -------
    dict
        The contents of `metrics.json`: METRICS2.1 names (areas in um2, times in ns, power in W) and `energy__per_mac` in J.
        With `front` those of `front.json`.

    Raises
    ------
    InputError
        If an option, the kit, a Liberty file or the operand file cannot be used.
    ToolError
        If a tool is missing or fails, or no netlist meets the period: then nothing is written.
    """
    check_seed(seed)
    for option, asked in (("--saif", saif), ("--vcd", vcd)):
        if front and asked:
            raise InputError(f"{option}: --front gives many netlists, not one; leave one of them out")
    request = Request(
        format=format,
        lanes=lanes,
        depth=depth,
        pipeline=pipeline,
        decoded=decoded,
        architecture=architecture,
        shape=shape,
        activations=activations,
        writable_codebooks=writable_codebooks,
        pdk=pdk,
        liberty=paths(liberty),
        platforms=path(platforms),
        period_ns=period_ns,
        operands=path(operands),
        seed=seed,
        cycles=cycles,
        dataflow=dataflow,
        activity=activity,
        power_engine=power_engine,
    )
    if front:
        from .front_command import front as every

        return every(request, Path(out), Path(cache), jobs, quiet)
    from .command import synthesize as one

    return one(request, Path(out), Path(cache), jobs, saif, vcd, quiet)
