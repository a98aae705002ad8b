# SPDX-License-Identifier: Apache-2.0
"""What transformers needs to load a dINT directory: the configuration and the quantizer, registered by importing this module.

It is imported while transformers is still importing itself (`quant.huggingface.register`), hence it takes from transformers
only what is complete by then.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from typing import Any

import torch
from torch import nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from golden import NumberFormat, any_format, format_by_name
from golden.errors import InputError

from .adapter import adapter_of
from .attention import use_int8_attention
from .block_linear import empty_layer
from .layers import replace_module
from .layout import METHOD, VERSION, codebooks_of
from .recipe import Recipe
from .scheme import Scheme
from .values import QuantValues

__all__ = ["DintConfig", "DintQuantizer"]

_logger = logging.getLogger(__name__)


@register_quantization_config(METHOD)
class DintConfig(QuantizationConfigMixin):
    """The `quantization_config` of a directory.

    Parameters
    ----------
    weights
        Name of the weights' number format.
    values
        The format's code table, so that codes written with another table are refused instead of misread.
    form, group_size, activations, grouping
        The rest of what the layers are (`Scheme`).
    codebooks
        The codebooks of a format that has several, so that codes written with others are refused, too.
    groupings
        By linear layer, what AdaDim chose, where the grouping is its.
    value_format, attention
        What the attention computes with (`Recipe`).
    scaling, clipping, rounding
        How the codes were found, for the record: they do not change how the directory is loaded.
    source
        Name and SHA-256 of the unquantized model.
    calibration
        What the scales were found on; None where none were searched.
    version
        Of the layout (`layout.VERSION`); a later one than ours is refused.
    """

    def __init__(
        self,
        weights: str,
        values: list[int],
        form: str = "symmetric",
        group_size: int | None = None,
        activations: str = "int8",
        value_format: str = "none",
        attention: str = "fp32",
        scaling: str = "none",
        clipping: str = "none",
        rounding: str = "rtn",
        grouping: str = "per-oc",
        groupings: dict[str, str] | None = None,
        codebooks: list[list[int]] | None = None,
        source: dict[str, Any] | None = None,
        calibration: dict[str, Any] | None = None,
        quant_method: str = METHOD,
        version: int = 1,
        **_: Any,
    ) -> None:
        if version not in range(1, VERSION + 1):
            raise InputError(
                f"quantization_config: its version is {version!r}, but this dint reads up to {VERSION}; install a newer one"
            )
        self.quant_method, self.version = quant_method, version
        self.weights, self.values = weights, values
        self.form, self.group_size, self.activations = form, group_size, activations
        self.value_format, self.attention = value_format, attention
        self.scaling, self.clipping, self.rounding = scaling, clipping, rounding
        self.grouping, self.groupings, self.codebooks = grouping, groupings or {}, codebooks or []
        self.source, self.calibration = source or {}, calibration or {}
        if list(self.number_format.values) != list(values) or self.codebooks != codebooks_of(any_format(weights)):
            raise InputError(
                f"quantization_config: its code table for {weights} is not the catalogue's; quantize the model again"
            )

    @property
    def number_format(self) -> NumberFormat:
        """Format of the weights; of their elements, where they are in blocks."""
        weights = any_format(self.weights)
        return weights if isinstance(weights, NumberFormat) else weights.elements[0]

    def scheme(self, layer: str) -> Scheme:
        """What the linear layer of this name is."""
        grouping = self.groupings.get(layer, self.grouping)
        return Scheme.of(any_format(self.weights), self.form, self.group_size, self.activations, grouping)

    @property
    def recipe(self) -> dict[str, Any]:
        """How the model was quantized, as `Recipe.describe` gives it."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)}).describe()


@register_quantizer(METHOD)
class DintQuantizer(HfQuantizer):
    """Puts `QuantLinear`s into the empty model before its weights are read."""

    requires_calibration = True
    quantization_config: DintConfig

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> Any:
        config = self.quantization_config
        adapter = adapter_of(model.config, str(model.config.name_or_path))
        for name in adapter.linear_names(model):
            linear = model.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            with torch.device(linear.weight.device):
                layer = empty_layer(linear.in_features, linear.out_features, linear.bias is not None, config.scheme(name))
                if config.value_format != "none" and name.endswith(f".{adapter.values}"):
                    layer.output = QuantValues(linear.out_features, format_by_name(config.value_format), config.form)
            replace_module(model, name, layer)
        if config.attention == "int8":
            use_int8_attention(model)
        return model

    def update_dtype(self, dtype: torch.dtype | None) -> torch.dtype:
        """Always float32, in which the scales and everything not quantized are exactly what was measured."""
        if dtype not in (None, torch.float32):
            _logger.warning("a dINT model is loaded as float32, not %s: its integers are exact only there", dtype)
        return torch.float32

    def is_serializable(self) -> bool:
        """The state of the model is all there is to write."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Codes have no gradient."""
        return False
