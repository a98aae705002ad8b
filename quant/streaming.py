# SPDX-License-Identifier: Apache-2.0
"""Models larger than memory: of the decoder layers, only the one that runs is in memory.

A streamed model is a transformers model like any other: it is called as a whole, and hooks, searches and evaluations work
on it unchanged. Its decoder layers are empty (on torch's `meta` device) until they run; then their weights are read from
files, and the layer before is emptied. Embeddings, last normalization and `lm_head` stay in memory.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .adapter import Adapter
from .stopwatch import stage
from .tensor_files import TensorFiles, lacking, weight_files

__all__ = [
    "LayerStream",
    "empty_model",
    "is_streamed",
    "present",
    "present_module",
    "streamed_model",
]

#: Models whose weight files are larger than this together are streamed. The result is the same, bit for bit.
STREAMED_BYTES = 1 << 27

#: Called with the name of a decoder layer, the layer, empty, and a device: fills it with tensors on that device.
Fill = Callable[[str, nn.Module, torch.device], None]


def is_streamed(directory: Path) -> bool:
    """Whether the model in `directory` is streamed: by the size of its weight files alone."""
    return sum(file.stat().st_size for file in weight_files(directory)) > STREAMED_BYTES


class LayerStream:
    """Fills a decoder layer of `model` before it runs, and empties the one that was present before.

    `fill` may be replaced while no layer is present. `owned` is something that must last as long as the model.
    """

    def __init__(self, model: Any, adapter: Adapter, fill: Fill, owned: object = None) -> None:
        self.fill, self._owned = fill, owned
        self._device: torch.device = model.device
        self._present: nn.Module | None = None
        for name, layer in adapter.decoder_layers(model):
            bring: Any = partial(self._bring, name, layer)
            layer.bring = bring
            layer.register_forward_pre_hook(lambda layer, _args: layer.bring())

    def empty(self) -> None:
        """Leave no layer present; what was changed in it is lost."""
        if self._present is not None:
            self._present.to("meta")
            self._present = None
            _return_freed_memory()

    def _bring(self, name: str, layer: nn.Module) -> None:
        if self._present is not layer:
            self.empty()
            self._present = layer
            with stage("reading"):
                self.fill(name, layer, self._device)


def _return_freed_memory() -> None:
    """Give the system back what is free: glibc's heap, left alone, grows by two thirds of a layer with each layer."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none, and need none
    if trim is not None:
        trim(0)


def present(layer: nn.Module) -> nn.Module:
    """The decoder layer `layer`, filled first where its model is streamed."""
    bring: Any = getattr(layer, "bring", None)
    if bring is not None:
        bring()
    return layer


def present_module(model: nn.Module, name: str) -> Any:
    """The module called `name`, whose decoder layer is filled first where `model` is streamed."""
    module = model
    for part in name.split("."):
        module = present(module.get_submodule(part))
    return module


def streamed_model(directory: Path, name: str, adapter: Adapter, config: Any, device: str = "cpu") -> tuple[Any, LayerStream]:
    """The model in `directory` in evaluation mode, float32, its decoder layers to be filled from the files.

    Raises
    ------
    InputError
        If weights are missing, or a file is damaged.
    """
    files = TensorFiles(directory, name)
    model = empty_model(_without_layers(directory, name, config, device), config)
    return model, LayerStream(model, adapter, files.fill)


def empty_model(rest: Any, config: Any) -> Any:
    """A model with empty decoder layers, quantized ones if `rest` is quantized, that shares everything else with `rest`."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    layers = tuple(name for name, module in model.named_modules() if isinstance(module, nn.ModuleList))
    for name, module in rest.named_modules():
        if not name.startswith(tuple(f"{one}." for one in layers)):
            own = model.get_submodule(name)
            own._parameters.update(module._parameters)
            own._buffers.update(module._buffers)
    model.generation_config = rest.generation_config
    quantizer = getattr(rest, "hf_quantizer", None)
    if quantizer is not None:
        quantizer.preprocess_model(model)
        model.hf_quantizer = quantizer
    return model.eval().requires_grad_(False)


def _without_layers(directory: Path, name: str, config: Any, device: str) -> Any:
    """The model of no decoder layers: transformers reads whatever else it has, ties it and makes its tables."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    config = copy.deepcopy(config)
    config.num_hidden_layers = 0
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # the layers' weights are reported as left over, as is meant
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(
            directory, config=config, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    finally:
        logging.set_verbosity(verbosity)
    if loading["missing_keys"]:
        raise lacking(name, directory, sorted(loading["missing_keys"])[0])
    return model.to(device)
