# SPDX-License-Identifier: Apache-2.0
"""Operands of a quantized model: what its layers multiply on a text, taken from the layers while the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden import LayerOperands, Operands
from golden.errors import InputError, unknown

from .evaluation import Protocol
from .layers import QuantLinear
from .models import weights_sha256
from .streaming import present_module

__all__ = ["DEFAULT_TOKENS", "default_layers", "evenly_spaced", "export_operands", "recorded", "write_operands"]

#: Tokens exported unless asked otherwise.
DEFAULT_TOKENS = 32

#: By layer: activations (tokens, in), activation scales (tokens,), accumulators (tokens, out) or (groups, tokens, out).
Products = tuple[Tensor, Tensor, Tensor]


def export_operands(
    model: Any, windows: Tensor, provenance: dict[str, Any], layers: Sequence[str] | None = None, tokens: int = DEFAULT_TOKENS
) -> Operands:
    """Weight codes, activations and accumulators of `layers` for `tokens` tokens of a text.

    The model runs on as many of `windows` (n, length) as the tokens need, whole, so that every token has its context; the
    tokens are evenly spaced over these windows. Nothing is computed anew: activations and accumulators are recorded from
    the forward pass. A layer with groups gives an entry for each, because the hardware's sum ends where the scale changes;
    its name has the group's input channels, as in "fc1[0:128]".

    Parameters
    ----------
    model
        With `QuantLinear`s.
    provenance
        Goes into the file: hashes of model and text, recipe.
    layers
        Names of linear layers, or numbers of decoder layers, which stand for all of theirs; default the first and the last.

    Raises
    ------
    InputError
        If a layer does not exist, its activations are not quantized or not finite, or there are fewer tokens than asked for.
    """
    quantized = {name: module for name, module in model.named_modules() if isinstance(module, QuantLinear)}
    names = _names(layers, list(quantized)) if layers else default_layers(with_operands(quantized))
    for name in names:
        if name not in quantized:
            raise unknown(f"--layer {name}: no quantized layer of this name", name, quantized)
        if (blocks := quantized[name].scheme.activation_blocks) is not None:
            raise InputError(
                f"{name}: activations in {blocks.title} have scales within a sum, which no integer accumulator holds"
            )
        if quantized[name].scheme.activations != "int8":
            raise InputError(f"{name}: only its weights are quantized, so that the hardware has no operands of it")
        if not quantized[name].scheme.integer_sums:
            raise InputError(
                f"{name}: its groups are per-ic, scaled within a sum, so that no integer accumulators are to be met"
            )
    count, length = windows.shape
    if not 1 <= tokens <= count * length:
        raise InputError(f"--tokens {tokens}: the text gives 1 to {count * length}")
    used = windows[: -(-tokens // length)]
    kept = evenly_spaced(tokens, used.numel())
    with recorded({name: quantized[name] for name in names}, kept) as products, torch.no_grad():
        model.base_model(input_ids=used.to(model.device), use_cache=False)
    for name, (_, scales, _) in products.items():
        if not bool(torch.isfinite(scales).all()):
            raise InputError(f"operands: the input of {name} is not finite; use a sound checkpoint")
    number_format = quantized[names[0]].number_format
    exported = tuple(one for name in names for one in _layer_operands(name, present_module(model, name), products[name]))
    return Operands(number_format, exported, {**provenance, "tokens": tokens, "layers": names})


def write_operands(
    directory: Path,
    model: Any,
    protocol: Protocol,
    source: dict[str, Any],
    recipe: dict[str, Any],
    weights: Path,
    layers: Sequence[str] | None = None,
    tokens: int = DEFAULT_TOKENS,
) -> Operands:
    """Export operands on the text of `protocol` into `operands.npz` of `directory`, with what they were made of.

    `weights` is the directory with the weights of `model`, which was quantized from `source` by `recipe`; `layers` and
    `tokens` as of `export_operands`.
    """
    provenance = {
        "model": source,
        "quantized_sha256": weights_sha256(weights),
        "text": {"name": protocol.name, "sha256": protocol.text_sha256},
        "recipe": recipe,
    }
    exported = export_operands(model, protocol.windows, provenance, layers, tokens)
    exported.save(directory / "operands.npz")
    return exported


def with_operands(layers: dict[str, QuantLinear]) -> list[str]:
    """Names of those of `layers` whose sums are integers; if there is none, all."""
    return [name for name, layer in layers.items() if layer.scheme.integer_sums] or list(layers)


def default_layers(names: list[str]) -> list[str]:
    """Those of `names` that belong to the first or the last decoder layer: what differs most along the depth."""
    numbers = [_number(name) for name in names]
    ends = {min(numbers), max(numbers)}
    return [name for name, number in zip(names, numbers, strict=True) if number in ends]


def _names(layers: Sequence[str], names: list[str]) -> list[str]:
    """`layers` with every number replaced by those of `names` that belong to the decoder layer of that number."""
    chosen = []
    for layer in layers:
        its = [name for name in names if layer.isdigit() and _number(name) == int(layer)]
        if layer.isdigit() and not its:
            raise InputError(f"--layer {layer}: the model has decoder layers 0 to {max(map(_number, names))}")
        chosen += its or [layer]
    return chosen


def _number(name: str) -> int:
    """Number of the decoder layer that a linear layer belongs to."""
    return next(int(part) for part in name.split(".") if part.isdigit())


def evenly_spaced(count: int, available: int) -> list[int]:
    """`count` positions of `available`, evenly spaced, the first among them."""
    return [index * available // count for index in range(count)]


@contextmanager
def recorded(layers: dict[str, QuantLinear], tokens: Sequence[int] | None = None) -> Iterator[dict[str, Products]]:
    """Records what the layers multiply in the model's next forward pass, for these `tokens` or all."""
    products: dict[str, Products] = {}
    for name, layer in layers.items():
        layer.observer = lambda *product, name=name: products.update({name: _copied(product, tokens)})
    try:
        yield products
    finally:
        for layer in layers.values():
            layer.observer = None


def _copied(products: Products, tokens: Sequence[int] | None) -> Products:
    activations, scales, accumulators = products
    chosen = slice(None) if tokens is None else list(tokens)
    kept = activations[chosen], scales[chosen], accumulators[..., chosen, :]
    return tuple(part.to("cpu", copy=True) for part in kept)  # type: ignore[return-value]


def _layer_operands(name: str, layer: QuantLinear, products: Products) -> Iterator[LayerOperands]:
    """One for every sum that leaves the hardware: of the whole layer, or of each group of input channels."""
    activations, activation_scales, accumulators = products
    size = layer.scheme.group_size or layer.in_features
    codes, scales = layer.unpacked_codes().cpu(), layer.scales.view(layer.out_features, -1).cpu()
    zero_points = None if layer.zero_points is None else layer.zero_points.view(scales.shape).to("cpu", torch.int64)
    sums = accumulators.view(scales.shape[1], len(activations), layer.out_features)
    for group, start in enumerate(range(0, layer.in_features, size)):
        stop = start + size
        yield LayerOperands(
            name=name if layer.scheme.group_size is None else f"{name}[{start}:{stop}]",
            weights=codes[:, start:stop].contiguous().numpy(),
            activations=activations[:, start:stop].to(torch.int8).contiguous().numpy(),
            accumulators=sums[group].to(torch.int64).numpy(),
            weight_scales=scales[:, group].contiguous().numpy().astype(np.float32),
            activation_scales=activation_scales.numpy().astype(np.float32),
            zero_points=None if zero_points is None else zero_points[:, group].contiguous().numpy(),
        )
