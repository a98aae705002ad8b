# SPDX-License-Identifier: Apache-2.0
"""What is finished is taken again only where everything that decides its bytes is the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import golden
from benchmarks.accuracy import cells
from quant import kept
from quant.evaluation import documentation_protocol
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe


def _another_version(monkeypatch: pytest.MonkeyPatch, _: Path) -> None:
    of = kept.version
    monkeypatch.setattr(kept, "version", lambda name: "0.1" if name == "transformers" else of(name))


def _another_source(monkeypatch: pytest.MonkeyPatch, folder: Path, module: Any) -> None:
    copied = folder / Path(module.__file__).parent.name
    shutil.copytree(Path(module.__file__).parent, copied, ignore=shutil.ignore_patterns("checkpoint*", "__pycache__"))
    monkeypatch.setattr(module, "__file__", str(copied / Path(module.__file__).name))
    with (copied / "__init__.py").open("a") as file:
        file.write("# changed\n")


CHANGES: dict[str, Callable[[pytest.MonkeyPatch, Path], None]] = {
    "a package": _another_version,
    "threads": lambda monkeypatch, _: monkeypatch.setattr(torch, "get_num_threads", lambda: 77),
    "the quantizer": lambda monkeypatch, folder: _another_source(monkeypatch, folder, kept),
    "the number formats": lambda monkeypatch, folder: _another_source(monkeypatch, folder, golden),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_key_follows(
    tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]
) -> None:
    before = kept.key_of(tiny, recipe="one")
    assert before == kept.key_of(tiny, recipe="one") != kept.key_of(tiny, recipe="other")
    change(monkeypatch, tmp_path)
    assert kept.key_of(tiny, recipe="one") != before


def test_cells_of_the_benchmark_are_kept_by_it(tiny: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantized: list[Recipe] = []

    def counted(loaded: LoadedModel, recipe: Recipe, *arguments: Any, **keywords: Any) -> Any:
        quantized.append(recipe)
        return quantize_model(loaded, recipe, *arguments, **keywords)

    monkeypatch.setattr(cells, "quantize_model", counted)
    measured = cells.Cells(tiny, [documentation_protocol(tiny, 2)], tmp_path)
    first = measured.measure(Recipe("int4"))
    assert measured.measure(Recipe("int4")) == first
    assert len(quantized) == 1
    CHANGES["a package"](monkeypatch, tmp_path)
    assert measured.measure(Recipe("int4")) == first
    assert len(quantized) == 2
