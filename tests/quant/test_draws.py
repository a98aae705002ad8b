# SPDX-License-Identifier: Apache-2.0
"""One recipe by several draws of the calibration: each draw is what `dint quantize` makes of it, the first is kept."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from golden import Operands
from golden.errors import InputError
from quant.command import quantize
from quant.draws import check_recipe, quantize_by_draws
from quant.evaluate_command import evaluate

SEED = 4
RECIPE = 'format = "dint4"\nrounding = "optq"\n'  # fast, and another calibration gives another model


def by_draws(model: Path, out: Path, **changed: Any) -> dict[str, Any]:
    file = out.with_name("recipe.toml")
    file.write_text(RECIPE)
    options: dict[str, Any] = {"recipe": str(file), "format": "int3", "draws": 2, "text": None, "windows": 3, "seed": SEED}
    return quantize_by_draws(str(model), out=out, **options | changed)


def test_draws_are_those_of_quantize(tiny_directory: Path, tmp_path: Path) -> None:
    found = by_draws(tiny_directory, tmp_path / "draws")
    (text,) = found["texts"]
    assert [one["seed"] for one in found["calibration"]] == [SEED, SEED + 1]
    values = found["texts"][text]
    assert [len(draw) for draw in values["divergences"]] == [3, 3]
    one, recipe = tmp_path / "one", str(tmp_path / "recipe.toml")
    quantize(str(tiny_directory), out=one, recipe=recipe, format="int3", table=False, seed=SEED, quiet=True)
    measured = evaluate(str(one), out=tmp_path / "e", reference=str(tiny_directory), windows=3, quiet=True)["texts"][0]
    assert fmean(values["divergences"][0]) == pytest.approx(measured["kl"], rel=1e-6)
    assert fmean(values["divergences"][1]) != pytest.approx(measured["kl"], rel=1e-3)
    for name in ("model.safetensors", "operands.npz"):
        assert (tmp_path / "draws" / name).read_bytes() == (one / name).read_bytes()
    assert Operands.load(tmp_path / "draws" / "operands.npz").number_format.name == "int3"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("w4a8v4-int4-rtn", "asymmetric weights; the units of int4 take int8 activations and symmetric weights"),
        ('format = "int4"\nactivations = "fp32"\n', "activations in fp32; the units of int4"),
        ('format = "int4"\nform = "odd"\n', "form is 'odd'"),
    ],
)
def test_recipes_without_operands_for_the_units_are_refused(recipe: str, message: str, tmp_path: Path) -> None:
    if "\n" in recipe:
        (tmp_path / "mine.toml").write_text(recipe)
        recipe = str(tmp_path / "mine.toml")
    with pytest.raises(InputError, match=message):
        check_recipe(recipe, "int4")


def test_activations_in_blocks(tiny_directory: Path, tmp_path: Path) -> None:
    """The name says what activations are; operands and storage are of the format."""
    found = by_draws(tiny_directory, tmp_path / "draws", format="nvfp4_a4", draws=1)
    assert (found["recipe"]["weights"], found["recipe"]["activations"]) == ("nvfp4", "nvfp4")
    assert Operands.load(tmp_path / "draws" / "operands.npz").format_name == "nvfp4_a4"
    assert 4.5 < found["weight_bits"] < 4.52  # and a float32 for each tensor
    plain = by_draws(tiny_directory, tmp_path / "plain", format="int4", draws=1)
    assert plain["weight_bits"] > 4.1  # a float32 for each of few inputs


def test_block_formats_take_what_they_can_of_a_recipe() -> None:
    asked = {name: check_recipe("every-method", name) for name in ("int4", "mxfp4", "nvfp4_a4", "lobcq_c8_g64")}
    found = {name: tuple(one[key] for key in ("weights", "activations", "clipping", "rounding")) for name, one in asked.items()}
    assert found == {
        "int4": ("int4", "int8", "awq", "optq"),
        "mxfp4": ("mxfp4", "int8", "none", "optq"),
        "nvfp4_a4": ("nvfp4", "nvfp4", "none", "optq"),
        "lobcq_c8_g64": ("lobcq_c8_g64", "int8", "none", "rtn"),
    }
    with pytest.raises(InputError, match="activations in fp32; the units of nvfp4"):
        check_recipe("w4a16-fp4-rtn", "nvfp4")


def test_groups_that_no_unit_scales_are_refused(tmp_path: Path) -> None:
    """The KL would be that of the groups, the price that of a unit without them."""
    for grouping in ("", 'grouping = "adadim"\n'):
        (tmp_path / "groups.toml").write_text(f'format = "int4"\ngroup-size = 32\n{grouping}')
        with pytest.raises(InputError, match=r"groups of 32, whose scales no unit of int4 has; .* such as int4_g32"):
            check_recipe(str(tmp_path / "groups.toml"), "int4")


def test_what_cannot_be_measured_is_refused(tiny_directory: Path, tmp_path: Path) -> None:
    for changed, message in (({"windows": 1}, "one window has no standard error"), ({"text": tmp_path / "no"}, "--text")):
        with pytest.raises(InputError, match=message):
            by_draws(tiny_directory, tmp_path / "out", **changed)
        assert not (tmp_path / "out").exists()
