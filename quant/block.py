# SPDX-License-Identifier: Apache-2.0
"""A block at the moment the unquantized model runs it, and what its output loses when its channels are scaled and rounded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import ScalingGroup
from .block_linear import quantized_layer
from .integers import fastest_execution
from .layers import QuantLinear, replace_module
from .scheme import Scheme

__all__ = ["Block", "GroupScale", "output_tensor"]


@dataclass(frozen=True)
class GroupScale:
    """The scale found for one group of one decoder layer, and how much it helps."""

    layer: str  # name of the decoder layer
    group: ScalingGroup
    scale: Tensor  # (channels,) float32, of the consumers' input channels; equal for those that have one source
    alpha: float  # exponent of the activations' statistic
    beta: float  # exponent of the weights' statistic, in the denominator
    loss: float | None = None  # relative: squared error of the block's output / squared output; None where none is searched
    unscaled_loss: float | None = None  # the same without scaling

    @property
    def producer(self) -> str:
        """Full name of the module in front."""
        return f"{self.layer}.{self.group.producer}"

    @property
    def consumers(self) -> tuple[str, ...]:
        """Full names of the linear layers."""
        return tuple(f"{self.layer}.{name}" for name in self.group.consumers)

    def producer_scale(self, model: nn.Module) -> Tensor:
        """What each output channel (out,) of the module in front is divided by."""
        sources = self.group.sources(model.get_submodule(self.layer)).to(self.scale.device)
        return self.scale.new_ones(int(sources.max()) + 1).index_copy_(0, sources, self.scale)


@dataclass(frozen=True)
class Block:
    """The linear layers of a scaling group with their input, and the call of the block around them whose output decides."""

    layer_name: str
    layer: nn.Module  # the decoder layer
    group: ScalingGroup
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any  # what the call returned
    scheme: Scheme

    @cached_property
    def x(self) -> Tensor:
        """Input (..., channels) of the linear layers."""
        return self.args[0] if self.args else self.kwargs["hidden_states"]

    @cached_property
    def linears(self) -> dict[str, nn.Linear]:
        """The linear layers by relative name."""
        return {name: self.layer.get_submodule(name) for name in self.group.consumers}  # type: ignore[misc]

    @cached_property
    def activation_maxima(self) -> Tensor:
        """Largest magnitude (channels,) of each channel's activations."""
        return self._shared(self.x.abs().flatten(0, -2).amax(dim=0), "amax")

    @cached_property
    def activation_means(self) -> Tensor:
        """Mean magnitude (channels,) of each channel's activations."""
        return self._shared(self.x.abs().flatten(0, -2).mean(dim=0), "mean")

    @cached_property
    def weight_maxima(self) -> Tensor:
        """Largest magnitude (channels,) of each channel's weights, jointly over all linear layers."""
        maxima = torch.stack([linear.weight.abs().amax(dim=0) for linear in self.linears.values()]).amax(dim=0)
        return self._shared(maxima, "amax")

    def loss(self, scale: Tensor, scheme: Scheme) -> float:
        """Squared error of the block's output / squared output, with Q(W diag(s)) and diag(s)^-1 X; s (channels,).

        The activations are quantized where `scheme` says so.
        """
        quantized = {name: quantized_layer(_scaled(linear, scale), scheme) for name, linear in self.linears.items()}
        for layer in quantized.values():
            if scheme.activations == "int8" and scheme.blocks is None:
                layer.execution = fastest_execution(scale.device.type)
        with self._replaced(quantized):
            output = self._replay(self.x / scale)
        return float((output - self._reference).pow_(2).sum(dtype=torch.float64)) / self._energy

    def _shared(self, statistic: Tensor, reduction: str) -> Tensor:
        """`statistic` (channels,) taken together over the channels that have one source, which must get one scale."""
        sources = self.group.sources(self.layer).to(statistic.device)
        together = statistic.new_zeros(int(sources.max()) + 1)
        return together.scatter_reduce_(0, sources, statistic, reduction, include_self=False)[sources]

    @cached_property
    def _reference(self) -> Tensor:
        return output_tensor(self.result)

    @cached_property
    def _energy(self) -> float:
        return float(self._reference.pow(2).sum(dtype=torch.float64)) or 1.0

    @contextmanager
    def _replaced(self, modules: dict[str, QuantLinear]) -> Iterator[None]:
        previous = {name: replace_module(self.layer, name, module) for name, module in modules.items()}
        try:
            yield
        finally:
            for name, module in previous.items():
                replace_module(self.layer, name, module)

    def _replay(self, x: Tensor) -> Tensor:
        """Run the block as the model ran it, with the input `x`. `forward`, not a call: a call would run the hooks again."""
        block = self.layer.get_submodule(self.group.block)
        if self.args:
            return output_tensor(block.forward(x, *self.args[1:], **self.kwargs))
        return output_tensor(block.forward(**{**self.kwargs, "hidden_states": x}))


def _scaled(linear: nn.Linear, scale: Tensor) -> nn.Linear:
    with torch.device("meta"):
        scaled = nn.Linear(linear.in_features, linear.out_features, bias=False)
    scaled.weight = nn.Parameter(linear.weight * scale, requires_grad=False)
    scaled.bias = linear.bias
    return scaled


def output_tensor(output: Any) -> Tensor:
    """What a module put out, alone or as the first of several."""
    return output[0] if isinstance(output, tuple) else output
