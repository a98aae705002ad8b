# SPDX-License-Identifier: Apache-2.0
"""Mutation scores: faults are what they say, all at once as one at a time, and a weak bench or test scores low."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import mutation, python_mutation
from benchmarks.mutation import Fault, broken, faults, survivors
from golden import (
    DINT3,
    DINT4,
    INT3,
    INT8,
    MXFP4,
    NVFP4,
    AsymmetricConfig,
    BlockFormat,
    BlockMacConfig,
    MacConfig,
    PeConfig,
    ScaleEncoding,
)
from hdl.verilog import generate
from pipeline import checks, stages
from sim import block_stimulus
from sim.stimulus import Stimulus
from synth import yosys
from synth.gates import Network
from synth.reachable import Limits

CONFIG = MacConfig(DINT3, depth=16)
STIMULUS = Stimulus.uniform(CONFIG, 12, 0)


@pytest.fixture(scope="module")
def network() -> Network:
    return yosys.gates(generate(CONFIG), CONFIG.name)[CONFIG.name]


def shown(network: Network, config: MacConfig = CONFIG, stimulus: Stimulus = STIMULUS) -> Iterator[int]:
    """The accumulator of one network after every edge at which the bench looks, and what the bench expects."""
    state, clock = dict.fromkeys(network.flip_flops, 0), dict.fromkeys(network.inputs["clk"], 0)
    for levels, expected in mutation._edges(network, config, stimulus):
        nets = network.evaluate(
            {net: int(level) for level, net in zip(levels.values(), levels, strict=True)} | state | clock, 1
        )
        state = {register: nets[taken] for register, taken in network.flip_flops.items()}
        after = network.evaluate({net: int(level) for net, level in levels.items()} | state | clock, 1)
        if expected is not None:
            yield sum(after[net] << i for i, net in enumerate(network.outputs["accumulator"])) ^ expected


def test_all_faults_at_once_are_what_each_is_alone(network: Network) -> None:
    every = faults(network)
    assert len(every) > 1000 < len(set(every)) == len(every)
    chosen = [every[i] for i in np.random.default_rng(1).choice(len(every), 60, replace=False)]
    alone = [fault for fault in chosen if not any(shown(broken(network, fault)))]
    assert survivors(network, CONFIG, [STIMULUS], chosen) == alone
    assert 0 < len(alone) < 60  # a dozen cycles find some, not all
    assert not any(shown(network))


def test_registers_of_constants_are_none() -> None:
    config = MacConfig(DINT3, lanes=2, pipeline=2)
    network = yosys.gates(generate(config), config.name)[config.name]
    settled = mutation.settled(network)
    assert {0, 1} & set(network.flip_flops.values())
    assert not {0, 1} & set(settled.flip_flops.values())
    stimulus = Stimulus.uniform(config, 20, 0)
    assert not any(shown(settled, config, stimulus))
    assert [*shown(settled, config, stimulus)] == [*shown(network, config, stimulus)]


def test_a_better_bench_scores_higher(network: Network) -> None:
    every = faults(network)[::3]
    weak = survivors(network, CONFIG, [STIMULUS], every)
    strong = survivors(network, CONFIG, [STIMULUS, Stimulus.corners(CONFIG)], every)
    assert len(strong) < len(weak) / 2  # most of the rest are none
    assert set(strong) <= set(weak)


def test_the_real_bench_agrees(network: Network) -> None:
    first = network.inputs["first"][0]
    held = Fault(first, None, "0")  # not noticed: the only sum follows the reset
    assert survivors(network, CONFIG, [STIMULUS], [held, Fault(first, None, "1")]) == [held]
    assert not mutation._bench_notices(broken(network, held), CONFIG, [STIMULUS], soon=False)
    assert mutation._bench_notices(broken(network, Fault(first, None, "1")), CONFIG, [STIMULUS], soon=True)
    assert not mutation._same(network, broken(network, held))
    assert mutation._same(network, network)


def test_what_a_unit_is_not_made_for_is_no_gap(network: Network) -> None:
    limits = Limits(network, CONFIG)
    limited = limits.within(network)
    assert not mutation._same(network, limited)
    assert mutation._same(limits.within(network), limits.within(limited))
    assert mutation._same_within(limits, network)
    first = network.inputs["first"][0]
    assert not mutation._same_within(limits, broken(network, Fault(first, None, "0")))


def test_a_carry_that_no_sum_makes_is_no_gap() -> None:
    """INT8's sums of 65,536 products end at 2^30: where the adder's last carry goes beyond tells nothing apart."""
    config = MacConfig(INT8, architecture="booth-fast")
    network = mutation.settled(yosys.gates(generate(config), config.name)[config.name])
    top = network.flip_flops[network.outputs["accumulator"][-1]]
    cone, carries = {top}, []
    for gate in reversed(network.gates):
        if gate.output in cone and len(cone) < 60:
            cone |= set(gate.inputs)
            carries += [Fault(gate.output, 0, "0")] if gate.kind == "or" else []
    told = [fault for fault in carries if not mutation._same(network, broken(network, fault))]
    limits = Limits(network, config)
    beyond = [fault for fault in told if mutation._same_within(limits, broken(network, fault))]
    assert 0 < len(beyond) < len(told)


def test_a_whole_unit_is_scored() -> None:
    result = mutation.measure(PeConfig(DINT3, depth=5), sample=2)
    assert result["survivors"] == []
    assert result["score"] == 1
    assert result["mutants"] == result["killed"] + result["equivalent"] + result["beyond_limits"]
    assert result["checked_in_icarus"] == 2


def test_a_unit_of_a_block_format_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a small one every 30th fault, with few operands."""
    scales = ScaleEncoding("e2m1", "E2M1", exponent_bits=2, mantissa_bits=1, bias=1)
    config = BlockMacConfig.of(BlockFormat("small", "Small", (INT3,), 2, scales, Fraction(4)), depth=8)

    def stimuli_for(config: BlockMacConfig, *_: Any) -> list[Any]:
        return [block_stimulus.uniform(config, 2000, 0), block_stimulus.corners(config)]

    monkeypatch.setattr(mutation, "stimuli_for", stimuli_for)
    monkeypatch.setattr(mutation, "faults", lambda network: faults(network)[::30])
    result = mutation.measure(config, sample=2)
    assert result["survivors"] == []
    assert result["mutants"] == result["killed"] + result["equivalent"] + result["beyond_limits"] > 100
    assert result["checked_in_icarus"] >= 2


