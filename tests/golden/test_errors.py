# SPDX-License-Identifier: Apache-2.0
"""What an error says is one line, whatever it repeats."""

from __future__ import annotations

import pickle

import pytest

from golden.errors import InputError, ToolError, one_line


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("lanes is 65: too many", "lanes is 65: too many"),
        ("é, 日本 and  two blanks", "é, 日本 and  two blanks"),
        (" a\n  b\r\nc\td\x85e\u2028f ", "a b c d e f"),
        ("\x1b[31mred \u202e \0 \ud800", "\\x1b[31mred \\u202e \\x00 \\ud800"),
        ("x" * 6000 + " tail", "x" * 375 + "..." + "x" * 125 + " tail"),
        ("word " * 2000, None),
    ],
)
def test_one_line(message: str, shown: str | None) -> None:
    line = str(InputError(message))
    assert line == one_line(message) == one_line(line)
    assert len(line) < 4100
    assert line.isprintable()
    assert shown is None or line == shown


def test_an_error_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(ToolError("a\nb")))
    assert (type(error), str(error)) == (ToolError, "a b")
