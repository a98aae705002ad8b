# SPDX-License-Identifier: Apache-2.0
"""Operand files of block formats: what was saved comes back, sums are those of the codes, and contradictions are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import (
    CODEBOOK_FORMATS,
    GROUP_FORMATS,
    MXFP4,
    NVFP4,
    BlockFormat,
    BlockMacConfig,
    InputError,
    LayerOperands,
    OperandError,
    Operands,
)

from .block_operands import block_operands

CLUSTERED = CODEBOOK_FORMATS["lobcq_c2_g16"]
UNITS = [(one, bits) for one in (MXFP4, NVFP4, GROUP_FORMATS["dint4_g32"], CLUSTERED) for bits in (8, 4)]
EVERY = pytest.mark.parametrize(("blocks", "bits"), UNITS, ids=lambda one: getattr(one, "name", one))


def saved(given: Operands, path: Path, **changes: Any) -> Operands:
    """Of one layer, some of its arrays changed: written and read again."""
    replace(given, layers=(replace(given.layers[0], **changes),)).save(path / "o.npz")
    return Operands.load(path / "o.npz")


def value_of(blocks: BlockFormat, codes: Any, scales: Any, selectors: Any, place: int) -> Fraction:
    """A number in units of the elements' last place, by its definition: a codeword times a scale."""
    book = blocks.elements[0 if selectors is None else selectors[place // blocks.selector_block]]  # type: ignore[operator]
    scale = Fraction(float(blocks.scales.decode(scales[place // blocks.block : place // blocks.block + 1])[0]))
    return book.values[codes[place]] * scale


@EVERY
def test_what_was_saved_comes_back(blocks: BlockFormat, bits: int, tmp_path: Path) -> None:
    given = block_operands(blocks, bits)
    found = saved(given, tmp_path)
    assert found.block_format is blocks
    assert found.activation_format is (blocks if bits == 4 else None)
    assert found.number_format is blocks.elements[0]
    assert found.format_name == BlockMacConfig.of(blocks, bits).format_name
    for name in (field.name for field in fields(LayerOperands) if field.name != "name"):
        one, other = (getattr(operands.layers[0], name) for operands in (given, found))
        assert (one is None and other is None) or (one.dtype == other.dtype and np.array_equal(one, other)), name
    with np.load(tmp_path / "o.npz") as archive:
        manifest = json.loads(archive["manifest"].tobytes())
    assert (manifest["version"], manifest["format"]) == (2, blocks.name)
    assert manifest["activations"] == (blocks.name if bits == 4 else "int8")


@EVERY
def test_sums_are_those_of_values_times_scales(blocks: BlockFormat, bits: int, tmp_path: Path) -> None:
    found = saved(block_operands(blocks, bits), tmp_path)
    (layer,) = found.layers
    assert np.array_equal(found.expected(layer), layer.accumulators)
    assert layer.exponents is not None
    assert layer.block_scales is not None
    least = Fraction(2) ** (blocks.scales.least_exponent * (2 if bits == 4 else 1))
    for token, output in ((0, 0), (2, 4), (1, 3)):
        total = Fraction(0)
        for place in range(layer.weights.shape[1]):
            chosen = None if layer.selectors is None else layer.selectors[output]
            weight = value_of(blocks, layer.weights[output], layer.block_scales[output], chosen, place)
            right = Fraction(int(layer.activations[token, place]))
            if layer.activation_block_scales is not None:
                chosen = None if layer.activation_selectors is None else layer.activation_selectors[token]
                codes = layer.activations[token].view(np.uint8)
                right = value_of(blocks, codes, layer.activation_block_scales[token], chosen, place)
            total += weight * right
        stated = int(layer.accumulators[token, output]) * Fraction(2) ** int(layer.exponents[token, output])
        assert total == stated * least


@EVERY
def test_codes_leave_the_scales_of_tensors_out(blocks: BlockFormat, bits: int) -> None:
    given = block_operands(blocks, bits)
    for coded in given.coded(given.layers[0])[: 2 if bits == 4 else 1]:
        assert not isinstance(coded, np.ndarray)
        assert coded.format is blocks
        assert (coded.tensor_scales is None) != blocks.tensor_scale
        assert coded.tensor_scales is None or coded.tensor_scales == 1


@pytest.mark.parametrize("name", ["block_scales", "activation_block_scales"])
@pytest.mark.parametrize("blocks", [MXFP4, NVFP4], ids=lambda one: one.name)
def test_a_scale_that_is_nan_is_refused(blocks: BlockFormat, name: str, tmp_path: Path) -> None:
    given = block_operands(blocks, 4)
    scales = getattr(given.layers[0], name).copy()
    scales[1, 2] = blocks.scales.nan_code
    with pytest.raises(OperandError, match=rf"o\.npz: fc1\.{name} contains NaN: there is no sum to expect; check the model"):
        saved(given, tmp_path, **{name: scales})


@pytest.mark.parametrize(
    ("unit", "change", "message"),
    [
        ((NVFP4, 8), {"block_scales": None}, "fc1 has no block_scales"),
        ((NVFP4, 8), {"exponents": None}, "fc1 has no exponents"),
        ((NVFP4, 8), {"activation_block_scales": np.zeros((3, 4), np.uint8)}, "fc1 has activation_block_scales"),
        ((NVFP4, 4), {"activation_block_scales": None}, "fc1 has no activation_block_scales"),
        ((NVFP4, 8), {"block_scales": np.zeros((5, 3), np.uint8)}, r"fc1: scales of NVFP4 have shape \(5, 3\)"),
        ((NVFP4, 8), {"block_scales": np.full((5, 4), 128, np.uint8)}, "fc1: scale code 128 is none of E4M3"),
        ((NVFP4, 8), {"weights": np.full((5, 64), 16, np.uint8)}, "fc1: code 16 is not one of fp4_e2m1"),
        ((NVFP4, 4), {"activations": np.full((3, 64), 16, np.int8)}, "fc1: code 16 is not one of fp4_e2m1"),
        ((NVFP4, 8), {"exponents": np.zeros((5, 3), np.int64)}, r"fc1.exponents has shape \(5, 3\)"),
        ((NVFP4, 8), {"zero_points": np.zeros(5, np.int64)}, "fc1 has arrays that are none of a block format"),
        ((NVFP4, 8), {"activation_selectors": np.zeros((3, 8), np.uint8)}, "fc1 has arrays that are none of a block format"),
        ((CLUSTERED, 8), {"selectors": None}, "fc1: selectors of .* are missing"),
        ((CLUSTERED, 4), {"activation_selectors": None}, "fc1: selectors of .* are missing"),
        ((CLUSTERED, 8), {"selectors": np.full((5, 8), 2, np.uint8)}, "fc1: selector 2 is none of"),
        ((NVFP4, 8), {"accumulators": np.zeros((3, 5), np.int64)}, r"fc1, token 0, output 0: the file states a sum of 0 x 2\^"),
        (
            (NVFP4, 4),
            {"exponents": np.full((3, 5), 77)},
            r"the file states a sum of (-?\d+) x 2\^77, its operands make \1 x 2\^\d",
        ),
    ],
)
def test_files_that_contradict_themselves(unit: Any, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        saved(block_operands(*unit), tmp_path, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(version=1), "version 1 of the file format has none of NVFP4"),
        (lambda manifest: manifest.update(format="int4"), "version 2 of the file format has none of INT4"),
        (lambda manifest: manifest.update(activations=8), "version 2 of the file format has none of NVFP4"),
        (lambda manifest: manifest.update(activations="nvfp44"), "unknown block format 'nvfp44'"),
        (lambda manifest: manifest.update(activations="nvfp4"), "fc1 has no activation_block_scales"),
        (lambda manifest: manifest["values"].reverse(), "code table for nvfp4 is not the catalogue's"),
    ],
)
def test_manifests_that_are_wrong(change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path) -> None:
    block_operands(NVFP4, 8).save(tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as archive:
        arrays = dict(archive)
    change(manifest := json.loads(arrays["manifest"].tobytes()))
    arrays["manifest"] = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    np.savez(tmp_path / "o.npz", **arrays)
    with pytest.raises(InputError, match=message):
        Operands.load(tmp_path / "o.npz")
