# SPDX-License-Identifier: Apache-2.0
"""`dint simulate` on the generated units, with operand files, waves and results."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from golden import DINT4, FORMATS, DintError, InputError, MacConfig, OperandError, Operands, ToolError
from hdl.verilog import generate
from sim import SimulationMismatch, Stimulus, find_simulator
from sim.command import simulate, simulate_verilog, stimuli_for

KEYS = {
    "design", "format", "architecture", "lanes", "simulator", "simulator_version", "level", "source", "cycles",
    "macs_compared", "sums_compared", "stated_sums_compared", "stimulus_sha256", "verilog_sha256",
}  # fmt: skip


@pytest.fixture
def operand_file(tmp_path: Path, make_operands) -> Path:
    make_operands(DINT4).save(tmp_path / "operands.npz")
    return tmp_path / "operands.npz"


@pytest.mark.parametrize("lanes", [1, 3, 16])
@pytest.mark.parametrize("name", ["int8", "int4", "dint4"])
def test_generated_units_agree_with_the_golden_model(name: str, lanes: int, make_operands, tmp_path: Path, capsys) -> None:
    make_operands(FORMATS[name]).save(file := tmp_path / "operands.npz")
    results = simulate(name, lanes, "icarus", operands=file, cycles=500, depth=1024, out=tmp_path / "out")
    config = MacConfig(FORMATS[name], lanes=lanes, depth=1024)
    assert [result["source"] for result in results] == ["opt", "uniform", "corners"]
    stimuli = (
        Stimulus.from_operands(Operands.load(file), config, 500, 0),
        Stimulus.uniform(config, 500, 0),
        Stimulus.corners(config),
    )
    for result, stimulus in zip(results, stimuli, strict=True):
        assert set(result) == KEYS
        assert result["sums_compared"] == stimulus.cycles
        assert result["macs_compared"] == stimulus.macs
        assert result["stimulus_sha256"] == stimulus.sha256
    assert results[0]["stated_sums_compared"] == 500 // -(-50 // lanes)
    assert json.loads((tmp_path / "out" / "simulation.json").read_text()) == results
    printed = capsys.readouterr().out
    assert config.name in printed
    assert f"{results[2]['macs_compared']:,}" in printed


@pytest.mark.parametrize(("lanes", "cycles"), [(1, 50), (3, 17), (16, 4)])
def test_a_sum_of_the_file_is_always_whole(lanes: int, cycles: int, operand_file: Path) -> None:
    config = MacConfig(DINT4, lanes=lanes)
    stimuli = stimuli_for(config, operand_file, 3, 0)  # cycles for a part of it
    assert [stimulus.cycles for stimulus in stimuli[:2]] == [cycles, 3]
    assert stimuli[0].completed.sum() == 1


@pytest.mark.parametrize("mutant", range(6))
def test_broken_generated_units_fail(mutant: int) -> None:
    """One input of one full adder, somewhere in the compressor, stuck at 0 or exchanged."""
    config = MacConfig(DINT4, lanes=3, depth=96)
    text = generate(config)
    adders = list(re.finditer(r"dint_full_adder \w+ \(\s*\.a\(([^)]+)\),\s*\.b\(([^)]+)\)", text))
    assert len(adders) > 20
    chosen = adders[mutant * len(adders) // 6]
    start, end = chosen.span(1 + mutant % 2)
    broken = text[:start] + "1'b0" + text[end:]
    with pytest.raises(SimulationMismatch):
        simulate_verilog(broken, config, [Stimulus.corners(config)], find_simulator("icarus"), quiet=True)


def test_results_are_the_same_every_time(operand_file: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate("dint4", 3, "icarus", operands=operand_file, cycles=100, depth=96, out=tmp_path / name, quiet=True)
    assert (tmp_path / "a" / "simulation.json").read_bytes() == (tmp_path / "b" / "simulation.json").read_bytes()


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    simulate("dint4", 1, "icarus", cycles=20, depth=4, quiet=True)
    assert capsys.readouterr().out == ""


# Operand files that were changed


def rewritten(file: Path, **changes: object) -> Path:
    """The file with arrays changed and its manifest, checksum included, as it was."""
    with np.load(file) as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    for name, change in changes.items():
        change(arrays[f"0.{name}"])  # type: ignore[operator]
    np.savez(file, **arrays)
    return file


@pytest.mark.parametrize("name", ["weights", "activations", "accumulators"])
def test_a_flipped_bit_is_refused(name: str, operand_file: Path, tmp_path: Path) -> None:
    def flip(array: np.ndarray) -> None:
        array.flat[17 % array.size] ^= 1

    with pytest.raises(OperandError, match="differ from their checksum"):
        simulate("dint4", 3, operands=rewritten(operand_file, **{name: flip}), out=tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["weights", "activations", "accumulators"])
def test_a_wrong_file_with_a_right_checksum_is_refused(name: str, make_operands, tmp_path: Path) -> None:
    """Wherever it is wrong: only a few of its sums would be replayed."""
    operands = make_operands(DINT4, outputs=40, tokens=30)
    array = getattr(operands.layers[0], name).copy()
    array[-1, -1] ^= 1
    layer = dataclasses.replace(operands.layers[0], **{name: array})
    dataclasses.replace(operands, layers=(layer,)).save(tmp_path / "operands.npz")
    with pytest.raises(
        OperandError, match=r"the file states a sum of -?\d+, its operands make -?\d+; export it again"
    ) as failure:
        simulate("dint4", 3, operands=tmp_path / "operands.npz", cycles=20, depth=96, out=tmp_path / "out", quiet=True)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "out").exists()


def test_truncated_and_missing_files_are_refused(operand_file: Path) -> None:
    with pytest.raises(OperandError, match="no such operand file"):
        simulate(operands=operand_file.with_name("other.npz"), quiet=True)
    operand_file.write_bytes(operand_file.read_bytes()[:500])
    with pytest.raises(OperandError, match="not an operand file, or damaged"):
        simulate(operands=operand_file, quiet=True)


# Waves


@pytest.mark.parametrize("suffix", [".vcd", ".fst"])
def test_waves_are_written_and_never_overwritten(suffix: str, tmp_path: Path) -> None:
    def run() -> None:
        simulate("dint4", 1, "icarus", cycles=50, depth=8, waves=tmp_path / f"trace{suffix}", quiet=True)

    run()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"trace-corners{suffix}", f"trace-uniform{suffix}"]
    contents = [file.read_bytes() for file in files]
    for content in contents:
        assert (b"accumulator" in content and b"$enddefinitions" in content) if suffix == ".vcd" else len(content) > 1000
    with pytest.raises(
        InputError, match=f"trace-uniform{suffix} exists and is not overwritten; remove it or give another name"
    ):
        run()
    assert [file.read_bytes() for file in files] == contents


def test_two_runs_at_once_for_one_wave_file(tmp_path: Path) -> None:
    """Of two runs that want the same wave file, one gets it and the other is refused."""
    simulator, config = find_simulator("icarus"), MacConfig(DINT4, depth=8)
    text, waves, began = generate(config), tmp_path / "w.vcd", Barrier(2)

    def one(seed: int) -> str:
        began.wait()
        try:
            stimuli = [Stimulus.uniform(config, 50, seed)]
            simulate_verilog(text, config, stimuli, simulator, waves=waves, quiet=True)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        told = sorted(pool.map(one, (1, 2)))
    assert told[0] == ""
    assert "w-uniform.vcd: the file exists by now and is not overwritten" in told[1]
    assert b"$enddefinitions" in (tmp_path / "w-uniform.vcd").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["w-uniform.vcd"]


def test_equal_runs_at_once_write_one_whole_result(tmp_path: Path) -> None:
    def one(_: int) -> object:
        return simulate("dint4", 1, "icarus", cycles=20, depth=8, out=tmp_path, quiet=True)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, range(2))
    assert first == second == json.loads((tmp_path / "simulation.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["simulation.json"]


def test_a_failed_run_leaves_its_waves(behavioural, tmp_path: Path) -> None:
    config = MacConfig(DINT4, depth=8)
    broken = behavioural(config).replace("4'd5: decode = -10;", "4'd5: decode = -8;")
    with pytest.raises(SimulationMismatch):
        simulate_verilog(
            broken, config, [Stimulus.corners(config)], find_simulator("icarus"), waves=tmp_path / "w.vcd", quiet=True
        )
    assert (tmp_path / "w-corners.vcd").stat().st_size > 1000


# Wrong arguments: one line, before any work


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": 65}, "lanes is 65"),
        ({"format": "dint44"}, "did you mean dint4"),
        ({"cycles": 0}, "cycles is 0"),
        ({"simulator": "questa"}, "--simulator questa"),
        ({"time_limit": 0.0}, "time_limit is 0: it is a number of seconds above 0"),
        ({"time_limit": float("nan")}, "time_limit is nan"),
        ({"architecture": "no-such"}, "no-such"),
        ({"waves": Path("trace.txt")}, "icarus writes .vcd and .fst files"),
        ({"waves": Path("no/such/folder/trace.vcd")}, "no/such/folder is not a directory"),
        ({"operands": True, "format": "int8"}, "the operands are dint4, the unit takes int8"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str, operand_file: Path, tmp_path: Path) -> None:
    if "operands" in arguments:
        arguments = arguments | {"operands": operand_file}
    with pytest.raises(DintError, match=message) as failure:
        simulate(**({"quiet": True, "out": tmp_path / "out"} | arguments))  # type: ignore[arg-type]
    assert isinstance(failure.value, InputError)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    with pytest.raises(InputError, match=r"--out .* cannot be written"):
        simulate(cycles=10, out=tmp_path / "out", quiet=True)
    assert (tmp_path / "out").read_text() == "here first"


def test_a_missing_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("iverilog") is None
    with pytest.raises(ToolError, match="no simulator"):
        simulate(cycles=10, quiet=True)
