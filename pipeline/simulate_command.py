# SPDX-License-Identifier: Apache-2.0
"""`dint simulate`: the bench of a unit (`sim.command`), or all sums of a decoder layer (`pipeline.whole_layer`)."""

from __future__ import annotations

from typing import Any

from golden.arguments import AnyPath, Paths, check_seed, path, paths
from golden.catalogue import SCALED_FORMATS
from golden.errors import InputError
from golden.shapes import LANES

__all__ = ["simulate"]


def simulate(
    format: str = "dint4",
    lanes: int | None = None,
    simulator: str = "auto",
    operands: AnyPath | None = None,
    cycles: int | None = None,
    waves: AnyPath | None = None,
    out: AnyPath | None = None,
    depth: int = 65536,
    pipeline: int | None = None,
    decoded: bool = False,
    shape: str = "mac",
    zero_points: int | None = None,
    architecture: str = "",
    activations: str = "int8",
    writable_codebooks: bool = False,
    seed: int = 0,
    layer: int | None = None,
    model: AnyPath | None = None,
    tokens: int | None = None,
    pdk: str | None = None,
    netlist: AnyPath | None = None,
    liberty: Paths = (),
    platforms: AnyPath | None = None,
    time_limit: float | None = None,
    quiet: bool = False,
) -> Any:
    """Simulate the unit that `dint generate` would write with the same options; every output in every cycle is compared.

    Parameters
    ----------
    format, lanes, depth, pipeline, decoded, shape, zero_points, architecture, activations, writable_codebooks
        The unit, as for `dint generate`; by default a MAC unit with 16 lanes.
    simulator
        "icarus", "verilator", or "auto": Icarus if it is there, else Verilator; the other way round for a layer.
    operands
        An operand file (`operands.npz`) of a quantized model, replayed beside uniform and corner operands.
    cycles
        Clock cycles of each random stimulus, at least those of the file's longest sum; by default what `sim.command` takes.
    waves
        Record waves in `<name>-<stimulus><suffix>`: `.vcd`, or with Icarus `.fst` too. Existing files are refused.
    out
        Directory for `simulation.json`, or `layer-<N>.json`; without it nothing is written.
    seed
        Seed of everything random.
    layer
        Number of a decoder layer: replay every product of its linear layers instead, each token with each output.
    model, tokens
        With `layer`: directory that `dint quantize` wrote, from which its operands are exported first; number of tokens, by
        default 32. Or `operands` has them.
    pdk, netlist, liberty, platforms
        With `layer`: kit of the sample at gate level (by default osu018, "none" for no sample) and where it is found; a netlist
        of the unit in its cells, instead of mapping it. `cycles` are those of the sample then, by default 1000.
    time_limit
        Seconds after which a compilation or a simulation is given up; by default 1800, and 3600 with `layer`.
    quiet
        Print nothing.

    Returns
    -------
    list or dict
        The contents of the file: one object per stimulus, with how many MACs and sums were compared, as `macs_compared` and
        `sums_compared`; of a layer one object.

    Raises
    ------
    InputError
        If an option, a file or a kit cannot be used.
    SimulationMismatch
        At the first output that is wrong; the message names the operands.
    ToolError
        If a tool is missing, fails, or takes longer than the time limit.
    """
    check_seed(seed)
    places: dict[str, Any] = {"model": path(model), "netlist": path(netlist), "platforms": path(platforms)}
    shared: dict[str, Any] = {
        "format": format,
        "simulator": simulator,
        "operands": path(operands),
        "cycles": cycles,
        "out": path(out),
        "depth": depth,
        "decoded": decoded,
        "architecture": architecture,
        "seed": seed,
        "quiet": quiet,
    }
    if time_limit is not None:
        shared["time_limit"] = time_limit
    if layer is None:
        asked = places | {"tokens": tokens, "pdk": pdk, "liberty": next(iter(paths(liberty)), None)}
        if given := [f"--{name} {value}" for name, value in asked.items() if value is not None]:
            raise InputError(f"{given[0]}: belongs to --layer, the number of a decoder layer; give it, too, or leave it out")
        from sim.command import simulate as without_layer

        return without_layer(
            **shared,
            lanes=lanes,
            pipeline=pipeline,
            shape=shape,
            zero_points=zero_points,
            activations=activations,
            writable_codebooks=writable_codebooks,
            waves=path(waves),
        )
    if waves is not None:
        raise InputError(f"--waves {waves}: a whole layer records none; leave out --waves or --layer")
    if str(format).lower() in SCALED_FORMATS:
        raise InputError(f"--format {format}: sums of whole layers are not scaled in blocks; leave out --layer")
    if shape != "mac" or zero_points is not None:
        given_shape = f"--shape {shape}" if zero_points is None else f"--zero-points {zero_points}"
        raise InputError(f"{given_shape}: a whole layer is replayed through a MAC unit; leave it out, or --layer")
    if activations != "int8" or writable_codebooks:
        given_choice = "--writable-codebooks" if writable_codebooks else f"--activations {activations}"
        raise InputError(f"{given_choice}: belongs to block formats, whose layers are not replayed; leave it out, or --layer")
    from .whole_layer import simulate_layer

    lanes = LANES if lanes is None else lanes
    of_layers = places | {"tokens": tokens, "pdk": pdk or "", "liberty": paths(liberty)}
    return simulate_layer(layer, **shared, lanes=lanes, pipeline=pipeline or 0, **of_layers)
