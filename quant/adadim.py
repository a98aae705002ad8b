# SPDX-License-Identifier: Apache-2.0
"""AdaDim (Heo et al., arXiv 2309.15531): by layer, groups in output channels or in input channels, whichever errs less.

An outlier in an input channel's activations enlarges the error of all weights that it meets. Groups in an output channel
have such weights beside others; groups in an input channel keep them among themselves. Which of the two is better depends
on the layer, hence each linear layer is rounded to nearest both ways, by itself, and the grouping with the lower squared
error of the output is kept, for whatever rounding follows (section 4.3). The output is that of the attention for q, k and v,
that of the MLP for its first matrices, and the layer's own otherwise (`adapter.ScalingGroup.block`; OPT has no module that
is its MLP, so that fc1 is judged by its own output).

As in the authors' repository (johnheo/adadim-llm), inputs are those of the unquantized model and per-oc wins a tie. There,
what was chosen for q stays quantized while k is tried; here [our choice] every layer is tried in the unquantized block, so
that the order does not matter. The authors quantize weights only; with INT8 activations [our choice] a layer is tried as it
will run, with its activations quantized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from .adapter import Adapter
from .block import Block, at_every_block
from .scheme import Scheme
from .stopwatch import stage
from .weights import GROUPINGS

__all__ = ["ADADIM", "GroupingChoice", "choose_groupings"]

#: What a recipe calls the choice by layer.
ADADIM = "adadim"


@dataclass(frozen=True)
class GroupingChoice:
    """How the groups of one linear layer lie, and what the output lost either way."""

    layer: str  # full name of the linear layer
    errors: dict[str, float]  # by grouping, relative: squared error of the output / squared output

    @property
    def grouping(self) -> str:
        """The grouping that errs less; of equals the first."""
        return min(self.errors, key=self.errors.__getitem__)

    def describe(self) -> dict[str, Any]:
        """The choice as plain data."""
        return {"layer": self.layer, "grouping": self.grouping, "output_errors": dict(self.errors)}


def choose_groupings(
    model: Any, adapter: Adapter, windows: Tensor, scheme: Scheme, progress: Callable[[], None] | None = None
) -> list[GroupingChoice]:
    """A choice for every linear layer of the unquantized `model`, by one pass over the first of the `windows` (n, length).

    `scheme` is what the layers will be but for the grouping. `progress` is called after every block.

    Raises
    ------
    InputError
        If a block's input is not finite.
    """
    choices: dict[str, GroupingChoice] = {}

    def choose(block: Block) -> None:
        for name in block.group.consumers:
            with stage("grouping"):
                errors = {one: block.loss_of_one(name, replace(scheme, grouping=one)) for one in GROUPINGS}
            full = f"{block.layer_name}.{name}"
            choices[full] = GroupingChoice(full, errors)
        if progress is not None:
            progress()

    at_every_block(model, adapter, windows, scheme, choose)
    return [choices[name] for name in adapter.linear_names(model)]
