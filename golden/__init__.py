# SPDX-License-Identifier: Apache-2.0
"""Number formats, the exact arithmetic of the MAC unit, and the operand files: numpy only."""

from .asymmetric import AsymmetricConfig
from .asymmetric_parts import CorrectionConfig, OffsetConfig
from .block_dot import DotProducts, block_sums, dot, row_sums
from .block_format import BlockCodes, BlockFormat, CodedBlock
from .block_mac import BlockMacConfig
from .catalogue import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    DINT3,
    DINT4,
    FORMATS,
    FP4_E2M1,
    GROUP_FORMATS,
    INT3,
    INT4,
    INT8,
    MXFP4,
    NVFP4,
    SCALED_FORMATS,
    VARIANTS,
    any_format,
    format_by_name,
)
from .codebook import Codebook
from .errors import DintError, InputError, ToolError
from .mac import MacConfig
from .number_format import NumberFormat
from .operands import LayerOperands, OperandError, Operands
from .packing import pack, unpack
from .pe import PeConfig
from .scale_encoding import E4M3, E8M0, SIGNED_E4M3, ScaleEncoding
from .shapes import SHAPES, formats_of, options_of, unit_of_options
from .unit import Port, UnitConfig

__all__ = [
    "BLOCK_FORMATS",
    "CODEBOOK_FORMATS",
    "DINT3",
    "DINT4",
    "E4M3",
    "E8M0",
    "FORMATS",
    "FP4_E2M1",
    "GROUP_FORMATS",
    "INT3",
    "INT4",
    "INT8",
    "MXFP4",
    "NVFP4",
    "SCALED_FORMATS",
    "SHAPES",
    "SIGNED_E4M3",
    "VARIANTS",
    "AsymmetricConfig",
    "BlockCodes",
    "BlockFormat",
    "BlockMacConfig",
    "Codebook",
    "CodedBlock",
    "CorrectionConfig",
    "DintError",
    "DotProducts",
    "InputError",
    "LayerOperands",
    "MacConfig",
    "NumberFormat",
    "OffsetConfig",
    "OperandError",
    "Operands",
    "PeConfig",
    "Port",
    "ScaleEncoding",
    "ToolError",
    "UnitConfig",
    "any_format",
    "block_sums",
    "dot",
    "format_by_name",
    "formats_of",
    "options_of",
    "pack",
    "row_sums",
    "unit_of_options",
    "unpack",
]
