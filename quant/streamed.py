# SPDX-License-Identifier: Apache-2.0
"""Quantizing a streamed model: layer by layer into files, so that neither the model nor its quantized copy is ever in memory.

The stages are those of `quantization.quantize_model`, and so is the result, bit for bit. What is finished is kept in a folder,
each decoder layer in a file of its own: an interrupted quantization that is started again finds it there, runs the finished
layers without deciding anything anew, and ends with the same bytes. The folder belongs to one recipe, model, set of
calibration windows, device and version of this package; anything else gets another one. Scales have folders of their own,
which recipes share (`kept`).
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .adadim import ADADIM, GroupingChoice, choose_groupings
from .attention import use_int8_attention
from .block import GroupScale
from .block_linear import empty_layer
from .kept import kept_scales, key_of
from .layers import replace_module
from .layerwise import go_through_layers
from .scaling import fold, search_scales
from .stopwatch import stage
from .streaming import LayerStream, empty_model, present
from .tensor_files import TensorFiles, write_tensors
from .values import quantize_values

if TYPE_CHECKING:
    from .models import LoadedModel
    from .recipe import Recipe
    from .scheme import Scheme

__all__ = ["discard", "quantize_streamed"]

Progress = Callable[[], None]


def quantize_streamed(
    loaded: LoadedModel,
    recipe: Recipe,
    windows: Tensor,
    work: Path | None,
    quantize_layer: Callable[[nn.Module, dict[str, Tensor], dict[str, Scheme]], None],
    hessians: bool,
    progress: Progress | None,
) -> tuple[Any, list[GroupScale], list[GroupingChoice], list[Path]]:
    """A quantized copy of `loaded`, streamed too, the scales folded into it, AdaDim's choices, and its decoder layers' files.

    Parameters
    ----------
    work
        Folder for what is finished; it is made, and the copy reads its layers from there. Without one, it is a temporary
        folder that vanishes with the copy.
    quantize_layer
        Replaces the linear layers of a decoder layer, given the Hessians of their inputs and what they become.
    hessians
        Whether it needs them.
    """
    temporary = None
    if work is None:
        temporary = TemporaryDirectory(prefix="dint-")
        work = Path(temporary.name)
    folder = work / key_of(loaded, recipe=recipe.describe(), windows=windows.tolist())
    rounded, complete = folder / "rounded", folder / "complete"
    for needed in (rounded, complete):
        needed.mkdir(parents=True, exist_ok=True)
    adapter, source = loaded.adapter, loaded.stream
    assert source is not None

    scales: list[GroupScale] = []
    if recipe.scaling != "none":
        kept = kept_scales(work, loaded, recipe, windows)
        scales = search_scales(loaded.model, adapter, windows, recipe.scaling, recipe.scheme, progress, kept)
    source.empty()

    model = empty_model(loaded.model, copy.deepcopy(loaded.model.config))

    def fill_folded(name: str, layer: nn.Module, device: torch.device) -> None:
        source.fill(name, layer, device)
        fold(model, [scale for scale in scales if scale.layer == name])

    stream = LayerStream(model, adapter, fill_folded, temporary)
    names = {layer: name for name, layer in adapter.decoder_layers(model)}
    choices: list[GroupingChoice] = []
    if recipe.grouping == ADADIM:
        choices = choose_groupings(model, adapter, windows, recipe.scheme, progress)
    schemes = recipe.schemes(adapter.linear_names(model), choices)

    def quantize(layer: nn.Module, inputs: dict[str, Tensor]) -> None:
        name = names[layer]
        file = rounded / f"{name}.safetensors"
        becoming = adapter.of_layer(name, schemes)
        if file.is_file():
            _replace_linears(layer, becoming)
            TensorFiles(rounded, name).fill(name, layer, model.device)
        else:
            quantize_layer(layer, inputs, becoming)
            _write(file, name, layer)

    if hessians:
        go_through_layers(model, adapter, windows, quantize, recipe.rounding == "optq", progress)
    else:
        for layer in names:
            quantize(present(layer), {})
            if progress is not None:
                progress()
    stream.empty()
    stream.fill = TensorFiles(rounded, "quantized").fill
    if recipe.attention == "int8":
        use_int8_attention(model)
    if recipe.values is None:
        return model, scales, choices, [rounded / f"{name}.safetensors" for name in names.values()]
    with ExitStack() as stack:
        for layer, name in names.items():
            write = _writing_hook(complete / f"{name}.safetensors", name)
            stack.callback(layer.register_forward_hook(write).remove)
        quantize_values(model, adapter, windows, recipe.values, recipe.form, progress)
    stream.empty()
    stream.fill = TensorFiles(complete, "quantized").fill
    return model, scales, choices, [complete / f"{name}.safetensors" for name in names.values()]


def discard(files: Sequence[Path]) -> None:
    """Remove the decoder layers of a quantized model, `files` of which are of no more use; its scales stay, for others."""
    for folder in {file.parent.parent for file in files}:
        shutil.rmtree(folder, ignore_errors=True)


def _replace_linears(layer: nn.Module, schemes: dict[str, Scheme]) -> None:
    """Put empty quantized layers in the places of the linear layers that `schemes` names."""
    for name, scheme in schemes.items():
        linear = layer.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        with torch.device("meta"):
            quantized = empty_layer(linear.in_features, linear.out_features, linear.bias is not None, scheme)
        replace_module(layer, name, quantized)


def _write(file: Path, name: str, layer: nn.Module) -> None:
    with stage("writing"):
        write_tensors(file, {f"{name}.{key}": tensor for key, tensor in layer.state_dict().items()})


def _writing_hook(file: Path, name: str) -> Callable[..., None]:
    return lambda layer, _args, _output: _write(file, name, layer)
