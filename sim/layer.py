# SPDX-License-Identifier: Apache-2.0
"""Every product of whole linear layers through a unit, every sum compared with the exact one.

    replay = replay_layers(verilog, config, operands, find_simulator("verilator"))

The sums expected are computed here, from the operands, in 64-bit integers, and those of the operand file must be the same.
Operands and sums lie in memories of the simulation (`sim.layer_bench`), so that Python does nothing from cycle to cycle. The
outputs of every layer are shared among `jobs` simulations at a time.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import InputError, LayerOperands, MacConfig, Operands, ToolError

from .cocotb_steps import bench_result, run_step
from .memory_files import packed, words
from .operand_sums import checked_sums
from .processes import children_end_with_us
from .runner import SimulationMismatch
from .simulators import VERILATOR_OPTIONS, VERILATOR_TIMING, Simulator

__all__ = ["LayerReplay", "layers_of", "replay_layers"]

_MORE_TIME = "use fewer --tokens, or --simulator verilator"
# -O2 takes a few seconds more to compile and makes runs a third shorter. Nothing but what the bench names is public, or
# Verilator could not optimize.
_VERILATOR = [*VERILATOR_OPTIONS, *VERILATOR_TIMING, "-CFLAGS", "-O2", "--no-public-flat-rw"]


@dataclass(frozen=True)
class LayerReplay:
    """What was replayed and compared, a number for each layer, and how long it took."""

    products: tuple[int, ...]  # of weights and activations, without what fills up the last cycle of a sum
    sums: tuple[int, ...]  # compared, each (token, output)
    cycles: int
    compile_seconds: float
    seconds: float  # from the start of the simulators to the last sum
    jobs: int

    @property
    def macs_per_second(self) -> float:
        """Products in a second of replay, without compilation."""
        return sum(self.products) / self.seconds


def layers_of(operands: Operands, number: int) -> tuple[LayerOperands, ...]:
    """The linear layers of decoder layer `number`: the first number in a layer's name says which it belongs to.

    Raises
    ------
    InputError
        If the operands have none of that number.
    """
    numbers = [next((int(part) for part in layer.name.split(".") if part.isdigit()), -1) for layer in operands.layers]
    found = tuple(layer for layer, its in zip(operands.layers, numbers, strict=True) if its == number)
    if not found:
        there = ", ".join(str(one) for one in sorted(set(numbers) - {-1})) or "none"
        raise InputError(f"--layer {number}: no decoder layer of that number in the operands; there is {there}")
    return found


def replay_layers(
    verilog: str,
    config: MacConfig,
    operands: Operands,
    simulator: Simulator,
    *,
    jobs: int = 0,
    time_limit_s: float = 3600.0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> LayerReplay:
    """Replay all layers of `operands` on `verilog`, the text of module `config.name`.

    Parameters
    ----------
    jobs
        Simulations at a time; 0: one for each core.
    time_limit_s
        Seconds after which the compilation, or a simulation, is given up.
    on_progress
        Called with the number of products done, now and then.

    Raises
    ------
    InputError
        If the unit cannot take the operands.
    SimulationMismatch
        At the first sum that differs from the exact one, or that the operand file states wrongly.
    ToolError
        If the simulator fails, exceeds the time limit, or did not compare all there was.
    """
    checked_sums(operands, config)
    layers = operands.layers
    expected = [_exact(layer, config) for layer in layers]
    jobs = min(jobs or len(os.sched_getaffinity(0)), min(len(layer.weights) for layer in layers))
    with tempfile.TemporaryDirectory(prefix="dint-sim-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        started = time.monotonic()
        _compile(verilog, config, layers, jobs, simulator, directory, time_limit_s)
        compiled = time.monotonic()
        with ThreadPoolExecutor(jobs) as pool:
            parts = list(pool.map(lambda job: _Part(directory, config, layers, expected, job, jobs), range(jobs)))
        written = time.monotonic()
        done, lock = [0] * jobs, threading.Lock()

        def advance(job: int, products: int) -> None:
            with lock:
                done[job] = products
                on_progress(sum(done))

        with ThreadPoolExecutor(jobs) as pool, children_end_with_us():
            runs = [pool.submit(part.run, simulator, time_limit_s, advance) for part in parts]
            counts = np.array([run.result() for run in runs])
        ended = time.monotonic()
    products = tuple(len(layer.activations) * layer.weights.size for layer in layers)
    sums = tuple(int(count) for count in counts.sum(axis=0))
    if sums != tuple(one.size for one in expected):
        raise ToolError(f"{simulator.name}: the bench compared {sums} sums, not all of {tuple(one.size for one in expected)}")
    cycles = sum(one.size * -(-layer.weights.shape[1] // config.lanes) for one, layer in zip(expected, layers, strict=True))
    return LayerReplay(products, sums, cycles, compiled - started, ended - written, jobs)


def _exact(layer: LayerOperands, config: MacConfig) -> NDArray[np.int64]:
    """The sums of a layer, (tokens, outputs); what the operand file states must be the same."""
    expected = layer.expected(config.weight_format)
    if len(wrong := np.argwhere(expected != layer.accumulators)):
        token, output = wrong[0]
        raise SimulationMismatch(
            f"{layer.name}, token {token}, output {output}: the operand file states {layer.accumulators[token, output]}, but "
            f"its operands make {expected[token, output]} in the golden model; the file is wrong"
        )
    return expected


def _rows(layer: LayerOperands, config: MacConfig) -> int:
    """Cycles of a sum."""
    return -(-layer.weights.shape[1] // config.lanes)


def _compile(
    verilog: str,
    config: MacConfig,
    layers: Sequence[LayerOperands],
    jobs: int,
    simulator: Simulator,
    directory: Path,
    time_limit_s: float,
) -> None:
    from .layer_bench import HARNESS, harness  # imports cocotb, which only a simulation needs

    outputs = [-(-len(layer.weights) // jobs) for layer in layers]
    tokens = [len(layer.activations) for layer in layers]
    rows = [_rows(layer, config) for layer in layers]
    text = harness(
        config,
        weight_rows=max(o * r for o, r in zip(outputs, rows, strict=True)),
        activation_rows=max(t * r for t, r in zip(tokens, rows, strict=True)),
        sums=max(o * t for o, t in zip(outputs, tokens, strict=True)),
    )
    sources = [directory / f"{config.name}.v", directory / f"{HARNESS}.v"]
    for source, content in zip(sources, (verilog, text), strict=True):
        source.write_text(content)
    arguments: dict[str, Any] = {
        "sources": [str(source) for source in sources],
        "hdl_toplevel": HARNESS,
        "build_dir": str(directory / "build"),
        "always": True,
        "timescale": ["1ns", "1ns"],
        "build_args": _VERILATOR if simulator.name == "verilator" else [],
    }
    run_step(
        simulator, "build", arguments, directory, what=config.name, time_limit_s=time_limit_s, if_too_long="use fewer --lanes"
    )


class _Part:
    """A share of the outputs of every layer, in a folder of its own."""

    def __init__(
        self,
        directory: Path,
        config: MacConfig,
        layers: Sequence[LayerOperands],
        expected: Sequence[NDArray[np.int64]],
        job: int,
        jobs: int,
    ) -> None:
        self._directory, self._config, self._layers, self._job = directory, config, layers, job
        self._outputs = [np.array_split(np.arange(len(layer.weights)), jobs)[job] for layer in layers]
        self._expected = [sums[:, chosen] for sums, chosen in zip(expected, self._outputs, strict=True)]
        self._folder = directory / f"run-{job}"
        self._folder.mkdir()
        plan = []
        for index, (layer, chosen, sums) in enumerate(zip(layers, self._outputs, self._expected, strict=True)):
            rows = _rows(layer, config)
            plan.append({"rows": rows, "outputs": len(chosen), "tokens": len(sums), "products": layer.weights.shape[1]})
            number_format = config.weight_format
            memories = {
                "weights": _words(layer.weights[chosen], rows, config.lanes, number_format.bits, number_format.zero_code),
                "activations": _words(layer.activations.view(np.uint8), rows, config.lanes, config.activation_bits, 0),
                "expected": words(sums.reshape(-1) & (1 << config.accumulator_bits) - 1),
            }
            for name, content in memories.items():
                (self._folder / f"{index}.{name}.hex").write_bytes(content)
        (self._folder / "plan.json").write_text(json.dumps(plan))

    def run(self, simulator: Simulator, time_limit_s: float, advance: Callable[[int, int], None]) -> list[int]:
        """Number of sums compared in each layer."""
        from .layer_bench import HARNESS

        folder = self._folder
        arguments: dict[str, Any] = {
            "test_module": "sim.layer_bench",
            "hdl_toplevel": HARNESS,
            "hdl_toplevel_lang": "verilog",
            "build_dir": str(self._directory / "build"),
            "test_dir": str(folder),
            "results_xml": str(folder / "results.xml"),
            "extra_env": {"DINT_BENCH": str(folder), "COCOTB_LOG_LEVEL": "WARNING", "COCOTB_REWRITE_ASSERTION_FILES": ""},
            "seed": 0,
            "timescale": ["1ns", "1ns"],
        }

        def poll() -> None:
            with suppress(OSError, ValueError):  # not there yet, or just being written
                advance(self._job, int((folder / "progress").read_text()))

        run_step(
            simulator,
            "test",
            arguments,
            folder,
            what=self._config.name,
            time_limit_s=time_limit_s,
            if_too_long=_MORE_TIME,
            each_poll=poll,
        )
        poll()
        results: list[dict[str, Any]] = bench_result(folder, simulator)
        if results and results[-1]["got"] is not None:
            raise SimulationMismatch(self._mismatch(len(results) - 1, results[-1]))
        if len(results) != len(self._layers):
            raise ToolError(f"{simulator.name}: the bench replayed {len(results)} layers of {len(self._layers)}")
        return [result["compared"] for result in results]

    def _mismatch(self, index: int, result: dict[str, Any]) -> str:
        token, place = divmod(result["compared"], len(self._outputs[index]))
        bits = result["got"]
        got = str(int(bits, 2) - (1 << len(bits) if bits[0] == "1" else 0)) if set(bits) <= {"0", "1"} else bits
        return (
            f"{self._config.name}, {self._layers[index].name}, token {token}, output {self._outputs[index][place]}: the unit "
            f"makes {got}, the exact sum is {self._expected[index][token, place]}"
        )


def _words(codes: NDArray[np.uint8], rows: int, lanes: int, bits: int, fill: int) -> bytes:
    """(n, K) as n x `rows` words of `lanes` operands; the last row of a sum is filled up."""
    filled = np.pad(codes, ((0, 0), (0, rows * lanes - codes.shape[1])), constant_values=fill)
    return words(packed(filled.reshape(-1, lanes), bits))
