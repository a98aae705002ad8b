# SPDX-License-Identifier: Apache-2.0
"""A whole decoder layer of the shipped model through the RTL, at the speed that is promised: `python -m benchmarks.layer`.

Quantizes the model in dINT4 and replays all products of the linear layers of decoder layer 0 with 256 tokens, 16 lanes, in
Verilator (`dint simulate --layer`). Exit code 1 below ten million products a second, or if some were not compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from golden.errors import DintError
from pipeline.checks import DIRECTORY
from pipeline.whole_layer import simulate_layer
from quant.command import quantize

__all__ = ["LEAST_MACS_PER_SECOND", "main"]

LEAST_MACS_PER_SECOND = 1e7  # on two cores
TOKENS, LANES = 256, 16


def main(arguments: list[str] | None = None) -> int:
    """Replay the layer; exit code 1 if it is too slow, or something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layer", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=DIRECTORY)
    folder = parser.parse_args(arguments).out
    console = Console()
    try:
        quantize(format="dint4", table=False, out=folder / "model")
        found = simulate_layer(0, model=folder / "model", tokens=TOKENS, lanes=LANES, out=folder / "layer")
    except DintError as error:
        console.print(f"error: {error}", highlight=False)
        return 1
    wanted = sum(one["outputs"] * one["inputs"] * one["tokens"] for one in found["layers"])
    if found["macs_compared"] != wanted:
        console.print(f"error: {found['macs_compared']:,} products of {wanted:,} compared", highlight=False)
        return 1
    if found["macs_per_second"] < LEAST_MACS_PER_SECOND:
        rates = f"{found['macs_per_second']:,.0f} products a second: {LEAST_MACS_PER_SECOND:,.0f} are promised"
        console.print(f"error: {rates}", highlight=False)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
