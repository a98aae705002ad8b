# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have, each with one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.completion import architecture_names, pdk_names, simulator_names, weight_format_names
from commands.running import OUTPUT_PANEL


def checked_seed(value: int | None) -> int | None:
    """Refuse what is no seed. (A range of the option's type would be printed beside every name of the help.)"""
    from golden.arguments import check_seed
    from golden.errors import InputError

    try:
        if value is not None:
            check_seed(value)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    return value


Format = Annotated[
    str,
    typer.Option(
        "--format", help="Number format of the weights; 'dint formats' lists them.", autocompletion=weight_format_names
    ),
]
Activations = Annotated[str, typer.Option(help="int8; or, with a block format, the same.")]
WritableCodebooks = Annotated[
    bool, typer.Option("--writable-codebooks", help="Codebooks in registers with a write port, not part of the circuit.")
]
Lanes = Annotated[int, typer.Option(help="Products per cycle, 1 to 64.")]
UnitLanes = Annotated[int | None, typer.Option("--lanes", help="Products per cycle of a MAC unit, 1 to 64; default 16.")]
Shape = Annotated[str, typer.Option(help="mac: a MAC unit; pe: a weight-stationary systolic element.")]
ZeroPoints = Annotated[
    int | None, typer.Option(help="For asymmetric weights: so many MAC units that share a zero-point correction.")
]
Depth = Annotated[int, typer.Option(help="Products that the accumulator holds without overflow.")]
Pipeline = Annotated[
    int | None,
    typer.Option(
        help="0: none (default); 1: operand registers (block formats: scaled sums; pe: the compressed product); "
        "2, of a MAC unit: compressed products too."
    ),
]
Decoded = Annotated[bool, typer.Option("--decoded", help="Register weights as select lines; of a pipelined MAC unit or a pe.")]
Architecture = Annotated[
    str, typer.Option(help="Multiplier architecture; default: the format's own.", autocompletion=architecture_names)
]
Simulator = Annotated[str, typer.Option(help="icarus, verilator or auto.", autocompletion=simulator_names)]
Kit = Annotated[str, typer.Option("--pdk", help="Name of a PDK; 'dint pdks' lists them.", autocompletion=pdk_names)]
Kits = Annotated[
    list[str] | None,
    typer.Option("--pdk", help="Name of a PDK; repeat for several; default osu018.", autocompletion=pdk_names),
]
Out = Annotated[Path, typer.Option(help="Directory to write.", rich_help_panel=OUTPUT_PANEL)]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", callback=checked_seed)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.", rich_help_panel=OUTPUT_PANEL)]
OperandFile = Annotated[Path | None, typer.Option(help="Operand file of 'dint quantize' or 'dint operands'.")]
Liberty = Annotated[list[Path] | None, typer.Option(help="Liberty file of a PDK, .lib or .lib.gz; repeat for several.")]
Platforms = Annotated[Path | None, typer.Option(help="Folder in the layout of OpenROAD-flow-scripts' flow/platforms.")]
Text = Annotated[Path | None, typer.Option(help="Text file to measure on, beside the held-out Python documentation.")]
Dataset = Annotated[str | None, typer.Option(help="Data set to measure on: NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT.")]
Windows = Annotated[int | None, typer.Option(help="Measure on at most so many windows of each text.")]
Device = Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, cuda:1.")]
Execution = Annotated[str, typer.Option(help="Measure with float, or integer: INT8 products, the same results.")]
CalibrationTokens = Annotated[int | None, typer.Option(help="Tokens of all calibration sequences together; default 16384.")]
CalibrationText = Annotated[Path | None, typer.Option(help="Text to calibrate on; default: Python's topics.")]
CalibrationDataset = Annotated[str | None, typer.Option(help="Data set to calibrate on, as --dataset.")]
