# SPDX-License-Identifier: Apache-2.0
"""What is finished, kept in files: an interrupted run that is started again goes on, and what recipes share is searched once.

A result has a name that is a hash of whatever decides its bytes, so that a file is only taken for what it was made for.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import Tensor

import golden
from golden.artifacts import sha256_file, sha256_of
from golden.errors import DintError

from .adapter import ScalingGroup
from .block import GroupScale
from .calibration import searched
from .tensor_files import write_tensors

if TYPE_CHECKING:
    from .models import LoadedModel
    from .recipe import Recipe

__all__ = ["ScaleFiles", "kept_scales", "key_of", "unfinished"]

#: Packages whose versions decide results.
_PACKAGES = ("numpy", "torch", "transformers", "tokenizers")


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


def key_of(loaded: LoadedModel, **decisive: Any) -> str:
    """Name of what is computed of a model from `decisive`, plain data, here and now."""
    computed = {
        "model": [loaded.name, loaded.sha256],  # the name tells a model that was changed in memory
        "device": str(loaded.model.device),
        "threads": torch.get_num_threads(),  # sums are split among them
        "versions": {package: version(package) for package in _PACKAGES},
        "sources": {f"{file.parent.name}/{file.name}": sha256_file(file) for file in _sources()},
    }
    return sha256_of({**computed, **decisive})[:16]


def _sources() -> list[Path]:
    """Whatever decides a number: this package and the number formats."""
    folders = Path(__file__).parent, Path(golden.__file__).parent
    return [file for folder in folders for file in sorted(folder.glob("*.py"))]


def kept_scales(work: Path, loaded: LoadedModel, recipe: Recipe, windows: Tensor) -> ScaleFiles:
    """The scales of `recipe` in the folder `work`: recipes that differ only in clipping, rounding and values share them."""
    scheme = recipe.scheme
    layers = [scheme.weights, scheme.form, scheme.group_size, scheme.activations, scheme.grouping]
    key = key_of(loaded, scaling=recipe.scaling, scheme=layers, windows=searched(windows).tolist())
    return ScaleFiles(work / "scales" / key, loaded.model.device)


class ScaleFiles:
    """Scales in a folder, a file for each group of each decoder layer."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self._folder, self._device = folder, device
        folder.mkdir(parents=True, exist_ok=True)

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
