# SPDX-License-Identifier: Apache-2.0
"""Loading a model: from a local directory, never touching the network, or from the Hugging Face hub by name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from golden.artifacts import read_json, sha256_file, sha256_of
from golden.errors import InputError

from .adapter import Adapter, adapter_of
from .failures import hub_trouble, reason
from .layers import QuantLinear
from .streaming import LayerStream, is_streamed, present, streamed_model
from .tensor_files import lacking, unreadable, weight_files

__all__ = [
    "ALSO_SHIPPED",
    "MAXIMUM_WINDOW",
    "SHIPPED",
    "FoundModel",
    "LoadedModel",
    "check_device",
    "find_model",
    "load_model",
    "local_directory",
    "parsed_config",
    "read_model",
    "refuse_unsound",
    "weights_sha256",
]

#: The checkpoint that comes with this package, an OPT.
SHIPPED = Path(__file__).resolve().parent / "checkpoint"
#: By name, other checkpoints that come with it.
ALSO_SHIPPED = {"llama": SHIPPED.with_name("checkpoint_llama")}
#: Windows are as long as the model's positions allow, but at most this (GPTQ's protocol).
MAXIMUM_WINDOW = 2048

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class LoadedModel:
    """A model in float32, its tokenizer, what the quantizer knows of its family, and where it comes from."""

    model: Any  # transformers.PreTrainedModel, in evaluation mode
    tokenizer: Any
    adapter: Adapter
    directory: Path
    name: str
    sha256: str  # of the weight file; of the list of their hashes where there are several
    stream: LayerStream | None = None  # what fills its decoder layers, if they are not in memory

    @property
    def parameters(self) -> int:
        """Number of parameters; tied ones count once."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def positions(self) -> int:
        """Longest sequence the model takes, in tokens."""
        return int(self.model.config.max_position_embeddings)

    @property
    def window(self) -> int:
        """Window length of the evaluation, in tokens."""
        return min(self.positions, MAXIMUM_WINDOW)


@dataclass(frozen=True)
class FoundModel:
    """What is known of a model before its weights are read, which can take minutes."""

    config: Any  # transformers.PretrainedConfig
    tokenizer: Any
    adapter: Adapter
    source: str | Path | None  # what the user calls it
    name: str

    @property
    def positions(self) -> int:
        """Longest sequence the model takes, in tokens."""
        return int(self.config.max_position_embeddings)

    @property
    def window(self) -> int:
        """Window length of the evaluation, in tokens."""
        return min(self.positions, MAXIMUM_WINDOW)

    def load(self, device: str = "cpu") -> LoadedModel:
        """The model itself, as float32 on `device`; raises as `load_model` does."""
        check_device(device)
        directory, name = local_directory(self.source)
        loaded, stream = read_model(directory, name, self.adapter, self.config, device)
        return LoadedModel(loaded, self.tokenizer, self.adapter, directory, name, weights_sha256(directory), stream)


def find_model(model: str | Path | None = None) -> FoundModel:
    """What config.json and the tokenizer of `model` say, a local directory or a hub name (default: the shipped checkpoint).

    Raises
    ------
    InputError
        If there is no such model, its family or member of it is not supported, it is quantized already, or it has no usable
        tokenizer.
    """
    directory, name = local_directory(model, weights=False)
    if "quantization_config" in read_config(directory, name):
        raise InputError(f"model {name}: quantized already ({directory / 'config.json'}); give the unquantized model")
    config = parsed_config(directory, name)
    adapter = adapter_of(config, name)
    return FoundModel(config, load_tokenizer(directory, name), adapter, model, name)


def load_model(model: str | Path | None = None, device: str = "cpu") -> LoadedModel:
    """Load `model`, a local directory or a hub name (default: the shipped checkpoint), as float32 on `device`.

    Large models are streamed (`streaming`): their decoder layers are in memory only while they run.

    Raises
    ------
    InputError
        As `find_model` does, or if the model is damaged or incomplete, a weight is not finite, or there is no such device.
    """
    check_device(device)
    return find_model(model).load(device)


def parsed_config(directory: Path, name: str) -> Any:
    """The configuration in `directory` as transformers has it; refused if it is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # as of the weights
        raise unreadable(name, directory, error) from error


def read_model(directory: Path, name: str, adapter: Adapter, config: Any, device: str) -> tuple[Any, LayerStream | None]:
    """The model in `directory`, quantized or not, its weights checked; a large one is streamed, with no layer present."""
    stream: LayerStream | None = None
    try:
        if is_streamed(directory):
            model, stream = streamed_model(directory, name, adapter, config, device)
        else:
            model = in_memory(directory, name, device)
    except InputError:
        raise
    except Exception as error:  # transformers and safetensors raise a dozen kinds for files that cannot be used
        raise unreadable(name, directory, error) from error
    refuse_unsound(model, adapter, name)
    if stream is not None:
        stream.empty()
    return model, stream


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or that this machine lacks."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(f"--device {device}: cannot be used ({reason(error)}); use cpu") from None


def in_memory(directory: Path, name: str, device: str) -> Any:
    """The model in `directory`, quantized or not, in evaluation mode, float32."""
    from transformers import AutoModelForCausalLM

    loaded, loading = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    if loading["missing_keys"]:
        raise lacking(name, directory, sorted(loading["missing_keys"])[0])
    return loaded.to(device).eval().requires_grad_(False)


def load_tokenizer(directory: Path, name: str) -> Any:
    """The tokenizer in `directory`; refused if there is none."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        tokenizer("a", add_special_tokens=False)  # some of what is wrong with one shows only then
        return tokenizer
    except Exception as error:
        raise InputError(f"model {name}: no usable tokenizer in {directory} ({reason(error)})") from error


