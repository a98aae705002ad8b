# SPDX-License-Identifier: Apache-2.0
"""Every product of every code and every activation, for every architecture of every format."""

from __future__ import annotations

import numpy as np
import pytest

from golden import FORMATS, VARIANTS, MacConfig, format_by_name
from hdl.architectures import ARCHITECTURES

PAIRS = [(name, architecture.name) for architecture in ARCHITECTURES.values() for name in architecture.formats]


@pytest.mark.parametrize(("name", "architecture"), [*PAIRS, *((name, "digit-grid") for name in VARIANTS)])
def test_every_product(simulate, name, architecture):
    number_format = format_by_name(name)
    config = MacConfig(number_format, architecture=architecture)
    codes, activations = np.meshgrid(np.arange(len(number_format.values)), np.arange(-128, 128), indexing="ij")
    codes, activations = codes.reshape(-1, 1), activations.reshape(-1, 1)
    always = np.ones(len(codes), dtype=bool)

    sums = simulate(config, codes, activations, always, always)

    expected = np.array(
        [number_format.values[c] * a for c, a in zip(codes[:, 0].tolist(), activations[:, 0].tolist(), strict=True)]
    )
    compared = len(sums)
    assert compared == len(expected) == 256 << number_format.bits
    wrong = np.flatnonzero(sums != expected)
    assert not wrong.size, (
        f"{wrong.size} wrong; first: code {codes[wrong[0], 0]} x {activations[wrong[0], 0]} = {sums[wrong[0]]}"
    )


def test_all_formats_have_an_architecture_of_their_own():
    assert {name for name, _ in PAIRS} == set(FORMATS)
    for number_format in FORMATS.values():
        assert number_format.architecture != "multiply"
        assert number_format.name in ARCHITECTURES[number_format.architecture].formats
