# SPDX-License-Identifier: Apache-2.0
"""A block at the moment the unquantized model runs it, and what its output loses when its channels are scaled and rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import Adapter, ScalingGroup
from .block_linear import quantized_layer
from .calibration import check_finite, searched
from .integers import fastest_execution
from .layers import QuantLinear, replace_module
from .scheme import Scheme

__all__ = ["Block", "GroupScale", "at_every_block", "output_tensor"]


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
        sources = self.group.sources(model.get_submodule(self.layer))
        return self.scale.new_ones(int(sources.max()) + 1).index_copy_(0, sources.to(self.scale.device), self.scale)


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
        scaled = {name: _scaled(linear, scale) for name, linear in self.linears.items()}
        return self._loss_of(scaled, scheme, self.x / scale)

    def loss_of_one(self, name: str, scheme: Scheme) -> float:
        """The same with the linear layer `name` quantized, and nothing else."""
        return self._loss_of({name: self.linears[name]}, scheme, self.x)

    def _loss_of(self, linears: dict[str, nn.Linear], scheme: Scheme, x: Tensor) -> float:
        quantized = {name: quantized_layer(linear, scheme) for name, linear in linears.items()}
        for layer in quantized.values():
            if scheme.integer_sums and scheme.blocks is None:
                layer.execution = fastest_execution(x.device.type)
        with self._replaced(quantized):
            output = self._replay(x)
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


def at_every_block(model: Any, adapter: Adapter, windows: Tensor, scheme: Scheme, visit: Callable[[Block], None]) -> None:
    """Call `visit` with every block of the unquantized `model`, decoder layer by decoder layer, in one pass over `windows`.

    Only the first of the windows (n, length) are looked at (`calibration.searched`). Each block is visited by a hook at the
    moment it runs, so that every layer's input is that of the unquantized model (AWQ's order, and the reference paper's),
    attention gets exactly the arguments that the model gives it, and no layer's input is kept.

    Raises
    ------
    InputError
        If a block's input is not finite.
    """
    visited: set[tuple[str, str]] = set()

    def hook_of(layer_name: str, layer: nn.Module, group: ScalingGroup) -> Callable[..., None]:
        def hook(_block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
            # Replaying an attention block runs its output projection, which was visited by then.
            if (layer_name, group.producer) not in visited:
                visited.add((layer_name, group.producer))
                check_finite(args[0] if args else kwargs["hidden_states"], f"{layer_name}.{group.consumers[0]}")
                visit(Block(layer_name, layer, group, args, kwargs, result, scheme))

        return hook

    with ExitStack() as stack, torch.no_grad():
        for name, layer in adapter.decoder_layers(model):
            for group in adapter.groups:
                block = layer.get_submodule(group.block)
                handle = block.register_forward_hook(hook_of(name, layer, group), with_kwargs=True)
                stack.callback(handle.remove)
        model.base_model(input_ids=searched(windows).to(model.device), use_cache=False)


def _scaled(linear: nn.Linear, scale: Tensor) -> nn.Linear:
    with torch.device("meta"):
        scaled = nn.Linear(linear.in_features, linear.out_features, bias=False)
    scaled.weight = nn.Parameter(linear.weight * scale, requires_grad=False)
    scaled.bias = linear.bias
    return scaled


def output_tensor(output: Any) -> Tensor:
    """What a module put out, alone or as the first of several."""
    return output[0] if isinstance(output, tuple) else output
