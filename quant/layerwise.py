# SPDX-License-Identifier: Apache-2.0
"""Going through a model layer by layer: what each linear layer's inputs are like, then a change of the layer, then the next.

The calibration windows pass one decoder layer after the other, a batch at a time. Kept are the hidden states between two layers
and the second moments of the inputs of the layer at hand, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import Adapter
from .block import output_tensor
from .calibration import check_finite
from .stopwatch import stage

__all__ = ["BATCH_TOKENS", "go_through_layers"]

#: The windows go through a layer in batches of at most so many tokens (at least one window).
BATCH_TOKENS = 4096

#: Called with a decoder layer and, by relative name, the Hessians (in, in) of its linear layers.
Change = Callable[[nn.Module, dict[str, Tensor]], None]


def go_through_layers(
    model: Any, adapter: Adapter, windows: Tensor, change: Change, again: bool, progress: Callable[[], None] | None = None
) -> None:
    """Run `windows` (n, length) through `model`, and `change` every decoder layer when all of them have passed it.

    With `again` the layer then runs again as it now is, so that each layer's Hessians are those of the unchanged layer
    behind changed ones (GPTQ's order); without, all are those of the unchanged model (AWQ's order). A Hessian is
    H = 2/N sum x x^T of a linear layer's inputs x, N tokens; linear layers that read the same channels share one.
    `progress` is called after every decoder layer.

    Raises
    ------
    InputError
        If a linear layer's input is not finite.
    """
    with torch.no_grad():
        layers = adapter.decoder_layers(model)
        calls = [_first_call(model, layers[0][1], batch) for batch in windows.split(max(1, BATCH_TOKENS // windows.shape[1]))]
        for name, layer in layers:
            with _hessians(name, layer, adapter, windows.numel()) as hessians:
                outputs = [call.run(layer) for call in calls]
            change(layer, hessians)
            for call, output in zip(calls, outputs, strict=True):
                call.hidden_states = call.run(layer) if again else output
            if progress is not None:
                progress()


@dataclass
class _Call:
    """What a decoder layer is called with."""

    hidden_states: Tensor  # (windows, length, channels)
    args: tuple[Any, ...]
    kwargs: dict[str, Any]  # masks, positions: the same for every layer

    def run(self, layer: nn.Module) -> Tensor:
        return output_tensor(layer(self.hidden_states, *self.args, **self.kwargs))


class _Reached(Exception):
    """Ends a model's forward pass at its first decoder layer."""


def _first_call(model: Any, first: nn.Module, windows: Tensor) -> _Call:
    """The call of the decoder layer `first` that `model` makes for `windows`."""
    calls = []

    def keep(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(_Call(args[0], args[1:], kwargs))
        raise _Reached

    handle = first.register_forward_pre_hook(keep, prepend=True, with_kwargs=True)  # before a streamed layer is read
    try:
        model.base_model(input_ids=windows.to(model.device), use_cache=False)
    except _Reached:
        pass
    finally:
        handle.remove()
    return calls[0]


@contextmanager
def _hessians(layer_name: str, layer: nn.Module, adapter: Adapter, tokens: int) -> Iterator[dict[str, Tensor]]:
    """By relative name, the Hessians of the linear layers of `layer`, complete when all `tokens` have passed it in here."""
    hessians: dict[str, Tensor] = {}

    def hook_of(names: tuple[str, ...]) -> Callable[..., None]:
        def hook(_linear: nn.Module, args: tuple[Tensor, ...]) -> None:
            rows = args[0].flatten(0, -2)
            with stage("second moments"):
                if names[0] not in hessians:
                    hessians.update(dict.fromkeys(names, rows.new_zeros(rows.shape[1], rows.shape[1])))
                hessians[names[0]].addmm_(rows.T, rows)

        return hook

    with ExitStack() as stack:
        for group in adapter.groups:
            linear = layer.get_submodule(group.consumers[0])
            stack.callback(linear.register_forward_pre_hook(hook_of(group.consumers)).remove)
        yield hessians
    for group in adapter.groups:
        shared = hessians[group.consumers[0]].mul_(2 / tokens)
        check_finite(shared, f"{layer_name}.{group.consumers[0]}")
