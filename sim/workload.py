# SPDX-License-Identifier: Apache-2.0
"""Workloads: operands in the order in which a MAC unit in use meets them, for averages over time such as energy.

A workload has a source, that is which operands, and a dataflow, that is which of them change from cycle to cycle.

Sources:

- `opt`: a sample of all layers of a quantized model, in proportion to their products.
- `opt-fc2`: of its layers called fc2 only, whose activations come out of a ReLU, so that most of them are zero.
- `uniform`: every code and every activation equally likely.

Dataflows:

- `streaming`: a new weight and a new activation in every lane and cycle, as when a sum is worked off along its products.
- `weights-held`: as in a weight-stationary array (in the taxonomy of Chen et al., "Eyeriss", ISCA 2016), the weights of `lanes`
  inputs of one output channel stay for `HELD_CYCLES` cycles while the activations of successive tokens stream past; after the
  last token of the file comes its first. The unit has one accumulator, so the sum runs on over the tokens; in an array every
  token has its own, whose traffic is no part of the unit.

A processing element is always `weights-held`: its own weight stays for `HELD_CYCLES` cycles, those of the next tile are shifted
in meanwhile, and partial sums of the model stream in from the elements above (`sim.column`).

A unit of a block format always streams, whole blocks: runs are as long as those of other units, or a block. From a model come
its codes, scales and selectors; uniform operands have the scales of normally distributed numbers.

Parts of units for asymmetric weights (`golden.asymmetric_parts`) are given what a MAC unit is, and every sum has a zero-point,
each equally likely; a correction is given the sums of one unit, in every cycle.

Places in the model depend on the seed alone: equal seeds give the same places for every format, so that formats can be compared
pairwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden import (
    BlockMacConfig,
    CorrectionConfig,
    InputError,
    LayerOperands,
    MacConfig,
    OffsetConfig,
    Operands,
    PeConfig,
    UnitConfig,
)
from golden.errors import unknown

from . import asymmetric_stimulus, block_stimulus, column
from .operand_sums import checked_sums
from .replay import Replay
from .stimulus import Stimulus, within_depth

__all__ = [
    "DATAFLOWS",
    "HELD_CYCLES",
    "OPT",
    "OPT_FC2",
    "RUN_CYCLES",
    "SOURCES",
    "STREAMING",
    "UNIFORM",
    "WEIGHTS_HELD",
    "dataflows",
    "workload",
]

SOURCES = OPT, OPT_FC2, UNIFORM = "opt", "opt-fc2", "uniform"
DATAFLOWS = STREAMING, WEIGHTS_HELD = "streaming", "weights-held"

RUN_CYCLES = 8  # cycles from one place of the model while streaming
HELD_CYCLES = 64  # cycles for which weights stay


def workload(config: UnitConfig, source: str, dataflow: str, operands: Operands | None, cycles: int, seed: int) -> Replay:
    """A stimulus of `cycles` cycles, all of them valid.

    From a model come short runs from many places, since whole sums are hundreds of cycles of one output channel and one token,
    and a few of them say little about a model. A run begins at a random (layer, token, output) triple and place in the sum;
    layers take part in proportion to their products (systematic sampling). `first` comes where a sum begins in the model: a run
    that begins amid one goes on from the sum that is there, so that the accumulator is as full as it is in use.
    Where weights are held, every run begins a sum.

    Parameters
    ----------
    source, dataflow
        Members of `SOURCES` and `DATAFLOWS`.
    operands
        Operands of the model in the format of `config`; not looked at for `uniform`.

    Raises
    ------
    InputError
        If source or dataflow is unknown, or a model's operands are missing, do not fit the unit (as `Stimulus.from_operands`),
        or have no layer of the source.
    """
    for name, value, known in (("source", source, SOURCES), ("dataflow", dataflow, DATAFLOWS)):
        if value not in known:
            raise unknown(f"{name} is {value!r}", value, known)
    if cycles < 1:
        raise InputError(f"cycles is {cycles}: a workload has at least 1")
    if isinstance(config, OffsetConfig | CorrectionConfig):
        given = workload(config.whole.mac, source, dataflow, operands, cycles, seed)
        assert isinstance(given, Stimulus)
        return asymmetric_stimulus.of_part(config, given, seed)
    if dataflow not in dataflows(config):
        raise InputError(f"dataflow is {dataflow!r}: {config.name} has {' or '.join(dataflows(config))}")
    if source == UNIFORM:
        return _uniform(config, dataflow, cycles, seed)
    if operands is None:
        raise InputError(f"source {source} needs the operands of a model: make them with 'dint operands', or use {UNIFORM}")
    if source == OPT_FC2:
        layers = tuple(layer for layer in operands.layers if layer.name.endswith("fc2"))
        operands = replace(operands, layers=layers)
        if not layers:
            raise InputError(f"source {source}: the operand file has no layer called fc2; use {OPT}")
    return _from_model(config, source, dataflow, operands, cycles, seed)


def dataflows(config: UnitConfig) -> tuple[str, ...]:
    """The dataflows of a unit, the one that is meant if none is named first."""
    if isinstance(config, BlockMacConfig):
        return (STREAMING,)
    return (WEIGHTS_HELD,) if isinstance(config, PeConfig) else DATAFLOWS


def _uniform(config: UnitConfig, dataflow: str, cycles: int, seed: int) -> Replay:
    if isinstance(config, PeConfig):
        random = np.random.default_rng([seed, 2])
        tiles = [column.uniform_tile(config, HELD_CYCLES, random) for _ in range(-(-cycles // HELD_CYCLES) + 1)]
        return column.column(config, tiles, UNIFORM, cycles)
    if isinstance(config, BlockMacConfig):
        return block_stimulus.gaussian(config, cycles, seed)
    assert isinstance(config, MacConfig)
    streaming = Stimulus.uniform(config, cycles, seed)
    if dataflow == STREAMING:
        return streaming
    step = np.arange(cycles)
    first = step % HELD_CYCLES % _longest_sum(config) == 0
    return replace(streaming, weights=streaming.weights[step - step % HELD_CYCLES], first=first)


def _from_model(config: UnitConfig, source: str, dataflow: str, operands: Operands, cycles: int, seed: int) -> Replay:
    products = checked_sums(operands, config) * [layer.weights.shape[1] for layer in operands.layers]
    random = np.random.default_rng([seed, 3])
    length = HELD_CYCLES if dataflow == WEIGHTS_HELD else RUN_CYCLES
    runs = -(-cycles // length)
    marks = (np.arange(runs) + random.random()) / runs
    chosen = random.permutation(np.searchsorted(np.cumsum(products) / products.sum(), marks, side="right"))
    places = []
    for index in chosen:
        layer = operands.layers[min(int(index), len(operands.layers) - 1)]
        token, output = int(random.integers(layer.accumulators.shape[0])), int(random.integers(layer.accumulators.shape[1]))
        places.append((layer, token, output, random.random()))
    if isinstance(config, PeConfig):
        rows = [int(row) for row in random.integers(column.ROWS, size=runs)]
        inputs = [int(place * layer.weights.shape[1]) for layer, _, _, place in places]
        ways = zip(places, inputs, rows, strict=True)
        tiles = [column.tile_of_layer(config, *where[:3], k, row, HELD_CYCLES) for where, k, row in ways]
        # The weights of what would come next, the first again, are shifted in during the last.
        return column.column(config, [*tiles, tiles[0]], source, cycles)
    if isinstance(config, BlockMacConfig):
        return block_stimulus.runs(config, places, length, source, cycles)
    assert isinstance(config, MacConfig)
    pieces = [_run(config, layer, dataflow, length, token, output, place) for layer, token, output, place in places]
    weights, activations, first = (np.concatenate(arrays)[:cycles] for arrays in zip(*pieces, strict=True))
    within_depth(first, _longest_sum(config))
    return Stimulus(weights, activations, first, np.ones(cycles, bool), source)


def _run(
    config: MacConfig, layer: LayerOperands, dataflow: str, length: int, token: int, output: int, place: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    """Weights and activations, (length, lanes), and `first`, (length,), of one run; `place` in [0, 1) says where it begins."""
    weights = _by_cycle(layer.weights, config.lanes, config.weight_format.zero_code)
    activations = _by_cycle(layer.activations, config.lanes, 0)
    whole = weights.shape[1]  # cycles of a complete sum
    step = np.arange(length)
    if dataflow == WEIGHTS_HELD:
        start = int(place * max(1, layer.weights.shape[1] // config.lanes))
        tokens = (token + step) % len(activations)
        return np.repeat(weights[None, output, start], length, axis=0), activations[tokens, start], step == 0
    # A sum that ends within the run is followed by that of the next output channel.
    at = int(place * whole) + step
    return weights[(output + at // whole) % len(weights), at % whole], activations[token, at % whole], at % whole == 0


def _by_cycle(array: NDArray[Any], lanes: int, fill: int) -> NDArray[Any]:
    """(rows, K) as (rows, cycles, lanes), the last cycle filled up."""
    missing = -array.shape[1] % lanes
    return np.pad(array, ((0, 0), (0, missing)), constant_values=fill).reshape(len(array), -1, lanes)


def _longest_sum(config: MacConfig) -> int:
    """Cycles that the accumulator holds without overflow."""
    return config.depth // config.lanes