def test_every_kind_of_unit_is_scored() -> None:
    blocks = [unit for unit in mutation.UNITS if isinstance(unit, BlockMacConfig)]
    assert {(unit.blocks.scales.name, unit.selectors > 0, unit.scaled_activations) for unit in blocks} == {
        (scales, selectors, scaled)
        for scales, selectors in (("e8m0", False), ("e4m3", False), ("signed_e4m3", False), ("e4m3", True))
        for scaled in (False, True)
    }
    assert {unit.writable_codebooks for unit in blocks} == {unit.pipeline > 0 for unit in blocks} == {False, True}
    assert {MacConfig, PeConfig, AsymmetricConfig} < {type(unit) for unit in mutation.UNITS}


def test_an_output_that_is_held_is_another(network: Network) -> None:
    held = broken(network, Fault(network.outputs["accumulator"][-1], None, "0"))
    assert not mutation._same(network, held)


def test_mutants_change_one_thing_each() -> None:
    source = (
        "def f(a: int = 1) -> int:\n    '''Text 1.'''\n    if a < 2 and not a:\n        raise ValueError(3 + a)\n"
        "    return min(a, -a)\n"
    )
    texts = [ast.unparse(tree) for _, _, tree in python_mutation.mutants(source)]
    assert len(texts) == len(set(texts)) >= 10
    assert ast.unparse(ast.parse(source)) not in texts
    assert all("3 + a" in text or "pass" in text for text in texts)  # messages of errors stay
    assert any("max(a, -a)" in text for text in texts)
    assert any("a <= 2" in text for text in texts)


