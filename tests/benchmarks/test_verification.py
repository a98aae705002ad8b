# SPDX-License-Identifier: Apache-2.0
"""A slice of the verification of every unit at every level, and that it fails where something is wrong."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import block_stimuli, checked_units, exhaustive, verification
from golden import (
    DINT3,
    DINT4,
    GROUP_FORMATS,
    MXFP4,
    NVFP4,
    BlockFormat,
    BlockMacConfig,
    InputError,
    MacConfig,
    PeConfig,
    ScaleEncoding,
    ToolError,
)
from hdl.verilog import generate
from sim import SimulationMismatch, Stimulus, block_stimulus, find_simulator
from sim.replay import Replay
from sim.side_by_side import Comparison
from synth.pdk import find


def test_rtl_of_every_architecture() -> None:
    configs = checked_units.every_architecture("dint3", checked_units.mac(lanes=2))
    assert len(configs) == 7
    check = verification._rtl(configs, find_simulator("icarus"))
    assert check.products == 7 * 2 * 8 * 256
    assert check.sums == 7 * (8 * 256 + 8**4 + 3 + 1)


def test_a_product_that_is_not_there_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of products is what there must be, whatever the stimulus has."""
    products = Stimulus.products

    def with_another_code_last(config: MacConfig, seed: int) -> Stimulus:
        whole = products(config, seed)
        return replace(whole, weights=np.concatenate([whole.weights[:-1], whole.weights[:1]]), activations=whole.activations)

    monkeypatch.setattr(Stimulus, "products", with_another_code_last)
    with pytest.raises(ToolError, match="mac_dint3_x1: the stimulus has 2047 different products of 2048"):
        verification._rtl([MacConfig(DINT3)], find_simulator("icarus"))


def test_setup_times_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a period that is two percent too short, by OpenSTA's own slack."""
    mapped = verification.map_design
    monkeypatch.setattr(
        verification, "map_design", lambda *given: replace(mapped(*given), delay_ns=0.98 * mapped(*given).delay_ns)
    )
    with pytest.raises(ToolError, match=r"mac_dint3_x1 on osu018: setup is violated by 0\.12\d+ ns at"):
        verification._with_delays(MacConfig(DINT3), find("osu018"), tmp_path)


def test_netlist_from_an_unknown_state(tmp_path: Path) -> None:
    check = verification._netlists([MacConfig(DINT4)], find("osu018"), tmp_path)
    assert (check.products, check.unknown_before_reset) == (4096, 1)


