# SPDX-License-Identifier: Apache-2.0
"""LO-BCQ (Elangovan et al., arXiv 2502.05376): codebooks for clusters of blocks, each fitted to the blocks that choose it.

The numbers are blocks in steps: divided by the scale of their array, whose largest magnitude is 31 steps then. Two things
alternate, and neither can raise the squared error: every block chooses the codebook with which its error is least, and every
codebook is fitted to the scalars of its blocks by Lloyd's and Max's algorithm (1957, 1960), which starts at the codebook as
it is: thresholds midway between codewords, codewords at the means between thresholds. Codewords are rounded to 6-bit integers
at the end only; that can raise the error, by how much `Fit` says.

The first codebooks are those of clusters around seeds that k-means++ (Arthur and Vassilvitskii 2007) draws among the blocks,
their scalars taken in order, because a codebook does not see which scalar stands where [our choice]. A codebook that no block
chooses is fitted anew to the blocks with the largest errors, which leaves the error of all others as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError
from golden.lobcq import LARGEST

__all__ = ["CODEWORDS", "Fit", "fit_codebooks", "lloyd_max", "rounded_codewords", "squared_errors"]

#: Codewords of a codebook: as many as codes of 4 bits.
CODEWORDS = 16

_MOST_CODEBOOKS = 16
#: The fit has converged when an iteration lowers the error by less than this fraction of it.
_TOLERANCE = 1e-3
#: Lloyd's and Max's algorithm ends when a step lowers the error by less than this fraction of it; within a fit, which goes on
#: from there, by less than the second.
_STEP_TOLERANCE, _FIT_STEP_TOLERANCE = 1e-7, 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Codebooks, and how the error came down; errors are means over all scalars, in squared steps."""

    codebooks: tuple[tuple[int, ...], ...]  # 16 different integers each, ascending
    errors: tuple[float, ...]  # of the first codebooks, then after every fit and every choice in turn; it never rises
    rounded_error: float  # with the codewords rounded, and the blocks' choices among these
    reseeded: tuple[tuple[int, int], ...]  # (iteration, codebook): fitted anew because no block chose it; 0: to all blocks
    coinciding: tuple[int, ...]  # by codebook: codewords that rounding made equal to another, put elsewhere
    converged: bool


