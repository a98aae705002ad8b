# SPDX-License-Identifier: Apache-2.0
"""LLaMA (Touvron et al. 2023): its producers and consumers of channels.

RMSNorm has a weight that takes up scales, and no bias. The MLP is down(act(gate(x)) * up(x)): its hidden channels are scaled
in `up_proj`, which the activation function never sees, so that any activation function fits. Rotary embeddings turn q and k
only; scales never pass through them.
"""

from __future__ import annotations

from .adapter import Adapter, ScalingGroup, register_adapter

__all__ = ["LLAMA"]

LLAMA = register_adapter(
    Adapter(
        family="llama",
        layers="model.layers",
        groups=(
            ScalingGroup(
                producer="input_layernorm",
                consumers=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
                block="self_attn",
            ),
            ScalingGroup(
                producer="self_attn.v_proj",
                consumers=("self_attn.o_proj",),
                block="self_attn.o_proj",
                attention="self_attn",
            ),
            ScalingGroup(producer="post_attention_layernorm", consumers=("mlp.gate_proj", "mlp.up_proj"), block="mlp"),
            ScalingGroup(producer="mlp.up_proj", consumers=("mlp.down_proj",), block="mlp.down_proj"),
        ),
        values="self_attn.v_proj",
        unclipped=("self_attn.q_proj", "self_attn.k_proj"),
    )
)
