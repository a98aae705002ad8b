# SPDX-License-Identifier: Apache-2.0
"""Measurements of quantizations of one model, each kept in a file, so that an interrupted run goes on where it was."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from golden.artifacts import canonical_json, sha256_of, write_file
from quant.calibration import calibration_windows
from quant.evaluation import Evaluator, Protocol
from quant.integers import fastest_execution
from quant.kept import key_of
from quant.layers import use_execution
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.scaling import fold, search_scales
from quant.streamed import discard

__all__ = ["Cells", "without_windows"]


class Cells:
    """Measurements of quantizations of one model on the same texts, each kept in a file."""

    def __init__(self, loaded: LoadedModel, protocols: Sequence[Protocol], folder: Path) -> None:
        self._loaded, self._folder = loaded, folder
        self.evaluators = [Evaluator(loaded.model, protocol) for protocol in protocols]
        self._protocols = [sha256_of([one.name, one.windows.tolist()]) for one in protocols]
        folder.mkdir(parents=True, exist_ok=True)

    def measure(
        self, recipe: Recipe, length: int | None = None, seed: int = 0, *, cut: bool = False, loss: str | None = None
    ) -> list[dict[str, Any]]:
        """Scores of a recipe, an entry for each text; calibrated at `length` tokens.

        The calibration windows are drawn at that length, or at full length and then `cut` to it. The scales are searched with
        the activations in `loss`, int8 or fp32, by default as the recipe has them.
        """
        described: dict[str, Any] = {"recipe": recipe.describe(), "length": length, "seed": seed}
        described |= ({"loss": loss} if loss else {}) | ({"cut": True} if cut else {})
        file = self._folder / f"{key_of(self._loaded, protocols=self._protocols, **described)}.json"
        if not file.is_file():
            loaded = self._loaded
            windows = calibration_windows(loaded.tokenizer, loaded.positions, None if cut else length, seed=seed).windows
            if cut:
                windows = windows.reshape(-1, length or -1)
            if loss is not None:
                loaded, recipe = self._scaled(recipe, windows, loss), replace(recipe, scaling="none")
            quantized = quantize_model(loaded, recipe, windows, work=self._folder.parent / "unfinished")
            model = quantized.model
            if recipe.activations == "int8":
                use_execution(model, fastest_execution(loaded.model.device.type))
            found = []
            for evaluator in self.evaluators:
                found.append({"text": evaluator.protocol.name, **asdict(evaluator.score(model))})
            write_file(file, canonical_json(found))
            discard(quantized.files)
        measured: list[dict[str, Any]] = json.loads(file.read_text())
        return measured

    def _scaled(self, recipe: Recipe, windows: Tensor, loss: str) -> LoadedModel:
        """The unquantized model with the recipe's scales folded in, which are searched with the activations in `loss`."""
        scheme = replace(recipe.scheme, activations=loss)
        model = copy.deepcopy(self._loaded.model)
        fold(model, search_scales(self._loaded.model, self._loaded.adapter, windows, recipe.scaling, scheme))
        return replace(self._loaded, model=model)


def without_windows(row: dict[str, Any]) -> dict[str, Any]:
    """A measurement without what it is on each window."""
    return {name: value for name, value in row.items() if name not in ("losses", "divergences")}
