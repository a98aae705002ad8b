"""Quantizing a streamed model: layer by layer into files, so that neither the model nor its quantized copy is ever in memory.

The stages are those of `recipe.quantize_model`, and so is the result, bit for bit. What is finished is kept in a folder,
each decoder layer in a file of its own: an interrupted quantization that is started again finds it there, runs the finished
layers without deciding anything anew, and ends with the same bytes. The folder belongs to one recipe, model, set of
calibration windows, device and version of this package; anything else gets another one.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from golden.artifacts import sha256_file, sha256_of
from golden.errors import DintError

from .adapter import ScalingGroup
from .attention import use_int8_attention
from .block import GroupScale
from .layers import QuantLinear, replace_module
from .layerwise import go_through_layers
from .scaling import fold, search_scales
from .stopwatch import stage
from .streaming import LayerStream, TensorFiles, empty_model, present, write_tensors
from .values import quantize_values

if TYPE_CHECKING:
    from .models import LoadedModel
    from .recipe import Recipe

__all__ = ["quantize_streamed", "unfinished"]

Progress = Callable[[], None]


def quantize_streamed(
    loaded: LoadedModel,
    recipe: Recipe,
    windows: Tensor,
    work: Path | None,
    quantize_layer: Callable[[nn.Module, dict[str, Tensor]], None],
    hessians: bool,
    progress: Progress | None,
) -> tuple[Any, list[GroupScale], list[Path]]:
    """A quantized copy of `loaded`, streamed too, the scales folded into it, and its decoder layers' files.

    Parameters
    ----------
    work
        Folder for what is finished; it is made, and the copy reads its layers from there. Without one, it is a temporary
        folder that vanishes with the copy.
    quantize_layer
        Replaces the linear layers of a decoder layer, given the Hessians of their inputs.
    hessians
        Whether it needs them.
    """
    temporary = None
    if work is None:
        temporary = TemporaryDirectory(prefix="dint-")
        work = Path(temporary.name)
    folder = work / _key(loaded, recipe, windows)
    rounded, complete = folder / "rounded", folder / "complete"
    for needed in (folder / "scales", rounded, complete):
        needed.mkdir(parents=True, exist_ok=True)
    adapter, source = loaded.adapter, loaded.stream
    assert source is not None

    scales: list[GroupScale] = []
    if recipe.scaling != "none":
        kept = _ScaleFiles(folder / "scales", loaded.model.device)
        scales = search_scales(loaded.model, adapter, windows, recipe.scaling, recipe.scheme, progress, kept)
    source.empty()

    model = empty_model(loaded.model, copy.deepcopy(loaded.model.config))

    def fill_folded(name: str, layer: nn.Module, device: torch.device) -> None:
        source.fill(name, layer, device)
        fold(model, [scale for scale in scales if scale.layer == name])

    stream = LayerStream(model, adapter, fill_folded, temporary)
    names = {layer: name for name, layer in adapter.decoder_layers(model)}

    def quantize(layer: nn.Module, inputs: dict[str, Tensor]) -> None:
        name = names[layer]
        file = rounded / f"{name}.safetensors"
        if file.is_file():
            _replace_linears(layer, adapter.linears, recipe)
            TensorFiles(rounded, name).fill(name, layer, model.device)
        else:
            quantize_layer(layer, inputs)
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
        return model, scales, [rounded / f"{name}.safetensors" for name in names.values()]
    with ExitStack() as stack:
        for layer, name in names.items():
            write = _writing_hook(complete / f"{name}.safetensors", name)
            stack.callback(layer.register_forward_hook(write).remove)
        quantize_values(model, adapter, windows, recipe.values, recipe.form, progress)
    stream.empty()
    stream.fill = TensorFiles(complete, "quantized").fill
    return model, scales, [complete / f"{name}.safetensors" for name in names.values()]


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """Folder beside `out` for what is finished: it outlives an interruption, and nothing else."""
    folder = out.absolute().parent / f".{out.absolute().name}.unfinished"
    try:
        yield folder
    except (DintError, SafetensorError, OSError):  # what cannot be done now is not gone on with
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


class _ScaleFiles:
    """Scales in a folder, a file for each group of each decoder layer."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder, self._device = folder, device

    def read(self, layer: str, group: ScalingGroup) -> GroupScale | None:
        """The group's scale, if it is there."""
        from safetensors.torch import load_file

        file = self._file(layer, group)
        if not file.is_file():
            return None
        tensors = load_file(file)
        alpha, beta, *losses = tensors["numbers"].tolist()
        loss, unscaled_loss = losses or (None, None)
        return GroupScale(layer, group, tensors["scale"].to(self._device), alpha, beta, loss, unscaled_loss)

    def write(self, found: GroupScale) -> None:
        """Keep a scale."""
        losses = [] if found.loss is None or found.unscaled_loss is None else [found.loss, found.unscaled_loss]
        numbers = torch.tensor([found.alpha, found.beta, *losses], dtype=torch.float64)
        write_tensors(self._file(found.layer, found.group), {"scale": found.scale, "numbers": numbers})

    def _file(self, layer: str, group: ScalingGroup) -> Path:
        return self._folder / f"{layer}.{group.producer}.safetensors"


def _key(loaded: LoadedModel, recipe: Recipe, windows: Tensor) -> str:
    """Name of the folder: whatever decides the bytes of what is in it."""
    package = Path(__file__).parent
    decisive = {
        "model": loaded.sha256,
        "recipe": recipe.describe(),
        "windows": windows.tolist(),
        "device": str(loaded.model.device),
        "threads": torch.get_num_threads(),  # sums are split among them
        "torch": torch.__version__,
        "package": {file.name: sha256_file(file) for file in sorted(package.glob("*.py"))},
    }
    return sha256_of(decisive)[:16]


def _replace_linears(layer: nn.Module, names: tuple[str, ...], recipe: Recipe) -> None:
    """Put empty quantized layers in the places of the linear layers called `names`."""
    for name in names:
        linear = layer.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        with torch.device("meta"):
            quantized = QuantLinear(linear.in_features, linear.out_features, linear.bias is not None, recipe.scheme)
        replace_module(layer, name, quantized)


def _write(file: Path, name: str, layer: nn.Module) -> None:
    with stage("writing"):
        write_tensors(file, {f"{name}.{key}": tensor for key, tensor in layer.state_dict().items()})


def _writing_hook(file: Path, name: str) -> Callable[..., None]:
    return lambda layer, _args, _output: _write(file, name, layer)
