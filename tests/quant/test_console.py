# SPDX-License-Identifier: Apache-2.0
"""What surrounds the work of the sub-commands: bars that leave nothing behind, and foreign errors in one line."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest
from rich.console import Console

from quant.console import progress_bar
from quant.failures import hub_trouble, reason


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_leaves_nothing_behind(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file there is none, and no empty line either; on a terminal its line is erased. So it is where the work fails."""
    monkeypatch.setenv("TERM", "xterm")
    written = io.StringIO()
    with suppress(KeyError), progress_bar(Console(file=written, force_terminal=terminal, width=60)) as progress:
        progress.advance(progress.add_task("rows", total=3))
        raise KeyError
    if terminal:
        assert "rows" in written.getvalue()
        assert written.getvalue().endswith("\x1b[1A\x1b[2K")  # one line up, and erased
    else:
        assert written.getvalue() == ""


def test_reasons_are_one_line() -> None:
    assert reason(ValueError("\nfirst\nsecond")) == "first"
    assert reason(KeyError()) == "KeyError"
    assert hub_trouble(ConnectionResetError("reset\nby peer"), "stay") == (
        "the hub cannot be reached (reset); without a network stay"
    )
    assert hub_trouble(ValueError("of the file"), "stay") is None
