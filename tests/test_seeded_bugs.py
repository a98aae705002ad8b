# SPDX-License-Identifier: Apache-2.0
"""One seeded bug in each part that a wrong sum can come from, and what each check says of it (docs/verification.md)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import DINT4, LayerOperands, MacConfig, NumberFormat, OperandError, Operands
from hdl.verilog import generate
from quant import export
from quant.export import recorded
from quant.layers import QuantLinear
from quant.scheme import Scheme
from sim import SimulationMismatch, Stimulus, find_simulator
from sim.command import simulate_verilog
from synth.proof import Refuted, every_cycle, products
from tests.golden.test_table_model import table_run

CONFIG = MacConfig(DINT4, lanes=2)
RTL = {
    "decoder": (r"assign low_times_4 = (\S+) & ", r"assign low_times_4 = \1 | "),
    "compressor": (r"\.c\(carry_9_\d+\)", ".c(1'b0)"),
    "accumulator": (r"assign take = valid & ", "assign take = "),
}


def simulated(verilog: str, *stimuli: Stimulus) -> None:
    simulate_verilog(verilog, CONFIG, list(stimuli), find_simulator("icarus"), quiet=True)


@pytest.mark.parametrize("part", RTL)
def test_a_bug_in_the_unit(part: str) -> None:
    """The bench names cycle and operands, the proof the inputs of a counterexample."""
    broken, count = re.subn(*RTL[part], generate(CONFIG), count=1)
    assert count == 1
    with pytest.raises(
        SimulationMismatch, match=r"(uniform|orders) operands, (cycle \d+: |after reset )accumulator .* expected -?\d+"
    ):
        simulated(broken, Stimulus.uniform(CONFIG, 500, 1), Stimulus.orders(CONFIG, 3))
    with pytest.raises(Refuted, match="a wrong accumulator with"):
        every_cycle(CONFIG, broken)
    if part != "accumulator":  # the products are right
        with pytest.raises(Refuted, match="weight codes"):
            products(CONFIG, broken)


EXPORTED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "codes a column further": lambda of: {"weights": np.roll(of["weights"], 1, axis=1)},
    "two tokens exchanged": lambda of: {"activations": of["activations"][[1, 0, *range(2, len(of["activations"]))]]},
    "sums of another output": lambda of: {"accumulators": np.roll(of["accumulators"], 1, axis=1)},
    "nibbles exchanged": lambda of: {"weights": of["weights"].reshape(-1, 2)[:, ::-1].reshape(of["weights"].shape)},
}


@pytest.mark.parametrize("bug", EXPORTED)
def test_a_bug_in_the_export_of_operands(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sums that the model's own forward pass made do not fit, and whoever reads the file says so."""
    torch.manual_seed(1)
    layer = QuantLinear.from_linear(torch.nn.Linear(16, 6), Scheme(DINT4))
    with torch.no_grad(), recorded({"fc1": layer}) as made:
        layer(torch.randn(5, 16))

    def written() -> Path:
        operands = Operands(DINT4, tuple(export._layer_operands("fc1", layer, made["fc1"])))
        operands.save(tmp_path / "operands.npz")
        return tmp_path / "operands.npz"

    assert Operands.load(written()).layers[0].weights.shape == (6, 16)
    monkeypatch.setattr(export, "LayerOperands", lambda **of: LayerOperands(**of | EXPORTED[bug](of)))
    with pytest.raises(OperandError, match=r"fc1, token \d+, output \d+: the file states a sum of -?\d+, its operands"):
        Operands.load(written())


def another_value(decode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, codes: decode(self, codes) + (np.asarray(codes) == 9)


def first_ignored(run: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, weights, activations, first, *rest: run(self, weights, activations, np.zeros_like(first), *rest)


@pytest.mark.parametrize(
    ("owner", "name", "bug"),
    [(NumberFormat, "decode", another_value), (MacConfig, "run", first_ignored)],
    ids=["table", "sums"],
)
def test_a_bug_in_the_golden_model(owner: type, name: str, bug: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit is right and disagrees; so does the second golden model, which has a table of its own."""
    verilog, stimulus = generate(CONFIG), Stimulus.uniform(CONFIG, 500, 1)
    pairs = np.stack([stimulus.weights, stimulus.activations], axis=2).tolist()
    rows = list(zip(pairs, stimulus.first, stimulus.valid, stimulus.reset, strict=True))

    def agree() -> bool:
        of = stimulus.weights, stimulus.activations, stimulus.first, stimulus.valid, stimulus.reset
        return CONFIG.run(*of).tolist() == table_run("dint4", CONFIG.accumulator_bits, rows)

    assert agree()
    monkeypatch.setattr(owner, name, bug(getattr(owner, name)))
    assert not agree()
    with pytest.raises(SimulationMismatch, match=r"accumulator .* got -?\d+, expected -?\d+"):
        simulated(verilog, Stimulus.uniform(CONFIG, 500, 1))