def fit_codebooks(blocks: Floats, count: int, seed: int = 0, most_iterations: int = 100) -> Fit:
    """`count` codebooks for `blocks` (n, scalars of a block), in steps; the same for the same arguments.

    Raises
    ------
    InputError
        If there are no blocks, one is not finite, or the count is out of its range.
    """
    blocks = np.asarray(blocks, dtype=np.float64)
    if not 2 <= count <= _MOST_CODEBOOKS:
        raise InputError(f"codebooks is {count}: LO-BCQ has 2 to {_MOST_CODEBOOKS}")
    if blocks.ndim != 2 or not blocks.size:
        raise InputError(f"blocks have shape {blocks.shape}: (blocks, scalars of each) is needed, one block at least")
    if not np.isfinite(blocks).all():
        raise InputError("blocks contain NaN or infinite values: no codeword is near to them; use sound numbers")
    codebooks, unmet = _first_codebooks(blocks, count, np.random.default_rng(seed))
    found = np.stack([squared_errors(blocks, one) for one in codebooks])
    choice = found.argmin(axis=0)
    errors, reseeded, converged = [_mean(found, choice, blocks)], [(0, number) for number in unmet], False
    for iteration in range(1, most_iterations + 1):
        for number in range(count):
            own = blocks[choice == number]
            if not len(own):
                reseeded.append((iteration, number))
                worst = np.argsort(-found[choice, np.arange(len(blocks))], kind="stable")[: -(-len(blocks) // count)]
                codebooks[number] = _fitted_anew(blocks[worst])
            else:
                codebooks[number] = lloyd_max(np.sort(own, axis=None), codebooks[number], _FIT_STEP_TOLERANCE)
        found = np.stack([squared_errors(blocks, one) for one in codebooks])
        errors.append(_mean(found, choice, blocks))
        choice = found.argmin(axis=0)
        errors.append(_mean(found, choice, blocks))
        if errors[-3] - errors[-1] <= _TOLERANCE * errors[-3]:
            converged = True
            break
    integers, coinciding = [], []
    for number, codebook in enumerate(codebooks):
        codewords, moved = rounded_codewords(codebook, np.sort(blocks[choice == number], axis=None))
        integers.append(codewords)
        coinciding.append(moved)
    found = np.stack([squared_errors(blocks, np.array(one, dtype=np.float64)) for one in integers])
    rounded_error = _mean(found, found.argmin(axis=0), blocks)
    return Fit(tuple(integers), tuple(errors), rounded_error, tuple(reseeded), tuple(coinciding), converged)


def squared_errors(blocks: Floats, codewords: Floats) -> Floats:
    """Sum (n,) of the squared distances of each block's scalars to the nearest of the ascending `codewords`."""
    nearest = codewords[np.searchsorted((codewords[:-1] + codewords[1:]) / 2, blocks)]
    total: Floats = np.square(blocks - nearest).sum(axis=1)
    return total


def lloyd_max(scalars: Floats, codewords: Floats, tolerance: float = _STEP_TOLERANCE) -> Floats:
    """Ascending codewords, as many as given, for the ascending `scalars`.

    Steps end when one lowers the error by less than the fraction `tolerance` of it. A codeword that is nearest to no scalar is
    moved to the one with the largest error. Where there are fewer different
    scalars than codewords, some codewords are equal in the end.
    """
    sums, squares = (np.concatenate(([0.0], np.cumsum(one))) for one in (scalars, np.square(scalars)))
    codewords, previous = np.sort(codewords), float("inf")
    while True:
        cuts = np.concatenate(([0], np.searchsorted(scalars, (codewords[:-1] + codewords[1:]) / 2), [len(scalars)]))
        counts, totals = np.diff(cuts), np.diff(sums[cuts])
        means = np.divide(totals, counts, out=codewords.copy(), where=counts > 0)
        # of n scalars at the distance d of their mean m from the codeword c: sum (x - c)^2, the means already being in place
        error = float(np.diff(squares[cuts]).sum() - (totals * means).sum())
        if (counts == 0).any() and _move_one(means, scalars, cuts):
            codewords, previous = np.sort(means), float("inf")
            continue
        if error >= previous * (1 - tolerance) or error <= 0:
            return means
        codewords, previous = means, error


def _move_one(codewords: Floats, scalars: Floats, cuts: NDArray[np.int64]) -> bool:
    """Move one of the `codewords` that have no scalars to the scalar farthest from its codeword; False if all are met."""
    filled = [index for index, (start, stop) in enumerate(pairwise(cuts)) if stop > start]
    ends = [(index, end) for index in filled for end in (cuts[index], cuts[index + 1] - 1)]  # the farthest is at an end
    index, end = max(ends, key=lambda one: abs(scalars[one[1]] - codewords[one[0]]))
    if scalars[end] == codewords[index]:
        return False
    codewords[next(index for index in range(len(codewords)) if index not in filled)] = scalars[end]
    return True


def rounded_codewords(codewords: Floats, scalars: Floats, largest: int = LARGEST) -> tuple[tuple[int, ...], int]:
    """Different integers, ascending, near to `codewords`, and how many of these coincided with another when rounded.

    In their places come integers from -`largest` to `largest` that lower the error of the ascending `scalars` most, one after
    the other, of equals the least in magnitude.
    """
    integers = sorted({int(one) for one in np.clip(np.rint(codewords), -largest, largest)})
    coinciding = len(codewords) - len(integers)
    free = sorted(set(range(-largest, largest + 1)) - set(integers), key=lambda one: (abs(one), one))
    for _ in range(coinciding):
        errors = [squared_errors(scalars[None], np.array(sorted([*integers, one]), dtype=np.float64))[0] for one in free]
        integers = sorted([*integers, free.pop(int(np.argmin(errors)))])
    return tuple(integers), coinciding


def _first_codebooks(blocks: Floats, count: int, rng: np.random.Generator) -> tuple[list[Floats], list[int]]:
    """Codebooks of the clusters around seeds, each block belonging to the nearest; and which clusters are empty."""
    ordered = np.sort(blocks, axis=1)
    nearest, cluster = np.full(len(blocks), np.inf), np.zeros(len(blocks), dtype=np.int64)
    for number in range(count):
        weights = nearest / nearest.sum() if number and nearest.sum() > 0 else None
        seed = ordered[rng.choice(len(blocks), p=weights)]
        distances = np.square(ordered - seed).sum(axis=1)
        cluster[distances < nearest] = number
        nearest = np.minimum(nearest, distances)
    clusters = [blocks[cluster == number] for number in range(count)]
    unmet = [number for number, one in enumerate(clusters) if not len(one)]
    return [_fitted_anew(one if len(one) else blocks) for one in clusters], unmet


def _fitted_anew(blocks: Floats) -> Floats:
    """A codebook for `blocks`, from the quantiles of their scalars."""
    scalars = np.sort(blocks, axis=None)
    quantiles = np.quantile(scalars, (np.arange(CODEWORDS) + 0.5) / CODEWORDS)
    return lloyd_max(scalars, quantiles, _FIT_STEP_TOLERANCE)


def _mean(found: Floats, choice: NDArray[np.int64], blocks: Floats) -> float:
    """Squared error of a scalar, where each block has the codebook of its choice; `found` (codebooks, n)."""
    return float(found[choice, np.arange(len(blocks))].sum() / blocks.size)
