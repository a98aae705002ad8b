# SPDX-License-Identifier: Apache-2.0
"""Fitting the codebooks of the LO-BCQ formats once, on one model: they are frozen then, for all layers and all models.

    python -m quant.codebooks --out golden/lobcq.json

The blocks are of everything that a quantized model multiplies: the weights of every linear layer, and the inputs of every
linear layer on calibration windows, each tensor giving as many, and weights as many as inputs. So one set of codebooks serves
both operands [our choice].
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from golden import E4M3, INT8, BlockFormat
from golden.artifacts import canonical_json, write_file

from .lobcq import LARGEST, fit_codebooks

if TYPE_CHECKING:
    from torch import Tensor

    from .models import LoadedModel

__all__ = ["ARRAYS", "BLOCK", "COUNTS", "fit_all", "in_steps", "sampled_blocks"]

#: Scalars that choose a codebook together, and by format: scalars that share a scale, and numbers of codebooks.
BLOCK = 8
ARRAYS = (16, 32, 64, 128)
COUNTS = (2, 4, 8, 16)
#: Blocks that codebooks are fitted to, and calibration tokens that give those of activations.
BLOCKS, TOKENS = 8192, 2048


def in_steps(x: NDArray[Any], array: int, by_row: bool) -> NDArray[np.float64]:
    """`x` (rows, columns), float32, divided by the scales of its arrays as LO-BCQ stores them; zero where those are zero.

    With `by_row` each row is a tensor of its own (a token's activations).
    """
    scaled = BlockFormat("arrays", "arrays", (INT8,), array, E4M3, Fraction(LARGEST), tensor_scale=True)
    found = scaled.quantize(x, by_row)
    factors = np.repeat(E4M3.decode(found.scales) * np.float64(found.tensor_scales), array, axis=1)
    return np.divide(x, factors, out=np.zeros(x.shape), where=factors > 0)


def sampled_blocks(loaded: LoadedModel, windows: Tensor, array: int, count: int = BLOCKS, seed: int = 0) -> NDArray[np.float64]:
    """About `count` blocks (n, 8), in steps, of the weights of `loaded` and of the inputs of its layers on `windows`."""
    from .output_error import layer_inputs
    from .streaming import present_module

    inputs = layer_inputs(loaded.model, loaded.adapter, windows)
    different = {tensor.data_ptr(): tensor for tensor in inputs.values()}.values()
    weights = (present_module(loaded.model, name).weight.detach() for name in loaded.adapter.linear_names(loaded.model))
    rng = np.random.default_rng(seed)

    def some(tensors: Iterable[Tensor], number: int, by_row: bool) -> list[NDArray[np.float64]]:
        found = []
        for tensor in tensors:
            blocks = in_steps(tensor.cpu().numpy(), array, by_row).reshape(-1, BLOCK)
            wanted = min(count // (2 * number), len(blocks))
            found.append(blocks[np.sort(rng.choice(len(blocks), wanted, replace=False))])
        return found

    return np.concatenate([*some(weights, len(inputs), False), *some(different, len(different), True)])


def fit_all(loaded: LoadedModel, windows: Tensor, seed: int = 0) -> dict[str, Any]:
    """Codebooks for every length of an array and every number of them, as plain data, and how they were found."""
    sets = {}
    for array in ARRAYS:
        blocks = sampled_blocks(loaded, windows, array, seed=seed)
        power = float(np.square(blocks).mean())
        for count in COUNTS:
            fit = fit_codebooks(blocks, count, seed)
            sets[f"lobcq_c{count}_g{array}"] = {
                "codebooks": [list(codebook) for codebook in fit.codebooks],
                "normalized_errors": [round(fit.errors[index] / power, 7) for index in (0, -1)],  # at first, in the end
                "normalized_rounded_error": round(fit.rounded_error / power, 7),
                "iterations": len(fit.errors) // 2,
                "reseeded": [list(one) for one in fit.reseeded],
                "coinciding": sum(fit.coinciding),
                "converged": fit.converged,
            }
    return sets


def _main() -> None:
    from .calibration import calibration_windows
    from .models import load_model

    parser = argparse.ArgumentParser(prog="python -m quant.codebooks", description="Fit the codebooks of the LO-BCQ formats.")
    parser.add_argument("model", nargs="?", help="directory or hub name; default: the shipped OPT")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    loaded = load_model(options.model)
    calibration = calibration_windows(loaded.tokenizer, loaded.positions, seed=options.seed, tokens=TOKENS)
    facts = {"model": loaded.name, "sha256": loaded.sha256, "calibration": calibration.describe(), "blocks": BLOCKS}
    sets = fit_all(loaded, calibration.windows, options.seed)
    write_file(options.out, canonical_json({"fitted_on": facts, "sets": sets}))


if __name__ == "__main__":
    _main()
