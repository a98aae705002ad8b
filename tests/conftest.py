# SPDX-License-Identifier: Apache-2.0
"""Shared fixtures: reference material (libraries, texts, oracles) is used where it is present and skipped where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of reference material: $DINT_REFERENCE, or `shared` beside the checkout."""
    folder = Path(os.environ.get("DINT_REFERENCE", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference material at {folder} (set DINT_REFERENCE)")
    return folder
