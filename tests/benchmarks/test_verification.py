# SPDX-License-Identifier: Apache-2.0
"""A slice of the verification of every unit at every level, and that it fails where something is wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import block_stimuli, checked_units, exhaustive, verification
from golden import (
    CODEBOOK_FORMATS,
    DINT3,
    DINT4,
    FORMATS,
    GROUP_FORMATS,
    MXFP4,
    NVFP4,
    SCALED_FORMATS,
    VARIANTS,
    AsymmetricConfig,
    BlockFormat,
    BlockMacConfig,
    InputError,
    MacConfig,
    PeConfig,
    ScaleEncoding,
    ToolError,
)
from hdl.architectures import ARCHITECTURES
from hdl.verilog import generate
from sim import SimulationMismatch, Stimulus, asymmetric_stimulus, block_stimulus, find_simulator
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


def test_products_that_do_not_take_part_are_missed() -> None:
    config = MacConfig(DINT3)
    whole = Stimulus.products(config, 0)
    assert exhaustive.every_product(config, whole) == 8 * 256
    last = np.arange(whole.cycles) == whole.cycles - 1
    for spoilt in (replace(whole, valid=~last), replace(whole, reset=last)):
        with pytest.raises(ToolError, match="has 2047 different products of 2048"):
            exhaustive.every_product(config, spoilt)


@pytest.mark.parametrize("block_format", [NVFP4, MXFP4], ids=lambda one: one.name)
def test_products_of_blocks_that_show_nothing_are_missed(block_format: BlockFormat) -> None:
    """They neither begin nor end a block, or it is scaled by nothing, or out of reach."""
    config = BlockMacConfig.of(block_format)
    whole = block_stimuli.products(config, 0)
    assert exhaustive.every_product(config, whole) == 16 * 256
    spoilt = [("first", 0), ("last", 0), ("valid", 0), ("rst", 1), ("scale", block_format.scales.nan_code)]
    spoilt.append(("base", 255) if config.base_bits else ("scale", 0))
    for name, value in spoilt:
        column = whole.inputs[name].copy()
        column[-1] = value
        with pytest.raises(ToolError, match="has 4095 different products of 4096"):
            exhaustive.every_product(config, replace(whole, columns={**whole.inputs, name: column}))


@pytest.mark.parametrize(("bits", "lanes"), [(8, 2), (4, 16)])
def test_products_of_words_that_are_written(bits: int, lanes: int) -> None:
    config = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], bits, lanes=lanes, writable_codebooks=True)
    whole = verification._stimuli(config, find_simulator("verilator"))[0]
    products = lanes * 63 * (256 if bits == 8 else 63)
    assert exhaustive.every_product(config, whole) == products
    words = whole.inputs["codebook_word"].copy()
    words[words == 17] = 16
    with pytest.raises(ToolError, match=f"different products of {products}"):
        exhaustive.every_product(config, replace(whole, columns={**whole.inputs, "codebook_word": words}))


def test_a_product_that_is_not_read_is_missed() -> None:
    config = AsymmetricConfig(DINT3, units=2)
    whole = asymmetric_stimulus.products(config, 0)
    wanted = 2 * 8 * 256 * 6
    assert exhaustive.every_product(config, whole) == wanted
    read = np.concatenate([whole.inputs["read_unit"][:-1], 1 - whole.inputs["read_unit"][-1:]])
    last_unread = replace(whole, columns={**whole.inputs, "read_unit": read})
    with pytest.raises(ToolError, match=f"has {wanted - 1} different products of {wanted}"):
        exhaustive.every_product(config, last_unread)


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


def test_a_scale_that_is_not_there_is_missed() -> None:
    config = BlockMacConfig.of(NVFP4, 4)
    whole = block_stimuli.scales(config, 0)
    assert exhaustive.every_scale(config, whole) == 1 << 14
    for port in ("scale", "last", "valid"):  # another code, or one that no block ends with
        column = whole.inputs[port].copy()
        column[-1] = 0
        with pytest.raises(ToolError, match="mac_nvfp4_a4_x1: the stimulus has 16383 different scales of 16384"):
            exhaustive.every_scale(config, replace(whole, columns={**whole.inputs, port: column}))


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


@pytest.mark.parametrize("bits", [8, 4])
def test_every_selector(bits: int) -> None:
    """Two codebooks, two selectors in a cycle."""
    config = BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], bits, lanes=16)
    whole = block_stimuli.products(config, 0)
    products = 16 * (32 * 256 if bits == 8 else 32 * 32)
    assert exhaustive.every_product(config, whole) == products
    shown = config.respond({name: np.pad(column, ((0, 1), (0, 0))) for name, column in whole.inputs.items()})["accumulator"]
    assert len(np.unique(shown)) > 100
    selectors = whole.inputs["selectors"].copy()
    selectors[-1, 1] ^= 1  # of the lanes from 8 on
    with pytest.raises(ToolError, match=f"has {products - 8} different products of {products}"):
        exhaustive.every_product(config, replace(whole, columns={**whole.inputs, "selectors": selectors}))


def test_blocks_of_zero_show_no_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sum that is scaled is zero, unless its scale is; one that were would not count."""
    for config in (BlockMacConfig.of(NVFP4, 4), BlockMacConfig.of(CODEBOOK_FORMATS["lobcq_c2_g16"], 4, lanes=4)):
        whole = block_stimuli.scales(config, 0)
        late = {name: np.pad(column, ((0, 1), (0, 0))) for name, column in whole.inputs.items()}
        shown = config.respond(late)["accumulator"][1:, 0]
        significands, _, reached = config.scaling(
            np.concatenate([whole.inputs[name] for name in config.scale_ports], axis=1), 0
        )
        assert np.array_equal(shown != 0, reached & (significands != 0))
        monkeypatch.setattr(block_stimuli, "_block_sums", lambda _, weights, *__: np.ones(len(weights)))
        with pytest.raises(ToolError, match=r"the stimulus has \d+ different scales of 16384"):
            exhaustive.every_scale(config, block_stimuli.scales(config, 0))
        monkeypatch.undo()


