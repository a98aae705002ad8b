# SPDX-License-Identifier: Apache-2.0
"""What a stimulus has all of is counted: a product, a scale or a base that is not there, or shows nothing, is missed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import block_stimuli, exhaustive, verification
from golden import CODEBOOK_FORMATS, DINT3, MXFP4, NVFP4, AsymmetricConfig, BlockFormat, BlockMacConfig, MacConfig, ToolError
from sim import Stimulus, asymmetric_stimulus, find_simulator


def test_products_that_do_not_take_part_are_missed() -> None:
    config = MacConfig(DINT3)
    whole = Stimulus.products(config, 0)
    assert exhaustive.every_product(config, whole) == 8 * 256
    last = np.arange(whole.cycles) == whole.cycles - 1
    for spoilt in (replace(whole, valid=~last), replace(whole, reset=last)):
        with pytest.raises(ToolError, match="has 2047 different products of 2048"):
            exhaustive.every_product(config, spoilt)


@pytest.mark.parametrize("block_format", [NVFP4, MXFP4], ids=lambda one: one.name)
def test_products_of_blocks_that_show_nothing_are_missed(block_format: BlockFormat) -> None:
    """They neither begin nor end a block, or it is scaled by nothing, or out of reach."""
    config = BlockMacConfig.of(block_format)
    whole = block_stimuli.products(config, 0)
    assert exhaustive.every_product(config, whole) == 16 * 256
    spoilt = [("first", 0), ("last", 0), ("valid", 0), ("rst", 1), ("scale", block_format.scales.nan_code)]
    spoilt.append(("base", 255) if config.base_bits else ("scale", 0))
    for name, value in spoilt:
        column = whole.inputs[name].copy()
        column[-1] = value
        with pytest.raises(ToolError, match="has 4095 different products of 4096"):
            exhaustive.every_product(config, replace(whole, columns={**whole.inputs, name: column}))


@pytest.mark.parametrize(("bits", "lanes"), [(8, 2), (4, 16)])
def test_products_of_words_that_are_written(bits: int, lanes: int) -> None:
    config = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], bits, lanes=lanes, writable_codebooks=True)
    whole = verification._stimuli(config, find_simulator("verilator"))[0]
    products = lanes * 63 * (256 if bits == 8 else 63)
    assert exhaustive.every_product(config, whole) == products
    words = whole.inputs["codebook_word"].copy()
    words[words == 17] = 16
    with pytest.raises(ToolError, match=f"different products of {products}"):
        exhaustive.every_product(config, replace(whole, columns={**whole.inputs, "codebook_word": words}))


def test_a_product_that_is_not_read_is_missed() -> None:
    config = AsymmetricConfig(DINT3, units=2)
    whole = asymmetric_stimulus.products(config, 0)
    wanted = 2 * 8 * 256 * 6
    assert exhaustive.every_product(config, whole) == wanted
    read = np.concatenate([whole.inputs["read_unit"][:-1], 1 - whole.inputs["read_unit"][-1:]])
    last_unread = replace(whole, columns={**whole.inputs, "read_unit": read})
    with pytest.raises(ToolError, match=f"has {wanted - 1} different products of {wanted}"):
        exhaustive.every_product(config, last_unread)


def test_a_scale_that_is_not_there_is_missed() -> None:
    config = BlockMacConfig.of(NVFP4, 4)
    whole = block_stimuli.scales(config, 0)
    assert exhaustive.every_scale(config, whole) == 1 << 14
    for port in ("scale", "last", "valid"):  # another code, or one that no block ends with
        column = whole.inputs[port].copy()
        column[-1] = 0
        with pytest.raises(ToolError, match="mac_nvfp4_a4_x1: the stimulus has 16383 different scales of 16384"):
            exhaustive.every_scale(config, replace(whole, columns={**whole.inputs, port: column}))


@pytest.mark.parametrize("bits", [8, 4])
def test_every_selector(bits: int) -> None:
    """Two codebooks, two selectors in a cycle."""
    config = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], bits, lanes=16)
    whole = block_stimuli.products(config, 0)
    products = 16 * (32 * 256 if bits == 8 else 32 * 32)
    assert exhaustive.every_product(config, whole) == products
    shown = config.respond({name: np.pad(column, ((0, 1), (0, 0))) for name, column in whole.inputs.items()})["accumulator"]
    assert len(np.unique(shown)) > 100
    selectors = whole.inputs["selectors"].copy()
    selectors[-1, 1] ^= 1  # of the lanes from 8 on
    with pytest.raises(ToolError, match=f"has {products - 8} different products of {products}"):
        exhaustive.every_product(config, replace(whole, columns={**whole.inputs, "selectors": selectors}))


def test_blocks_of_zero_show_no_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sum that is scaled is zero, unless its scale is; one that were would not count."""
    for config in (BlockMacConfig.of(NVFP4, 4), BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 4, lanes=4)):
        whole = block_stimuli.scales(config, 0)
        late = {name: np.pad(column, ((0, 1), (0, 0))) for name, column in whole.inputs.items()}
        shown = config.respond(late)["accumulator"][1:, 0]
        significands, _, reached = config.scaling(
            np.concatenate([whole.inputs[name] for name in config.scale_ports], axis=1), 0
        )
        assert np.array_equal(shown != 0, reached & (significands != 0))
        monkeypatch.setattr(block_stimuli, "_block_sums", lambda _, weights, *__: np.ones(len(weights)))
        with pytest.raises(ToolError, match=r"the stimulus has \d+ different scales of 16384"):
            exhaustive.every_scale(config, block_stimuli.scales(config, 0))
        monkeypatch.undo()


def test_a_base_that_is_not_there_is_missed() -> None:
    config = BlockMacConfig.of(MXFP4)
    whole = block_stimuli.scales(config, 0)
    assert exhaustive.every_scale(config, whole) == 256 * 256
    base = whole.inputs["base"].copy()
    base[-1] = 0
    with pytest.raises(ToolError, match="mac_mxfp4_x1: the stimulus has 65535 different scales of 65536"):
        exhaustive.every_scale(config, replace(whole, columns={**whole.inputs, "base": base}))
