# SPDX-License-Identifier: Apache-2.0
"""The formats of LO-BCQ (Elangovan et al., arXiv 2502.05376): arrays that share a scale, blocks of 8 that select a codebook.

A codeword is an integer of 6 bits; the largest magnitude of an array is scaled to 31, the scale is E4M3, relative to a float32
of the tensor. The codebooks were fitted once, on weights and activations of the shipped OPT (`quant.codebooks`), and are
frozen (`lobcq.json`): for all layers, all models, both operands. `lobcq_c8_g64` has 8 codebooks and arrays of 64.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from .artifacts import read_user_json
from .block_format import BlockFormat
from .codebook import Codebook
from .errors import InputError
from .scale_encoding import E4M3

__all__ = ["BLOCK", "LARGEST", "frozen_formats", "lobcq_format"]

#: Scalars that select a codebook together.
BLOCK = 8
#: Largest magnitude of a codeword; -32 stays unused, as -128 does in INT8 activations.
LARGEST = 31
_CODE_BITS = 4


def lobcq_format(codebooks: Sequence[Sequence[int]], array: int) -> BlockFormat:
    """The format of these codebooks, 2 to 16 of 16 ascending integers each, with arrays of `array` scalars.

    Raises
    ------
    InputError
        If a codebook is none, or the array is not whole blocks.
    """
    name, title = f"lobcq_c{len(codebooks)}_g{array}", f"LO-BCQ c{len(codebooks)} g{array}"
    if len(codebooks) < 2:
        raise InputError(f"codebooks of {name} are {len(codebooks)}: 2 to 16 are needed")
    for number, codewords in enumerate(codebooks):
        if max(map(abs, codewords), default=0) > LARGEST:
            worst = max(codewords, key=abs)
            raise InputError(f"codebook {number} of {name} has {worst}: codewords are -{LARGEST} to {LARGEST}")
    elements = tuple(
        Codebook(f"{name}_{number}", f"{title} codebook {number}", _CODE_BITS, tuple(codewords))
        for number, codewords in enumerate(codebooks)
    )
    return BlockFormat(name, title, elements, array, E4M3, Fraction(LARGEST), BLOCK, tensor_scale=True)


def frozen_formats(file: Path | None = None) -> dict[str, BlockFormat]:
    """The formats whose codebooks are in `file`, by name; without one, in the file that comes along.

    Raises
    ------
    InputError
        If the file cannot be read, or holds something else.
    """
    file = Path(__file__).with_name("lobcq.json") if file is None else file
    hint = "make one with python -m quant.codebooks"
    data = read_user_json(file, "codebooks", hint)
    try:
        formats = [lobcq_format(one["codebooks"], one["array"]) for one in data["sets"]]
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"codebooks {file}: is no file of codebooks; {hint}") from None
    return {block_format.name: block_format for block_format in formats}
