# SPDX-License-Identifier: Apache-2.0
"""OPT (Zhang et al. 2022): its producers and consumers of channels, and which members of the family fit."""

from __future__ import annotations

from typing import Any

from golden.errors import InputError

from .adapter import Adapter, ScalingGroup, register_adapter

__all__ = ["OPT"]


def _check(config: Any, name: str) -> None:
    """Refuse OPT models in which scales cannot be folded away.

    opt-350m normalizes *after* each block, so that no LayerNorm stands directly before q, k, v and fc1. Galactica calls
    itself OPT too, but has GELU, which is not positively homogeneous.
    """
    if not config.do_layer_norm_before:
        raise InputError(
            f"model {name}: post-LayerNorm OPT (do_layer_norm_before is false, as in opt-350m) is not supported, because no "
            "LayerNorm stands before its linear layers to take up the scales; use opt-125m, opt-1.3b or a larger one"
        )
    if config.activation_function != "relu":
        raise InputError(
            f"model {name}: activation_function is {config.activation_function!r}; only 'relu' lets scales pass from fc1 to fc2"
        )
    if not config.layer_norm_elementwise_affine:
        raise InputError(f"model {name}: layer_norm_elementwise_affine is false; its LayerNorm has no weight to take up scales")


OPT = register_adapter(
    Adapter(
        family="opt",
        layers="model.decoder.layers",
        groups=(
            ScalingGroup(
                producer="self_attn_layer_norm",
                consumers=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
                block="self_attn",
            ),
            ScalingGroup(
                producer="self_attn.v_proj",
                consumers=("self_attn.out_proj",),
                block="self_attn.out_proj",
                attention="self_attn",
            ),
            ScalingGroup(producer="final_layer_norm", consumers=("fc1",), block="fc1"),
            ScalingGroup(producer="fc1", consumers=("fc2",), block="fc2"),
        ),
        values="self_attn.v_proj",
        unclipped=("self_attn.q_proj", "self_attn.k_proj"),
        check=_check,
    )
)
