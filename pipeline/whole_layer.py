# SPDX-License-Identifier: Apache-2.0
"""`dint simulate --layer`: every product of a decoder layer of a quantized model through the RTL, a sample at gate level."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from golden import InputError, MacConfig, Operands, format_by_name
from golden.arguments import check_time_limit
from golden.artifacts import canonical_json, output_directory, sha256_file, write_file
from golden.tables import print_table
from sim.operand_sums import checked_sums
from sim.simulators import find_simulator
from sim.stimulus import Stimulus

if TYPE_CHECKING:
    from sim.layer import LayerReplay
    from synth.pdk import Pdk

__all__ = ["NO_NETLIST", "simulate_layer"]

NO_NETLIST = "none"  # as the name of a kit: no gate-level sample
_SAMPLE_CYCLES = 1000


def simulate_layer(
    layer: int,
    model: Path | None = None,
    tokens: int | None = None,
    operands: Path | None = None,
    format: str = "dint4",
    lanes: int = 16,
    simulator: str = "auto",
    architecture: str = "",
    pipeline: int = 0,
    decoded: bool = False,
    depth: int = 65536,
    pdk: str = "",
    netlist: Path | None = None,
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    cycles: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    cache: Path = Path("build/cache"),
    time_limit: float = 3600.0,
    quiet: bool = False,
) -> dict[str, Any]:
    """Replay all linear layers of a decoder layer, every token with every output, and compare every sum.

    Parameters
    ----------
    layer
        Number of the decoder layer.
    model
        Directory that `dint quantize` wrote, whose operands for `tokens` tokens are exported first.
    operands
        Operand file that is replayed instead: of its layers those of the decoder layer.
    simulator
        "verilator", "icarus", or "auto": Verilator, which is a thousand times faster here.
    pdk, liberty, platforms
        Kit for whose cells the unit is mapped, to simulate a sample of the sums at gate level, with delays, at the netlist's
        shortest period; empty for the default one, "none" for no sample.
    netlist
        A netlist of the unit in cells of the kit, instead of mapping it.
    cycles, seed
        Cycles of that sample, by default 1000 and at least those of the longest sum; choice of the sums.
    out
        Directory for `layer-<N>.json`.
    time_limit
        Seconds after which a compilation or a simulation is given up.

    Returns
    -------
    The contents of the file, with `seconds`, `compile_seconds` and `macs_per_second` added.

    Raises
    ------
    InputError
        If an option, the model, the operand file, the netlist or the kit cannot be used.
    SimulationMismatch
        At the first sum that differs.
    ToolError
        If a tool is missing, fails, or takes longer than the time limit; or a sum of the netlist differs.
    """
    check_time_limit(time_limit)
    config = MacConfig(
        format_by_name(format), lanes=lanes, depth=depth, pipeline=pipeline, architecture=architecture, decoded=decoded
    )
    if (model is None) == (operands is None):
        raise InputError("--layer needs either a quantized model (--model DIR) or an operand file (--operands FILE)")
    if operands is not None and tokens is not None:
        raise InputError(f"--tokens {tokens}: the operand file has the tokens it has; leave it out, or give --model")
    if netlist is not None and not netlist.is_file():
        raise InputError(f"--netlist {netlist}: no such file; 'dint synthesize' writes netlist.v")
    found = find_simulator("verilator" if simulator == "auto" else simulator)
    kit = None if pdk == NO_NETLIST else _kit(pdk, liberty, platforms)
    if kit is None and netlist is not None:
        raise InputError(f"--netlist {netlist}: --pdk {NO_NETLIST} has no cells for it; name the kit that it is made of")
    console = Console(quiet=quiet)
    with output_directory(out) if out is not None else nullcontext() as scratch:
        chosen, origin = _operands(model, operands, layer, tokens)
        checked_sums(chosen, config)
        from hdl.verilog import generate  # Amaranth is slow to import, and `dint --help` imports this module
        from sim.coverage import pair_counts, summary
        from sim.layer import replay_layers

        verilog = generate(config)
        number_format = config.weight_format
        total = sum(len(one.activations) * one.weights.size for one in chosen.layers)
        with _bar(console, f"layer {layer} in {config.name}", total) as advance:
            replay = replay_layers(verilog, config, chosen, found, time_limit_s=time_limit, on_progress=advance)
        sample = None
        if kit is not None:
            with console.status(f"gate-level sample on {kit.name}"):
                sample = _sample(chosen, config, kit, netlist, cycles or _SAMPLE_CYCLES, seed, cache, time_limit)
        counts = np.sum([pair_counts(one, number_format) for one in chosen.layers], axis=0)
        assert int(counts.sum()) == total
        result = {
            "design": config.name,
            "format": number_format.name,
            "architecture": config.architecture,
            "lanes": config.lanes,
            "simulator": found.name,
            "simulator_version": found.version,
            "level": "rtl",
            "decoder_layer": layer,
            "layers": [
                {
                    "name": one.name,
                    "outputs": len(one.weights),
                    "inputs": one.weights.shape[1],
                    "tokens": len(one.activations),
                    "macs_compared": macs,
                    "sums_compared": sums,
                }
                for one, macs, sums in zip(chosen.layers, replay.products, replay.sums, strict=True)
            ],
            "macs_compared": sum(replay.products),
            "sums_compared": sum(replay.sums),
            "cycles": replay.cycles,
            "gate_level_sample": sample,
            "coverage": {
                "pairs": int(counts.size),
                "pairs_met": int((counts > 0).sum()),
                "codes": list(number_format.values),
                "first_activation": -128,
                "counts": counts.tolist(),
            },
            "operands": origin,
            "verilog_sha256": sha256(verilog.encode()).hexdigest(),
        }
        if scratch is not None:
            write_file(scratch / f"layer-{layer}.json", canonical_json(result))
    print_table(console, _table(result, found.version))
    console.print(summary(counts, number_format), highlight=False)
    console.print(_speed(replay), highlight=False)
    if sample is not None:
        console.print(
            f"gate level: {sample['sums_compared']:,} cycles on {sample['pdk']} with delays at {sample['period_ns']:.4g} ns, "
            f"{sample['complete_sums']:,} complete sums, all as expected",
            highlight=False,
        )
    return result | {
        "seconds": replay.seconds,
        "compile_seconds": replay.compile_seconds,
        "macs_per_second": replay.macs_per_second,
    }


def _kit(pdk: str, liberty: Sequence[Path], platforms: Path | None) -> Pdk:
    from synth.pdk import find
    from synth.request import check_tools

    kit = find(pdk, tuple(liberty), platforms)
    check_tools(kit)
    return kit


def _operands(model: Path | None, file: Path | None, layer: int, tokens: int | None) -> tuple[Operands, dict[str, Any]]:
    """Operands of the decoder layer, and where they are from."""
    from sim.layer import layers_of

    with tempfile.TemporaryDirectory(prefix="dint-layer-") as name:
        if file is None:
            from quant.operands_command import operands as export

            assert model is not None
            export(model, out=Path(name), layers=[str(layer)], tokens=tokens, quiet=True)
            file = Path(name) / "operands.npz"
        loaded = Operands.load(file)
        origin = {"sha256": sha256_file(file), "provenance": loaded.provenance}
    return replace(loaded, layers=layers_of(loaded, layer)), origin


def _sample(
    operands: Operands,
    config: MacConfig,
    kit: Pdk,
    netlist: Path | None,
    cycles: int,
    seed: int,
    cache: Path,
    time_limit_s: float,
) -> dict[str, Any]:
    """A sample of the sums through a netlist with delays, at its shortest period."""
    from synth import liberty_text, sta
    from synth.energy import SDF, Unit
    from synth.flow import synthesize
    from synth.liberty import load
    from synth.mapping import delays

    longest = max(one.weights.shape[1] for one in operands.layers)
    stimulus = Stimulus.from_operands(operands, config, max(cycles, -(-longest // config.lanes)), seed)
    with tempfile.TemporaryDirectory(prefix="dint-layer-") as name:
        folder = Path(name)
        if netlist is None:
            mapped = synthesize(config, kit, cache=cache)
            file, sdf, period_ns = mapped.netlist, delays(mapped, kit), mapped.delay_ns
        else:
            plain = liberty_text.unpacked(kit.liberty, folder)
            file, sdf = netlist, folder / "delays.sdf"
            period_ns = sta.analyze(netlist, config.name, plain, kit.input_transition_ns).delay_ns
            sta.write_sdf(netlist, config.name, plain, kit.input_transition_ns, sdf)
        unit = Unit(file, config.name, config, load(kit.liberty), kit, sdf)
        energy = unit.measure(stimulus, period_ns, SDF, folder, time_limit_s)
        return {
            "pdk": kit.name,
            "netlist_sha256": sha256_file(file),
            "period_ns": period_ns,
            "macs_compared": stimulus.macs,
            "sums_compared": energy.sums_compared,
            "complete_sums": int(stimulus.completed.sum()),
            "output_changes_at_delays": energy.at_delays_fraction,
            "stimulus_sha256": stimulus.sha256,
        }


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _speed(replay: LayerReplay) -> str:
    return (
        f"{replay.macs_per_second / 1e6:.1f} million MACs a second: {sum(replay.products):,} in {replay.seconds:.1f} s by "
        f"{replay.jobs} simulations at a time, after {replay.compile_seconds:.0f} s of compilation"
    )


def _table(result: dict[str, Any], version: str) -> Table:
    table = Table(
        title=f"decoder layer {result['decoder_layer']} in {result['design']}: every sum exact",
        caption=f"{result['architecture']}, {version}",
    )
    for heading in ("linear layer", "outputs", "inputs", "tokens", "MACs compared", "sums compared"):
        table.add_column(heading, justify="left" if heading == "linear layer" else "right")
    for one in result["layers"]:
        numbers = [one[key] for key in ("outputs", "inputs", "tokens", "macs_compared", "sums_compared")]
        name = one["name"].partition(f".{result['decoder_layer']}.")[2]
        table.add_row(name, *(f"{number:,}" for number in numbers))
    table.add_section()
    table.add_row("all", "", "", "", f"{result['macs_compared']:,}", f"{result['sums_compared']:,}")
    return table
