# SPDX-License-Identifier: Apache-2.0
"""Quantized models as Hugging Face directories.

A directory holds `config.json` with a `quantization_config` (quant_method "dint"), `model.safetensors` with packed codes,
scales and zero-points in place of each quantized weight, and the tokenizer. Models that are streamed have a file for every
decoder layer instead, one before them for all the rest, and the usual index. Once `register` has run,
`AutoModelForCausalLM.from_pretrained(DIR)` rebuilds exactly the model that was written.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from golden import any_format
from golden.artifacts import canonical_json, write_file
from golden.errors import InputError

from .adapter import adapter_of
from .layers import check_execution, use_execution
from .layout import METHOD, codebooks_of, version_of
from .models import (
    LoadedModel,
    check_device,
    load_model,
    load_tokenizer,
    local_directory,
    parsed_config,
    read_config,
    read_model,
    weights_sha256,
)
from .quantization import QuantizedModel
from .tensor_files import INDEX, write_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from .plugin import DintConfig

__all__ = [
    "check_output",
    "load_any",
    "load_quantized",
    "register",
    "remove_stale",
    "save_configuration",
    "save_quantized",
]

#: Files of a model, whoever wrote it.
_MODEL_FILES = ("config.json", "*.safetensors", "pytorch_model*.bin", "*.gguf")
#: Files of ours that not every quantization writes.
_OCCASIONAL_FILES = ("model*.safetensors", INDEX, "operands.npz")


def register() -> None:
    """Make transformers know the method; calling it again changes nothing.

    Works at any time from the moment that `transformers.quantizers.auto` is complete, also while the plug-in itself, which
    imports that module, is what made transformers load: it registers itself at its end.
    """
    importlib.import_module("quant.plugin")


def check_output(out: Path) -> None:
    """Refuse an output directory with another model in it: the two would be mixed up.

    A model that was quantized by dint is no other one: the new one takes its place.
    """
    found = sorted(file.name for pattern in _MODEL_FILES for file in out.glob(pattern))
    if not found:
        return
    try:
        method = _method(out, out.name)
    except InputError:
        method = None
    if method != METHOD:
        raise InputError(f"--out {out}: another model is in it ({found[0]}); name another directory")


def remove_stale(out: Path, written: set[str]) -> None:
    """Remove from `out` what an earlier quantization left there and the new one, with files called `written`, has not."""
    for file in [file for pattern in _OCCASIONAL_FILES for file in out.glob(pattern)]:
        if file.name not in written:
            file.unlink(missing_ok=True)


def save_quantized(
    quantized: QuantizedModel, tokenizer: Any, directory: Path, source: dict[str, Any], calibration: dict[str, Any] | None
) -> None:
    """Write model and tokenizer into `directory`, which exists. Equal models give equal bytes.

    `calibration` is None where the recipe needs none.
    """
    model, recipe = quantized.model, quantized.recipe
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    if not quantized.files:
        write_tensors(directory / "model.safetensors", tensors)
    else:
        present = {name: tensor for name, tensor in tensors.items() if not tensor.is_meta}
        _save_shards(present, quantized.files, directory)
    quantization = {
        "quant_method": METHOD,
        "version": version_of(recipe),
        **recipe.describe(),
        **({"groupings": {one.layer: one.grouping for one in quantized.groupings}} if quantized.groupings else {}),
        "values": list(recipe.number_format.values),
        **({"codebooks": codebooks} if (codebooks := codebooks_of(any_format(recipe.weights))) else {}),
        "source": source,
        "calibration": calibration,
    }
    save_configuration(model, quantization, tokenizer, directory)


def save_configuration(model: Any, quantization_config: dict[str, Any], tokenizer: Any, directory: Path) -> None:
    """Write everything of a model but its tensors into `directory`, which exists."""
    config = model.config.to_dict()
    for volatile in ("_name_or_path", "name_or_path"):
        config.pop(volatile, None)
    config["architectures"] = [type(model).__name__]
    config["dtype"] = "float32"
    config["quantization_config"] = quantization_config
    write_file(directory / "config.json", canonical_json(config))
    if model.can_generate():
        model.generation_config.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _save_shards(rest: dict[str, Tensor], layers: tuple[Path, ...], directory: Path) -> None:
    """One file for `rest`, one for each decoder layer, and the index."""
    count = len(layers) + 1
    shards = [directory / f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    write_tensors(shards[0], rest)
    for layer, shard in zip(layers, shards[1:], strict=True):
        try:
            shard.hardlink_to(layer)
        except OSError:  # a file system without links
            shutil.copyfile(layer, shard)
    total, weight_map = 0, {}
    for shard in shards:
        with safe_open(shard, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118  (the handle is no mapping)
                weight_map[name] = shard.name
                total += tensors.get_tensor(name).nbytes
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_file(directory / INDEX, canonical_json(index))


def _method(directory: Path, name: str) -> Any:
    config = read_config(directory, name).get("quantization_config")
    return config.get("quant_method") if isinstance(config, dict) else None


def load_quantized(directory: Path, execution: str = "float", device: str = "cpu") -> tuple[Any, DintConfig]:
    """The model in `directory`, as measured, and its quantization; large models are streamed (`streaming`).

    With the execution "integer" its linear layers multiply 8-bit integers (`integers`); the results are the same.

    Raises
    ------
    InputError
        If there is no such directory, or it holds no model quantized by dint, or its files are damaged.
    """
    path, name = local_directory(directory)
    method = _method(path, name)
    if method != METHOD:
        raise InputError(f"model {name}: not quantized by dint (quant_method is {method!r}); run 'dint quantize' first")

    register()
    parsed = parsed_config(path, name)
    model, _ = read_model(path, name, adapter_of(parsed, name), parsed, device)
    use_execution(model, execution)
    return model, model.hf_quantizer.quantization_config


def load_any(model: str | Path | None, execution: str = "float", device: str = "cpu") -> tuple[LoadedModel, DintConfig | None]:
    """A model, quantized by dint or not at all (`load_model`), and its quantization, if it has one.

    `execution`, of a quantized model, and `device` are those of `load_quantized`.

    Raises
    ------
    InputError
        As `load_model` and `load_quantized` do, or if an unquantized model is to multiply integers.
    """
    check_device(device)
    check_execution(execution)
    path, name = local_directory(model)
    if _method(path, name) != METHOD:
        if execution != "float":
            raise InputError(f"--execution {execution}: {name} is not quantized; leave it out, or give a quantized model")
        return load_model(model, device), None
    quantized, config = load_quantized(path, execution, device)
    adapter = adapter_of(quantized.config, name)
    return LoadedModel(quantized, load_tokenizer(path, name), adapter, path, name, weights_sha256(path)), config
