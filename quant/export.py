# SPDX-License-Identifier: Apache-2.0
"""Operands of a quantized model: what its layers multiply on a text, taken from the layers while the model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden import BlockCodes, LayerOperands, Operands, row_sums
from golden.errors import InputError, unknown

from .block_linear import BlockLinear
from .evaluation import Protocol
from .layers import QuantLinear
from .models import weights_sha256
from .streaming import present_module

__all__ = ["DEFAULT_TOKENS", "default_layers", "evenly_spaced", "export_operands", "recorded", "write_operands"]

#: Tokens exported unless asked otherwise.
DEFAULT_TOKENS = 32

#: By layer: activations (tokens, in), activation scales (tokens,), accumulators (tokens, out) or (groups, tokens, out); of
#: block formats also the activations' block scales and selectors, each (tokens, number of them) or None.
Products = tuple[Tensor | None, ...]


def export_operands(
    model: Any, windows: Tensor, provenance: dict[str, Any], layers: Sequence[str] | None = None, tokens: int = DEFAULT_TOKENS
) -> Operands:
    """Weight codes, activations and accumulators of `layers` for `tokens` tokens of a text.

    The model runs on as many of `windows` (n, length) as the tokens need, whole, so that every token has its context; the
    tokens are evenly spaced over these windows. Nothing is computed anew: activations and accumulators are recorded from
    the forward pass; those of block formats are integers with exponents, and held against it. A layer with groups gives an
    entry for each, because the hardware's sum ends where the scale changes; its name has the group's input channels, as in
    "fc1[0:128]".

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
        scheme = quantized[name].scheme
        own, tokens_in = scheme.blocks, scheme.activation_blocks
        if tokens_in is not None and (own is None or own.block != tokens_in.block):
            weights = f"blocks of {own.block}" if own is not None else "no blocks"
            raise InputError(
                f"{name}: activations in {tokens_in.title} have blocks of {tokens_in.block}, its weights {weights}; no MAC "
                "unit has operands like that"
            )
        if scheme.activations == "fp32":
            raise InputError(f"{name}: only its weights are quantized, so that the hardware has no operands of it")
        if scheme.blocks is None and not scheme.integer_sums:
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
    for name, (_, scales, *_) in products.items():
        assert scales is not None
        if not bool(torch.isfinite(scales).all()):
            raise InputError(f"operands: the input of {name} is not finite; use a sound checkpoint")
    scheme, made = quantized[names[0]].scheme, {**provenance, "tokens": tokens, "layers": names}
    if scheme.blocks is not None:
        layers_of_blocks = (present_module(model, name) for name in names)
        listed = zip(names, layers_of_blocks, strict=True)
        in_blocks = tuple(_block_operands(name, layer, products[name]) for name, layer in listed)
        return Operands(scheme.number_format, in_blocks, made, scheme.blocks, scheme.activation_blocks)
    exported = tuple(one for name in names for one in _layer_operands(name, present_module(model, name), products[name]))
    return Operands(scheme.number_format, exported, made)


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


def has_operands(layer: QuantLinear) -> bool:
    """Whether a MAC unit could compute its sums: of integers, or of blocks of one length."""
    own, other = layer.scheme.blocks, layer.scheme.activation_blocks
    return layer.scheme.integer_sums if other is None else own is not None and own.block == other.block


def with_operands(layers: dict[str, QuantLinear]) -> list[str]:
    """Names of those of `layers` whose sums a unit could compute; if there is none, all."""
    return [name for name, layer in layers.items() if has_operands(layer)] or list(layers)


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
    chosen = slice(None) if tokens is None else list(tokens)
    parts = (None if part is None else part[..., chosen, :] if part.dim() > 1 else part[chosen] for part in products)
    return tuple(None if part is None else part.to("cpu", copy=True) for part in parts)


def _layer_operands(name: str, layer: QuantLinear, products: Products) -> Iterator[LayerOperands]:
    """One for every sum that leaves the hardware: of the whole layer, or of each group of input channels."""
    activations, activation_scales, accumulators = products
    assert activations is not None
    assert activation_scales is not None
    assert accumulators is not None
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


def _block_operands(name: str, layer: BlockLinear, products: Products) -> LayerOperands:
    """Those of a layer in a block format. What the model added up in float64 is held against the exact sums."""
    activations, activation_scales, sums, scales, selectors = products
    assert activations is not None
    assert activation_scales is not None
    assert sums is not None
    weights = BlockCodes(
        layer.format,
        layer.unpacked_codes().cpu().numpy(),
        layer.block_scales.cpu().numpy(),
        None if layer.selectors is None else layer.selectors.cpu().numpy(),
        np.ones((), np.float32) if layer.format.tensor_scale else None,
    )
    own = layer.scheme.activation_blocks
    tokens: Any = activations.to(torch.int8).contiguous().numpy()
    given = tokens
    if own is not None:
        assert scales is not None
        chosen = None if selectors is None else selectors.numpy()
        given = BlockCodes(own, tokens.view(np.uint8), scales.numpy(), chosen, activation_scales[:, None].numpy())
        if not own.tensor_scale:
            given = replace(given, tensor_scales=None)
    accumulators, exponents = row_sums(weights, given)
    unit = float(layer.format.unit * (1 if own is None else own.unit))
    least = layer.format.scales.least_exponent + (0 if own is None else own.scales.least_exponent)
    exact = np.ldexp(accumulators * unit, exponents + least)
    if not np.allclose(exact, sums.numpy(), rtol=1e-12, atol=0):
        raise InputError(f"{name}: its exact sums are not those of the model; quantize the model again")
    tensor_scale = np.float32(1 if layer.tensor_scale is None else float(layer.tensor_scale))
    return LayerOperands(
        name=name,
        weights=weights.codes,
        activations=tokens,
        accumulators=accumulators,
        weight_scales=np.full(layer.out_features, tensor_scale),
        activation_scales=activation_scales.numpy().astype(np.float32),
        block_scales=weights.scales,
        selectors=weights.selectors,
        activation_block_scales=None if own is None else given.scales,
        activation_selectors=None if own is None else given.selectors,
        exponents=exponents,
    )