@pytest.mark.parametrize("config", [MacConfig(DINT3, lanes=2), BlockMacConfig.of(NVFP4)], ids=lambda one: one.name)
def test_netlists_are_taken_to_both_ends(
    config: MacConfig | BlockMacConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the first kit, in Verilator; of stand-ins for the netlists."""
    given: list[tuple[str, Replay]] = []

    def compare(configs, _sources, stimuli, simulator):
        given.extend((simulator.name, stimulus) for stimulus in stimuli)
        return [Comparison(len(configs), sum(stimulus.cycles for stimulus in stimuli), len(configs))]

    (tmp_path / "empty.v").touch()
    monkeypatch.setattr(verification, "compare_units", compare)
    monkeypatch.setattr(verification, "map_design", lambda *_: SimpleNamespace(design="x", netlist=tmp_path / "empty.v"))
    monkeypatch.setattr(verification, "read_netlist", lambda *_: SimpleNamespace(cells=[]))
    monkeypatch.setattr(verification, "cell_models", lambda *_: "")
    kit = find("osu018")
    shallow, deep = (verification._netlists([config], kit, tmp_path, deep=deep).sums for deep in (False, True))
    (name, last), ends = given[-1], verification._full_depth(config)
    assert name == "verilator"
    assert deep - shallow == last.cycles == ends.cycles
    sums = last.rows(config).outputs["accumulator"]
    assert {int(sums.max()), int(sums.min())} == {int(end) for end in extremes_of(config)}
    assert not verification._has_ends(config.varied(lanes=1, pipeline=1) if isinstance(config, MacConfig) else PeConfig(DINT3))


def extremes_of(config: MacConfig | BlockMacConfig) -> tuple[int, int]:
    if isinstance(config, BlockMacConfig):
        return block_stimuli.sum_of_extremes(config)
    return 65536 * -6 * -128, 65536 * -6 * 127  # of dINT3's -3, in halves


def test_a_wrong_unit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    config = MacConfig(DINT3)
    broken = generate(config).replace("a & b", "a | b")
    monkeypatch.setattr(verification, "verilog_of", lambda _: broken)
    with pytest.raises(SimulationMismatch, match="mac_dint3_x1, products operands"):
        verification._rtl([config], find_simulator("icarus"))
    monkeypatch.setattr(
        verification, "respond", lambda config, inputs: {name: column + 1 for name, column in config.respond(inputs).items()}
    )
    monkeypatch.setattr(verification, "_AMARANTH_JOBS", 1)
    with pytest.raises(SimulationMismatch, match="in Amaranth: accumulator is wrong 2048 times of 2048"):
        verification._in_amaranth([config])


def test_sums_with_delays(tmp_path: Path) -> None:
    """Right at the shortest period, wrong at a quarter of it; were the delays not applied, that would be noticed."""
    config, kit = MacConfig(DINT3), find("osu018")
    check = verification._with_delays(config, kit, tmp_path)
    assert check.sums == Stimulus.corners(config, verification._LONGEST_SUM).cycles + verification._WITH_DELAYS


def test_delays_that_do_not_apply_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = verification.Unit.measure

    def without(unit, stimulus, period_ns, _, workdir):
        return measure(unit, stimulus, period_ns, "zero-delay", workdir)

    monkeypatch.setattr(verification.Unit, "measure", without)
    with pytest.raises(ToolError, match="is right at a quarter of its shortest period: delays do not apply"):
        verification._with_delays(MacConfig(DINT3), find("osu018"), tmp_path)


def test_delays_of_another_size_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, config, kit = verification.read_delays, MacConfig(DINT3), find("osu018")
    for factor in (0.85, 1.2):
        monkeypatch.setattr(verification, "read_delays", lambda *given, factor=factor: read(*given).scaled(factor))
        with pytest.raises(ToolError, match="mac_dint3_x1 on osu018: its delays add up to"):
            verification._with_delays(config, kit, tmp_path)


@pytest.mark.parametrize(
    ("shape", "units", "different"),
    [
        (checked_units.element(), 7, 8 * 256),
        (checked_units.element(decoded=True), 6, 8 * 256),
        (checked_units.zero_points, 2, 2 * 8 * 256 * 6),  # of 7
    ],
    ids=["element", "decoded", "zero-points"],
)
def test_every_product_of_other_shapes(shape: checked_units.Shape, units: int, different: int) -> None:
    configs = checked_units.every_architecture("dint3", shape)[:units]
    check = verification._rtl(configs, find_simulator("icarus"))
    assert (check.units, check.products) == (units, units * different)


@pytest.mark.parametrize(("bits", "products", "scales"), [(8, 16 * 256, 128), (4, 16 * 16, 128 * 128)])
def test_every_product_and_scale_of_a_block_format(bits: int, products: int, scales: int) -> None:
    config = BlockMacConfig.of(NVFP4, bits)
    check = verification._rtl([config], find_simulator("icarus"))
    assert (check.products, check.scales) == (products, scales)
    assert check.sums == products + scales + 16**3 + 2


def test_both_extremes_of_blocks() -> None:
    """The sum of all products, by all scales, at its largest; a stimulus that comes short of it is refused."""
    config = BlockMacConfig.of(NVFP4, lanes=16, depth=1024)
    whole = verification._full_depth(config)
    assert int(whole.rows(config).outputs["accumulator"].max()) == 12 * 128 * 1024 * 14 << 14


def test_scales_of_either_sign() -> None:
    """All are tried, and the largest sum has its opposite."""
    config = BlockMacConfig.of(GROUP_FORMATS["int4_g32"], lanes=16, depth=1024)
    sums = verification._full_depth(config).rows(config).outputs["accumulator"]
    assert (int(sums.max()), int(sums.min())) == (1024 * 1024 * 14 << 14, -(1024 * 1024 * 14 << 14))
    assert exhaustive.every_scale(config, block_stimuli.scales(config, 0)) == 256
    codes = block_stimuli.orders(config, 2, 0).inputs["scale"]
    assert {0x7F, 0xFF} < set(codes.ravel().tolist())


def test_extremes_that_are_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = BlockMacConfig.of(NVFP4, lanes=16, depth=1024)
    whole = block_stimuli.extremes(config)
    short = replace(whole, columns={name: column[1:] for name, column in whole.inputs.items()}, completed=None, stated=None)
    monkeypatch.setattr(block_stimuli, "extremes", lambda _: short)
    with pytest.raises(SimulationMismatch, match="1024 extreme products make"):
        verification._full_depth(config)


@pytest.mark.parametrize(
    ("right", "wrong", "source"),
    [
        ("5'h14", "5'h13", "products"),
        ("assign reached = ", "assign reached = 1'h1 | ", "scales"),
        ("opening <= ", "opening <= first | ", "orders"),
    ],
)
def test_a_wrong_unit_of_blocks_is_found(right: str, wrong: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = BlockMacConfig.of(NVFP4, 4)
    broken = generate(config).replace(right, wrong)
    monkeypatch.setattr(verification, "verilog_of", lambda _: broken)
    with pytest.raises(SimulationMismatch, match=f"mac_nvfp4_a4_x1, {source} operands"):
        verification._rtl([config], find_simulator("icarus"))


def test_special_values_of_other_sizes() -> None:
    """Of a quarter and an eighth of a step: every product, as of dINT4's own."""
    for name in ("dint4_quarter", "dint4_eighth"):
        check = verification._rtl([checked_units.default(name, checked_units.ONE_LANE)], find_simulator("icarus"))
        assert check.products == 4096


def test_busy_netlists_are_shared_among_simulators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 2^16 pairs of scales in Verilator; every order in Icarus, which alone sees unknown values. Everything once."""
    shared = []

    def compare(_, __, stimuli, simulator):
        shared.extend((simulator.name, stimulus.source) for stimulus in stimuli)
        return [Comparison(1, stimulus.cycles, int(simulator.name == "icarus")) for stimulus in stimuli]

    monkeypatch.setattr(verification, "compare_units", compare)
    for config, busy in ((BlockMacConfig.of(MXFP4, 4), "verilator"), (BlockMacConfig.of(NVFP4), "icarus")):
        shared.clear()
        check = verification._netlists([config], find("osu018"), tmp_path)
        assert sorted(shared) == sorted([("icarus", "orders"), (busy, "products"), (busy, "scales")])
        assert check.unknown_before_reset == 1


def test_scaled_sums_with_delays(tmp_path: Path) -> None:
    """As those of MAC units; of a format so small that it takes a second."""
    scales = ScaleEncoding("e2m1", "E2M1", exponent_bits=2, mantissa_bits=1, bias=1, signed=True, negative=True)
    small = BlockFormat("small", "small", (DINT3,), block=2, scales=scales, full_scale=Fraction(3))
    config = BlockMacConfig.of(small, 3, depth=16)
    check = verification._with_delays(config, find("osu018"), tmp_path)
    assert check.sums == block_stimulus.long_paths(config, verification._LONGEST_BLOCKS).cycles + 1000


def test_without_a_kit_nothing_is_all_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "discover", lambda _: [])
    monkeypatch.setattr("sys.argv", ["verification"])
    with pytest.raises(InputError, match="no PDK is found, so that no netlist can be checked: `dint pdks`") as refused:
        verification.main()
    assert "\n" not in str(refused.value)
