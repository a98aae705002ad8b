"""Quantized models as Hugging Face directories.

A directory holds `config.json` with a `quantization_config` (quant_method "dint"), `model.safetensors` with packed codes,
scales and zero-points in place of each quantized weight, and the tokenizer. Once `register` has run,
`AutoModelForCausalLM.from_pretrained(DIR)` rebuilds exactly the model that was written.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.artifacts import canonical_json, write_file
from golden.errors import InputError

from .adapter import adapter_of
from .models import LoadedModel, load_model, load_tokenizer, local_directory, read_config, weights_sha256
from .recipe import QuantizedModel

if TYPE_CHECKING:
    from torch import Tensor

    from .plugin import DintConfig

__all__ = ["METHOD", "load_any", "load_quantized", "register", "save_configuration", "save_quantized", "write_tensors"]

#: `quant_method` of the directories.
METHOD = "dint"


def register() -> None:
    """Make transformers know the method; calling it again changes nothing.

    Works at any time from the moment that `transformers.quantizers.auto` is complete, also while the plug-in itself, which
    imports that module, is what made transformers load: it registers itself at its end.
    """
    importlib.import_module("quant.plugin")


def save_quantized(
    quantized: QuantizedModel, tokenizer: Any, directory: Path, source: dict[str, Any], calibration: dict[str, Any]
) -> None:
    """Write model and tokenizer into `directory`, which exists. Equal models give equal bytes."""
    model, recipe = quantized.model, quantized.recipe
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    write_tensors(directory / "model.safetensors", {name: one for name, one in model.state_dict().items() if name not in tied})
    quantization = {
        "quant_method": METHOD,
        **recipe.describe(),
        "values": list(recipe.number_format.values),
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


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file; equal tensors give equal bytes."""
    from safetensors.torch import save_file

    save_file({name: tensors[name].contiguous() for name in sorted(tensors)}, path, metadata={"format": "pt"})
    path.chmod(0o644)  # as the files beside it; the library makes it private


def load_quantized(directory: Path) -> tuple[Any, DintConfig]:
    """The model in `directory`, as measured, and its quantization.

    Raises
    ------
    InputError
        If there is no such directory, or it holds no model quantized by dint, or its files are damaged.
    """
    path, name = local_directory(directory)
    method = (read_config(path, name).get("quantization_config") or {}).get("quant_method")
    if method != METHOD:
        raise InputError(f"model {name}: not quantized by dint (quant_method is {method!r}); run 'dint quantize' first")

    from transformers import AutoModelForCausalLM

    register()
    try:
        model, loading = AutoModelForCausalLM.from_pretrained(path, local_files_only=True, output_loading_info=True)
    except InputError:
        raise
    except Exception as error:  # transformers and safetensors raise a dozen kinds for files that cannot be used
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"model {name}: cannot be loaded from {path} ({first_line})") from error
    if loading["missing_keys"]:
        raise InputError(f"model {name}: {path} lacks the weights {sorted(loading['missing_keys'])[0]} and perhaps more")
    return model, model.hf_quantizer.quantization_config


def load_any(model: str | Path | None) -> tuple[LoadedModel, DintConfig | None]:
    """A model, quantized by dint or not at all (`load_model`), and its quantization, if it has one.

    Raises
    ------
    InputError
        As `load_model` and `load_quantized` do.
    """
    path, name = local_directory(model)
    method = (read_config(path, name).get("quantization_config") or {}).get("quant_method")
    if method != METHOD:
        return load_model(model), None
    quantized, config = load_quantized(path)
    adapter = adapter_of(quantized.config, name)
    return LoadedModel(quantized, load_tokenizer(path, name), adapter, path, name, weights_sha256(path)), config
