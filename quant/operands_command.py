# SPDX-License-Identifier: Apache-2.0
"""The sub-command `dint operands`: what a quantized model multiplies, taken from a directory that `dint quantize` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from golden.errors import InputError

from .console import quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from .texts import Source

__all__ = ["operands"]


def operands(
    directory: Path,
    *,
    out: Path | None = None,
    layers: list[str] | None = None,
    tokens: int | None = None,
    text: Source | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Export what a quantized model multiplies: weight codes, INT8 activations and the accumulators that must come out.

    Parameters
    ----------
    directory
        A directory written by `quantize`.
    out
        Directory that gets `operands.npz`; default `directory`.
    layers
        Names of linear layers, or numbers of decoder layers; default all of the first and the last decoder layer.
    tokens
        Number of tokens, evenly spaced over whole windows of the text; default 32.
    text
        UTF-8 file, or a list of strings or of token ids; default the held-out part of Python's documentation.
    quiet
        Print nothing.

    Returns
    -------
    dict
        Format, layers, tokens, number of products, and path of the file.

    Raises
    ------
    InputError
        If the directory holds no quantized model, a layer or token does not exist, or `out` cannot be written.
    """
    yield_when_idle()
    console = Console(quiet=quiet)
    target = directory if out is None else out
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory; make one with 'dint quantize'")
    with quiet_libraries(), written(target) as scratch:
        from .adapter import adapter_of
        from .evaluation import documentation_protocol, text_protocol
        from .export import DEFAULT_TOKENS, write_operands
        from .huggingface import load_quantized
        from .models import LoadedModel, load_tokenizer
        from .texts import text_of

        with console.status("loading the model"):
            model, config = load_quantized(directory)
            tokenizer = load_tokenizer(directory, directory.name)
            adapter = adapter_of(model.config, directory.name)
            loaded = LoadedModel(model, tokenizer, adapter, directory, directory.name, sha256="")
            chosen = None if text is None else text_of(text, "--text")
            protocol = documentation_protocol(loaded) if chosen is None else text_protocol(chosen, loaded)
        exported = write_operands(
            scratch,
            model,
            protocol,
            config.source,
            config.recipe,
            directory,
            layers,
            DEFAULT_TOKENS if tokens is None else tokens,
        )
    products = sum(layer.weights.size * layer.activations.shape[0] for layer in exported.layers)
    console.print(
        f"{exported.number_format.title}: {len(exported.layers)} layers, {exported.provenance['tokens']} tokens of "
        f"{protocol.name}, {products:,} products: {target / 'operands.npz'}",
        highlight=False,
    )
    return {
        "format": exported.number_format.name,
        "layers": [layer.name for layer in exported.layers],
        "tokens": exported.provenance["tokens"],
        "products": products,
        "path": str(target / "operands.npz"),
    }
