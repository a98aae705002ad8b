# SPDX-License-Identifier: Apache-2.0
"""A kit, and a cache of netlists for the tests of one file."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth.pdk import Pdk, find


@pytest.fixture(scope="module")
def kit() -> Pdk:
    return find("osu018")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")
