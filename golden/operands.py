# SPDX-License-Identifier: Apache-2.0
"""Operand files: what a quantized model really multiplies, written by `quant` and replayed by `sim`.

One `.npz` holds the layers of one model: weight codes, activations, the accumulators that must come out, and the scales that
turn those into the layer's output; in a block format the scales of blocks as well. A manifest names the format with its table
of values, the origin of everything, and a SHA-256 over all arrays: a file with a changed bit is refused when it is read, or
holds the same all the same. Files of plain formats have version 1, those of block formats version 2.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .artifacts import most_unpacked, replacing
from .block_dot import row_sums
from .block_format import BlockCodes, BlockFormat
from .catalogue import any_format, block_format_by_name
from .errors import InputError
from .mac import MacConfig
from .number_format import NumberFormat

__all__ = ["LayerOperands", "OperandError", "Operands"]

VERSION, BLOCK_VERSION = 1, 2


class OperandError(InputError):
    """An operand file that cannot be used: unreadable, changed, or not what its manifest says."""


# What a manifest holds beside the version, and what arrays a layer has: type and number of dimensions.
_MANIFEST = {"sha256": str, "format": str, "values": list, "layers": list, "provenance": dict}
_ARRAYS = {
    "weights": ("uint8", 2),
    "activations": ("int8", 2),
    "accumulators": ("int64", 2),
    "weight_scales": ("float32", 1),
    "activation_scales": ("float32", 1),
    "zero_points": ("int64", 1),
    "block_scales": ("uint8", 2),
    "selectors": ("uint8", 2),
    "activation_block_scales": ("uint8", 2),
    "activation_selectors": ("uint8", 2),
    "exponents": ("int64", 2),
}


@dataclass(frozen=True)
class LayerOperands:
    """Operands of one linear layer for some tokens.

    output[t, o] = accumulators[t, o] x unit x weight_scales[o] x activation_scales[t] (+ bias, which stays in floating point)

    In a block format, accumulators are in units of `golden.dot` times 2^exponents[t, o] (`golden.row_sums`), the scales of rows
    are those of the tensors, and activations in blocks are codes.
    """

    name: str
    weights: NDArray[np.uint8]  # codes (out, in)
    activations: NDArray[np.int8]  # (tokens, in)
    accumulators: NDArray[np.int64]  # (tokens, out), in units of the format
    weight_scales: NDArray[np.float32]  # (out,), size of a step; negative where the channel is stored mirrored
    activation_scales: NDArray[np.float32]  # (tokens,)
    zero_points: NDArray[np.int64] | None = None  # (out,), only where the weights are asymmetric
    # Of block formats only:
    block_scales: NDArray[np.uint8] | None = None  # (out, blocks), codes of the scale encoding
    selectors: NDArray[np.uint8] | None = None  # (out, sub-blocks), of formats with codebooks
    activation_block_scales: NDArray[np.uint8] | None = None  # (tokens, blocks), of activations in blocks
    activation_selectors: NDArray[np.uint8] | None = None  # (tokens, sub-blocks)
    exponents: NDArray[np.int64] | None = None  # (tokens, out)

    def expected(self, number_format: NumberFormat) -> NDArray[np.int64]:
        """The accumulators (tokens, out) that the golden model computes from weights and activations."""
        activations = MacConfig(number_format).checked_activations(self.activations)
        if self.zero_points is None:
            return activations @ number_format.decode(self.weights).T
        rows = [
            number_format.with_zero_point(int(zero_point)).decode(codes)
            for codes, zero_point in zip(self.weights, self.zero_points, strict=True)
        ]
        return activations @ np.stack(rows).T

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in _ARRAYS if getattr(self, name) is not None}


@dataclass(frozen=True)
class Operands:
    """The layers of an operand file, their number format, and where they come from."""

    number_format: NumberFormat
    layers: tuple[LayerOperands, ...]
    provenance: dict[str, Any] = field(default_factory=dict)  # hashes of model and text, recipe, tokens
    block_format: BlockFormat | None = None  # of the weights
    activation_format: BlockFormat | None = None  # of activations that are no integers

    @property
    def format_name(self) -> str:
        """`format_name` of the units that can take them."""
        if self.block_format is None:
            return self.number_format.name
        if self.activation_format is None:
            return self.block_format.name
        return f"{self.block_format.name}_a{self.activation_format.bits}"

    def coded(self, layer: LayerOperands) -> tuple[BlockCodes, BlockCodes | NDArray[np.int8]]:
        """Weights and activations of a layer in a block format, checked, the tensors' scales left out."""
        assert self.block_format is not None
        assert layer.block_scales is not None
        weights = _blocks(self.block_format, layer.weights, layer.block_scales, layer.selectors)
        if self.activation_format is None:
            return weights, layer.activations
        codes, scales = layer.activations.view(np.uint8), layer.activation_block_scales
        assert scales is not None
        return weights, _blocks(self.activation_format, codes, scales, layer.activation_selectors)

    def expected(self, layer: LayerOperands) -> NDArray[np.int64]:
        """The accumulators (tokens, out) of a layer that the golden model computes from its weights and activations."""
        return layer.expected(self.number_format) if self.block_format is None else row_sums(*self.coded(layer))[0]

    def save(self, path: Path) -> None:
        """Write the file, under a temporary name first. Equal operands give equal bytes."""
        arrays = {f"{i}.{name}": array for i, layer in enumerate(self.layers) for name, array in layer._arrays().items()}
        manifest = {
            "version": VERSION if self.block_format is None else BLOCK_VERSION,
            "format": (self.block_format or self.number_format).name,
            "values": _tables(self.block_format or self.number_format),
            "layers": [layer.name for layer in self.layers],
            "provenance": self.provenance,
            "sha256": _digest(arrays),
        }
        if self.block_format is not None:
            manifest["activations"] = "int8" if self.activation_format is None else self.activation_format.name
        encoded = np.frombuffer(json.dumps(manifest, sort_keys=True).encode(), dtype=np.uint8)
        with replacing(path) as temporary, temporary.open("wb") as file:  # given a name, numpy would add a suffix to it
            np.savez_compressed(file, allow_pickle=False, manifest=encoded, **arrays)

    @classmethod
    def load(cls, path: Path) -> Operands:
        """Read and check a file.

        Raises
        ------
        OperandError
            If the file is missing, damaged, of another version, or contradicts its manifest or its number format; or if one
            of its sums is not that of its weights and activations.
        """
        try:
            arrays = _read_arrays(path)
            manifest = json.loads(arrays.pop("manifest").tobytes())
        except FileNotFoundError:
            raise OperandError(f"{path}: no such operand file; make one with 'dint operands'") from None
        except OperandError:
            raise
        except Exception as error:  # zipfile, the codecs and numpy's reader of headers raise a dozen kinds for damaged files
            raise OperandError(f"{path}: not an operand file, or damaged ({error})") from None
        version = manifest.get("version") if isinstance(manifest, dict) else None
        if version not in (VERSION, BLOCK_VERSION):
            raise OperandError(
                f"{path}: version {version} of the file format; this reads versions {VERSION} and {BLOCK_VERSION}"
            )
        for name, kind in _MANIFEST.items():
            if not isinstance(manifest.get(name), kind):
                raise OperandError(f"{path}: {name} is missing in its manifest, or of a wrong kind; export it again")
        if manifest["sha256"] != _digest(arrays):
            raise OperandError(f"{path}: the operands differ from their checksum; export them again with 'dint operands'")
        indices = {name.partition(".")[0] for name in arrays}
        if not all(isinstance(name, str) for name in manifest["layers"]) or indices - {
            *map(str, range(len(manifest["layers"])))
        }:
            raise OperandError(f"{path}: its layers are not those that its manifest names; export it again")
        found, activations = any_format(manifest["format"]), manifest.get("activations", "int8")
        if isinstance(found, BlockFormat) != (version == BLOCK_VERSION) or not isinstance(activations, str):
            raise OperandError(f"{path}: version {version} of the file format has none of {found.title}; export it again")
        if _tables(found) != manifest["values"]:
            raise OperandError(f"{path}: its code table for {found.name} is not the catalogue's; export it again")
        layers = []
        for index, name in enumerate(manifest["layers"]):
            prefix = f"{index}."
            try:
                layer = LayerOperands(name, **{k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)})
            except TypeError:
                raise OperandError(f"{path}: the arrays of {name} are not those of a layer; export the file again") from None
            _check_shapes(path, layer)
            layers.append(layer)
        if isinstance(found, BlockFormat):
            scaled = None if activations == "int8" else block_format_by_name(activations)
            operands = cls(found.elements[0], tuple(layers), manifest["provenance"], found, scaled)
            for layer in layers:
                _check_blocks(path, operands, layer)
        else:
            operands = cls(found, tuple(layers), manifest["provenance"])
        for layer in layers:
            _check_sums(path, operands, layer)
        return operands


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of the archive, by name. The sizes that it gives are believed only up to what a file of its size can hold."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > most_unpacked(path.stat().st_size):
            raise OperandError(f"{path}: would unpack to far more than operands do; it is damaged, export it again")
        if len({member.filename for member in members}) < len(members):
            raise OperandError(f"{path}: has two arrays of one name; export it again")
        # From memory, so that an array cannot claim more than there is.
        contents = {member.filename.removesuffix(".npy"): io.BytesIO(archive.read(member)) for member in members}
    return {name: np.lib.format.read_array(content, allow_pickle=False) for name, content in contents.items()}