def local_directory(model: str | Path | None, weights: bool = True) -> tuple[Path, str]:
    """Directory of `model`, fetched first if it is a hub name, if need be without `weights`, and the name for results.

    A directory of the name of a shipped checkpoint comes before that checkpoint.
    """
    if model is None:
        if not (SHIPPED / "config.json").is_file():
            raise InputError(f"the shipped checkpoint is missing ({SHIPPED}); name a model, a directory or a hub name")
        return SHIPPED, "shipped checkpoint"
    path = Path(model)
    if not path.exists() and model in ALSO_SHIPPED:
        if not (ALSO_SHIPPED[str(model)] / "config.json").is_file():
            raise InputError(f"model {model}: the shipped checkpoint of this name is missing ({ALSO_SHIPPED[str(model)]})")
        return ALSO_SHIPPED[str(model)], f"shipped {model}"
    if path.is_dir():
        if not any(path.iterdir()):
            raise InputError(f"model {model}: the directory is empty; it needs config.json, weights and tokenizer")
        shipped = {SHIPPED: "shipped checkpoint"} | {where: f"shipped {name}" for name, where in ALSO_SHIPPED.items()}
        return path, shipped.get(path.resolve(), path.resolve().name)
    if path.exists():
        raise InputError(f"model {model}: is a file; name the directory with config.json in it")
    if isinstance(model, Path) or not _HUB_NAME.fullmatch(model):
        raise InputError(f"model {model}: no such directory")
    return _fetch(model, weights), model


def read_config(directory: Path, name: str) -> dict[str, Any]:
    """config.json of `directory` as plain data."""
    try:
        config = read_json(directory / "config.json")
    except FileNotFoundError:
        raise InputError(f"model {name}: no config.json in {directory}; it is not a Hugging Face model directory") from None
    except (OSError, ValueError) as error:
        raise InputError(f"model {name}: {directory / 'config.json'} cannot be read ({reason(error)})") from None
    if not isinstance(config, dict):
        raise InputError(f"model {name}: {directory / 'config.json'} holds no configuration")
    return config


def weights_sha256(directory: Path) -> str:
    """SHA-256 of the weight file of `directory`, or of the hashes of all of them if there are several."""
    files = weight_files(directory)
    if len(files) == 1:
        return sha256_file(files[0])
    return sha256_of({file.name: sha256_file(file) for file in files})


def _fetch(name: str, weights: bool) -> Path:
    """Download a hub model into the hub's cache: configuration first, so that an unsuitable model costs no download."""
    from huggingface_hub import snapshot_download
    from transformers import AutoConfig

    try:
        directory = Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "tokenizer.model"]))
        adapter_of(AutoConfig.from_pretrained(directory, local_files_only=True), name)
        if weights:
            snapshot_download(name, allow_patterns=["model*.safetensors"])
        if weights and not any(directory.glob("*.safetensors")):
            snapshot_download(name, allow_patterns=["pytorch_model*.bin"])
    except InputError:
        raise
    except Exception as error:  # no network, no such model, no access: one kind of exception each
        trouble = hub_trouble(error, "give a model's directory")
        raise InputError(
            f"model {name}: no such directory, and {trouble or f'the hub does not give a model of this name ({reason(error)})'}"
        ) from error
    return directory


def refuse_unsound(model: Any, adapter: Adapter, name: str) -> None:
    """Refuse a model with weights or scales that are not finite, codes that are none, or one that does not run.

    Decoder layers of a streamed model are read for it, one after the other; it is not run.
    """
    for prefix, module in ((f"{one}.", present(layer)) for one, layer in adapter.decoder_layers(model)):
        _refuse(module, prefix, name)
    _refuse(model, "", name)
    if not any(tensor.is_meta for tensor in model.state_dict().values()):
        try:
            with torch.no_grad():
                model(input_ids=torch.zeros((1, 1), dtype=torch.int64, device=model.device))
        except Exception as error:  # what transformers and torch raise for a configuration that nothing checked before
            raise InputError(f"model {name}: cannot be run ({reason(error)}); its config.json is wrong") from error


def _refuse(module: nn.Module, prefix: str, name: str) -> None:
    for layer_name, layer in module.named_modules():
        if isinstance(layer, QuantLinear) and not layer.codes.is_meta and (fault := layer.fault()):
            raise InputError(f"model {name}: {prefix}{layer_name} has {fault}; quantize the model again")
    for tensor_name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and not tensor.is_meta and not bool(torch.isfinite(tensor).all()):
            kind = "NaN" if bool(torch.isnan(tensor).any()) else "infinite values"
            raise InputError(
                f"model {name}: {prefix}{tensor_name} contains {kind}; nothing can be computed with it, use a sound checkpoint"
            )
