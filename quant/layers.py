# SPDX-License-Identifier: Apache-2.0
"""The quantized linear layer: integer weights, integer activations, exact integer accumulators, then scales."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from golden import NumberFormat
from golden.errors import InputError, unknown

from .activations import LARGEST, quantize_activations
from .integers import EXACT_SUM, EXECUTIONS, IntegerMatrix
from .scheme import Scheme
from .weights import QuantizedWeights, decode, decode_packed, quantize_weights

__all__ = ["QuantLinear", "check_execution", "replace_module", "torch_pack", "torch_unpack", "use_execution"]

#: Called with activations (tokens, in), activation scales (tokens,) and accumulators (tokens, out) of every forward pass; by
#: layers of block formats, whose activations may be codes, with those codes' block scales and selectors, or None, too.
Observer = Callable[..., None]


class QuantLinear(nn.Module):
    """A linear layer whose products are those of the MAC unit.

    output[t, o] = accumulators[t, o] x unit x scales[o] x activation_scales[t] + bias[o], where the accumulators are exact
    integers, in units of the format. With the execution "integer" they are 32-bit integers (`integers`). With "float", they
    are integers kept in float32, and layers whose sums could exceed what that holds exactly are computed in float64. The
    output is the same, bit for bit. With groups, a sum ends where the scale changes: there is
    an accumulator for each group, and the scaled accumulators are added in floating point. If the scheme leaves the
    activations in floating point, there are no accumulators: the input meets the weight's real values. With groups per-ic
    there are none either, because the scale changes from one product to the next: each product is scaled by itself, and the
    scaled products, integer activations times the weight's real values, are added in float32.

    State: `codes` (out, bytes) uint8, two codes a byte as `golden.pack` lays them out; `scales` (out,), (out, groups) or, with
    groups per-ic, (in, groups) float32; `zero_points`, uint8, shaped like them, in the asymmetric form; `bias` (out,) float32,
    or None. `output`, if there is one, is what the layer's output goes through (`values`).
    """

    codes: Tensor
    scales: Tensor
    zero_points: Tensor | None
    bias: Tensor | None
    output: nn.Module | None

    def __init__(self, in_features: int, out_features: int, bias: bool, scheme: Scheme) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.scheme, self.number_format = scheme, scheme.number_format
        row_bytes = in_features if self.number_format.bits > 4 else (in_features + 1) // 2
        self.register_buffer("codes", torch.zeros(out_features, row_bytes, dtype=torch.uint8))
        self._register_scales()
        self.register_buffer("bias", torch.zeros(out_features, dtype=torch.float32) if bias else None)
        self.output = None
        self.observer: Observer | None = None
        self._execution = "float"
        self._matrix: Any = None
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())

    def _register_scales(self) -> None:
        scheme, shape = self.scheme, self.scheme.scales_shape(self.out_features, self.in_features)
        self.register_buffer("scales", torch.ones(shape, dtype=torch.float32))
        zero_points = torch.zeros(shape, dtype=torch.uint8) if scheme.form == "asymmetric" else None
        self.register_buffer("zero_points", zero_points)

    @classmethod
    def from_weights(cls, weights: QuantizedWeights, bias: Tensor | None, scheme: Scheme) -> QuantLinear:
        """A layer of these codes and scales."""
        outputs, inputs = weights.codes.shape
        with torch.device("meta"):
            layer = cls(inputs, outputs, bias is not None, scheme)
        layer.codes = torch_pack(weights.codes, scheme.number_format)
        layer.scales = weights.scales
        layer.zero_points = None if weights.zero_points is None else weights.zero_points.to(torch.uint8)
        layer.bias = None if bias is None else bias.detach().clone()
        return layer

    @classmethod
    def from_linear(cls, linear: nn.Linear, scheme: Scheme) -> QuantLinear:
        """`linear` with its weight rounded to nearest."""
        weight = linear.weight.detach().to(torch.float32)
        quantized = quantize_weights(weight, scheme.number_format, scheme.form, scheme.group_size, scheme.grouping)
        return cls.from_weights(quantized, linear.bias, scheme)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., in), float -> (..., out), float32."""
        output = self._product(x)
        return output if self.output is None else self.output(output)

    def _product(self, x: Tensor) -> Tensor:
        if self.scheme.activations == "fp32":
            return nn.functional.linear(x.to(torch.float32), self._decoded(self.real_weight), self.bias)
        activations, activation_scales = quantize_activations(x.reshape(-1, self.in_features).to(torch.float32))
        if not self.scheme.integer_sums:
            output = nn.functional.linear(activations, self._decoded(self.real_weight)) * activation_scales[:, None]
            return (output if self.bias is None else output + self.bias).reshape(*x.shape[:-1], self.out_features)
        accumulators = self.accumulate(activations)
        if self.observer is not None:
            self.observer(activations, activation_scales, accumulators)
        output = accumulators.to(torch.float32) * activation_scales[:, None]
        if self.scheme.group_size is None:
            output *= self.scales * float(self.number_format.unit)
        else:
            output = (output * (self.scales.T[:, None] * float(self.number_format.unit))).sum(dim=0)
        if self.bias is not None:
            output += self.bias
        return output.reshape(*x.shape[:-1], self.out_features)

    @property
    def execution(self) -> str:
        """How the accumulators are computed: one of `integers.EXECUTIONS`. Assigning another changes no output."""
        return self._execution

    @execution.setter
    def execution(self, execution: str) -> None:
        check_execution(execution, self.scheme)
        self._execution = execution
        self._forget()

    def accumulate(self, activations: Tensor) -> Tensor:
        """Accumulators (tokens, out) of integer `activations` (tokens, in): integers, in float32, float64 or int32.

        With groups they are (groups, tokens, out). There are none unless the scheme has `integer_sums`.
        """
        if self.execution == "integer":
            matrices: list[IntegerMatrix] = self._decoded(self._integer_matrices)
            parts = activations.to(torch.int8).split(self.in_features // len(matrices), dim=1)
            sums = [matrix.product(part.contiguous()) for matrix, part in zip(matrices, parts, strict=True)]
            return sums[0] if self.scheme.group_size is None else torch.stack(sums)
        matrix = self._decoded(self._exact_matrix)
        activations = activations.to(matrix.dtype)
        if self.scheme.group_size is None:
            return nn.functional.linear(activations, matrix)
        by_group = (-1, self.scales.shape[1], self.scheme.group_size)
        return activations.view(by_group).transpose(0, 1) @ matrix.view(by_group).permute(1, 2, 0)

    @property
    def storage_bits(self) -> int:
        """Bits that the weight takes: codes, scales and zero-points; without codebooks, which all layers share."""
        codes = self.in_features * self.out_features * self.number_format.bits
        zero_points = 0 if self.zero_points is None else self.zero_points.numel() * self.number_format.bits
        return codes + 32 * self.scales.numel() + zero_points

    def unpacked_codes(self) -> Tensor:
        """Weight codes (out, in), uint8."""
        return torch_unpack(self.codes, self.number_format, self.in_features)

    def fault(self) -> str:
        """What is in the state that no quantization puts there: codes or zero-points out of range; empty if nothing is."""
        if self.number_format.bits < 4 and int(self.unpacked_codes().max()) >= 1 << self.number_format.bits:
            return f"codes that {self.number_format.title} does not have"
        if (
            self.zero_points is not None
            and not 0 <= self.zero_points.min() <= self.zero_points.max() <= self.number_format.steps
        ):
            return f"zero-points out of 0 to {self.number_format.steps}"
        return ""

    def integer_weight(self) -> Tensor:
        """Weight values (out, in), in units of the format: int8, or int16 where a zero-point moves 8-bit values."""
        if self.zero_points is None and self.number_format.bits <= 4:
            return decode_packed(self.codes, self.number_format)[:, : self.in_features]
        zero_points = None if self.zero_points is None else self.zero_points.flatten()
        return self._matrix_of(decode(self._groups_of(self.unpacked_codes()), self.number_format, zero_points))

    def real_weight(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """The weight (out, in) that the codes and scales stand for."""
        groups = self._groups_of(self.integer_weight().to(dtype))
        return self._matrix_of(groups * self.scales.to(dtype).reshape(-1, 1) * float(self.number_format.unit))

    def extra_repr(self) -> str:
        """What `print(model)` says of the layer."""
        scheme = self.scheme
        groups = "" if scheme.group_size is None else f", groups of {scheme.group_size} {scheme.grouping}"
        features = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{features}, {self.number_format.title}, {scheme.form}{groups}, activations {scheme.activations}"

    def _groups_of(self, matrix: Tensor) -> Tensor:
        """`matrix` (out, in) with a row for each scale (scales, weights of a group)."""
        return (matrix if self.scheme.grouping == "per-oc" else matrix.T).reshape(self.scales.numel(), -1)

    def _matrix_of(self, groups: Tensor) -> Tensor:
        """The matrix (out, in) of rows for each scale."""
        if self.scheme.grouping == "per-oc":
            return groups.view(self.out_features, self.in_features)
        return groups.view(self.in_features, self.out_features).T.contiguous()

    def _decoded(self, decoding: Callable[[], Any]) -> Any:
        """What `decoding` returns, kept until the state changes."""
        if self._matrix is None:
            self._matrix = decoding()
        return self._matrix

    def _exact_matrix(self) -> Tensor:
        values = self.integer_weight().to(torch.float32)
        worst = float(values.abs().sum(dim=1).max()) * (LARGEST + 1)
        return values if worst < EXACT_SUM else values.to(torch.float64)

    def _integer_matrices(self) -> list[IntegerMatrix]:
        size = self.scheme.group_size or self.in_features
        return [IntegerMatrix(part.contiguous()) for part in self.integer_weight().split(size, dim=1)]

    def _forget(self) -> None:
        self._matrix = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._forget()  # a move to another device must not leave the decoded weights behind
        return super()._apply(fn, recurse)


def check_execution(execution: str, scheme: Scheme | None = None) -> None:
    """Refuse an unknown execution, and integers where sums are of none by the `scheme`, if that is known."""
    if execution not in EXECUTIONS:
        raise unknown(f"--execution {execution}", execution, EXECUTIONS)
    if execution == "integer" and scheme is not None and scheme.activations != "int8":
        raise InputError(f"--execution integer: the recipe leaves activations in {scheme.activations}; give --activations int8")
    if execution == "integer" and scheme is not None and not scheme.integer_sums:
        raise InputError(
            "--execution integer: scales of groups per-ic vary within a sum; leave it out, or give --grouping per-oc"
        )


def use_execution(model: nn.Module, execution: str) -> None:
    """Make every quantized layer of `model` compute its accumulators by `execution`, "float" or "integer".

    Raises
    ------
    InputError
        If there is no such execution, or a layer's activations are no integers.
    """
    for module in model.modules():
        if isinstance(module, QuantLinear):
            module.execution = execution


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
