# SPDX-License-Identifier: Apache-2.0
"""The attention's value tensor in few bits: what the projection of the values puts out, by output channel.

The reference paper (arXiv 2311.05161: W4A8V4) quantizes the values like the weights, per channel. The scales are
fixed on the calibration windows [our choice: the paper does not say when they are taken], so that a token's values do not
depend on the tokens after it, and a cache of them holds codes that are final. Values beyond the range saturate.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from golden import NumberFormat

from .adapter import Adapter
from .calibration import check_finite, searched
from .layers import QuantLinear
from .weights import choose_scales, decode, nearest_codes

__all__ = ["QuantValues", "quantize_values"]


class QuantValues(nn.Module):
    """Rounds values (..., channels) to a number format: symmetric with signed scales, or asymmetric, as weights are.

    State: `scales` (channels,) float32; `zero_points` (channels,) uint8 in the asymmetric form.
    """

    scales: Tensor
    zero_points: Tensor | None

    def __init__(self, channels: int, number_format: NumberFormat, form: str) -> None:
        super().__init__()
        self.number_format, self.form = number_format, form
        self.register_buffer("scales", torch.ones(channels, dtype=torch.float32))
        zero_points = torch.zeros(channels, dtype=torch.uint8) if form == "asymmetric" else None
        self.register_buffer("zero_points", zero_points)

    def calibrate(self, values: Tensor) -> None:
        """Take the scales from `values` (..., channels), so that all of them are in range."""
        self.scales, zero_points = choose_scales(values.flatten(0, -2).T, self.number_format, self.form)
        self.zero_points = None if zero_points is None else zero_points.to(torch.uint8)

    def forward(self, values: Tensor) -> Tensor:
        """The nearest values that codes stand for, shaped like `values`."""
        channels = values.flatten(0, -2).T
        codes = nearest_codes(channels, self.number_format, self.scales, self.zero_points)
        steps = decode(codes, self.number_format, self.zero_points)
        return (steps * self.unit_scales()[:, None]).T.reshape(values.shape)

    @property
    def reach(self) -> int:
        """Largest magnitude of an integer that a code stands for, in units of the format."""
        one = self.number_format
        return max(-one.minimum, one.maximum) if self.form == "symmetric" else int(one.steps / one.unit)

    def unit_scales(self) -> Tensor:
        """What a unit of the format stands for (channels,), float32; negative where the channel is stored mirrored."""
        return self.scales * float(self.number_format.unit)

    def extra_repr(self) -> str:
        """What `print(model)` says of it."""
        return f"channels={len(self.scales)}, {self.number_format.title}, {self.form}"


def quantize_values(
    model: Any,
    adapter: Adapter,
    windows: Tensor,
    number_format: NumberFormat,
    form: str,
    progress: Callable[[], None] | None = None,
) -> None:
    """Put a `QuantValues` behind the values of every decoder layer of a quantized `model`, in place.

    They are calibrated by one pass over the first of the `windows` (n, length), in which every layer's values are those behind
    quantized ones (`calibration.searched`). `progress` is called after every decoder layer.
    """

    def hook(linear: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(linear, QuantLinear)
        check_finite(output, "the attention's second product")
        linear.output = QuantValues(linear.out_features, number_format, form).to(output.device)
        linear.output.calibrate(output)
        if progress is not None:
            progress()
        return linear.output(output)

    with ExitStack() as stack, torch.no_grad():
        for _, layer in adapter.decoder_layers(model):
            stack.callback(layer.get_submodule(adapter.values).register_forward_hook(hook).remove)
        model.base_model(input_ids=searched(windows).to(model.device), use_cache=False)
