# SPDX-License-Identifier: Apache-2.0
"""How well a quantized layer uses its codes: how many weights have each, and how many bits a weight then carries.

A code that hardly occurs is wasted. The entropy of the codes is what an ideal entropy coder would need for a weight: the
format's bits where all codes are as frequent, less where the scale leaves the outer ones to a few large weights.
"""

from __future__ import annotations

from typing import Any

import torch

from .layers import QuantLinear

__all__ = ["code_use", "entropy_bits"]


def entropy_bits(counts: list[int]) -> float:
    """Shannon entropy in bits of codes that occur `counts` times."""
    fractions = torch.tensor(counts, dtype=torch.float64) / max(1, sum(counts))
    return float(torch.special.entr(fractions).sum() / torch.log(torch.tensor(2.0, dtype=torch.float64)))


def code_use(layer: QuantLinear) -> dict[str, Any]:
    """`code_counts`, by code, and `code_entropy_bits` of a layer; the counts only of formats of at most four bits."""
    number_format = layer.number_format
    counts = torch.bincount(layer.unpacked_codes().flatten().to(torch.int64), minlength=len(number_format.values)).tolist()
    return {"code_counts": counts if number_format.bits <= 4 else None, "code_entropy_bits": entropy_bits(counts)}
