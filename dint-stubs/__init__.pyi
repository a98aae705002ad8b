# SPDX-License-Identifier: Apache-2.0
# What a type checker sees of dint.py, a module alone, which PEP 561 gives no other place for types.
from flows.command import generate as generate
from golden import DINT3 as DINT3
from golden import DINT4 as DINT4
from golden import FORMATS as FORMATS
from golden import FP4_E2M1 as FP4_E2M1
from golden import INT3 as INT3
from golden import INT4 as INT4
from golden import INT8 as INT8
from golden import AsymmetricConfig as AsymmetricConfig
from golden import BlockFormat as BlockFormat
from golden import BlockMacConfig as BlockMacConfig
from golden import DintError as DintError
from golden import InputError as InputError
from golden import MacConfig as MacConfig
from golden import NumberFormat as NumberFormat
from golden import Operands as Operands
from golden import PeConfig as PeConfig
from golden import ToolError as ToolError
from hdl import Asymmetric as Asymmetric
from hdl import Mac as Mac
from hdl import Pe as Pe
from pipeline.simulate_command import simulate as simulate
from quant.command import quantize as quantize
from quant.evaluate_command import evaluate as evaluate
from synth.synthesize_command import synthesize as synthesize

def main() -> None: ...
