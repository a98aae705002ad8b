# SPDX-License-Identifier: Apache-2.0
"""One recipe, calibrated by several draws of the calibration windows: formats differ by less than one draw from another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden import GROUP_FORMATS, BlockFormat, any_format, formats_of
from golden.artifacts import canonical_json, write_file
from golden.errors import InputError

from .console import quiet_libraries, written, yield_when_idle

if TYPE_CHECKING:
    from .recipe import Recipe

__all__ = ["check_recipe", "quantize_by_draws"]


def check_recipe(recipe: str, format: str) -> dict[str, Any]:
    """The recipe in a number format, as plain data with its `title`.

    `format` is the `format_name` of a MAC unit, which says what activations are, too. Block formats but groups
    prescribe their scales, and are not clipped; codebooks are selected to nearest.

    Raises
    ------
    InputError
        If there is no such recipe, the format cannot take its form, or a MAC unit multiplies no operands of it.
    """
    chosen, length = _read(recipe, format)
    return {**chosen.describe(), "calibration_length": length, "title": chosen.name}


def _read(recipe: str, format: str) -> tuple[Recipe, int | None]:
    from .recipes import read_recipe

    weights, activations = formats_of(format)
    options = {"format": weights, "activations": None if activations == "int8" else activations}
    if isinstance(blocks := any_format(weights), BlockFormat):
        options |= {} if weights in GROUP_FORMATS else {"clipping": "none"}
        options |= {} if blocks.selector_block is None else {"rounding": "rtn"}
    chosen, length = read_recipe(recipe, options)
    if chosen.form != "symmetric" or chosen.activations != activations:
        wrong = f"{chosen.form} weights" if chosen.form != "symmetric" else f"activations in {chosen.activations}"
        raise InputError(
            f"--recipe {recipe}: {wrong}; the units of {format} take {activations} activations and symmetric weights"
        )
    if chosen.group_size is not None:
        raise InputError(
            f"--recipe {recipe}: groups of {chosen.group_size}, whose scales no unit of {format} has; leave group-size out, "
            "and take formats that store their scales, such as int4_g32"
        )
    return chosen, length


def quantize_by_draws(
    model: str | None, *, out: Path, recipe: str, format: str, draws: int, text: Path | None, windows: int | None, seed: int
) -> dict[str, Any]:
    """Quantize a model in one format with each of several draws of the calibration windows, and measure each.

    Writes into `out` the Hugging Face directory and `operands.npz` of the first draw, and `accuracy.json`.

    Parameters
    ----------
    model
        Directory or hub name of an OPT or LLaMA model; default the shipped checkpoint.
    recipe, format
        Name or file of the recipe (`quant.recipes`), and the format in its place, as `check_recipe` takes it.
    draws, seed
        Number of draws; their seeds are `seed` and those that follow.
    text
        A text to measure on besides the held-out part of Python's documentation.
    windows
        At most so many windows of each text.

    Returns
    -------
    dict
        The contents of `accuracy.json`: `model`, `recipe`, `weight_bits` (of storage for each weight, its part of
        all scales and selectors included), `calibration` of each draw, `protocols`, and by text `unquantized`
        (perplexity and its standard error) and `losses` and `divergences` (draws, windows) in nats per token.

    Raises
    ------
    InputError
        If an option, the model or the text cannot be used, or `out` cannot be written.
    """
    yield_when_idle()
    described = check_recipe(recipe, format)
    chosen, length = _read(recipe, format)
    with quiet_libraries(), written(out) as scratch:
        from .calibration import calibration_windows
        from .evaluation import Evaluator, documentation_protocol, text_protocol
        from .export import write_operands
        from .huggingface import save_quantized
        from .integers import fastest_execution
        from .layers import use_execution
        from .models import load_model
        from .quantization import quantize_model
        from .recipe import check_groups
        from .texts import text_of

        loaded = load_model(model)
        check_groups(loaded, chosen)
        protocols = [documentation_protocol(loaded, windows)]
        if text is not None:
            protocols.append(text_protocol(text_of(text, "--text"), loaded, windows))
        for protocol in protocols:
            if len(protocol.windows) < 2:
                raise InputError(f"text {protocol.name}: one window has no standard error; give a longer text")
        evaluators = {protocol.name: Evaluator(loaded.model, protocol) for protocol in protocols}
        source = {"name": loaded.name, "sha256": loaded.sha256}
        found: dict[str, dict[str, list[list[float]]]] = {name: {"losses": [], "divergences": []} for name in evaluators}
        calibrations = []
        for draw in range(draws):
            calibration = calibration_windows(loaded.tokenizer, loaded.positions, length, seed=seed + draw)
            calibrations.append(calibration.describe())
            quantized = quantize_model(loaded, chosen, calibration.windows)
            if chosen.scheme.integer_sums:
                use_execution(quantized.model, fastest_execution(loaded.model.device.type))
            for name, evaluator in evaluators.items():
                losses, divergences = evaluator.by_window(quantized.model)
                assert divergences is not None
                found[name]["losses"].append(losses.tolist())
                found[name]["divergences"].append(divergences.tolist())
            if draw == 0:
                stored = [(one.storage_bits, one.in_features * one.out_features) for one in quantized.layers().values()]
                weight_bits = sum(bits for bits, _ in stored) / sum(weights for _, weights in stored)
                save_quantized(quantized, loaded.tokenizer, scratch, source, calibrations[0])
                write_operands(scratch, quantized.model, protocols[0], source, chosen.describe(), scratch)
        plain = {name: evaluator.score(None) for name, evaluator in evaluators.items()}
        accuracy = {
            "model": {**source, "parameters": loaded.parameters},
            "recipe": described,
            "weight_bits": weight_bits,
            "calibration": calibrations,
            "protocols": {protocol.name: protocol.describe() for protocol in protocols},
            "unquantized": {name: [one.perplexity, one.perplexity_standard_error] for name, one in plain.items()},
            "texts": found,
        }
        write_file(scratch / "accuracy.json", canonical_json(accuracy))
    return accuracy
