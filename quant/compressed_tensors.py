# SPDX-License-Identifier: Apache-2.0
"""INT4 models in the layout of the library compressed-tensors, which transformers loads by itself.

In place of a linear layer's weight stand its codes and `weight_scale` (out, groups); a weight is (q - z) x scale with q and
z from -8 to 7, exactly ours, signed scales included. The symmetric form is written as "pack-quantized":
`weight_packed` has eight codes in an int32, the least code as 0, and `weight_shape` its shape. The asymmetric form is written
as "naive-quantized", a byte a code, beside `weight_zero_point`: transformers cannot load zero-points that are packed (it
makes room for them unpacked, compressed-tensors 0.20).

With activations in floating point, logits are equal bit for bit. With INT8 activations, described as dynamic and per token,
they are near: the library's step is max|x| / 127.5 where ours is max|x| / 127, and in OPT, whose fc1 and fc2 get all tokens
in one matrix, it takes one scale for all of them there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from golden import INT4, any_format
from golden.errors import InputError

from .console import quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from .layers import QuantLinear
    from .plugin import DintConfig

__all__ = ["METHOD", "export"]

#: `quant_method` of the directories.
METHOD = "compressed-tensors"


def export(directory: Path, *, out: Path, quiet: bool = False) -> dict[str, Any]:
    """Write a model that `quantize` wrote once more, in the layout of compressed-tensors.

    Parameters
    ----------
    directory
        A directory written by `quantize`, its weights in INT4.
    out
        Directory to write: `AutoModelForCausalLM.from_pretrained` loads it wherever compressed-tensors is installed.
    quiet
        Print nothing.

    Returns
    -------
    dict
        The `quantization_config` of the directory.

    Raises
    ------
    InputError
        If the directory holds no such model, the layout has no place for its recipe, the package is missing, or `out`
        cannot be written.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory; make one with 'dint quantize --format int4'")
    yield_when_idle()
    from rich.console import Console

    if out.is_dir() and directory.is_dir() and out.samefile(directory):
        raise InputError(f"--out {out}: is the directory of the model itself; name another")
    with quiet_libraries(), written(out) as scratch:
        from .huggingface import load_quantized, save_configuration
        from .layers import QuantLinear
        from .models import load_tokenizer
        from .streaming import present
        from .tensor_files import write_tensors

        _refuse_without_package()
        model, config = load_quantized(directory)
        _refuse_unrepresentable(config, directory)
        tied = set(getattr(model, "all_tied_weights_keys", None) or {})
        tensors = {name: tensor for name, tensor in model.state_dict().items() if name not in tied and not tensor.is_meta}
        for name, layer in model.named_modules():
            if hasattr(present(layer), "bring"):  # a streamed decoder layer, here for as long as its modules take
                tensors.update({f"{name}.{part}": tensor.clone() for part, tensor in layer.state_dict().items()})
            if isinstance(layer, QuantLinear):
                for part in ("codes", "scales", "zero_points"):
                    tensors.pop(f"{name}.{part}", None)
                tensors.update({f"{name}.{part}": tensor for part, tensor in _compressed(layer).items()})
        # The library replaces every module of the class Linear but these.
        others = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        described = _quantization_config(config, others)
        write_tensors(scratch / "model.safetensors", tensors)
        save_configuration(model, described, load_tokenizer(directory, directory.name), scratch)
    note = "" if config.activations == "fp32" else "; its INT8 activations are scaled a little differently there"
    Console(quiet=quiet).print(f"{directory.name}: {out}{note}", highlight=False)
    return described


def _refuse_without_package() -> None:
    try:
        import compressed_tensors  # noqa: F401
    except ImportError:
        raise InputError("export: the package compressed-tensors is missing; 'dint doctor' says how to install it") from None


def _refuse_unrepresentable(config: DintConfig, directory: Path) -> None:
    weights = any_format(config.weights)
    if weights != INT4:
        title = weights.title
        raise InputError(f"{directory}: its weights are {title}, which compressed-tensors has no place for; quantize with int4")
    if config.grouping != "per-oc":
        raise InputError(f"{directory}: compressed-tensors has no place for groups in input channels; quantize with per-oc")
    if config.value_format != "none" or config.attention != "fp32":
        raise InputError(
            f"{directory}: compressed-tensors has no place for quantized values per channel (value-format "
            f"{config.value_format}); quantize without"
        )


def _compressed(layer: QuantLinear) -> dict[str, Tensor]:
    """The layer's state in the library's names."""
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32

    table = torch.tensor(layer.number_format.values, dtype=torch.int8)
    values, scales = table[layer.unpacked_codes().to(torch.int64)], layer.scales.view(layer.out_features, -1)
    if layer.zero_points is None:
        shape = torch.tensor([layer.out_features, layer.in_features])
        packed = pack_to_int32(values, layer.number_format.bits)
        return {"weight_packed": packed, "weight_scale": scales, "weight_shape": shape}
    # Ours count from the least value.
    zero_points = layer.zero_points.view(scales.shape).to(torch.int16) + layer.number_format.minimum
    return {"weight": values, "weight_scale": scales, "weight_zero_point": zero_points.to(torch.int8)}


def _quantization_config(config: DintConfig, ignored: list[str]) -> dict[str, Any]:
    weights = {
        "num_bits": config.number_format.bits,
        "type": "int",
        "symmetric": config.form == "symmetric",
        "strategy": "channel" if config.group_size is None else "group",
        "group_size": config.group_size,
        "dynamic": False,
    }
    layout = "pack-quantized" if config.form == "symmetric" else "naive-quantized"
    activations = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    group = {
        "targets": ["Linear"],
        "format": layout,
        "weights": weights,
        "input_activations": activations if config.activations == "int8" else None,
        "output_activations": None,
    }
    return {
        "quant_method": METHOD,
        "format": layout,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ignored,
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }
