"""Going through a model layer by layer: what each linear layer's inputs are like, then a change of the layer, then the next.

It is one forward pass of the whole model with hooks, so that every decoder layer gets exactly the arguments that the model
gives it, and no layer's inputs are kept: only their second moments, for the layer at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import Adapter
from .calibration import check_finite
from .stopwatch import stage

__all__ = ["go_through_layers", "hessian_of"]

#: Called with a decoder layer and, by relative name, the Hessians (in, in) of its linear layers.
Change = Callable[[nn.Module, dict[str, Tensor]], None]


def hessian_of(x: Tensor) -> Tensor:
    """H = 2/N sum x x^T (in, in) of the inputs `x` (..., in), N tokens."""
    rows = x.flatten(0, -2)
    return (2 / len(rows)) * (rows.T @ rows)


def go_through_layers(
    model: Any, adapter: Adapter, windows: Tensor, change: Change, again: bool, progress: Callable[[], None] | None = None
) -> None:
    """Run `model` on `windows` (n, length) and `change` every decoder layer when it has run.

    With `again` the layer then runs again as it now is, so that each layer's Hessians are those of the unchanged layer
    behind changed ones (GPTQ's order); without, all are those of the unchanged model (AWQ's order). Linear layers that read
    the same channels share one Hessian. `progress` is called after every decoder layer.

    Raises
    ------
    InputError
        If a linear layer's input is not finite.
    """
    hessians: dict[str, Tensor] = {}

    def input_hook_of(layer_name: str, names: tuple[str, ...]) -> Callable[..., None]:
        def hook(_linear: nn.Module, args: tuple[Tensor, ...]) -> None:
            with stage("second moments"):
                hessian = hessian_of(args[0])
            check_finite(hessian, f"{layer_name}.{names[0]}")
            hessians.update(dict.fromkeys(names, hessian))

        return hook

    def layer_hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _output: Any) -> Any:
        change(layer, dict(hessians))
        hessians.clear()
        if progress is not None:
            progress()
        return layer.forward(*args, **kwargs) if again else None  # `forward`, not a call: a call would run this hook again

    with ExitStack() as stack, torch.no_grad():
        for name, layer in adapter.decoder_layers(model):
            stack.callback(layer.register_forward_hook(layer_hook, with_kwargs=True).remove)
            for group in adapter.groups:
                linear = layer.get_submodule(group.consumers[0])
                stack.callback(linear.register_forward_pre_hook(input_hook_of(name, group.consumers)).remove)
        model.base_model(input_ids=windows.to(model.device), use_cache=False)
