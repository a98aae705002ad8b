# SPDX-License-Identifier: Apache-2.0
"""Attention whose two matrix products, queries by keys and probabilities by values, multiply integers of at most 8 bits.

Queries, keys and probabilities are symmetric INT8 with one scale per token and head, taken from the token itself (dynamic),
as the inputs of the linear layers are. Probabilities are never negative, so that they use 128 of the 255 levels. The values
are the integers of the value quantizer (`values`); their scales, one per channel, are constant along the keys, over which
the second product adds, and are multiplied with its sums. Both sums are exact, as those of the linear layers are, and the
execution of the layer that makes the values decides how they are computed (`integers`). Mask, softmax and scales are
floating point.

Between value quantizer and attention, and in a cache, a value is the real number that its code stands for, as any other
implementation of attention expects; here it is turned back into the integer, exactly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .activations import LARGEST, quantize_activations
from .integers import exact_products
from .layers import QuantLinear
from .values import QuantValues

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
    module: nn.Module,
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
    module
        The attention, one of whose linear layers makes quantized values.
    query
        (batch, heads, tokens, channels).
    key, value
        (batch, key heads, keys, channels); each key head serves as many neighbouring heads as there are for one.
    attention_mask
        (batch or 1, 1, tokens, keys): added to the scores, 0 or very negative.
    scaling
        Factor of the scores.
    """
    layer = next(child for child in module.children() if isinstance(child, QuantLinear) and child.output is not None)
    quantizer: Any = layer.output
    assert isinstance(quantizer, QuantValues)
    heads = value.shape[1]
    served = query.shape[1] // heads

    query, query_scales = quantize_activations(query)
    key, key_scales = quantize_activations(key.repeat_interleave(served, dim=1))
    sums = exact_products(query, key, LARGEST, layer.execution).to(torch.float32)
    scores = sums * (query_scales * scaling)[..., :, None] * key_scales[..., None, :]
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities, scales = quantize_activations(torch.softmax(scores, dim=-1))

    value_scales = quantizer.unit_scales().view(heads, 1, -1).repeat_interleave(served, dim=0)
    # An integer of at most 255 times its scale, rounded, by the scale, rounded: off by at most 255 x 2^-23 before this.
    integers = torch.round(value.repeat_interleave(served, dim=1) / value_scales)
    sums = exact_products(probabilities, integers.mT, quantizer.reach, layer.execution).to(torch.float32)
    output = sums * scales[..., None] * value_scales
    return output.transpose(1, 2).contiguous(), probabilities * scales[..., None]