def test_a_base_that_is_not_there_is_missed() -> None:
    config = BlockMacConfig.of(MXFP4)
    whole = block_stimuli.scales(config, 0)
    assert exhaustive.every_scale(config, whole) == 256 * 256
    base = whole.inputs["base"].copy()
    base[-1] = 0
    with pytest.raises(ToolError, match="mac_mxfp4_x1: the stimulus has 65535 different scales of 65536"):
        exhaustive.every_scale(config, replace(whole, columns={**whole.inputs, "base": base}))


def test_special_values_of_other_sizes() -> None:
    """Of a quarter and an eighth of a step: every product, as of dINT4's own."""
    for name in ("dint4_quarter", "dint4_eighth"):
        check = verification._rtl([checked_units.default(name, checked_units.ONE_LANE)], find_simulator("icarus"))
        assert check.products == 4096


OF_KINDS = ["mxfp4", "nvfp4", "int4_g32", "dint4_g32", "lobcq_c2_g16", "lobcq_c16_g16"]


def _listed(names: Sequence[str]) -> dict[str, set[str]]:
    """The units of the checks, by simulator, kit, or function."""
    kit = find("osu018")
    found: dict[str, set[str]] = {}
    simulators = [find_simulator("icarus"), find_simulator("verilator")]
    for check in verification.checks(names, simulators, [kit, replace(kit, name="another")]):
        assert isinstance(check, partial)
        units, *where = check.args
        by = where[0].name if where else ""
        listed = found.setdefault(
            by if check.func in (verification._rtl, verification._netlists) else check.func.__name__, set()
        )
        listed |= {unit.name for unit in (units if isinstance(units, list) else [units])}
    return found


