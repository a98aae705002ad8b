# SPDX-License-Identifier: Apache-2.0
"""Whole layers: every sum is compared, wherever it is, and nothing that is wrong passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from golden import DINT4, INT8, InputError, MacConfig, Operands, ToolError
from sim import SimulationMismatch, find_simulator, layer
from sim.coverage import pair_counts, summary
from sim.layer import layers_of, replay_layers

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def icarus():
    return find_simulator("icarus")


@pytest.fixture
def operands(make_operands) -> Operands:
    """Two layers whose sums fill whole cycles or do not, one with as few outputs as there are simulations."""
    few, many = make_operands(DINT4, outputs=2, products=24), make_operands(DINT4, outputs=7, products=29, tokens=4)
    return replace(few, layers=(few.layers[0], replace(many.layers[0], name="model.decoder.layers.0.fc2")))


@pytest.mark.parametrize(("pipeline", "jobs"), [(0, 1), (1, 2), (2, 1)])
def test_all_products_and_sums(pipeline: int, jobs: int, icarus, behavioural, operands) -> None:
    config = MacConfig(DINT4, lanes=3, pipeline=pipeline)
    seen: list[int] = []
    replay = replay_layers(behavioural(config), config, operands, icarus, jobs=jobs, on_progress=seen.append)
    assert replay.sums == (3 * 2, 4 * 7)
    assert replay.products == (3 * 2 * 24, 4 * 7 * 29)
    assert replay.cycles == 6 * 8 + 28 * 10
    assert replay.jobs == jobs
    assert seen[-1] == sum(replay.products)


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("= start ? 0 : accumulator", "= accumulator"),
        ("<= sum;", "<= (total < -300) ? {28{1'bx}} : sum;"),
    ],
)
def test_broken_units_fail(what: str, instead: str, icarus, behavioural, operands) -> None:
    config = MacConfig(DINT4, lanes=3)
    text = behavioural(config)
    assert text.count(what) == 1
    with pytest.raises(
        SimulationMismatch, match=r"fc[12], token \d, output \d: the unit makes .*, the exact sum is"
    ) as failure:
        replay_layers(text.replace(what, instead), config, operands, icarus, jobs=1)
    assert "\n" not in str(failure.value)


@pytest.fixture
def expect_one_more(operands, monkeypatch):
    """Makes one expected sum wrong by one; returns the message of a replay that finds it, with what the unit rightly makes."""

    def at(index: int, token: int, output: int) -> str:
        wrong = operands.layers[index]
        right = wrong.accumulators[token, output]

        def exact(one, config):
            sums = one.expected(config.weight_format)
            if one is wrong:
                sums[token, output] += 1
            return sums

        monkeypatch.setattr(layer, "_exact", exact)
        return f"{wrong.name}, token {token}, output {output}: the unit makes {right}, the exact sum is {right + 1}"

    return at


@pytest.mark.parametrize("place", [(0, 0, 0), (1, 2, 4), (1, 3, 6)])
def test_every_sum_is_compared(place, icarus, behavioural, operands, expect_one_more) -> None:
    config = MacConfig(DINT4, lanes=3)
    with pytest.raises(SimulationMismatch, match=expect_one_more(*place)):
        replay_layers(behavioural(config), config, operands, icarus)


@pytest.mark.slow
def test_every_sum_is_compared_in_verilator(behavioural, operands, expect_one_more) -> None:
    """The last sum is wrong, so that all the others were right."""
    try:
        verilator = find_simulator("verilator")
    except ToolError as error:
        pytest.skip(str(error))
    config = MacConfig(DINT4, lanes=3, pipeline=1)
    with pytest.raises(SimulationMismatch, match=expect_one_more(1, 3, 6)):
        replay_layers(behavioural(config), config, operands, verilator, jobs=1)


def test_memories_that_are_cut_short_fail(icarus, behavioural, operands, monkeypatch) -> None:
    """As a full disk would leave them."""
    write = Path.write_bytes

    def short(path: Path, content: bytes) -> int:
        return write(path, content[:-40] if path.name == "1.expected.hex" else content)

    monkeypatch.setattr(Path, "write_bytes", short)
    config = MacConfig(DINT4, lanes=3)
    with pytest.raises(SimulationMismatch, match="fc2, token 3, output 4: the unit makes") as failure:
        replay_layers(behavioural(config), config, operands, icarus, jobs=1)
    assert "\n" not in str(failure.value)


def test_a_file_that_states_a_wrong_sum(icarus, behavioural, operands) -> None:
    sums = operands.layers[1].accumulators.copy()
    sums[2, 5] += 1
    wrong = replace(operands, layers=(operands.layers[0], replace(operands.layers[1], accumulators=sums)))
    config = MacConfig(DINT4, lanes=3)
    with pytest.raises(SimulationMismatch, match=rf"fc2, token 2, output 5: the operand file states {sums[2, 5]}, but its"):
        replay_layers(behavioural(config), config, wrong, icarus)


def test_operands_that_do_not_fit(icarus, behavioural, operands) -> None:
    for config, message in ((MacConfig(INT8), "the operands are dint4"), (MacConfig(DINT4, depth=28), "sums of 29 products")):
        with pytest.raises(InputError, match=message):
            replay_layers(behavioural(config), config, operands, icarus)
    with pytest.raises(InputError, match="--layer 3: no decoder layer of that number in the operands; there is 0"):
        layers_of(operands, 3)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sleep 60", "test of mac_dint4_x3 exceeded 4 s and was stopped; use fewer --tokens"),
        ("echo out of licences; kill -SEGV $$", "test of mac_dint4_x3 failed: out of licences"),
        ("exit 0", "the bench left no results"),
        (
            "echo '<t><testcase name=\"replay_layers\"/></t>' > $COCOTB_RESULTS_FILE; "
            """echo '[{"compared": 3, "got": null}, {"compared": 13, "got": null}]' > $DINT_BENCH/result.json""",
            r"the bench compared \(6, 26\) sums, not all of \(6, 28\)",
        ),
        (
            "echo '<t><testcase name=\"replay_layers\"/></t>' > $COCOTB_RESULTS_FILE; "
            """echo '[{"compared": 3, "got": null}]' > $DINT_BENCH/result.json""",
            "the bench replayed 1 layers of 2",
        ),
    ],
    ids=["hangs", "crashes", "does nothing", "compared too little", "left a layer out"],
)
def test_a_run_that_cannot_be_trusted(
    script: str, message: str, fake_program, icarus, behavioural, operands, left_over
) -> None:
    fake_program("vvp", script)
    config = MacConfig(DINT4, lanes=3)
    with pytest.raises(ToolError, match=message) as failure:
        replay_layers(behavioural(config), config, operands, icarus, time_limit_s=4)
    assert "\n" not in str(failure.value)
    assert left_over() == []


SCRIPT = """
from pathlib import Path
from pipeline.whole_layer import simulate_layer
simulate_layer(0, operands=Path({operands!r}), lanes=1, simulator="icarus", pdk="none", out=Path({out!r}), quiet=True)
"""


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_killed_and_run_again(signal_number: int, make_operands, tmp_path: Path, left_over) -> None:
    """Whatever ends it, no simulator goes on, and no result is there that was not earned; the next run is whole."""
    out = tmp_path / "out"
    make_operands(DINT4, outputs=400, products=300, tokens=30).save(tmp_path / "long.npz")
    make_operands(DINT4).save(tmp_path / "short.npz")
    environment = os.environ | {"TMPDIR": str(tmp_path / "private"), "PYTHONPATH": str(ROOT)}

    def start(name: str) -> subprocess.Popen[bytes]:
        script = SCRIPT.format(operands=str(tmp_path / name), out=str(out))
        return subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE)

    child = start("long.npz")
    try:
        deadline = time.monotonic() + 120
        while not any((tmp_path / "private").glob("dint-sim-*/run-*/progress")):
            assert child.poll() is None, child.stderr.read().decode()  # type: ignore[union-attr]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        child.send_signal(signal_number)
        child.wait(60)
        assert child.returncode != 0
    finally:
        child.kill()
        child.communicate()
    assert not any(item.startswith("process") for item in left_over(patience_s=30))
    assert not (out / "layer-0.json").exists()
    if signal_number == signal.SIGKILL:
        again = start("short.npz")
        assert again.communicate(timeout=120) == (None, b"")
        assert (out / "layer-0.json").exists()


def test_coverage_counts_every_product(operands) -> None:
    one = operands.layers[1]
    counts = pair_counts(one, DINT4)
    by_hand = np.zeros((16, 256), int)
    for token in one.activations.tolist():
        for row in one.weights.tolist():
            for code, activation in zip(row, token, strict=True):
                by_hand[code, activation + 128] += 1
    assert np.array_equal(counts, by_hand)
    assert counts.sum() == one.weights.size * len(one.activations)
    met = np.count_nonzero(by_hand)
    assert summary(counts, DINT4).startswith(f"{met} of the 4,096 pairs of code and activation met; most often ")
