# SPDX-License-Identifier: Apache-2.0
"""All that is proved: the list of it, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import proofs
from golden import (
    BLOCK_FORMATS,
    CODEBOOK_FORMATS,
    DINT3,
    DINT4,
    FORMATS,
    NVFP4,
    SCALED_FORMATS,
    VARIANTS,
    AsymmetricConfig,
    BlockMacConfig,
    MacConfig,
    PeConfig,
)
from golden.errors import DintError
from synth.pdk import find
from synth.proof import Refuted
from synth.recipe import SCRIPTS


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [proofs._Task(shown, MacConfig(DINT4)) for shown in ("no overflow", "products", "every cycle")]
    tasks.append(proofs._netlist(MacConfig(DINT3), find("osu018")))
    tasks += [proofs._Task("every cycle", BlockMacConfig.of(NVFP4, lanes=count)) for count in (2, 4)]
    tasks.append(proofs._Task("codewords", BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"])))
    monkeypatch.setattr(proofs, "_tasks", lambda *_: iter(tasks))
    assert proofs.main(["--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    shown = json.loads((tmp_path / "out" / "proofs.json").read_text())["results"]
    # What is left open of the two units of NVFP4 is the same, and comes once.
    assert [one["property"] for one in shown] == [*(task.property for task in tasks), "scales", "scaled sums"]
    assert [one["design"] for one in shown[-2:]] == ["mac_nvfp4_x2"] * 2
    assert "exhaustion" in capsys.readouterr().out

    def refuted(task: object, _: str) -> None:
        raise Refuted(f"wrong: {task}")

    monkeypatch.setattr(proofs, "_show", refuted)
    assert proofs.main(["--out", str(tmp_path / "none"), "--jobs", "1"]) == 1
    monkeypatch.setattr(proofs, "discover", lambda _: [])
    assert proofs.main(["--out", str(tmp_path / "none")]) == 1
    assert "after 0 proofs: no PDK is found, so that no netlist can be proved" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()
    assert issubclass(Refuted, DintError)


def test_what_is_proved_covers_the_catalogue() -> None:
    """Every format and architecture with every property that applies; not by the list that the proofs are made from."""
    from hdl.architectures import ARCHITECTURES

    everything = list(proofs._tasks([find("osu018")], (1, 4, 16)))
    macs = [task for task in everything if isinstance(task.config, MacConfig)]
    tasks = [task for task in macs if task.config.weight_format.name in FORMATS]
    pairs = {(f, a) for f, number_format in FORMATS.items() for a, one in ARCHITECTURES.items() if one.can_do(number_format)}
    for shown in ("products", "every cycle", "netlist"):
        assert {(task.config.weight_format.name, task.config.architecture) for task in tasks if task.property == shown} == pairs
    shapes = {
        (task.config.lanes, task.config.pipeline, task.config.decoded) for task in tasks if task.property == "every cycle"
    }
    undecoded = {(1, 0), (4, 0), (16, 0), (64, 0), (4, 1), (4, 2)}
    assert shapes == {(*one, False) for one in undecoded} | {(4, 1, True), (4, 2, True)}
    mapped = {(task.config.lanes, task.config.pipeline, task.config.decoded) for task in tasks if task.kit}
    assert mapped == {(1, 0, False), (4, 0, False), (16, 0, False), (4, 1, False), (4, 1, True)}
    from_reset = {
        (task.config.weight_format.name, task.config.architecture, task.config.pipeline)
        for task in tasks
        if task.property == "from reset"
    }
    assert from_reset == {(f, a, pipeline) for f, a in pairs if f != "int8" for pipeline in (0, 1, 2)}
    recipes = [task.recipe for task in tasks if task.property == "netlist" and task.config == MacConfig(DINT4)]
    assert len(recipes) == len(set(recipes)) > 10
    made = {(one.full_adders, one.complement, one.adder == "ripple", one.allowance < 1, one.delay_ps > 1) for one in recipes}
    for choice in range(5):
        assert len({one[choice] for one in made}) == 2  # each is there, and its opposite
    assert {one.script for one in recipes} == set(SCRIPTS)
    assert {task.config.weight_format.name for task in tasks if task.property == "no overflow"} == set(FORMATS)
    assert {(task.config.weight_format.name, task.property) for task in macs if task not in tasks} == {
        (name, shown) for name in VARIANTS for shown in ("no overflow", "products", "every cycle", "from reset", "netlist")
    }
    elements, asymmetric = (
        [task for task in everything if isinstance(task.config, kind)] for kind in (PeConfig, AsymmetricConfig)
    )
    assert {(task.property, task.config.weight_format.name, task.config.decoded) for task in elements} == {
        (shown, name, decoded) for shown in ("every cycle", "netlist") for name in FORMATS for decoded in (False, True)
    } | {("no overflow", name, False) for name in FORMATS} | {
        ("every cycle", name, decoded) for name in VARIANTS for decoded in (False, True)
    }
    for name, variant in VARIANTS.items():
        these_units = [task.config for task in macs if task.property == "every cycle" and task.config.weight_format == variant]
        assert {one.architecture for one in these_units} == {a for a, one in ARCHITECTURES.items() if one.can_do(variant)}, name
        assert {(one.lanes, one.pipeline, one.decoded) for one in these_units} == {
            (1, 0, False), (4, 0, False), (4, 1, False), (4, 2, False), (4, 1, True), (4, 2, True),
        }  # fmt: skip
    assert {task.config.architecture for task in elements if task.config.weight_format == DINT4} == {
        a for f, a in pairs if f == "dint4"
    }
    with_zero_points = {name for name, number_format in FORMATS.items() if number_format.has_zero_points}
    for shown_of_both in ("every cycle", "netlist", "no overflow"):
        these = [task for task in asymmetric if task.property == shown_of_both]
        assert {task.config.weight_format.name for task in these} == with_zero_points
        assert all(task.config.products > 1 for task in these)


def test_what_is_proved_covers_the_block_formats() -> None:
    from hdl.architectures import ARCHITECTURES

    every = [task for task in proofs._tasks([find("osu018")], (1, 4, 16)) if isinstance(task.config, BlockMacConfig)]
    tasks = [task for task in every if isinstance(task.config, BlockMacConfig) and not task.config.writable_codebooks]
    in_full = {(name, bits) for name in BLOCK_FORMATS for bits in (8, 4)}
    others = {(name, bits) for name in ("int4_g32", "dint4_g32", "lobcq_c2_g16", "lobcq_c16_g16") for bits in (8, 4)}
    everything = {(name, bits) for name in SCALED_FORMATS for bits in (8, 4)}
    codebooks = {(name, bits) for name, bits in everything if name.startswith("lobcq")}
    wanted = dict.fromkeys(("every cycle", "no overflow"), everything)
    wanted["codewords"] = codebooks
    named = {shown: {task.config.name for task in every if task.property == shown} for shown in ("codewords", "every cycle")}
    assert named["codewords"] == {name for name in named["every cycle"] if "lobcq" in name}
    for shown, kinds in wanted.items():
        these = [task.config for task in tasks if task.property == shown]
        assert {(one.blocks.name, one.activation_bits) for one in these if isinstance(one, BlockMacConfig)} == kinds
    every_cycle: dict[tuple[str, int], set[tuple[str, int]]] = {}
    for task in tasks:
        if task.property == "every cycle" and isinstance(one := task.config, BlockMacConfig):
            every_cycle.setdefault((one.blocks.name, one.activation_bits), set()).add((one.architecture, one.lanes))
    for name, bits in everything - in_full - others:
        assert every_cycle[name, bits] == {(BlockMacConfig.of(SCALED_FORMATS[name], bits).architecture, n) for n in (1, 16)}
    for name, bits in in_full | others:
        unit = BlockMacConfig.of(SCALED_FORMATS[name], bits)
        able = {name for name, one in ARCHITECTURES.items() if one.can_do(unit.multiplied)}
        own = {unit.architecture} if (name, bits) in others else able
        assert every_cycle[name, bits] == {(a, 4) for a in able} | {(a, lanes) for a in own for lanes in (1, 4, 16)}
    mapped = {task.config.name for task in tasks if task.property == "netlist"}
    small = ["mac_mxfp4_a4", *(f"mac_{name}" for name, bits in in_full | others if bits == 8)]
    every_architecture = {
        BlockMacConfig.of(BLOCK_FORMATS[name], bits, architecture=a).name
        for name, bits in (("mxfp4", 8), ("mxfp4", 4), ("nvfp4", 8))
        for a in ARCHITECTURES
        if (a, 4) in every_cycle[name, bits]
    }
    assert mapped == every_architecture | {f"{name}_x1{pipeline}" for name in small for pipeline in ("", "_p1")} | {
        f"{name}_x16" for name in small[1:]
    }
    registers = {task.config for task in tasks if task.property == "no overflow"}
    assert {config.pipeline for config in registers} == {0, 1}
    few, most = "mac_lobcq_c2_g16", "mac_lobcq_c16_g16"
    with_codewords = {f"{few}{a}_x{lanes}_writable" for a in ("", "_a4") for lanes in (1, 4)} | {f"{most}_x1_writable"}
    assert {(task.property, task.config.name) for task in every if task not in tasks} == {
        *((shown, name) for shown in ("codewords", "every cycle") for name in with_codewords),
        *((shown, f"{few}{a}_x4_writable_p1") for shown in ("codewords", "every cycle") for a in ("", "_a4")),
        *(("no overflow", f"{few}{a}_x1_writable") for a in ("", "_a4")),
        ("netlist", f"{few}_x1_writable"),
    }
