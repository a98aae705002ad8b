# SPDX-License-Identifier: Apache-2.0
"""What is gathered for the report: statistics of the operands, and a chain of hashes without a gap."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from golden import DINT4, INT8, LayerOperands, NumberFormat, Operands
from golden.artifacts import sha256_file
from pipeline import results
from pipeline.stages import Stage

AREA = {"int8": 100.0, "dint4": 60.0}


def made_operands(number_format: NumberFormat) -> Operands:
    """One layer of two outputs, two inputs, two tokens; steps 3, 0, 0.5, -1 where the format has them."""
    values = list(number_format.values)
    unit = float(number_format.unit)
    steps = [3, 0, 0.5 if unit < 1 else 2, -1]
    codes = np.array([values.index(round(step / unit)) for step in steps], dtype=np.uint8).reshape(2, 2)
    layer = LayerOperands(
        name="model.decoder.layers.0.fc1",
        weights=codes,
        activations=np.array([[4, 0], [0, 3]], dtype=np.int8),
        accumulators=np.array([[4, 0], [0, 3]], dtype=np.int64) @ number_format.decode(codes).T,
        weight_scales=np.ones(2, dtype=np.float32),
        activation_scales=np.ones(2, dtype=np.float32),
    )
    return Operands(number_format, (layer,), {"recipe": {"scaling": "none"}, "tokens": 2})


def stage(folder: Path, name: str, **files: bytes) -> Stage:
    """A stage that left those files (`__` in a name stands for a dot)."""
    folder.mkdir(parents=True)
    for file, content in files.items():
        (folder / file.replace("__", ".")).write_bytes(content)
    return Stage(name, folder, key="", date="2026-01-02", seconds=1.0, reused=False)


@pytest.fixture
def chain(tmp_path: Path) -> list[dict[str, Any]]:
    """Provenance of two formats on one PDK: INT8 wins with a netlist of the generated Verilog, dINT4 with another text."""
    verilog = b"module mac; endmodule\n"
    same = hashlib.sha256(verilog).hexdigest()
    quantized = {}
    for number_format in (INT8, DINT4):
        name = number_format.name
        metrics = json.dumps({"model": {"sha256": "c0de"}}).encode()
        quantized[name] = stage(
            tmp_path / f"q-{name}", f"quantize {name}", model__safetensors=name.encode(), metrics__json=metrics
        )
        made_operands(number_format).save(tmp_path / f"q-{name}" / "operands.npz")
    units = stage(tmp_path / "units", "generate", mac_int8_x1__v=verilog, mac_dint4_x1__v=verilog)
    runs = {name: {"design": f"mac_{name}_x1", "format": name, "verilog_sha256": same} for name in quantized}
    runs["compared designs"] = runs["dint4"] | {"verilog_sha256": "other"}
    simulated = [
        stage(tmp_path / f"s-{name}", f"simulate {name}", simulation__json=json.dumps([run]).encode())
        for name, run in runs.items()
    ]
    designs = [
        {
            "design": f"mac_{name}_x1",
            "pdk": "osu018",
            "format": name,
            "architecture": "a",
            "lanes": 1,
            "area_um2": area,
            "objective": "area",
            "netlist_sha256": f"{name}{area}",
            "verilog_sha256": same if name == "int8" else "other",
        }
        for name, best in AREA.items()
        for area in (best, best + 50)
    ]
    sides = [{"format": name, "architecture": "a", "area_um2": area} for name, area in AREA.items()]
    rows = [{"pdk": "osu018", "lanes": 1, "baseline": sides[0], "candidate": sides[1]}]
    comparison: dict[str, Any] = {"designs": designs, "comparisons": rows}
    compared = stage(tmp_path / "c", "compare osu018", comparison__json=json.dumps(comparison).encode())
    kits: list[Any] = [SimpleNamespace(name="osu018", liberty_sha256=("11be",))]
    return results._provenance(kits, quantized, units, simulated, [compared], [comparison])


def test_the_chain_has_no_gap(chain: list[dict[str, Any]]) -> None:
    names = [link["artefact"] for link in chain]
    assert len(names) == len(set(names))
    for index, link in enumerate(chain):
        assert set(link["made_from"]) <= set(names[:index]), link
    sources: dict[str, list[str]] = {link["artefact"]: link["made_from"] for link in chain}
    seen, left = set(), ["compare osu018"]
    while left:
        name = left.pop()
        seen.add(name)
        left += sources[name]
    assert {"checkpoint", "int8/model.safetensors", "dint4/operands.npz", "mac_int8_x1.v", "osu018 Liberty 1"} <= seen


def test_winners_are_linked_to_their_verilog_and_library(chain: list[dict[str, Any]]) -> None:
    links = {link["artefact"]: link for link in chain}
    netlists = {name: link for name, link in links.items() if "netlist" in name}
    assert [link["sha256"] for link in netlists.values()] == ["int8100.0", "dint460.0"]  # winners only
    int8, dint4 = netlists.values()
    assert int8["made_from"] == ["mac_int8_x1.v", "osu018 Liberty 1"]
    assert links["mac_int8_x1.v"]["sha256"] == hashlib.sha256(b"module mac; endmodule\n").hexdigest()
    assert dint4["made_from"] == ["mac_dint4_x1.v as synthesized", "osu018 Liberty 1"]
    assert links["mac_dint4_x1.v as synthesized"]["sha256"] == "other"
    assert links["simulate int8"]["made_from"] == ["int8/operands.npz", "mac_int8_x1.v"]
    assert links["simulate compared designs"]["made_from"] == ["dint4/operands.npz", "mac_dint4_x1.v as synthesized"]
    assert links["osu018 Liberty 1"]["sha256"] == "11be"
    assert set(netlists) < set(links["compare osu018"]["made_from"])


@pytest.mark.parametrize(("number_format", "third"), [(INT8, 2.0), (DINT4, 0.5)])
def test_statistics_of_operands_are_in_steps(number_format: NumberFormat, third: float, tmp_path: Path) -> None:
    operands = made_operands(number_format)
    folder = stage(tmp_path / "q", "quantize")
    operands.save(folder.path("operands.npz"))
    facts = results._operand_facts(folder, Operands.load(folder.path("operands.npz")))
    assert facts["recipe"] == {"scaling": "none"}
    assert facts["sha256"] == sha256_file(folder.path("operands.npz"))
    assert facts["activation_rms"] == pytest.approx(2.5)  # of 4, 0, 0, 3
    assert facts["activation_zero_fraction"] == 0.5
    assert facts["weight_rms_steps"] == pytest.approx(((9 + third**2 + 1) / 4) ** 0.5)
    assert facts["weight_zero_fraction"] == 0.25