def _check_shapes(path: Path, layer: LayerOperands) -> None:
    for name, (kind, dimensions) in _ARRAYS.items():
        array = getattr(layer, name)
        if array is not None and (array.dtype != kind or array.ndim != dimensions):
            raise OperandError(
                f"{path}: {layer.name}.{name} is {array.ndim}-dimensional {array.dtype}, not {dimensions}-dimensional {kind}"
            )
    outputs, tokens = layer.weights.shape[0], layer.activations.shape[0]
    shapes = {
        "activations": (tokens, layer.weights.shape[1]),
        "accumulators": (tokens, outputs),
        "weight_scales": (outputs,),
        "activation_scales": (tokens,),
    }
    if layer.zero_points is not None:
        shapes["zero_points"] = (outputs,)
    for name, shape in shapes.items():
        if getattr(layer, name).shape != shape:
            raise OperandError(f"{path}: {layer.name}.{name} has shape {getattr(layer, name).shape}, not {shape}")
    for name in ("weight_scales", "activation_scales"):
        if not np.isfinite(getattr(layer, name)).all():
            raise OperandError(f"{path}: {layer.name}.{name} is not finite everywhere; export the file again")


def _blocks(
    block_format: BlockFormat, codes: NDArray[np.uint8], scales: NDArray[np.uint8], selectors: NDArray[np.uint8] | None
) -> BlockCodes:
    """Codes whose tensors' scales are 1."""
    tensor_scales = np.ones((), np.float32) if block_format.tensor_scale else None
    coded = BlockCodes(block_format, codes, scales, selectors, tensor_scales)
    block_format.check(coded)
    return coded


