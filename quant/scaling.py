"""Channel scaling: move the difficulty of quantizing between activations and weights, where it costs nothing.

AQAS, activation-quantization-aware scaling (reference paper, arXiv 2311.05161, section 3.2): for each group of linear layers
that read the same channels, the s that minimizes

    || Q(W diag(s)) Q(diag(s)^-1 X) - W X ||^2          W: (out, in), X: (in, tokens)

with *both* operands quantized [paper]. The candidates are s = x^alpha / w^beta with the largest magnitudes x of each input
channel's activations and w of its weights (jointly over q, k and v) [paper: the statistic]; alpha and beta run from 0 to 1
independently [our choice: AWQ's line alpha + beta = 1 is a part of it], on a coarse grid first and then around its best
point. alpha = beta = 0, no scaling, is among the candidates, so that the search never ends worse than where it began, by
its own measure. For q, k and v the loss is taken
on the attention's output, as the paper does. Weight clipping, which follows the search in the paper, is not done here.

The s found is folded into the module in front (`Adapter`); the function of the unquantized model stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from golden import NumberFormat

from .adapter import Adapter, ScalingGroup
from .layers import QuantLinear, replace_module

__all__ = ["GroupScale", "candidate_scale", "fold", "search_scales"]

#: Exponents tried for alpha and for beta are multiples of 1 / EXPONENT_STEPS from 0 to 1, at first every `COARSE`-th.
EXPONENT_STEPS = 10
COARSE = 2
#: Statistics below this are raised to it (dead channels); AWQ clamps at the same value.
SMALLEST = 1e-4


@dataclass(frozen=True)
class GroupScale:
    """The scale found for one group of one decoder layer, and how much it helps."""

    layer: str  # name of the decoder layer
    group: ScalingGroup
    alpha: float
    beta: float
    loss: float  # relative: squared error of the block's output / squared output
    unscaled_loss: float  # the same at alpha = beta = 0
    scale: Tensor  # (channels,) float32

    @property
    def producer(self) -> str:
        """Full name of the module in front."""
        return f"{self.layer}.{self.group.producer}"

    @property
    def consumers(self) -> tuple[str, ...]:
        """Full names of the linear layers."""
        return tuple(f"{self.layer}.{name}" for name in self.group.consumers)


def search_scales(
    model: Any,
    adapter: Adapter,
    windows: Tensor,
    number_format: NumberFormat,
    form: str,
    progress: Callable[[], None] | None = None,
) -> list[GroupScale]:
    """AQAS for every group of every decoder layer, by one pass of the unquantized `model` over `windows` (n, length).

    Each block is searched by a hook at the moment it runs, so that every layer's input is that of the unquantized model
    [paper], attention gets exactly the arguments that the model gives it, and no layer's input is kept. `progress` is
    called after every group.
    """
    found: dict[tuple[str, str], GroupScale] = {}

    def hook_of(layer_name: str, layer: nn.Module, group: ScalingGroup) -> Callable[..., None]:
        def hook(_block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            # Replaying an attention block runs its output projection, whose own search is over by then.
            if (layer_name, group.producer) not in found:
                found[layer_name, group.producer] = _search_group(
                    layer_name, layer, group, args, kwargs, _tensor(output), number_format, form
                )
                if progress is not None:
                    progress()

        return hook

    with ExitStack() as stack, torch.no_grad():
        for name, layer in adapter.decoder_layers(model):
            for group in adapter.groups:
                block = layer.get_submodule(group.block)
                handle = block.register_forward_hook(hook_of(name, layer, group), with_kwargs=True)
                stack.callback(handle.remove)
        model(input_ids=windows, use_cache=False)
    return [found[name, group.producer] for name, _ in adapter.decoder_layers(model) for group in adapter.groups]


def candidate_scale(activation: Tensor, weight: Tensor, alpha: float, beta: float) -> Tensor:
    """s = x^alpha / w^beta (channels,), float32, divided by sqrt(max s x min s), which changes nothing but its size."""
    scale = activation.clamp(min=SMALLEST) ** alpha / weight.clamp(min=SMALLEST) ** beta
    scale = scale.clamp(min=SMALLEST)
    return scale / (scale.max() * scale.min()).sqrt()


def fold(model: nn.Module, scales: list[GroupScale]) -> None:
    """Divide the producers' rows and biases by s and multiply the consumers' columns by s, in place."""
    with torch.no_grad():
        for found in scales:
            producer: Any = model.get_submodule(found.producer)
            for parameter in (producer.weight, producer.bias):
                if parameter is not None:
                    parameter.div_(found.scale.view(-1, *[1] * (parameter.ndim - 1)))
            for name in found.consumers:
                linear: Any = model.get_submodule(name)
                linear.weight.mul_(found.scale)


def _search_group(
    layer_name: str,
    layer: nn.Module,
    group: ScalingGroup,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    reference: Tensor,
    number_format: NumberFormat,
    form: str,
) -> GroupScale:
    consumers: dict[str, nn.Linear] = {name: layer.get_submodule(name) for name in group.consumers}  # type: ignore[misc]
    x = args[0] if args else kwargs["hidden_states"]
    activation_maxima = x.abs().flatten(0, -2).amax(dim=0)
    weight_maxima = torch.stack([linear.weight.abs().amax(dim=0) for linear in consumers.values()]).amax(dim=0)
    energy = float(reference.pow(2).sum(dtype=torch.float64)) or 1.0

    def relative_loss(scale: Tensor) -> float:
        quantized = {
            name: QuantLinear.from_linear(_scaled(linear, scale), number_format, form) for name, linear in consumers.items()
        }
        with _replaced(layer, quantized):
            output = _replay(layer.get_submodule(group.block), x / scale, args, kwargs)
        return float((output - reference).pow_(2).sum(dtype=torch.float64)) / energy

    losses: dict[tuple[int, int], float] = {}

    def try_all(exponents: Iterable[tuple[int, int]]) -> tuple[int, int]:
        for a, b in exponents:
            if (a, b) not in losses and 0 <= a <= EXPONENT_STEPS and 0 <= b <= EXPONENT_STEPS:
                losses[a, b] = relative_loss(scale_of(a, b))
        return min(losses, key=losses.__getitem__)  # of equals the first, so that ties leave the model alone

    def scale_of(a: int, b: int) -> Tensor:
        return candidate_scale(activation_maxima, weight_maxima, a / EXPONENT_STEPS, b / EXPONENT_STEPS)

    grid, near = range(0, EXPONENT_STEPS + 1, COARSE), range(1 - COARSE, COARSE)
    a, b = try_all(product(grid, grid))
    a, b = try_all([(a + da, b + db) for da, db in product(near, near)])
    found = a / EXPONENT_STEPS, b / EXPONENT_STEPS
    return GroupScale(layer_name, group, *found, losses[a, b], losses[0, 0], scale_of(a, b))


def _scaled(linear: nn.Linear, scale: Tensor) -> nn.Linear:
    with torch.device("meta"):
        scaled = nn.Linear(linear.in_features, linear.out_features, bias=False)
    scaled.weight = nn.Parameter(linear.weight * scale, requires_grad=False)
    scaled.bias = linear.bias
    return scaled


@contextmanager
def _replaced(layer: nn.Module, modules: dict[str, QuantLinear]) -> Iterator[None]:
    previous = {name: replace_module(layer, name, module) for name, module in modules.items()}
    try:
        yield
    finally:
        for name, module in previous.items():
            replace_module(layer, name, module)


def _replay(block: nn.Module, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Run `block` as the model ran it, with the input `x`. `forward`, not a call: a call would run the hooks again."""
    if args:
        return _tensor(block.forward(x, *args[1:], **kwargs))
    return _tensor(block.forward(**{**kwargs, "hidden_states": x}))


def _tensor(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
