# SPDX-License-Identifier: Apache-2.0
"""Files of tensors: safetensors, and those that PyTorch pickles (`pytorch_model.bin`), which are read in the same way.

Tensors are read one by one, when they are asked for: files may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self
from zipfile import is_zipfile

import torch
from torch import Tensor, nn

from golden.artifacts import read_json, replacing
from golden.errors import InputError

from .failures import reason

__all__ = ["INDEX", "TensorFiles", "lacking", "unreadable", "weight_files", "write_tensors"]

#: Name of the file that says which weights are in which of several files.
INDEX = "model.safetensors.index.json"
#: The same of pickled files.
_PICKLED_INDEX = "pytorch_model.bin.index.json"


def weight_files(directory: Path) -> list[Path]:
    """The files with a model's weights: safetensors; pickled ones only where there are none."""
    return sorted(directory.glob("*.safetensors")) or sorted(directory.glob("pytorch_model*.bin"))


def lacking(name: str, directory: Path, weights: str) -> InputError:
    """What is wrong with the model called `name` whose `directory` has no `weights`, one of its tensors."""
    return InputError(f"model {name}: {directory} lacks the weights {weights} and perhaps more; use a complete checkpoint")


def unreadable(name: str, path: Path, error: Exception) -> InputError:
    """What is wrong with the model called `name` where reading its `path`, a file or directory, ends in `error`."""
    return InputError(f"model {name}: cannot be loaded from {path} ({reason(error)}); use a sound checkpoint")


class TensorFiles:
    """The weight files of a directory as one collection of tensors, each read when it is asked for.

    Raises
    ------
    InputError
        If a file is damaged, or one that the index names is missing.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._name, self._directory = name, directory
        self._file_of: dict[str, Path] = {}
        for file in self._indexed() or weight_files(directory):
            with self._opened(file) as tensors:
                self._file_of.update(dict.fromkeys(tensors.keys(), file))

    def read(self, names: Iterable[str], device: torch.device) -> dict[str, Tensor]:
        """The tensors called `names`, floating point as float32, in memory of their own.

        Files written from a model without its head lack the first part of every name; they are found all the same.
        """
        found: dict[str, Tensor] = {}
        by_file: dict[Path, dict[str, str]] = {}
        for name in names:
            key = name if name in self._file_of else name.partition(".")[2]
            if key not in self._file_of:
                raise lacking(self._name, self._directory, name)
            by_file.setdefault(self._file_of[key], {})[name] = key
        for file, keys in by_file.items():
            with self._opened(file) as tensors:
                for name, key in keys.items():
                    tensor = tensors.get_tensor(key)
                    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
                    # A copy even where the type stays: in a file it may lie unaligned, and sums then differ in last bits.
                    found[name] = tensor.to(device, dtype, copy=True)
        return found

    def fill(self, layer_name: str, layer: nn.Module, device: torch.device) -> None:
        """Give an empty decoder layer its tensors."""
        tensors = self.read((f"{layer_name}.{name}" for name in layer.state_dict()), device)
        relative = {name.removeprefix(f"{layer_name}."): tensor for name, tensor in tensors.items()}
        try:
            layer.load_state_dict(relative, assign=True)
        except RuntimeError as error:
            told = " ".join(str(error).split())
            raise InputError(f"model {self._name}: {layer_name} does not fit its configuration ({told})") from None

    def _indexed(self) -> list[Path]:
        """The files that the index names; none where there is no index."""
        index = self._directory / (_PICKLED_INDEX if _are_pickled(weight_files(self._directory)) else INDEX)
        if not index.is_file():
            return []
        try:
            return [self._directory / one for one in sorted(set(read_json(index)["weight_map"].values()))]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"model {self._name}: {index} cannot be read ({error!r})") from None

    def _opened(self, file: Path) -> Any:
        from safetensors import SafetensorError, safe_open

        try:
            return _Pickled(file) if _are_pickled([file]) else safe_open(file, framework="pt")
        except (OSError, SafetensorError, ValueError) as error:
            raise unreadable(self._name, file, error) from None


class _Pickled:
    """A file of `torch.save`, mapped into memory and not read, with as much of safetensors' interface as is used here."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as opened:
            if not is_zipfile(opened):
                raise ValueError(
                    "is damaged, or of a PyTorch older than 1.6; where transformers can load it, save_pretrained makes it anew"
                )
        try:
            saved = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
        except (RuntimeError, UnpicklingError):
            raise ValueError("is damaged, or holds more than tensors, which is not loaded: it could run programs") from None
        if not isinstance(saved, dict):
            raise ValueError("holds no tensors by name")
        self._tensors = {name: tensor for name, tensor in saved.items() if isinstance(tensor, Tensor)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tensors = {}

    def keys(self) -> Iterable[str]:
        return self._tensors.keys()

    def get_tensor(self, name: str) -> Tensor:
        return self._tensors[name]


def _are_pickled(files: Sequence[Path]) -> bool:
    return bool(files) and files[0].suffix == ".bin"


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """A safetensors file of `tensors`, whole or not at all; equal tensors give equal bytes."""
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        save_file({name: tensors[name].contiguous() for name in sorted(tensors)}, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # as other files are; the library makes it private
