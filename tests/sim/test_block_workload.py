# SPDX-License-Identifier: Apache-2.0
"""Operands of block formats for energy: real codes with real scales, or uniform ones with plausible scales."""

from __future__ import annotations

import numpy as np
import pytest

from golden import (
    MXFP4,
    NVFP4,
    BlockFormat,
    BlockMacConfig,
    InputError,
    Operands,
)
from sim import block_stimulus
from sim.workload import OPT, STREAMING, UNIFORM, WEIGHTS_HELD, workload
from tests.golden.block_operands import block_operands

UNITS = [(one, bits) for one in (MXFP4, NVFP4) for bits in (8, 4)]
EVERY = pytest.mark.parametrize(("blocks", "bits"), UNITS, ids=lambda one: getattr(one, "name", one))


@EVERY
def test_whole_sums_are_what_the_file_states(blocks: BlockFormat, bits: int, tmp_path) -> None:
    block_operands(blocks, bits).save(tmp_path / "o.npz")
    config = BlockMacConfig.of(blocks, bits, lanes=8)
    stimulus = block_stimulus.from_operands(Operands.load(tmp_path / "o.npz"), config, 200, 0)
    rows = stimulus.rows(config)
    shown = rows.outputs["accumulator"][config.latency_cycles - 1 :, 0]
    assert stimulus.completed.sum() == 200 // (4 * blocks.block // 8)
    assert shown[stimulus.completed].tolist() == stimulus.stated[stimulus.completed].tolist()
    assert rows.outputs["exact"].all()
    assert len(set(stimulus.stated.tolist())) > 5


def test_scales_too_far_apart_for_one_base() -> None:
    """The largest blocks are in reach, nothing is stated, and the unit says that something was left out."""
    given = block_operands(MXFP4, 8, spread=8.0)
    config = BlockMacConfig.of(MXFP4, 8, lanes=8, span=4)
    stimulus = block_stimulus.from_operands(given, config, 200, 0)
    outputs = stimulus.rows(config).outputs
    assert stimulus.completed.sum() < 12
    assert set(outputs["exact"][:, 0]) == {0, 1}
    assert np.abs(outputs["accumulator"]).max() > 0


@EVERY
def test_runs_are_whole_blocks_of_the_model(blocks: BlockFormat, bits: int) -> None:
    given = block_operands(blocks, bits)
    config = BlockMacConfig.of(blocks, bits, lanes=8)
    stimulus = workload(config, OPT, STREAMING, given, 96, 5)
    inputs, layer = stimulus.inputs, given.layers[0]
    assert stimulus.macs == 96 * 8
    per_block = blocks.block // 8
    known = {row.tobytes() for row in layer.weights.reshape(-1, blocks.block)}
    for start in range(0, 96, per_block):
        assert inputs["weights"][start : start + per_block].astype(np.uint8).tobytes() in known
        assert inputs["last"][start : start + per_block, 0].tolist() == [0] * (per_block - 1) + [1]
    assert config.respond(inputs)["exact"].all()
    if config.base_bits:  # it is the same as long as a sum lasts
        changes = np.flatnonzero(np.diff(inputs["base"][:, 0])) + 1
        assert inputs["first"][changes].all()


@EVERY
def test_uniform_operands_have_plausible_scales(blocks: BlockFormat, bits: int) -> None:
    config = BlockMacConfig.of(blocks, bits, lanes=8)
    stimulus = workload(config, UNIFORM, STREAMING, None, 400, 5)
    inputs = stimulus.inputs
    assert config.respond(inputs)["exact"].all()
    assert set(inputs["weights"].flat) == set(range(16))
    values = blocks.scales.decode(inputs["scale"][:, 0])
    assert len(set(values)) > 1
    assert values.max() < 16 * values.min()


@pytest.mark.parametrize(
    ("unit", "change", "message"),
    [
        ((NVFP4, 4), {}, "the operands are nvfp4, the unit takes nvfp4_a4: use --format nvfp4, or export operands of nvfp4_a4"),
        ((MXFP4, 8), {}, "the operands are nvfp4, the unit takes mxfp4"),
        ((NVFP4, 8), {"depth": 32}, "fc1 has sums of 64 products, mac_nvfp4_x8_d32 holds 32"),
    ],
)
def test_operands_of_another_unit_are_refused(unit, change, message: str) -> None:
    config = BlockMacConfig.of(*unit, lanes=8).varied(**change)
    with pytest.raises(InputError, match=message):
        block_stimulus.from_operands(block_operands(NVFP4, 8), config, 10, 0)


def test_weights_are_never_held() -> None:
    with pytest.raises(InputError, match="dataflow is 'weights-held': mac_nvfp4_x8 has streaming"):
        workload(BlockMacConfig.of(NVFP4, lanes=8), UNIFORM, WEIGHTS_HELD, None, 10, 0)