@pytest.mark.parametrize(("check", "survive"), [("f(3) == 6", False), ("f(2) > 0", True)])
def test_unit_tests_are_scored(check: str, survive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"doubled_{survive}".lower()
    Path(f"{name}.py").write_text("def f(x):\n    return 2 * x\n")
    Path("test_it.py").write_text(f"from {name} import f\ndef test(): assert {check}\n")
    result = python_mutation.measure(f"{name}.py", ["test_it.py"], jobs=1)
    assert result["mutants"] == 3
    assert bool(result["survivors"]) == survive
    assert result["score"] == result["killed"] / result["mutants"]


def test_a_record_keeps_what_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    targets = {f"{name}.py": [f"test_{name}.py"] for name in ("one", "two", "three")}
    monkeypatch.setattr(python_mutation, "TARGETS", targets)
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    for file, tests in targets.items():
        Path(file).write_text("x = 1\n")
        Path(tests[0]).write_text("import x\n")
    measured: list[str] = []

    def measure(file: str, tests: list[str], _jobs: int) -> dict[str, Any]:
        measured.append(file)
        survivors = [{"line": 1, "change": "1 to 2", "code": Path(file).read_text().strip()}]
        figures = {"mutants": 100, "killed": 99, "score": 0.99, "seconds": 1.0, "survivors": survivors}
        return {"file": file, "sources_sha256": stages.source_hash([file, *tests]), **figures}

    monkeypatch.setattr(python_mutation, "measure", measure)
    assert python_mutation.main(["--out", "out"]) == 1  # nothing says why they survive
    Path("two.py").write_text("x = 2\n")
    Path("test_three.py").write_text("import x, y\n")
    monkeypatch.setattr(python_mutation, "REASONS", {"x = 1": "all the same"})
    assert python_mutation.main(["--out", "out", "two.py"]) == 1
    monkeypatch.setattr(python_mutation, "REASONS", {"x = 1": "all the same", "x = 2": "another number"})
    assert python_mutation.main(["--out", "out", "two.py"]) == 0
    rows, missing = checks.collect_checks(tmp_path / "out")
    assert rows == []
    assert any("the record is of a part; run `make mutation`" in sentence for sentence in missing)
    assert python_mutation.main(["--out", "out", "three.py"]) == 0
    assert measured == ["one.py", "two.py", "three.py", "two.py", "two.py", "three.py"]
    rows, _ = checks.collect_checks(tmp_path / "out")
    assert [(row["of"], row["survivors"][0]["change"], row["survivors"][0]["reason"]) for row in rows] == [
        ("one.py", "1 to 2: x = 1", "all the same"),
        ("two.py", "1 to 2: x = 2", "another number"),
        ("three.py", "1 to 2: x = 1", "all the same"),
    ]


def test_the_page_is_about_this_code() -> None:
    """Every module has its row, with as many mutants as it has now; every unit is counted."""
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
    rows = re.findall(r"^\| `((?:golden|quant)/\w+\.py)` \| (\d+) \|", page, re.MULTILINE)
    assert [name for name, _ in rows] == list(python_mutation.TARGETS)
    for name, stated in rows:
        assert int(stated) == python_mutation.number_of_mutants(Path(name).read_text()), name
    units = list(dict.fromkeys(mutation.UNITS))
    blocks = [unit for unit in units if isinstance(unit, BlockMacConfig)]
    assert f"| all {len(units) - len(blocks)} |" in page
    _, _, table = page.partition("Units of block formats, one lane:\n\n")
    assert len(table.partition("\n\n")[0].splitlines()) == 2 + len(blocks)
    # As many faults as these units have now; each takes a second.
    for title, unit in (
        ("dINT4, 1 lane", MacConfig(DINT4)),
        ("MXFP4", BlockMacConfig.of(MXFP4)),
        ("NVFP4", BlockMacConfig.of(NVFP4)),
    ):
        (stated,) = re.findall(rf"^\| {title} \| ([\d,]+) \|", page, re.MULTILINE)
        network = mutation.settled(yosys.gates(generate(unit), unit.name)[unit.name])
        assert int(stated.replace(",", "")) == len(faults(network)), title
