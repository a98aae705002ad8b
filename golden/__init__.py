# SPDX-License-Identifier: Apache-2.0
"""Number formats, the exact arithmetic of the MAC unit, and the operand files: numpy only."""

from .asymmetric import AsymmetricConfig
from .asymmetric_parts import CorrectionConfig, OffsetConfig
from .catalogue import DINT3, DINT4, FORMATS, FP4_E2M1, INT3, INT4, INT8, VARIANTS, format_by_name
from .errors import DintError, InputError, ToolError
from .mac import MacConfig
from .number_format import NumberFormat
from .operands import LayerOperands, OperandError, Operands
from .packing import pack, unpack
from .pe import PeConfig
from .shapes import SHAPES, unit_of_options
from .unit import Port, UnitConfig

__all__ = [
    "DINT3",
    "DINT4",
    "FORMATS",
    "FP4_E2M1",
    "INT3",
    "INT4",
    "INT8",
    "SHAPES",
    "VARIANTS",
    "AsymmetricConfig",
    "CorrectionConfig",
    "DintError",
    "InputError",
    "LayerOperands",
    "MacConfig",
    "NumberFormat",
    "OffsetConfig",
    "OperandError",
    "Operands",
    "PeConfig",
    "Port",
    "ToolError",
    "UnitConfig",
    "format_by_name",
    "pack",
    "unit_of_options",
    "unpack",
]
