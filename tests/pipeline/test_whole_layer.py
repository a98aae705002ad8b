# SPDX-License-Identifier: Apache-2.0
"""`dint simulate --layer` from the operands to its file, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden import DINT4, DintError, InputError, LayerOperands, MacConfig, OperandError, Operands, ToolError
from pipeline.whole_layer import simulate_layer
from synth.mapping import map_design
from synth.pdk import find
from synth.recipe import Recipe


def layer(name: str, outputs: int, products: int, tokens: int = 3) -> LayerOperands:
    random = np.random.default_rng(outputs)
    weights = random.integers(0, 16, (outputs, products), dtype=np.uint8)
    activations = random.integers(-128, 128, (tokens, products), dtype=np.int8)
    sums = activations.astype(np.int64) @ DINT4.decode(weights).T
    return LayerOperands(name, weights, activations, sums, np.ones(outputs, np.float32), np.ones(tokens, np.float32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    names = ("model.decoder.layers.0.fc1", "model.decoder.layers.1.fc1", "model.decoder.layers.1.fc2")
    layers = tuple(layer(name, outputs, 20) for name, outputs in zip(names, (3, 4, 6), strict=True))
    Operands(DINT4, layers, {"made": "for a test"}).save(tmp_path / "operands.npz")
    return tmp_path / "operands.npz"


def run(file: Path, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"layer": 1, "operands": file, "lanes": 2, "simulator": "icarus", "pdk": "none", "quiet": True}
    return simulate_layer(**settings | options)


def test_the_result(file: Path, tmp_path: Path) -> None:
    returned = run(file, out=tmp_path / "out", quiet=False)
    result = json.loads((tmp_path / "out" / "layer-1.json").read_text())
    assert set(returned) - set(result) == {"seconds", "compile_seconds", "macs_per_second"}
    assert [one["name"].split(".")[-1] for one in result["layers"]] == ["fc1", "fc2"]
    assert [one["sums_compared"] for one in result["layers"]] == [12, 18]
    assert result["macs_compared"] == np.sum(result["coverage"]["counts"]) == (12 + 18) * 20
    assert result["coverage"]["pairs"] == 4096
    assert result["coverage"]["pairs_met"] == np.count_nonzero(result["coverage"]["counts"])
    assert result["gate_level_sample"] is None
    run(file, out=tmp_path / "again")
    assert (tmp_path / "again" / "layer-1.json").read_bytes() == (tmp_path / "out" / "layer-1.json").read_bytes()


def test_the_gate_level_sample(file: Path, tmp_path: Path) -> None:
    """Mapped on the spot, or a netlist that is given; with one that is wrong the command fails and leaves nothing."""
    on_the_spot = run(file, pdk="osu018", cycles=60, cache=tmp_path / "cache")["gate_level_sample"]
    assert on_the_spot["complete_sums"] == 6
    assert on_the_spot["sums_compared"] == 60
    assert on_the_spot["output_changes_at_delays"] > 0.95
    mapped = map_design(MacConfig(DINT4, lanes=2), find("osu018"), Recipe("logic"), tmp_path / "cache")
    given = run(file, pdk="osu018", cycles=60, netlist=mapped.netlist)["gate_level_sample"]
    assert given["netlist_sha256"] == mapped.netlist_sha256 != on_the_spot["netlist_sha256"]
    assert given["period_ns"] == pytest.approx(mapped.delay_ns)
    text, broken = mapped.netlist.read_text(), tmp_path / "broken.v"
    broken.write_text(text.replace("(first)", "(rst)"))
    assert broken.read_text() != text
    with pytest.raises(ToolError, match="gate level: accumulator of mac_dint4_x2"):
        run(file, pdk="osu018", cycles=60, netlist=broken, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 2}, "--layer 2: no decoder layer of that number in the operands; there is 0, 1"),
        ({"operands": None}, "--layer needs either a quantized model"),
        ({"model": Path("build")}, "--layer needs either a quantized model"),
        ({"tokens": 3}, "--tokens 3: the operand file has the tokens it has"),
        ({"format": "int8"}, "the operands are dint4, the unit takes int8"),
        ({"depth": 19}, "sums of 20 products"),
        ({"netlist": Path("none.v")}, r"--netlist none\.v: no such file"),
        ({"pdk": "osu81"}, "osu81"),
        ({"simulator": "questa"}, "--simulator questa"),
        ({"operands": None, "model": Path("no-such")}, "no-such: no such directory"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str, file: Path, tmp_path: Path) -> None:
    with pytest.raises(DintError, match=message) as failure:
        run(file, **{"out": tmp_path / "out"} | options)
    assert isinstance(failure.value, InputError)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "out").exists()


def test_files_that_were_changed(file: Path, tmp_path: Path) -> None:
    whole = Operands.load(file)
    sums = whole.layers[2].accumulators.copy()
    sums[0, 0] ^= 1
    dataclasses.replace(whole, layers=(*whole.layers[:2], dataclasses.replace(whole.layers[2], accumulators=sums))).save(file)
    with pytest.raises(OperandError, match=r"fc2, token 0, output 0: the file states a sum of .* export it again"):
        run(file, out=tmp_path / "out")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(OperandError):
        run(file, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
