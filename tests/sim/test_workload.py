# SPDX-License-Identifier: Apache-2.0
"""Workloads: where their operands come from, which of them change, and what formats have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from golden import DINT4, FORMATS, INT8, InputError, MacConfig, NumberFormat, Operands
from sim import Stimulus
from sim.workload import DATAFLOWS, HELD_CYCLES, OPT, OPT_FC2, RUN_CYCLES, SOURCES, STREAMING, UNIFORM, WEIGHTS_HELD, workload

ALL = [MacConfig(f, lanes=lanes) for f in FORMATS.values() for lanes in (1, 3, 16)]
Make = Callable[..., Operands]


def model(make_operands: Make, number_format: NumberFormat) -> Operands:
    """Two layers with operands of their own: activations of the second, fc2, are 0 or 1."""
    first = make_operands(number_format, outputs=40, products=700, tokens=9).layers[0]
    second = make_operands(number_format, outputs=30, products=210, tokens=9).layers[0]
    second = dataclasses.replace(second, name="model.decoder.layers.0.fc2", activations=second.activations & 1)
    second = dataclasses.replace(second, accumulators=second.expected(number_format))
    return dataclasses.replace(make_operands(number_format), layers=(first, second))


def sums_of_dots(stimulus: Stimulus, config: MacConfig) -> list[int]:
    """The accumulator in every cycle, with no other arithmetic than `dot`: a sum never wraps."""
    starts = np.flatnonzero(stimulus.first)
    return [
        int(config.dot(stimulus.weights[start : t + 1].reshape(-1), stimulus.activations[start : t + 1].reshape(-1)))
        for t in range(stimulus.cycles)
        for start in [starts[starts <= t][-1]]
    ]


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
def test_streaming_runs_come_from_many_places(config: MacConfig, make_operands: Make) -> None:
    operands = make_operands(config.weight_format, outputs=40, products=700, tokens=9)
    stimulus = workload(config, OPT, STREAMING, operands, cycles=640, seed=2)
    assert stimulus.cycles == 640
    assert stimulus.valid.all()
    assert stimulus.expected(config).tolist() == sums_of_dots(stimulus, config)
    layer, places = operands.layers[0], set()
    for start in range(0, 640, RUN_CYCLES):
        codes = stimulus.weights[start : start + RUN_CYCLES].reshape(-1)[: config.lanes * 2].tolist()
        found = {
            (output, place)
            for output, row in enumerate(layer.weights.tolist())
            for place in range(0, 700 - len(codes) + 1, config.lanes)
            if row[place : place + len(codes)] == codes
        }
        places |= found
        if config.lanes > 1:  # else the same two codes occur in many places
            assert not stimulus.first[start] or start == 0 or {place for _, place in found} == {0}
    assert len({output for output, _ in places}) > 15
    assert len({place for _, place in places}) > 5


def test_sums_follow_each_other(make_operands: Make) -> None:
    """Where a sum of 10 cycles ends within a run, the next output channel follows, with the same token."""
    config = MacConfig(DINT4, lanes=16)
    operands = make_operands(DINT4, outputs=40, products=160, tokens=9)
    weights, activations = (array.reshape(-1, 10, 16) for array in (operands.layers[0].weights, operands.layers[0].activations))
    cycles = 200 * RUN_CYCLES
    stimulus = workload(config, OPT, STREAMING, operands, cycles, seed=0)
    assert stimulus.first[0]
    starts = np.flatnonzero(stimulus.first)[1:]
    assert len(starts) == pytest.approx(cycles / 10, rel=0.1)  # as often as a sum begins in the model
    met = [start for start in starts if start % RUN_CYCLES]
    assert met
    for start in met:
        (output,) = np.flatnonzero((weights[:, 0] == stimulus.weights[start]).all(axis=1))
        (token,) = np.flatnonzero((activations[:, 0] == stimulus.activations[start]).all(axis=1))
        assert (stimulus.weights[start - 1] == weights[output - 1, 9]).all()
        assert (stimulus.activations[start - 1] == activations[token, 9]).all()


@pytest.mark.parametrize("config", ALL, ids=lambda c: c.name)
def test_held_weights_meet_one_token_after_the_other(config: MacConfig, make_operands: Make) -> None:
    operands = make_operands(config.weight_format, outputs=40, products=700, tokens=9)
    stimulus = workload(config, OPT, WEIGHTS_HELD, operands, cycles=10 * HELD_CYCLES, seed=4)
    layer, lanes = operands.layers[0], config.lanes
    assert np.flatnonzero(stimulus.first).tolist() == list(range(0, 10 * HELD_CYCLES, HELD_CYCLES))
    assert stimulus.expected(config).tolist() == sums_of_dots(stimulus, config)
    for start in np.flatnonzero(stimulus.first):
        weights, activations = (array[start : start + HELD_CYCLES] for array in (stimulus.weights, stimulus.activations))
        assert (weights == weights[0]).all()
        # The same inputs of one output channel, and the tokens in order, the first after the last.
        found = [
            (place, token)
            for place in range(0, 700 // lanes * lanes, lanes)
            for token in range(9)
            if (activations == layer.activations[(token + np.arange(HELD_CYCLES)) % 9, place : place + lanes]).all()
        ]
        assert any((layer.weights[:, place : place + lanes] == weights[0]).all(axis=1).any() for place, _ in found)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("source", SOURCES)
def test_all_formats_meet_the_same_activations(source: str, dataflow: str, make_operands: Make) -> None:
    """And weights from the same places, which change at the same times."""
    drawn = [
        workload(MacConfig(f, lanes=4), source, dataflow, model(make_operands, f), cycles=200, seed=5) for f in (INT8, DINT4)
    ]
    assert np.array_equal(drawn[0].activations, drawn[1].activations)
    assert np.array_equal(drawn[0].first, drawn[1].first)
    assert not np.array_equal(drawn[0].activations[:64], drawn[0].activations[64:128])
    other = workload(MacConfig(DINT4, lanes=4), source, dataflow, model(make_operands, DINT4), cycles=200, seed=6)
    assert other.sha256 != drawn[1].sha256
    assert {stimulus.source for stimulus in drawn} == {source}


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_fc2_alone(dataflow: str, make_operands: Make) -> None:
    stimulus = workload(MacConfig(DINT4, lanes=4), OPT_FC2, dataflow, model(make_operands, DINT4), cycles=300, seed=0)
    assert set(stimulus.activations.flat) == {0, 1}
    assert stimulus.cycles == 300


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_layers_take_part_by_their_products(dataflow: str, make_operands: Make) -> None:
    small, large = (make_operands(DINT4, products=products).layers[0] for products in (100, 300))
    large = dataclasses.replace(large, activations=np.full_like(large.activations, 99))
    large = dataclasses.replace(large, accumulators=large.expected(DINT4))
    operands = dataclasses.replace(make_operands(DINT4), layers=(small, large))
    stimulus = workload(MacConfig(DINT4), OPT, dataflow, operands, cycles=HELD_CYCLES * 100, seed=0)
    assert np.mean(stimulus.activations == 99) == pytest.approx(0.75, abs=0.01)


def test_uniform_weights_may_be_held() -> None:
    config = MacConfig(DINT4, lanes=3)
    held = workload(config, UNIFORM, WEIGHTS_HELD, None, cycles=20 * HELD_CYCLES, seed=1)
    streaming = workload(config, UNIFORM, STREAMING, None, cycles=20 * HELD_CYCLES, seed=1)
    assert np.array_equal(held.activations, streaming.activations)
    changes = np.flatnonzero((np.diff(held.weights.astype(int), axis=0) != 0).any(axis=1)) + 1
    assert set(changes) == set(range(HELD_CYCLES, 20 * HELD_CYCLES, HELD_CYCLES))
    assert streaming.sha256 == Stimulus.uniform(config, 20 * HELD_CYCLES, 1).sha256


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_sums_stay_within_the_depth(source: str, dataflow: str, make_operands: Make) -> None:
    config = MacConfig(DINT4, lanes=16, depth=705)
    stimulus = workload(config, source, dataflow, model(make_operands, DINT4), cycles=300, seed=0)
    assert np.diff([*np.flatnonzero(stimulus.first), 300]).max() * 16 <= 705
    assert stimulus.expected(config).tolist() == sums_of_dots(stimulus, config)


def test_refusals(make_operands: Make) -> None:
    config, operands = MacConfig(DINT4), make_operands(DINT4)
    with pytest.raises(InputError, match="source is 'bert': known are opt, opt-fc2, uniform"):
        workload(config, "bert", STREAMING, operands, 10, 0)
    with pytest.raises(InputError, match="dataflow is 'held': known are streaming, weights-held"):
        workload(config, OPT, "held", operands, 10, 0)
    with pytest.raises(InputError, match="cycles is 0"):
        workload(config, OPT, STREAMING, operands, 0, 0)
    with pytest.raises(InputError, match="source opt needs the operands of a model"):
        workload(config, OPT, STREAMING, None, 10, 0)
    with pytest.raises(InputError, match="the operand file has no layer called fc2; use opt"):
        workload(config, OPT_FC2, STREAMING, operands, 10, 0)
    with pytest.raises(InputError, match="the operands are dint4, the unit takes int8"):
        workload(MacConfig(INT8), OPT, STREAMING, operands, 10, 0)
