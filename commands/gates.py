# SPDX-License-Identifier: Apache-2.0
"""The command that holds figures against rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.options import Quiet


def check(
    metrics: Annotated[Path, typer.Argument(metavar="METRICS.json", help="Figures of dint synthesize or dint report.")],
    rules: Annotated[list[Path], typer.Option(help="Rules, as OpenROAD-flow-scripts has them; repeat for several files.")],
    quiet: Quiet = False,
) -> Any:
    """Fail, with a line for each rule that is broken, if a figure is worse than its rule.

    Example: dint check --rules docs/rules.json build/synthesis/metrics.json
    """
    from flows.rules import check as run

    return run(metrics, rules, quiet=quiet)
