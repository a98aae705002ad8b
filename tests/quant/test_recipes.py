# SPDX-License-Identifier: Apache-2.0
"""Recipes as TOML: by name and from a file, overridden by options, and refused in one line where something is wrong."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from golden.errors import InputError
from quant.command import quantize
from quant.recipe import Recipe
from quant.recipes import named_recipes, read_recipe

ROOT = Path(__file__).resolve().parents[2]


def test_every_named_recipe_is_what_its_name_says() -> None:
    """Bits of the weights, format, scaling and rounding: all but two."""
    recipes = named_recipes()
    assert recipes.pop("default") == Recipe("dint4", scaling="aqas")
    assert recipes.pop("every-method") == Recipe("dint4", scaling="aqas", clipping="awq", rounding="optq")
    assert len(recipes) == 22
    assert len(set(recipes.values())) == 21  # SLAC's differs by the calibration only
    for name, recipe in recipes.items():
        bits, number_format, *methods = name.split("-")
        assert bits[:2] == f"w{recipe.number_format.bits}"
        assert number_format == recipe.weights.removesuffix("_e2m1")
        assert ("16" in bits) == (recipe.activations == "fp32")
        assert ("v" in bits) == (recipe.value_format == recipe.weights) == (recipe.attention == "int8")
        assert ("optq" in methods) == (recipe.rounding == "optq")
        scaling = {"sq": "smoothquant", "awq": "awq", "aqas": "aqas"}.get(methods[0], "none")
        assert recipe.scaling == scaling
        assert recipe.clipping == ("awq" if scaling in ("awq", "aqas") else "none")
        assert recipe.form == ("asymmetric" if recipe.number_format.has_zero_points else "symmetric")


def test_the_papers_tables_are_complete() -> None:
    """Table 3's ten quantized rows less the repeated format, Table 14's six, four of three bits."""
    names = set(named_recipes())
    methods = ("rtn", "optq", "sq", "sq-optq", "awq", "awq-optq", "aqas", "aqas-optq")
    assert {f"w4a8v4-int4-{method}" for method in methods} <= names
    assert {f"w4a16-{name}-{method}" for name in ("int4", "fp4", "dint4") for method in ("rtn", "optq")} <= names
    assert {f"w3a8v3-{name}-{method}" for name in ("int3", "dint3") for method in ("rtn", "aqas-optq")} <= names


def test_options_override_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('format = "dint4"\nscaling = "awq"\nrounding = "optq"\ngroup-size = 32\ncalibration-length = 64\n')
    assert read_recipe(str(file), {}) == (Recipe("dint4", scaling="awq", rounding="optq", group_size=32), 64)
    options = {"format": "int4", "scaling": None, "rounding": "rtn", "calibration-length": 16}
    assert read_recipe(str(file), options) == (Recipe("int4", scaling="awq", group_size=32), 16)
    assert read_recipe("w4a8v4-dint4-aqas-optq-slac128", {})[1] == 128
    assert read_recipe("default", {"form": None}) == (Recipe("dint4", scaling="aqas"), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('format = "dint4"\nroundin = "optq"', r"unknown key 'roundin': did you mean rounding\? known are format, scaling"),
        ('format = "dint4"\ngroup_size = 32', r"unknown key 'group_size': did you mean group-size\?"),
        ('format = "dint4"\nzzz = 1', r"unknown key 'zzz': known are format"),
        ('[recipe]\nformat = "dint4"', r"unknown key 'recipe': known are"),
        ('scaling = "aqas"', r"lacks the format of the weights; add a line such as format = \"dint4\""),
        ("format = 4", r"format is 4: it is a string"),
        ('format = "dint4"\ngroup-size = "all"', r"group-size is 'all': it is an integer"),
        ('format = "dint4"\ngroup-size = true', r"group-size is True: it is an integer"),
        ('format = "dint4"\ngroup-size = 0', r"--group-size 0"),
        ('format = "dint5"', r"unknown format 'dint5': did you mean dint4\?"),
        ('format = "dint4"\nscaling = "magic"', r"scaling is 'magic': known are none, smoothquant, awq, aqas"),
        ('format = "fp4_e2m1"\nform = "asymmetric"', r"form is 'asymmetric': FP4 E2M1 takes no zero-point"),
    ],
)
def test_wrong_contents(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"recipe .*mine\.toml: {message}") as caught:
        read_recipe(str(file), {})
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    broken, binary, deep, long = (tmp_path / f"{name}.toml" for name in ("broken", "binary", "deep", "long"))
    broken.write_text('format = "dint4')
    binary.write_bytes(b"\xff\xfe")
    deep.write_text("format = " + "[" * 100_000)
    long.write_text("group-size = " + "9" * 5000)
    for file, message in (
        (broken, "is not TOML"),
        (deep, "is not TOML"),
        (long, "is not TOML"),
        (binary, "is not UTF-8"),
        (tmp_path / "none.toml", "cannot be read"),
    ):
        with pytest.raises(InputError, match=rf"--recipe .*{file.name}: {message}") as caught:
            read_recipe(str(file), {})
        assert "\n" not in str(caught.value)


def test_unknown_names() -> None:
    with pytest.raises(
        InputError, match=r"--recipe w4a8v4-dint4-aqas: did you mean w4a8v4-.*\? known are default, w4a8v4-int4-rtn"
    ):
        read_recipe("w4a8v4-dint4-aqas", {})
    with pytest.raises(InputError, match=r"--recipe zzz: known are default, .*ending in \.toml"):
        read_recipe("zzz", {})


def test_options_are_checked_like_the_file() -> None:
    with pytest.raises(InputError, match=r"^scaling is 'magic'"):
        read_recipe("default", {"scaling": "magic"})


def test_command_line(tiny_directory: Path, tmp_path: Path, command_line: Callable[..., tuple[int, str]]) -> None:
    """A file with an option over it, as a user calls it; a misspelt key is one line, and nothing is written."""
    file = tmp_path / "mine.toml"
    file.write_text('format = "dint3"\nform = "asymmetric"\nrounding = "optq"\n')

    always = ("quantize", str(tiny_directory), "--no-table", "--quiet", "--recipe", str(file))
    assert command_line(*always, "--rounding", "rtn", "--out", str(tmp_path / "out")) == (0, "")
    expected: dict[str, Any] = {"weights": "dint3", "form": "asymmetric", "rounding": "rtn", "scaling": "none"}
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config.items() >= expected.items()
    file.write_text('format = "dint3"\nfrom = "asymmetric"\n')
    code, error = command_line(*always, "--out", str(tmp_path / "none"))
    assert (code, error.count("\n")) == (1, 1)
    assert "unknown key 'from': did you mean form?" in error
    assert not (tmp_path / "none").exists()


def test_the_default_has_not_changed(tiny_directory: Path, tmp_path: Path) -> None:
    """No recipe, and its choices as options over another one, are the same."""
    plain, chosen = tmp_path / "plain", tmp_path / "chosen"
    quantize(str(tiny_directory), out=plain, table=False, quiet=True)
    options = {"recipe": "w4a8v4-int4-rtn", "format": "dint4", "scaling": "aqas", "form": "symmetric"}
    options |= {"value_format": "none", "attention": "fp32"}
    quantize(str(tiny_directory), out=chosen, **options, table=False, quiet=True)  # type: ignore[arg-type]
    for name in ("model.safetensors", "config.json", "operands.npz"):
        assert (plain / name).read_bytes() == (chosen / name).read_bytes()


def test_recipes_are_in_the_package() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["quant"]
    assert "recipes.toml" in shipped
