# SPDX-License-Identifier: Apache-2.0
"""The quantized linear layer of a block format: codes and scales stored as the format has them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from golden import BlockFormat
from golden.errors import InputError

from .activations import quantize_activations
from .blocks import BlockTensors, factors_of, quantize_blocks, values_of
from .layers import QuantLinear, torch_pack
from .scheme import Scheme

__all__ = ["BlockLinear", "empty_layer", "quantized_layer"]


class BlockLinear(QuantLinear):
    """A linear layer whose weights are in a block format.

    output[t, o] = sum over blocks b (accumulators[b, t, o] x unit x block scale[o, b]) x tensor scale x activation_scales[t] +
    bias[o]. Activations in a block format have block scales too, within the sum, and each token is a tensor of its own. Sums
    are taken in float64, before the tensor scales. There they are exact in any order, as `golden.dot` has them, as long as
    they need no more than 53 bits: with NVFP4 up to 1024 inputs at worst, with MXFP4 where the largest and the least scale of
    a row are not more than 2^30 apart. They are rounded once they are scaled, to float32.

    State: `codes` and `bias` as in `QuantLinear`; `block_scales` (out, blocks) uint8, codes of the scale encoding; `selectors`
    (out, sub-blocks) uint8, with codebooks only; `tensor_scale` () float32 of formats that have one.
    """

    block_scales: Tensor
    selectors: Tensor | None
    tensor_scale: Tensor | None
    _scaled: Tensor | None = None

    def _register_scales(self) -> None:
        own = self.format
        if self.in_features % own.block:
            raise InputError(f"{self.in_features} input channels: {own.title} has blocks of {own.block}; give a multiple")
        blocks = torch.zeros(self.out_features, self.in_features // own.block, dtype=torch.uint8)
        self.register_buffer("block_scales", blocks)
        selectors = None
        if own.selector_block is not None:
            selectors = torch.zeros(self.out_features, self.in_features // own.selector_block, dtype=torch.uint8)
        self.register_buffer("selectors", selectors)
        self.register_buffer("tensor_scale", torch.ones((), dtype=torch.float32) if own.tensor_scale else None)
        self.zero_points = None

    @classmethod
    def of_blocks(cls, weights: BlockTensors, bias: Tensor | None, scheme: Scheme) -> BlockLinear:
        """A layer of these codes and scales."""
        outputs, inputs = weights.codes.shape
        with torch.device("meta"):
            layer = cls(inputs, outputs, bias is not None, scheme)
        layer.codes = torch_pack(weights.codes, scheme.number_format)
        layer.block_scales, layer.selectors, layer.tensor_scale = weights.scales, weights.selectors, weights.tensor_scales
        layer.bias = None if bias is None else bias.detach().clone()
        return layer

    @classmethod
    def from_linear(cls, linear: nn.Linear, scheme: Scheme) -> BlockLinear:
        """`linear` with its weight in blocks."""
        assert scheme.blocks is not None
        weights = quantize_blocks(linear.weight.detach().to(torch.float32), scheme.blocks)
        return cls.of_blocks(weights, linear.bias, scheme)

    @property
    def format(self) -> BlockFormat:
        """The weights' format."""
        assert self.scheme.blocks is not None
        return self.scheme.blocks

    @property
    def scales(self) -> Tensor:  # type: ignore[override]
        """Size of a step (out, blocks), float32."""
        return self._factors().to(torch.float32)

    @property
    def storage_bits(self) -> int:
        """Bits that the weight takes, all scales and selectors included."""
        return self.format.storage_bits(self.in_features * self.out_features)

    def integer_weight(self) -> Tensor:
        """Weight values (out, in) int8, in units of the elements."""
        return values_of(self.unpacked_codes(), self.selectors, self.format)

    def real_weight(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight (out, in) that codes and scales stand for."""
        return _numbers(self.integer_weight(), self._factors(), self.format).to(dtype)

    def fault(self) -> str:
        """What is in the state that no quantization puts there; empty if nothing is."""
        encoding, codes = self.format.scales, self.block_scales
        if int(codes.max()) >= 1 << encoding.used_bits or bool((codes & encoding.nan_code == encoding.nan_code).any()):
            return f"scales that are no numbers of {encoding.title}"
        if self.selectors is not None and int(self.selectors.max()) >= len(self.format.elements):
            return f"selectors out of 0 to {len(self.format.elements) - 1}"
        if self.tensor_scale is not None and not 0 < float(self.tensor_scale) < float("inf"):
            return f"a tensor scale of {float(self.tensor_scale)}"
        return super().fault()

    def extra_repr(self) -> str:
        """What `print(model)` says of the layer."""
        features = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{features}, {self.format.title}, activations {self.scheme.activations}"

    def _product(self, x: Tensor) -> Tensor:
        if self.scheme.activations == "fp32":
            return super()._product(x)
        rows, blocks = x.reshape(-1, self.in_features).to(torch.float32), self.scheme.activation_blocks
        outer: Tensor | None
        if blocks is not None:
            tokens = quantize_blocks(rows, blocks, by_row=True)
            values = values_of(tokens.codes, tokens.selectors, blocks)
            sums = nn.functional.linear(
                _numbers(values, factors_of(tokens.scales, None, blocks), blocks), self._scaled_weight()
            )
            outer = tokens.tensor_scales
            if self.observer is not None:
                own = torch.ones(len(rows)) if outer is None else outer.flatten()
                self.observer(tokens.codes, own, sums, tokens.scales, tokens.selectors)
        else:
            activations, scales = quantize_activations(rows)
            outer = scales[:, None]
            if self.execution == "integer":
                steps = factors_of(self.block_scales, None, self.format) * float(self.format.unit)
                sums = (self.accumulate(activations) * steps.T[:, None]).sum(dim=0)
            else:
                sums = nn.functional.linear(activations.double(), self._scaled_weight())
            if self.observer is not None:
                self.observer(activations, scales, sums, None, None)
        for tensor_scale in (outer, self.tensor_scale):
            if tensor_scale is not None:
                sums = sums * tensor_scale.double()
        output = sums.to(torch.float32)
        if self.bias is not None:
            output += self.bias
        return output.reshape(*x.shape[:-1], self.out_features)

    def _factors(self) -> Tensor:
        return factors_of(self.block_scales, self.tensor_scale, self.format)

    def _scaled_weight(self) -> Tensor:
        """The weight (out, in), float64, without the tensor scale; kept until the state changes."""
        if self._scaled is None:
            self._scaled = _numbers(self.integer_weight(), factors_of(self.block_scales, None, self.format), self.format)
        return self._scaled

    def _forget(self) -> None:
        self._scaled = None
        super()._forget()


def empty_layer(in_features: int, out_features: int, bias: bool, scheme: Scheme) -> QuantLinear:
    """A layer of the `scheme`'s kind, to be filled with a state."""
    kind = QuantLinear if scheme.blocks is None else BlockLinear
    return kind(in_features, out_features, bias, scheme)


def quantized_layer(linear: nn.Linear, scheme: Scheme) -> QuantLinear:
    """`linear` with its weight rounded to nearest."""
    kind = QuantLinear if scheme.blocks is None else BlockLinear
    return kind.from_linear(linear, scheme)


def _numbers(values: Tensor, factors: Tensor, block_format: BlockFormat) -> Tensor:
    """`values` (rows, columns), in units, times `factors` (rows, blocks): float64."""
    parts = values.view(*factors.shape, block_format.block).double() * (factors * float(block_format.unit))[:, :, None]
    return parts.view(values.shape)
