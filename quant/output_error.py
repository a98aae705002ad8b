# SPDX-License-Identifier: Apache-2.0
"""Where the output error of a linear layer comes from: weights that vanish, or weights that are merely rounded.

Reference paper (arXiv 2311.05161, section 4), with W the unquantized weight, X its input in the unquantized model, Du the
error of the weights whose quantized value is 0 (underflow) and Dr the error of all others (rounding):

    E[(W X - (W + Du + Dr) X)^2] = E[(Du X)^2] + E[(Dr X)^2] + 2 E[Du X . Dr X]

All parts are relative to E[(W X)^2], and only weights are quantized here. Where channels were scaled, the quantized weight
is taken back to the unscaled channels, so that every recipe is measured on the same inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .adapter import Adapter
from .quantization import QuantizedModel
from .streaming import present_module
from .tensor_files import write_tensors

__all__ = ["OutputError", "layer_inputs", "mean_error", "output_errors"]


@dataclass(frozen=True)
class OutputError:
    """Relative squared output error of a layer, or its mean over layers; total = underflow + rounding + cross."""

    total: float
    underflow: float
    rounding: float
    cross: float
    zero_fraction: float  # of the weights that are not exactly zero, the fraction whose quantized value is zero


def layer_inputs(model: Any, adapter: Adapter, windows: Tensor, folder: Path | None = None) -> Mapping[str, Tensor]:
    """Input X (tokens, in), float32, of every linear layer of the unquantized `model` on `windows` (n, length).

    With a `folder` they are kept there, in files, and read when they are asked for.
    """
    inputs: dict[str, Tensor] = {}
    files: dict[str, Path] = {}

    def hook_of(names: tuple[str, ...]) -> Callable[..., None]:
        def hook(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            x = args[0].detach().flatten(0, -2)
            if folder is None:
                inputs.update(dict.fromkeys(names, x))
            else:
                file = folder / f"{names[0]}.safetensors"
                write_tensors(file, {"x": x})
                files.update(dict.fromkeys(names, file))

        return hook

    with ExitStack() as stack, torch.no_grad():
        for layer_name, layer in adapter.decoder_layers(model):
            for group in adapter.groups:
                names = tuple(f"{layer_name}.{name}" for name in group.consumers)
                handle = layer.get_submodule(group.consumers[0]).register_forward_pre_hook(hook_of(names))
                stack.callback(handle.remove)
        model.base_model(input_ids=windows.to(model.device), use_cache=False)
    return inputs if folder is None else _Filed(files, model.device)


class _Filed(Mapping[str, Tensor]):
    """Tensors by name, each in a file."""

    def __init__(self, files: dict[str, Path], device: torch.device) -> None:
        self._files, self._device = files, device

    def __getitem__(self, name: str) -> Tensor:
        tensors: dict[str, Tensor] = load_file(self._files[name])
        return tensors["x"].to(self._device)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def output_errors(model: Any, quantized: QuantizedModel, inputs: Mapping[str, Tensor]) -> dict[str, OutputError]:
    """The split by layer: `model` unquantized, `inputs` from `layer_inputs`."""
    columns, rows = quantized.column_scales(), quantized.row_scales()
    errors = {}
    for name in quantized.layers():
        weight, layer = present_module(model, name).weight.detach().double(), present_module(quantized.model, name)
        approximation = layer.real_weight(torch.float64)
        vanished = approximation == 0
        if name in rows:
            approximation = approximation * rows[name].double()[:, None]
        if name in columns:
            approximation = approximation / columns[name].double()
        errors[name] = split_error(weight, approximation, vanished, inputs[name].double())
    return errors


def split_error(weight: Tensor, approximation: Tensor, vanished: Tensor, x: Tensor) -> OutputError:
    """The split of one layer: weight, its approximation and where that is zero, all (out, in); x (tokens, in). float64."""
    difference = approximation - weight
    underflow = torch.where(vanished, difference, 0) @ x.T
    rounding = torch.where(vanished, 0, difference) @ x.T
    signal = float((weight @ x.T).square().sum()) or 1.0
    parts = {
        "underflow": float(underflow.square().sum()) / signal,
        "rounding": float(rounding.square().sum()) / signal,
        "cross": 2 * float((underflow * rounding).sum()) / signal,
    }
    nonzero = weight != 0
    zero_fraction = float((vanished & nonzero).sum()) / max(1, int(nonzero.sum()))
    return OutputError(total=sum(parts.values()), zero_fraction=zero_fraction, **parts)


def mean_error(errors: dict[str, OutputError]) -> OutputError:
    """The mean over layers, each layer counting once."""

    def mean(name: str) -> float:
        return sum(getattr(error, name) for error in errors.values()) / len(errors)

    return OutputError(**{name: mean(name) for name in ("total", "underflow", "rounding", "cross", "zero_fraction")})