def _check_blocks(path: Path, operands: Operands, layer: LayerOperands) -> None:
    """Refuse a layer of a block format whose arrays are not those of its formats."""
    scaled = operands.activation_format is not None
    for name, wanted in (("block_scales", True), ("exponents", True), ("activation_block_scales", scaled)):
        if (getattr(layer, name) is not None) != wanted:
            raise OperandError(f"{path}: {layer.name} has {'no ' if wanted else ''}{name}; export the file again")
    if layer.zero_points is not None or (layer.activation_selectors is not None and not scaled):
        raise OperandError(f"{path}: {layer.name} has arrays that are none of a block format; export the file again")
    assert layer.exponents is not None
    if layer.exponents.shape != layer.accumulators.shape:
        raise OperandError(f"{path}: {layer.name}.exponents has shape {layer.exponents.shape}, not {layer.accumulators.shape}")
    try:
        operands.coded(layer)
    except InputError as error:
        raise OperandError(f"{path}: {layer.name}: {error}") from None
    for name, block_format in (
        ("block_scales", operands.block_format),
        ("activation_block_scales", operands.activation_format),
    ):
        scales = getattr(layer, name)
        if block_format is not None and scales is not None and block_format.scales.is_nan(scales).any():
            raise OperandError(f"{path}: {layer.name}.{name} contains NaN: there is no sum to expect; check the model")


def _check_sums(path: Path, operands: Operands, layer: LayerOperands) -> None:
    """Refuse a layer whose accumulators are not what its operands make: all of them, since a replay meets a few."""
    try:
        if operands.block_format is None:
            expected, exponents = operands.expected(layer), None
        else:
            expected, exponents = row_sums(*operands.coded(layer))
    except InputError as error:
        raise OperandError(f"{path}: {layer.name}: {error}") from None
    differ = (expected != layer.accumulators) | (exponents != layer.exponents)  # None is not different from None
    if differ.any():
        token, output = np.argwhere(differ)[0]
        stated, made = (
            f"{sums[token, output]}" + ("" if powers is None else f" x 2^{powers[token, output]}")
            for sums, powers in ((layer.accumulators, layer.exponents), (expected, exponents))
        )
        raise OperandError(
            f"{path}: {layer.name}, token {token}, output {output}: the file states a sum of {stated}, its operands make "
            f"{made}; export it again"
        )


def _tables(one: NumberFormat | BlockFormat) -> list[int]:
    """The values of every code, of one table after the other."""
    return [value for table in (one.elements if isinstance(one, BlockFormat) else (one,)) for value in table.values]


def _digest(arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
