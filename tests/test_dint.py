"""The command line: starts without torch, every command shows an example, errors are one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ["quantize", "operands", "generate", "simulate", "synthesize", "report", "formats", "pdks"]
HEAVY = ["torch", "transformers", "amaranth", "matplotlib", "cocotb", "pyosys"]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dint", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.returncode == 0
    assert f"Example: dint {command}" in result.stdout


def test_help_and_import_load_nothing_heavy() -> None:
    code = f"import sys, dint; dint.DINT4; dint.MacConfig; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_dint_registers_the_quantizer_when_transformers_arrives() -> None:
    code = "import dint; from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING as m; print('dint' in m)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True"


def test_names_a_user_imports_are_there() -> None:
    import dint

    assert all(getattr(dint, name) is not None for name in dint.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dint.nothing


def test_formats_lists_every_value() -> None:
    result = run("formats")
    assert result.returncode == 0
    for name in ("int8", "int4", "dint4", "dint3", "-1/2", "-7"):
        assert name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["generate", "--lanes", "0"], "lanes is 0"),
        (["generate", "--lanes", "65"], "lanes is 65"),
        (["generate", "--format", "dint44"], "did you mean dint4"),
        (["simulate", "--operands", "missing.npz"], "missing.npz"),
        (["synthesize", "--pdk", "osu18"], "osu018"),
        (["synthesize", "--liberty", "missing.lib"], "missing.lib"),
        (["quantize", "missing"], "missing"),
        (["operands", "missing"], "missing"),
        (["report", "--model", "missing"], "missing"),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments: list[str], part: str, tmp_path: Path) -> None:
    result = run(*arguments, "--out", str(tmp_path / "out"), cwd=tmp_path)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    assert part in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", "generate", "--lanes", "0", "--out", str(tmp_path / "out"))
    assert result.returncode != 0
    assert "Traceback" in result.stderr
