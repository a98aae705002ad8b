# SPDX-License-Identifier: Apache-2.0
"""The replay of a whole layer fails where it is slow or not whole; of made-up results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import layer
from golden import ToolError

WHOLE = {
    "layers": [{"outputs": 3, "inputs": 4, "tokens": 5}, {"outputs": 2, "inputs": 3, "tokens": 5}],
    "macs_compared": 90,
    "macs_per_second": 1e7,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"macs_per_second": 9.9e6}, "error: 9,900,000 products a second: 10,000,000 are promised\n"),
        ({"macs_compared": 89}, "error: 89 products of 90 compared\n"),
        ({"layers": None}, "error: a tool is missing\n"),
    ],
)
def test_what_is_promised(
    change: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def replayed(number: int, **options: Any) -> dict[str, Any]:
        assert (number, options["tokens"], options["lanes"], options["model"]) == (0, 256, 16, tmp_path / "model")
        if (WHOLE | change)["layers"] is None:
            raise ToolError("a tool is missing")
        return WHOLE | change

    monkeypatch.setattr(layer, "quantize", lambda **_: None)
    monkeypatch.setattr(layer, "simulate_layer", replayed)
    assert layer.main(["--out", str(tmp_path)]) == (1 if said else 0)
    assert capsys.readouterr().out == said
