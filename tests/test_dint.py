# SPDX-License-Identifier: Apache-2.0
"""The command line: starts without torch, every command shows an example, errors are one line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ["torch", "transformers", "amaranth", "matplotlib", "cocotb", "pyosys", "joblib"]


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dint", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, env=os.environ | environment)


def loaded_by(code: str, modules: list[str]) -> str:
    code = f"import atexit, sys; atexit.register(lambda: print([m for m in {modules} if m in sys.modules])); {code}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["simulate", "--help"]], ids=" ".join)
def test_help_is_quick_since_it_loads_next_to_nothing(arguments: list[str]) -> None:
    assert loaded_by(f"import dint; sys.argv[1:] = {arguments}; dint.main()", [*HEAVY, "numpy", "golden"]) == "[]"


@pytest.mark.parametrize("arguments", [["formats"], ["pdks"], ["doctor"]], ids=" ".join)
def test_listings_load_nothing_heavy(arguments: list[str]) -> None:
    code = f"import dint; sys.argv[1:] = {arguments}\ntry: dint.main()\nexcept SystemExit: pass"
    assert loaded_by(code, HEAVY) == "[]"


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import dint; dint.DINT4; dint.MacConfig", HEAVY) == "[]"


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
    for name in ("int8", "int4", "dint4", "dint3", "int3", "fp4_e2m1", "-1/2", "-7", "mxfp4", "4.25 bits"):
        assert name in result.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["generate", "--lanes", "0"], "lanes is 0"),
        (["generate", "--lanes", "65"], "lanes is 65"),
        (["generate", "--format", "dint44"], "did you mean dint4"),
        (["generate", "--shape", "mca"], "did you mean mac? known are mac, pe"),
        (["generate", "--architecture", "digit-gird"], "did you mean digit-grid?"),
        (["simulate", "--simulator", "icarous"], "did you mean icarus? known are icarus, verilator, auto"),
        (["synthesize", "--activity", "zero-dealy"], "did you mean zero-delay? known are sdf, zero-delay, vectorless"),
        (["synthesize", "--dataflow", "weight-held"], "did you mean weights-held?"),
        (["synthesize", "--power-engine", "openst"], "did you mean opensta?"),
        (["simulate", "--operands", "missing.npz"], "missing.npz"),
        (["simulate", "--tokens", "3"], "--tokens 3: belongs to --layer"),
        (["simulate", "--layer", "0", "--writable-codebooks"], "--writable-codebooks: belongs to block formats"),
        (["simulate", "--layer", "0", "--activations", "nvfp4"], "--activations nvfp4: belongs to block formats"),
        (["simulate", "--liberty", "x.lib"], "--liberty x.lib: belongs to --layer"),
        (["simulate", "--layer", "0"], "--layer needs either"),
        (["simulate", "--layer", "0", "--model", "m", "--waves", "w.vcd"], "--waves w.vcd"),
        (["simulate", "--layer", "0", "--model", "missing"], "missing: no such directory"),
        (["synthesize", "--pdk", "osu18"], "osu018"),
        (["synthesize", "--liberty", "missing.lib"], "missing.lib"),
        (["sweep", "missing.toml"], "sweep file missing.toml: cannot be read"),
        (["zero-points", "--units", "65"], "units is 65"),
        (["codes", "--pdk", "osu018"], "--pdk osu018: is for the tables that --map maps"),
        (["evaluate", "--limit", "3"], "--limit 3: it is a number of documents of --tasks"),
        (["zero-points", "--format", "fp4_e2m1"], "takes no zero-point"),
        (["quantize", "missing"], "missing"),
        (["operands", "missing"], "missing"),
        (["report", "--model", "missing"], "missing"),
        (["report", "--model", "./missing"], "model missing: no such directory"),
        (["report", "--model", "."], "no config.json"),
        (["report", "--text", "missing.txt"], "--text missing.txt: cannot be read"),
        (["report", "--lane", "65"], "lanes is 65"),
        (["report", "--lane", "1", "--lane", "0"], "lanes is 0"),
        (["report", "--pdk", "osu18"], "osu018"),
        (["report", "--liberty", "missing.lib"], "missing.lib"),
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


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["generate", "--lanes", "four"], "'--lanes'"),
        (["generate", "--lanes"], "'--lanes' requires an argument"),
        (["generate", "--lanez", "4"], "--lanez"),
        (["codes", "--seed", "-1"], "'--seed'"),
        (["export"], "'directory'"),
        (["generates"], "'generates'"),
    ],
    ids=" ".join,
)
def test_wrong_options_are_one_line_too(arguments: list[str], part: str, tmp_path: Path) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert part in result.stderr
    assert list(tmp_path.iterdir()) == []


def assert_refused(result: subprocess.CompletedProcess[str], part: str, *places: Path) -> None:
    """One line with `part`, and nothing in `places`; nor did a stage begin, which would print its name."""
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert part in result.stderr
    assert result.stdout == ""
    for place in places:
        assert list(place.iterdir()) == []


@pytest.mark.parametrize(("tool", "part"), [("iverilog", "iverilog"), ("sta", "install the apt package opensta")])
def test_report_asks_for_its_tools_first(tool: str, part: str, tmp_path: Path) -> None:
    programs, work = tmp_path / "bin", tmp_path / "work"
    programs.mkdir()
    work.mkdir()
    for other in {"iverilog", "vvp", "sta"} - {tool}:
        place = shutil.which(other)
        if place is None:
            pytest.skip(f"{other} is not installed")
        (programs / other).symlink_to(place)
    result = run("report", "--out", "out", "--lane", "1", cwd=work, PATH=str(programs))
    assert_refused(result, part, work)


def test_report_reads_the_library_first(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    whole = (Path(__file__).parent / "synth" / "tiny.lib").read_text()
    library = tmp_path / "cut.lib"
    library.write_text(whole[: len(whole) // 2])
    assert_refused(run("report", "--out", "out", "--liberty", str(library), cwd=work), "truncated", work)
    library.write_text(whole.replace("internal_power", "external_power"))
    assert_refused(run("report", "--out", "out", "--liberty", str(library), cwd=work), "internal_power", work)


def children(process: int) -> set[int]:
    """All descendants of a process."""
    found: set[int] = set()
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child} | children(child)
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see the child processes")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("command", "to_all"), [("quantize", True), ("report", True), ("report", False)])
def test_an_interrupt_is_one_line_and_leaves_nothing(command: str, to_all: bool, sent: signal.Signals, tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to all processes of a command, `kill` to the first alone."""
    with subprocess.Popen(
        [sys.executable, "-m", "dint", command, "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        # A while after the scratch directory is there: torch is loaded, or just being loaded, and work goes on.
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("out/**/.new-*")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(1)
        started = children(process.pid)
        assert command == "quantize" or started
        if to_all:
            os.killpg(process.pid, sent)
        else:
            process.send_signal(sent)
        _, errors = process.communicate(timeout=60)
    assert errors == "interrupted; run the same command again to go on\n"
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    deadline = time.monotonic() + 5
    while left := [child for child in started if alive(child)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


_IN_A_CALLBACK = """
    class Thing: pass
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    time.sleep(20)
"""
_IN_EXECUTED_TEXT = """
    exec("signal.raise_signal(signal.SIGINT)")  # as dataclasses do: Python notes it, and would end by the signal
"""


@pytest.mark.parametrize("work", [_IN_A_CALLBACK, _IN_EXECUTED_TEXT], ids=["in a callback", "in executed text"])
def test_an_interrupt_at_an_odd_moment(work: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import signal, time, weakref, dint\n\ndef work(**_):{work}\ndint.app = work\ndint.main()\n")
    for way in (["script.py"], ["-m", "script"]):  # Python ends by the signal only what is run by -m
        done = subprocess.run([sys.executable, *way], cwd=tmp_path, capture_output=True, text=True, timeout=15, check=False)
        assert (done.stderr, done.returncode) == ("interrupted; run the same command again to go on\n", 130)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "--lanes", "64"],
        ["quantize", "--no-table", "--scaling", "none", "--quiet"],
        ["synthesize", "--quiet"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(arguments: list[str], small_disk: Path) -> None:
    """The cache of `synthesize` is on the disk too, and the first to find it full."""
    (small_disk / "big").write_bytes(bytes(60 * 1024))
    result = run(*arguments, "--out", "out", cwd=small_disk)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert "o space left on device" in result.stderr
    assert "free some space" in result.stderr
    assert not (small_disk / "out").exists()
    assert [file.name for file in small_disk.rglob("*") if file.is_file()] == ["big"]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = run("--debug", "generate", "--lanes", "0", "--out", str(tmp_path / "out"))
    assert result.returncode != 0
    assert "Traceback" in result.stderr
