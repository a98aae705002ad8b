"""What is claimed of the number formats, on the trained checkpoint.

By output error, which ranks methods cleanly. On this model the KL divergences of INT4 and dINT4 differ by less than another
draw of calibration windows changes them, and perplexities by less than their standard error: no claim rests on them.
"""

from __future__ import annotations

from typing import Any

import pytest

from quant.command import quantize
from quant.models import SHIPPED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHIPPED / "config.json").exists(), reason="the shipped checkpoint is not there"),
]
TEXT = "python-documentation"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    metrics = quantize(out=tmp_path_factory.mktemp("shipped"), windows=24, quiet=True)
    assert metrics["model"]["name"] == "shipped checkpoint"
    return {row["name"]: row for row in metrics["rows"]}


def test_eight_bits_cost_almost_nothing(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["W8A8 INT8"]["kl"][TEXT] < 0.05 * rows["W4A8 dINT4"]["kl"][TEXT]


@pytest.mark.parametrize("suffix", ["", ", AQAS", ", asymmetric"])
def test_dint4_has_less_output_error_than_int4(rows: dict[str, dict[str, Any]], suffix: str) -> None:
    dint, integer = (rows[f"W4A8 {name}{suffix}"]["output_error"]["total"] for name in ("dINT4", "INT4"))
    assert dint < 0.99 * integer


def test_scaling_lowers_the_output_error(rows: dict[str, dict[str, Any]]) -> None:
    for name in ("W4A8 INT4", "W4A8 dINT4"):
        assert rows[f"{name}, AQAS"]["output_error"]["total"] < rows[name]["output_error"]["total"]


def test_denormals_remove_most_of_the_underflow(rows: dict[str, dict[str, Any]]) -> None:
    integer, dint = rows["W4A8 INT4"], rows["W4A8 dINT4"]
    assert dint["output_error"]["underflow"] < 0.3 * integer["output_error"]["underflow"]
    assert dint["zero_fraction"] < 0.7 * integer["zero_fraction"]
