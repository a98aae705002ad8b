# SPDX-License-Identifier: Apache-2.0
"""The layout of directories of quantized models: its name, its versions, and what needs which."""

from __future__ import annotations

from golden import BlockFormat, NumberFormat

from .recipe import Recipe

__all__ = ["METHOD", "VERSION", "codebooks_of", "version_of"]

#: `quant_method` of the directories.
METHOD = "dint"
#: Latest version of the layout of `quantization_config` and of the tensors. A directory that says none has the first; the
#: second has zero-points in bytes, not in 64-bit integers, so that without zero-points the two are the same. The third has
#: weights or activations in block formats, or groups in input channels; it is only written where there are such.
VERSION = 3


def codebooks_of(weights: NumberFormat | BlockFormat) -> list[list[int]]:
    """The codebooks of a format that has several, else none."""
    if isinstance(weights, NumberFormat) or weights.selector_block is None:
        return []
    return [list(one.values) for one in weights.elements]


def version_of(recipe: Recipe) -> int:
    """The first version of the layout that has what `recipe` needs."""
    if recipe.grouping != "per-oc" or recipe.scheme.blocks is not None:
        return 3
    return 2 if recipe.form == "asymmetric" else 1
