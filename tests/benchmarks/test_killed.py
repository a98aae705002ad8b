# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed leave no process and no wrong file behind, and run again; and that this check would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import killed

SCRIPT = """
import sys
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import sleep
out = Path("out")
out.mkdir(exist_ok=True)
{does}
"""


def test_a_command_that_is_killed(tmp_path: Path) -> None:
    assert killed.check(killed.COMMANDS["synthesize"], (0.7,), tmp_path) > 0.5


@pytest.mark.parametrize(
    ("does", "message"),
    [
        ("Popen(['sleep', '47.5'], start_new_session=True, stderr=DEVNULL); sleep(1)", "killed after .* s: sleep go on"),
        ("(out / 'a').write_text('half'); sleep(1); (out / 'a').write_text('whole')", "it left out/a, which the whole run"),
        ("again = (out / 'b').exists(); (out / 'b').touch(); sleep(1); (out / 'c').write_text(str(again))", "its files differ"),
        ("sys.exit('no')", "exit code 1: no"),
    ],
    ids=["a process", "half a file", "another result", "a failure"],
)
def test_what_goes_wrong_is_noticed(does: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "dint.py").write_text(SCRIPT.format(does=does))
    monkeypatch.setattr(killed, "ROOT", tmp_path / "package")
    monkeypatch.setattr(killed, "_PATIENCE_S", 0.5)
    with pytest.raises(killed.Killed, match=message):
        killed.check(["anything"], (0.7,), tmp_path / "runs")
