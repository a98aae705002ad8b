# SPDX-License-Identifier: Apache-2.0
"""The bench inside the simulator: correct units pass, each broken one fails, with the operands in the message."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from golden import DINT3, DINT4, INT4, INT8, MacConfig, ToolError
from sim import SimulationMismatch, Stimulus, find_simulator
from sim.runner import build

SMALL = MacConfig(DINT4, lanes=3, depth=96)  # short corner cases

# Each breaks one thing that a real unit could get wrong: a piece of the stand-in's text, and what stands there instead.
MUTANTS = {
    "one code decodes to its neighbour": ("4'd5: decode = -10;", "4'd5: decode = -8;"),
    "special code taken for zero": ("4'd9: decode = -1;", "4'd9: decode = 0;"),
    "carry between two bytes lost": ("base + total;", "{base[18:8] + total[18:8], base[7:0] + total[7:0]};"),
    "carry into the sign lost": ("base + total;", "{base[18] ^ total[18], base[17:0] + total[17:0]};"),
    "first ignored": ("start ? 0 : accumulator", "accumulator"),
    "first without valid clears": ("if (clear)", "if (clear || start && !take)"),
    "valid ignored": ("else if (take)", "else"),
    "reset ignored": ("if (clear)", "if (1'b0)"),
    "reset yields to valid": ("if (clear)", "if (clear && !take)"),
    "-128 taken for -127": ("operand = a[8*lane +: 8];", "operand = a[8*lane +: 8]; if (operand == -128) operand = -127;"),
    "activations unsigned": ("reg signed [7:0] operand", "reg [7:0] operand"),
    "last lane left out": ("lane < 3", "lane < 2"),
    "lanes share a weight": ("decode(w[4*lane +: 4])", "decode(w[(lane == 2 ? 0 : 4*lane) +: 4])"),
    "one cycle late": ("always @* stage =", "always @(posedge clk) stage <="),
    "accumulator too narrow": ("output reg [18:0]", "output reg [17:0]"),
    "accumulator too wide": ("output reg [18:0]", "output reg [19:0]"),
    "a bit unknown now and then": ("<= sum;", "<= (total == 0) ? {1'bx, sum[17:0]} : sum;"),
    "a bit not driven": ("output reg [18:0] accumulator", "output reg [18:0] accumulator_, output [18:0] accumulator"),
}


@pytest.fixture(scope="module")
def icarus():
    return find_simulator("icarus")


@pytest.mark.parametrize(
    ("number_format", "pipeline"),
    [(INT8, 0), (INT4, 1), (DINT4, 0), (DINT4, 1), (DINT4, 2), (DINT3, 0)],
    ids=lambda x: str(getattr(x, "name", x)),
)
def test_a_correct_unit_passes_and_everything_is_compared(
    number_format, pipeline: int, icarus, behavioural, make_operands
) -> None:
    config = MacConfig(number_format, lanes=3, depth=300, pipeline=pipeline)
    stimuli = [
        Stimulus.corners(config),
        Stimulus.uniform(config, 2500, 0),  # more than one chunk
        Stimulus.from_operands(make_operands(number_format), config, 500, 0),
    ]
    with build(behavioural(config), config, icarus) as design:
        for stimulus in stimuli:
            seen: list[int] = []
            counts = design.run(stimulus, on_progress=seen.append)
            assert counts.sums == stimulus.cycles
            assert counts.macs == stimulus.macs
            assert counts.stated_sums == stimulus.completed.sum()
            assert (min(seen), max(seen) <= stimulus.cycles) == (0, True)
    assert counts.stated_sums >= 500 // 17


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_unit_fails(mutant: str, icarus, behavioural) -> None:
    assert SMALL.accumulator_bits == 19
    text = behavioural(SMALL)
    what, instead = MUTANTS[mutant]
    assert text.count(what) == 1
    broken = text.replace(what, instead)
    if mutant == "a bit not driven":
        broken = (
            broken.replace("accumulator_, ", "sums, ").replace("accumulator <=", "sums <=").replace(": accumulator;", ": sums;")
        )
        broken = broken.replace("endmodule", "assign accumulator[18:1] = sums[18:1];\nendmodule")
    with build(broken, SMALL, icarus) as design, pytest.raises(SimulationMismatch) as failure:
        design.run(Stimulus.corners(SMALL))
    message = str(failure.value)
    assert message.startswith("mac_dint4_x3_d96, corners operands, ")
    assert "\n" not in message


def test_a_mismatch_names_cycle_operands_expected_and_got(icarus, behavioural) -> None:
    broken = behavioural(SMALL).replace("4'd5: decode = -10;", "4'd5: decode = -8;")
    stimulus = Stimulus(
        weights=[[1, 2, 3], [0, 5, 9]], activations=[[1, 1, 1], [7, -3, 2]], first=[1, 0], valid=[1, 1], source="uniform"
    )  # type: ignore[arg-type]
    with build(broken, SMALL, icarus) as design, pytest.raises(SimulationMismatch) as failure:
        design.run(stimulus)
    assert str(failure.value) == (
        "mac_dint4_x3_d96, uniform operands, cycle 1: accumulator (in units of 1/2) got 10, expected 16; before it -12; "
        "first=0 valid=1 rst=0; lane 0: code 0 = 0 x 7; lane 1: code 5 = -10 x -3; lane 2: code 9 = -1 x 2"
    )


@pytest.mark.slow
def test_every_product_in_one_lane(icarus, behavioural) -> None:
    """A unit that is wrong for a single one of 65,536 pairs is found by replaying all of them."""
    import numpy as np

    config = MacConfig(INT8, depth=1)
    codes, activations = np.divmod(np.arange(65536), 256)
    ones = np.ones(65536, bool)
    stimulus = Stimulus(codes[:, None], (activations - 128)[:, None], ones, ones, "corners")
    broken = behavioural(config).replace("base + total;", "base + total + (w == 8'd77 && a == 8'd201);")
    with build(behavioural(config), config, icarus) as design:
        assert design.run(stimulus).sums == 65536
    with build(broken, config, icarus) as design, pytest.raises(SimulationMismatch, match="lane 0: code 77 = 77 x -55"):
        design.run(stimulus)


def test_a_sum_that_the_file_states_wrongly_fails(icarus, behavioural, make_operands) -> None:
    stimulus = Stimulus.from_operands(make_operands(DINT4), SMALL, 400, 0)
    wrong = stimulus.stated.copy()
    cycle = int(stimulus.completed.nonzero()[0][7])
    wrong[cycle] += 1
    with build(behavioural(SMALL), SMALL, icarus) as design:
        with pytest.raises(SimulationMismatch, match=rf"cycle {cycle}: .* the operand file states {wrong[cycle]} for the sum"):
            design.run(dataclasses.replace(stimulus, stated=wrong))
        assert design.run(stimulus).stated_sums == 23


@pytest.mark.slow
def test_verilator_agrees(behavioural, make_operands, tmp_path: Path) -> None:
    try:
        verilator = find_simulator("verilator")
    except ToolError as error:
        pytest.skip(str(error))
    broken = Stimulus.from_operands(make_operands(DINT4), SMALL, 400, 0)
    wrong = broken.stated + broken.completed
    with build(behavioural(SMALL), SMALL, verilator, waves=".vcd") as design:
        stimulus = Stimulus.corners(SMALL)
        assert design.run(stimulus, waves=tmp_path / "waves.vcd").macs == stimulus.macs
        with pytest.raises(SimulationMismatch, match="the operand file states"):
            design.run(dataclasses.replace(broken, stated=wrong))
    assert "accumulator" in (tmp_path / "waves.vcd").read_text()
