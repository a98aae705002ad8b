# SPDX-License-Identifier: Apache-2.0
"""LO-BCQ: the fit of codebooks against the literature and a restatement, and models quantized with frozen codebooks."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
import torch

from golden import CODEBOOK_FORMATS
from golden.errors import InputError
from quant.blocks import quantize_blocks
from quant.codebooks import in_steps, sampled_blocks
from quant.huggingface import load_quantized
from quant.lobcq import fit_codebooks, lloyd_max, rounded_codewords, squared_errors
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe

from .conftest import save


def some_blocks(count: int = 400) -> np.ndarray:
    """Gaussian, uniform and one-sided blocks, arrays scaled to 31."""
    rng = np.random.default_rng(5)
    kinds = [rng.standard_normal((count, 64)), rng.uniform(-1, 1, (count, 64)), rng.exponential(1, (count, 64))]
    arrays = np.concatenate(kinds)
    return (31 * arrays / np.abs(arrays).max(axis=1, keepdims=True)).reshape(-1, 8)[::5]


@pytest.mark.parametrize(
    ("levels", "error", "largest"),
    [(2, 0.3634, 0.7980), (4, 0.1175, 1.510), (8, 0.03454, 2.152), (16, 0.009497, 2.733)],
)
def test_lloyd_max_on_gaussian_numbers(levels: int, error: float, largest: float) -> None:
    """The optimum of Max, "Quantizing for minimum distortion" (IRE Transactions on Information Theory, 1960), table I."""
    count = 1 << 16
    normal = NormalDist()
    scalars = np.array([normal.inv_cdf((index + 0.5) / count) for index in range(count)])
    codewords = lloyd_max(scalars, np.quantile(scalars, (np.arange(levels) + 0.5) / levels))
    assert squared_errors(scalars[:, None], codewords).mean() == pytest.approx(error, rel=2e-3)
    assert codewords[-1] == pytest.approx(largest, rel=5e-3)
    assert codewords == pytest.approx(-codewords[::-1], abs=1e-3)


def test_lloyd_max_is_the_restatement() -> None:
    """Nearest codeword, mean of what is nearest, until nothing moves; and never a larger error than before."""
    scalars = np.sort(np.random.default_rng(2).exponential(3, 300))
    start = np.linspace(0, 12, 16)
    codewords = start.copy()
    for _ in range(500):
        nearest = np.abs(scalars[:, None] - codewords).argmin(axis=1)
        if (np.bincount(nearest, minlength=16) == 0).any():
            break
        codewords = np.array([scalars[nearest == index].mean() for index in range(16)])
    else:
        assert lloyd_max(scalars, start, 0.0) == pytest.approx(codewords, rel=1e-9)
    found = lloyd_max(scalars, start, 0.0)
    assert squared_errors(scalars[None], found)[0] <= squared_errors(scalars[None], start)[0]
    nearest = np.abs(scalars[:, None] - found).argmin(axis=1)
    assert found == pytest.approx([scalars[nearest == index].mean() for index in range(16)], rel=1e-9)


def test_codewords_without_scalars_are_moved() -> None:
    scalars = np.repeat(np.arange(16.0), 5)
    assert lloyd_max(scalars, np.full(16, 3.0)).tolist() == list(range(16))
    few = lloyd_max(np.array([1.0, 1.0, 4.0]), np.zeros(16))
    assert set(few.tolist()) >= {1.0, 4.0}


@pytest.mark.parametrize("count", [2, 8])
def test_the_error_never_rises(count: int) -> None:
    """After every choice and after every fit; the codebooks it ends with are those of a restated last iteration."""
    blocks = some_blocks()
    fit = fit_codebooks(blocks, count, seed=1)
    assert fit.converged
    assert len(fit.errors) >= 5
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(fit.errors))
    assert fit.errors[-1] < 0.97 * fit.errors[0]
    assert fit.errors[-1] <= fit.rounded_error < 1.1 * fit.errors[-1]
    assert fit == fit_codebooks(blocks, count, seed=1)
    assert len(fit.codebooks) == count
    tables = np.array(fit.codebooks, dtype=np.float64)
    errors = np.square(blocks[:, None, :, None] - tables[None, :, None, :]).min(axis=3).sum(axis=2)
    assert fit.rounded_error == pytest.approx(errors.min(axis=1).sum() / blocks.size)
    assert (np.bincount(errors.argmin(axis=1), minlength=count) > 0).all()


def test_more_codebooks_err_less() -> None:
    """And all less than the one codebook that is the best for all blocks."""
    blocks = some_blocks()
    scalars = np.sort(blocks, axis=None)
    single = lloyd_max(scalars, np.quantile(scalars, (np.arange(16) + 0.5) / 16))
    errors = [squared_errors(blocks, single).sum() / blocks.size]
    errors += [fit_codebooks(blocks, count).errors[-1] for count in (2, 4, 16)]
    assert all(more < 0.95 * fewer for fewer, more in pairwise(errors))


def test_codebooks_that_no_block_chooses_are_fitted_anew() -> None:
    """Few different blocks: some codebooks are chosen by none, which is reported; no error is left."""
    blocks = np.repeat(np.array([[1.0, -1.0] * 4, [20.0, -5.0] * 4, [7.0, 8.0] * 4]), 4, axis=0)
    fit = fit_codebooks(blocks, 8)
    assert len([number for iteration, number in fit.reseeded if iteration == 0]) == 5  # of 8 clusters of three blocks
    assert all(0 <= number < 8 for _, number in fit.reseeded)
    assert fit.rounded_error == fit.errors[-1] == 0
    assert sum(fit.coinciding) > 0
    for codebook in fit.codebooks:
        assert len(set(codebook)) == 16


def test_equal_codewords_are_put_where_they_help() -> None:
    codewords = np.array([0.1, 0.2, 5.0, 9.0])
    scalars = np.sort(np.array([0.0] * 10 + [5.0] * 10 + [9.0] * 3 + [-20.0] * 2))
    assert rounded_codewords(codewords, scalars) == ((-20, 0, 5, 9), 1)
    assert rounded_codewords(np.array([-40.0, 0.4, 0.6, 33.0]), np.array([0.0])) == ((-31, 0, 1, 31), 0)
    integers, coinciding = rounded_codewords(np.zeros(16), np.zeros(0))
    assert (len(set(integers)), coinciding) == (16, 15)
    assert max(map(abs, integers)) <= 8


@pytest.mark.parametrize(
    ("blocks", "count", "message"),
    [
        (np.ones((4, 8)), 1, r"codebooks is 1: LO-BCQ has 2 to 16"),
        (np.ones((4, 8)), 17, r"codebooks is 17: LO-BCQ has 2 to 16"),
        (np.ones((0, 8)), 2, r"blocks have shape \(0, 8\): \(blocks, scalars of each\) is needed"),
        (np.array([[1.0, np.nan]]), 2, r"blocks contain NaN or infinite values"),
        (np.array([[1.0, np.inf]]), 2, r"blocks contain NaN or infinite values"),
    ],
)
def test_what_cannot_be_fitted(blocks: np.ndarray, count: int, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        fit_codebooks(blocks, count)


def test_steps_are_those_of_the_format() -> None:
    """What the frozen format rounds: an error in steps times the scales is the format's own error."""
    one = CODEBOOK_FORMATS["lobcq_c8_g32"]
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((6, 64)) * np.exp(2 * rng.standard_normal((6, 1)))).astype(np.float32)
    x[2, :32] = 0
    for by_row in (False, True):
        coded = one.quantize(x, by_row)
        steps = in_steps(x, 32, by_row)
        factors = np.repeat(one.scales.decode(coded.scales) * np.float64(coded.tensor_scales), 32, axis=1)
        assert np.allclose(steps * factors, x, rtol=1e-12)
        errors = squared_errors(steps.reshape(-1, 8), np.array(one.elements[0].values, dtype=np.float64))
        chosen = np.square(one.values(coded) - steps).reshape(-1, 8).sum(axis=1)
        assert (chosen <= errors + 1e-9).all()
    assert np.abs(in_steps(x, 32, True)).max() < 33


