# SPDX-License-Identifier: Apache-2.0
"""A slice of the verification of every unit at every level, and that it fails where something is wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import verification
from golden import DINT3, DINT4, AsymmetricConfig, MacConfig, ToolError
from hdl.verilog import generate
from sim import SimulationMismatch, Stimulus, asymmetric_stimulus, find_simulator
from synth.pdk import find


def test_rtl_of_every_architecture() -> None:
    configs = verification.every_architecture("dint3", verification._mac(lanes=2))
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
    analyze = verification.sta.analyze
    monkeypatch.setattr(
        verification.sta, "analyze", lambda *given: replace(analyze(*given), slack_ns=analyze(*given).slack_ns - 0.01)
    )
    with pytest.raises(ToolError, match=r"mac_dint3_x1 on osu018: setup is violated by 0\.01 ns at"):
        verification._with_delays(MacConfig(DINT3), find("osu018"), tmp_path)


def test_netlist_from_an_unknown_state(tmp_path: Path) -> None:
    check = verification._netlists([MacConfig(DINT4)], find("osu018"), tmp_path)
    assert (check.products, check.unknown_before_reset) == (4096, 1)


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
    assert check.sums == Stimulus.corners(config).cycles + 1000


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


def test_products_that_do_not_take_part_are_missed() -> None:
    config = MacConfig(DINT3)
    whole = Stimulus.products(config, 0)
    assert verification._every_product(config, whole) == 8 * 256
    last = np.arange(whole.cycles) == whole.cycles - 1
    for spoilt in (replace(whole, valid=~last), replace(whole, reset=last)):
        with pytest.raises(ToolError, match="has 2047 different products of 2048"):
            verification._every_product(config, spoilt)


def test_a_product_that_is_not_read_is_missed() -> None:
    config = AsymmetricConfig(DINT3, units=2)
    whole = asymmetric_stimulus.products(config, 0)
    wanted = 2 * 8 * 256 * 6
    assert verification._every_product(config, whole) == wanted
    read = np.concatenate([whole.inputs["read_unit"][:-1], 1 - whole.inputs["read_unit"][-1:]])
    last_unread = replace(whole, columns={**whole.inputs, "read_unit": read})
    with pytest.raises(ToolError, match=f"has {wanted - 1} different products of {wanted}"):
        verification._every_product(config, last_unread)


@pytest.mark.parametrize(
    ("shape", "units", "different"),
    [
        (verification._element(), 7, 8 * 256),
        (verification._element(decoded=True), 6, 8 * 256),
        (verification._zero_points, 7, 2 * 8 * 256 * 6),
    ],
    ids=["element", "decoded", "zero-points"],
)
def test_every_product_of_other_shapes(shape: verification.Shape, units: int, different: int) -> None:
    configs = verification.every_architecture("dint3", shape)
    check = verification._rtl(configs, find_simulator("icarus"))
    assert (check.units, check.products) == (units, units * different)