def test_every_format_and_every_netlist_is_on_the_list() -> None:
    """By what is to be called, not by what the lists of names say."""
    found = _listed([*VARIANTS, *SCALED_FORMATS])
    scaled = {BlockMacConfig.of(one, bits).name for one in SCALED_FORMATS.values() for bits in (8, one.bits)}
    assert len(scaled) == 48
    assert scaled | {MacConfig(one, lanes=lanes).name for one in VARIANTS.values() for lanes in (1, 4)} == found["icarus"]
    assert {MacConfig(one).name for one in VARIANTS.values()} <= found["_in_amaranth"]
    blocks = {f"mac_{name}_{a}x1" for name in OF_KINDS for a in ("", "a4_")}
    written = {"mac_lobcq_c2_g16_x1_writable", "mac_lobcq_c16_g16_x1_writable"}
    assert found["osu018"] == blocks | {f"mac_{name}_x1_p1" for name in OF_KINDS} | written
    assert found["another"] == blocks
    assert {f"mac_{name}_{a}x{lanes}" for name in OF_KINDS for a in ("", "a4_") for lanes in (1, 4, 16)} <= found["verilator"]
    assert {f"mac_{name}_{a}x4_p1" for name in OF_KINDS for a in ("", "a4_")} <= found["verilator"]
    assert written | {"mac_lobcq_c2_g16_a4_x16_writable", "mac_lobcq_c2_g16_a4_x4_writable_p1"} <= found["verilator"]
    assert found["_with_delays"] == {"mac_nvfp4_x1", "mac_dint4_g32_x1"}
    others = {f"mac_{name}_x1_multiply" for name in ("lobcq_c2_g16", "lobcq_c2_g16_a4", "int4_g32_a4", "dint4_g32_a4")}
    assert others | {"mac_nvfp4_x4_multiply", "mac_nvfp4_a4_x16_baugh_wooley"} <= found["verilator"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_architecture_is_on_the_list(name: str) -> None:
    number_format = FORMATS[name]
    able = {key for key, one in ARCHITECTURES.items() if one.can_do(number_format)}
    assert len(able) > 6
    decoding = {key for key in able if ARCHITECTURES[key].decodes(number_format)}
    found = _listed([name])

    def macs(architectures: Collection[str], *shapes: tuple[int, int, bool]) -> set[str]:
        return {
            MacConfig(number_format, lanes=lanes, pipeline=pipeline, decoded=decoded, architecture=one).name
            for one in architectures
            for lanes, pipeline, decoded in shapes
        }

    elements = {PeConfig(number_format, architecture=one).name for one in able}
    own = {number_format.architecture}
    assert found["icarus"] == elements | macs(able, (1, 0, False)) | macs(own if name == "int8" else able, (4, 0, False))
    plain = macs(able, (1, 0, False), (16, 0, False), (4, 1, False), (4, 2, False))
    decoded = macs(decoding, (4, 1, True), (4, 2, True))
    decoded |= {PeConfig(number_format, architecture=one, decoded=True).name for one in decoding}
    decoded |= {PeConfig(number_format, architecture=one, pipeline=1).name for one in able}
    asymmetric = {
        AsymmetricConfig(number_format, units=2, architecture=one).name for one in able if number_format.has_zero_points
    }
    rest = found["verilator"] - (elements | plain | decoded)
    assert elements | plain | decoded <= found["verilator"]
    assert rest <= asymmetric
    assert bool(rest) == number_format.has_zero_points
    assert found["_in_amaranth"] == macs(able, (1, 0, False))
    small = macs(able, (1, 0, False)) | macs(own, (4, 0, False)) | {PeConfig(number_format).name}
    registered = macs(own, (4, 1, False), (4, 2, False)) | {PeConfig(number_format, pipeline=1).name}
    assert found["osu018"] == small | registered
    assert found["another"] == small
    assert found["_with_delays"] == macs(own, (4, 0, False))


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
