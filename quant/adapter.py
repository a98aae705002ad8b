# SPDX-License-Identifier: Apache-2.0
"""What the quantizer must know of a model family, as data: where channels can be rescaled, and on what to judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from golden.errors import InputError

__all__ = ["Adapter", "ScalingGroup", "adapter_of", "register_adapter"]

T = TypeVar("T")


@dataclass(frozen=True)
class ScalingGroup:
    """Linear layers that read the same channels, and the module in front whose output channels can be divided.

    All names are relative to a decoder layer. Dividing the rows of the producer's weight and its bias by s > 0 and multiplying
    the consumers' columns by s leaves the function as it is: whatever lies between is positively homogeneous, channel by
    channel (the affine part of a normalization, attention over values, ReLU, the product with a gate).
    """

    producer: str
    consumers: tuple[str, ...]
    block: str  # the module whose output decides: the consumer itself, or the attention (MLP) around all that read the channels
    attention: str | None = None  # the attention that lies between, if any: several of its heads may read the same values

    def sources(self, layer: Any) -> Tensor:
        """For every input channel of the consumers, which output channel of the producer it is: int64 (in,).

        They are the same channels, one by one, but for grouped-query attention: there each head of the values is read by
        as many neighbouring query heads as there are query heads for one value head, so that these must share its scale.
        """
        channels = layer.get_submodule(self.consumers[0]).in_features
        sources = torch.arange(channels)
        if self.attention is None:
            return sources
        head_channels = layer.get_submodule(self.attention).head_dim
        query_heads = channels // layer.get_submodule(self.producer).out_features
        heads, within = sources // head_channels, sources % head_channels
        return heads // query_heads * head_channels + within


@dataclass(frozen=True)
class Adapter:
    """One model family."""

    family: str  # `model_type` of its configuration
    layers: str  # name of the list of decoder layers
    groups: tuple[ScalingGroup, ...]  # of each decoder layer
    values: str  # the linear layer, relative name, whose output is the attention's value tensor
    unclipped: tuple[str, ...]  # linear layers, relative names, whose weights are never clipped: only their product matters
    check: Callable[[Any, str], None] | None = None  # (configuration, model name): InputError for a member that does not fit

    @property
    def linears(self) -> tuple[str, ...]:
        """The linear layers of a decoder layer that are quantized, relative names in order of the groups."""
        return tuple(name for group in self.groups for name in group.consumers)

    def decoder_layers(self, model: nn.Module) -> list[tuple[str, nn.Module]]:
        """Name and module of every decoder layer, first to last."""
        return [(f"{self.layers}.{name}", layer) for name, layer in model.get_submodule(self.layers).named_children()]

    def linear_names(self, model: nn.Module) -> list[str]:
        """Full names of all quantized linear layers, first decoder layer to last."""
        return [f"{layer}.{name}" for layer, _ in self.decoder_layers(model) for name in self.linears]

    def of_layer(self, layer: str, facts: Mapping[str, T]) -> dict[str, T]:
        """Those of `facts`, which are by full name, of the linear layers of one decoder layer, by relative name."""
        return {name: facts[f"{layer}.{name}"] for name in self.linears}


_ADAPTERS: dict[str, Adapter] = {}


def register_adapter(adapter: Adapter) -> Adapter:
    """Make a family known to `adapter_of`."""
    _ADAPTERS[adapter.family] = adapter
    return adapter


def adapter_of(config: Any, name: str) -> Adapter:
    """The adapter for a model's configuration; `name` is what the user called the model.

    Raises
    ------
    InputError
        If the family is unknown, or the adapter refuses this member of it.
    """
    from . import llama, opt  # noqa: F401  (they register themselves)

    family = getattr(config, "model_type", None)
    if family not in _ADAPTERS:
        raise InputError(f"model {name}: its model_type is {family!r}; supported are {', '.join(sorted(_ADAPTERS))}")
    adapter = _ADAPTERS[family]
    if adapter.check is not None:
        adapter.check(config, name)
    return adapter
