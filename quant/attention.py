# SPDX-License-Identifier: Apache-2.0
"""Attention whose two matrix products, queries by keys and probabilities by values, multiply 8-bit integers.

Queries, keys and probabilities are symmetric INT8 with one scale per token and head, taken from the token itself (dynamic),
as the inputs of the linear layers are. The values come quantized (`values`). Mask, softmax and scales are floating point.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .activations import quantize_activations

__all__ = ["ATTENTION", "int8_attention", "use_int8_attention"]

#: Name of the implementation in transformers.
ATTENTION = "dint_int8"


def use_int8_attention(model: Any) -> None:
    """Make a transformers model compute its attention by `int8_attention`."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, eager_mask

    AttentionInterface.register(ATTENTION, int8_attention)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    model.set_attn_implementation(ATTENTION)


def int8_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,  # noqa: ARG001  (transformers passes it; a quantized model is not trained)
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attention output (batch, tokens, heads, channels) and probabilities (batch, heads, tokens, keys).

    Parameters
    ----------
    query
        (batch, heads, tokens, channels).
    key, value
        (batch, key heads, keys, channels); each key head serves as many neighbouring heads as there are for one.
    attention_mask
        (batch or 1, 1, tokens, keys): added to the scores, 0 or very negative.
    scaling
        Factor of the scores.
    """
    served = query.shape[1] // key.shape[1]
    query, query_scales = quantize_activations(query)
    key, key_scales = quantize_activations(key.repeat_interleave(served, dim=1))
    scores = (query @ key.mT) * (query_scales * scaling)[..., :, None] * key_scales[..., None, :]
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities, scales = quantize_activations(torch.softmax(scores, dim=-1))
    output = (probabilities @ value.repeat_interleave(served, dim=1)) * scales[..., None]
    return output.transpose(1, 2).contiguous(), probabilities * scales[..., None]