def test_blocks_are_of_weights_and_of_inputs(tiny: LoadedModel, windows: torch.Tensor) -> None:
    blocks = sampled_blocks(tiny, windows[:1], 32, count=960)
    assert blocks.shape == (960, 8)
    assert np.array_equal(blocks, sampled_blocks(tiny, windows[:1], 32, count=960))
    assert not np.array_equal(blocks, sampled_blocks(tiny, windows[:1], 32, count=960, seed=1))
    fc2_inputs = blocks[-960 // 16 :]  # behind a ReLU
    assert (fc2_inputs >= 0).all()
    assert np.abs(blocks).max() < 33


@pytest.mark.parametrize("name", ["lobcq_c2_g16", "lobcq_c16_g128"])
def test_torch_is_golden(name: str) -> None:
    """Bit for bit, ties and zeros among the numbers."""
    one = CODEBOOK_FORMATS[name]
    generator = torch.Generator().manual_seed(6)
    for x in (
        torch.randn(5, 256, generator=generator) * torch.exp(torch.randn(5, 1, generator=generator)),
        torch.randint(-31, 32, (5, 256), generator=generator) / 2.0,
        torch.zeros(2, 256),
    ):
        for by_row in (False, True):
            expected, found = one.quantize(x.numpy(), by_row), quantize_blocks(x, one, by_row)
            assert found.selectors is not None
            assert np.array_equal(found.codes, expected.codes)
            assert np.array_equal(found.selectors, expected.selectors)
            assert np.array_equal(found.scales, expected.scales)


@pytest.mark.parametrize("activations", ["fp32", "int8", "lobcq_c8_g32"])
@pytest.mark.parametrize("family", ["tiny", "llama"])
def test_frozen_codebooks_on_any_model(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, family: str, activations: str
) -> None:
    """W4A16, W4A8 and W4A4, loaded bit for bit as measured; other codebooks than those it was written with are refused."""
    loaded: LoadedModel = request.getfixturevalue(family)
    recipe = Recipe("lobcq_c8_g32", activations=activations)
    quantized = quantize_model(loaded, recipe, windows)
    directory = save(quantized, loaded, tmp_path / "out")
    model, config = load_quantized(directory)
    with torch.no_grad():
        logits = model(input_ids=windows[:2]).logits
        assert torch.equal(logits, quantized.model(input_ids=windows[:2]).logits)
    for name, layer in quantized.layers().items():
        weight = loaded.model.get_submodule(name).weight
        assert float((layer.real_weight() - weight).square().sum()) < 0.006 * float(weight.square().sum())
    assert config.recipe == recipe.describe()
    written = json.loads((directory / "config.json").read_text())
    codebooks = written["quantization_config"]["codebooks"]
    assert codebooks == [list(one.values) for one in CODEBOOK_FORMATS["lobcq_c8_g32"].elements]
    codebooks[3][15] += 1
    (directory / "config.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match=r"its code table for lobcq_c8_g32 is not the catalogue's; quantize the model again"):
        load_quantized(directory)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"weights": "lobcq_c8_g64", "rounding": "optq"}, r"rounding is 'optq': the codebooks of LO-BCQ c8 g64 are selected"),
        ({"weights": "lobcq_c8_g64", "group_size": 64}, r"--group-size 64: LO-BCQ c8 g64 has blocks of 64; leave it out"),
        ({"weights": "lobcq_c8_g64", "grouping": "per-ic"}, r"--grouping per-ic: the blocks of LO-BCQ c8 g64 lie along"),
        ({"weights": "lobcq_c8_g64", "form": "asymmetric"}, r"form is 'asymmetric': LO-BCQ c8 g64 (codebook 0 )?takes no"),
        ({"weights": "lobcq_c9_g64"}, r"unknown format 'lobcq_c9_g64': did you mean lobcq_c8_g64\?"),
        ({"weights": "lobcq_c8_g64", "activations": "lobcq_c8_g32"}, r"--activations lobcq_c8_g32: its blocks of 32"),
    ],
)
def test_combinations_that_there_are_not(choices: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Recipe(**choices)  # type: ignore[arg-type]
