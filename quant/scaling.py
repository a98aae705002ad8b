# SPDX-License-Identifier: Apache-2.0
"""Channel scaling: move the difficulty of quantizing between activations and weights, where it costs nothing.

A method finds a scale s for each group of linear layers that read the same channels: SmoothQuant, AWQ or AQAS, each in its
module. The s found is folded into the module in front (`Adapter`); the function of the unquantized model stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .adapter import Adapter, ScalingGroup
from .aqas import aqas
from .awq import awq
from .block import Block, GroupScale, at_every_block
from .scheme import Scheme
from .smoothquant import smoothquant
from .stopwatch import stage

__all__ = ["METHODS", "Kept", "fold", "search_scales"]

METHODS: dict[str, Callable[[Block], GroupScale | None]] = {"smoothquant": smoothquant, "awq": awq, "aqas": aqas}


class Kept(Protocol):
    """Scales that were found before, and those that are found now."""

    def read(self, layer: str, group: ScalingGroup) -> GroupScale | None:
        """The scale of a group of the decoder layer of this name, if it was found before."""

    def write(self, found: GroupScale) -> None:
        """Keep a scale."""


def search_scales(
    model: Any,
    adapter: Adapter,
    windows: Tensor,
    method: str,
    scheme: Scheme,
    progress: Callable[[], None] | None = None,
    kept: Kept | None = None,
) -> list[GroupScale]:
    """The scales of `method` for every decoder layer, by one pass of the unquantized `model` over `windows` (n, length).

    Each block is searched at the moment it runs (`block.at_every_block`). What is in `kept` is not searched again.
    `progress` is called after every group.

    Raises
    ------
    InputError
        If a block's input is not finite.
    """
    found: dict[tuple[str, str], GroupScale | None] = {}

    def search(block: Block) -> None:
        scale = None if kept is None else kept.read(block.layer_name, block.group)
        if scale is None:
            with stage(f"scaling {block.group.block}"):
                scale = METHODS[method](block)
            if kept is not None and scale is not None:
                kept.write(scale)
        found[block.layer_name, block.group.producer] = scale
        if progress is not None:
            progress()

    at_every_block(model, adapter, windows, scheme, search)
    scales = (found[name, group.producer] for name, _ in adapter.decoder_layers(model) for group in adapter.groups)
    return [scale for scale in scales if scale is not None]


def fold(model: nn.Module, scales: list[GroupScale]) -> None:
    """Divide the producers' rows and biases by s and multiply the consumers' columns by s, in place."""
    with torch.no_grad():
        for found in scales:
            producer, scale = model.get_submodule(found.producer), found.producer_scale(model)
            for parameter in producer.parameters():  # a weight, and a bias where there is one
                parameter.div_(scale.view(-1, *[1] * (parameter.ndim - 1)))
            for name in found.consumers:
                linear: Any = model.get_submodule(name)
                linear.weight.mul_(found.scale)
