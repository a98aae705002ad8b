# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-quantization` fails where time, memory, rounding or exactness are not as promised."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.quantization import missed


def results(**changes: Any) -> dict[str, Any]:
    """Made-up figures, as good as promised but for `changes`."""
    given = {"seconds": 100.0, "peak": 1.1e9, "growth": 1.0, "ratio": 1.2, "equal": True} | changes
    runs = [
        {"layers": 24, "seconds": 500.0, "peak_bytes": given["peak"] * given["growth"]},
        {"layers": 12, "seconds": given["seconds"], "peak_bytes": given["peak"]},
    ]
    rounding = [{"format": "dint4", "form": "symmetric", "rtn_to_int4": given["ratio"]}]
    return {"quantization": runs, "rounding": rounding, "execution": [{"what": "fc1", "scheme": "x", "equal": given["equal"]}]}


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"seconds": 361.0}, ["12 layers took 361 s: 360 s are promised"]),
        ({"peak": 2.6e9}, ["12 layers took 2600 MB: 2500 MB are promised", "24 layers took 2600 MB: 2500 MB are promised"]),
        ({"growth": 1.1}, ["24 layers took 1.10 times as much memory as fewer"]),
        ({"ratio": 1.6}, ["rounding to dint4, symmetric, took 1.60 times as long as to INT4"]),
        ({"equal": False}, ["fc1, x: executions differ"]),
    ],
)
def test_what_is_not_as_promised_is_said(changes: dict[str, Any], lines: list[str]) -> None:
    assert missed(results(**changes)) == lines
