"""The quantized linear layer: integer weights, integer activations, exact integer accumulators, then scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from golden import NumberFormat

from .activations import LARGEST, quantize_activations
from .weights import QuantizedWeights, decode, quantize_weights

__all__ = ["QuantLinear", "replace_module", "torch_pack", "torch_unpack"]

#: Called with activations (tokens, in), activation scales (tokens,) and accumulators (tokens, out) of every forward pass.
Observer = Callable[[Tensor, Tensor, Tensor], None]


class QuantLinear(nn.Module):
    """A linear layer whose products are those of the MAC unit.

    output[t, o] = accumulators[t, o] x unit x scales[o] x activation_scales[t] + bias[o], where the accumulators are exact
    integers, in units of the format: sums of products that stay below 2^24 are exact in float32 in whatever order they
    are added, and layers that could exceed this are computed in float64.

    State: `codes` (out, bytes) uint8, two codes a byte as `golden.pack` lays them out; `scales` (out,) float32; `zero_points`
    (out,) int64 in the asymmetric form; `bias` (out,) float32 or None.
    """

    codes: Tensor
    scales: Tensor
    zero_points: Tensor | None
    bias: Tensor | None

    def __init__(self, in_features: int, out_features: int, bias: bool, number_format: NumberFormat, form: str) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.number_format, self.form = number_format, form
        row_bytes = in_features if number_format.bits > 4 else (in_features + 1) // 2
        self.register_buffer("codes", torch.zeros(out_features, row_bytes, dtype=torch.uint8))
        self.register_buffer("scales", torch.ones(out_features, dtype=torch.float32))
        zero_points = torch.zeros(out_features, dtype=torch.int64) if form == "asymmetric" else None
        self.register_buffer("zero_points", zero_points)
        self.register_buffer("bias", torch.zeros(out_features, dtype=torch.float32) if bias else None)
        self.observer: Observer | None = None
        self._matrix: Tensor | None = None
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())

    @classmethod
    def from_weights(cls, weights: QuantizedWeights, bias: Tensor | None, number_format: NumberFormat) -> QuantLinear:
        """A layer of these codes and scales."""
        outputs, inputs = weights.codes.shape
        form = "symmetric" if weights.zero_points is None else "asymmetric"
        with torch.device("meta"):
            layer = cls(inputs, outputs, bias is not None, number_format, form)
        layer.codes = torch_pack(weights.codes, number_format)
        layer.scales, layer.zero_points = weights.scales, weights.zero_points
        layer.bias = None if bias is None else bias.detach().clone()
        return layer

    @classmethod
    def from_linear(cls, linear: nn.Linear, number_format: NumberFormat, form: str) -> QuantLinear:
        """`linear` with its weight rounded to nearest."""
        weight = linear.weight.detach().to(torch.float32)
        return cls.from_weights(quantize_weights(weight, number_format, form), linear.bias, number_format)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in), float -> (..., out), float32."""
        activations, activation_scales = quantize_activations(x.reshape(-1, self.in_features).to(torch.float32))
        accumulators = self.accumulate(activations)
        if self.observer is not None:
            self.observer(activations, activation_scales, accumulators)
        output = accumulators.to(torch.float32) * activation_scales[:, None]
        output *= self.scales * float(self.number_format.unit)
        if self.bias is not None:
            output += self.bias
        return output.reshape(*x.shape[:-1], self.out_features)

    def accumulate(self, activations: Tensor) -> Tensor:
        """Accumulators (tokens, out) of integer `activations` (tokens, in): integers, in float32 or float64."""
        if self._matrix is None:
            self._matrix = self._exact_matrix()
        return nn.functional.linear(activations.to(self._matrix.dtype), self._matrix)

    def unpacked_codes(self) -> Tensor:
        """Weight codes (out, in), uint8."""
        return torch_unpack(self.codes, self.number_format, self.in_features)

    def integer_weight(self) -> Tensor:
        """Weight values (out, in), integers in units of the format, as float32."""
        return decode(self.unpacked_codes(), self.number_format, self.zero_points)

    def extra_repr(self) -> str:
        """What `print(model)` says of the layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, {self.number_format.title}, {self.form}"

    def _exact_matrix(self) -> Tensor:
        values = self.integer_weight()
        worst = float(values.to(torch.float64).abs().sum(dim=1).max()) * (LARGEST + 1)
        return values if worst < 1 << 24 else values.to(torch.float64)

    def _forget(self) -> None:
        self._matrix = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._forget()  # a move to another device must not leave the decoded weights behind
        return super()._apply(fn, recurse)


def torch_pack(codes: Tensor, number_format: NumberFormat) -> Tensor:
    """`golden.pack` in torch: codes (out, in) uint8 -> bytes (out, ceil(in / 2)), or (out, in) for wider codes."""
    if number_format.bits > 4:
        return codes
    if codes.shape[1] % 2:
        codes = nn.functional.pad(codes, (0, 1), value=number_format.zero_code)
    return codes[:, 0::2] | codes[:, 1::2] << 4


def torch_unpack(packed: Tensor, number_format: NumberFormat, count: int) -> Tensor:
    """`golden.unpack` in torch: the first `count` codes of each row of bytes."""
    if number_format.bits > 4:
        return packed
    return torch.stack((packed & 15, packed >> 4), dim=-1).flatten(1)[:, :count]


def replace_module(root: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Put `module` in the place called `name` below `root`; returns what was there."""
    parent, _, last = name.rpartition(".")
    holder = root.get_submodule(parent)
    previous = holder.get_submodule(last)
    setattr(holder, last, module)
    return previous
