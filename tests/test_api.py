# SPDX-License-Identifier: Apache-2.0
"""What `import dint` gives: functions with the options and defaults of the command line, loaded when used, with types."""

from __future__ import annotations

import ast
import importlib
import inspect
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dint
from golden.arguments import names, paths
from tests.conftest import ROOT
from tests.test_dint import HEAVY, loaded_by

HOME = {
    "evaluate": "quant.evaluate_command",
    "generate": "flows.command",
    "quantize": "quant.command",
    "simulate": "pipeline.simulate_command",
    "synthesize": "synth.synthesize_command",
}
#: Of functions only: where earlier results are, and how many processes run.
WITHOUT_OPTION = {"cache", "jobs"}


@pytest.mark.parametrize("name", HOME)
def test_functions_have_the_options_and_defaults_of_the_command_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    home = importlib.import_module(HOME[name])
    function = getattr(dint, name)
    assert function is getattr(home, name)
    given: dict[str, Any] = {}

    def record(*arguments: Any, **options: Any) -> dict[str, Any]:
        assert not arguments
        given.update(options)
        return {}

    monkeypatch.setattr(home, name, record)
    result = CliRunner().invoke(dint.app, [name])
    assert result.exit_code == 0, result.output
    parameters = inspect.signature(function).parameters
    assert given.keys() == parameters.keys() - WITHOUT_OPTION
    assert given == {option: parameters[option].default for option in given}


def test_functions_load_nothing_heavy_before_they_are_called() -> None:
    assert loaded_by(f"import dint; [getattr(dint, name) for name in {list(HOME)}]", HEAVY) == "[]"


def test_only_names_of_users_are_listed() -> None:
    assert dir(dint) == sorted(dint.__all__)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "dint-stubs" / "__init__.pyi").read_text())
    found = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    for one in tree.body:
        if isinstance(one, ast.ImportFrom):
            for alias in one.names:
                assert alias.asname == alias.name  # else it is not exported
                assert getattr(importlib.import_module(str(one.module)), alias.name) is getattr(dint, alias.name)
                found.add(alias.name)
    assert found == set(dint.__all__)


def test_packages_are_marked_as_typed() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert "golden" in packages
    for package in packages:
        assert package == "dint-stubs" or (ROOT / package / "py.typed").is_file()


def test_paths_and_names_come_alone_or_in_lists(tmp_path: Path) -> None:
    assert paths("a/b") == (Path("a/b"),) == paths(Path("a/b")) == paths(["a/b"])
    assert names("orfs") == ("orfs",) == names(["orfs"])
    files = dint.generate("int3", 1, str(tmp_path), depth=64, flow="orfs", pdk="asap7", quiet=True)
    assert sorted(files) == ["core", "json", *(f"orfs/asap7/mac_int3_x1_d64/{file}" for file in FOLDER), "sdc", "v"]
    assert all(path.is_file() for path in files.values())
    with pytest.raises(dint.InputError, match="--pdk asap7: is for the design folders of --flow"):
        dint.generate(pdk="asap7", out=tmp_path / "out")
    with pytest.raises(dint.InputError, match=r"--liberty x\.lib: belongs to --layer"):
        dint.simulate(liberty="x.lib")
    with pytest.raises(dint.InputError, match="no such Liberty file"):
        dint.synthesize(liberty=str(tmp_path / "missing.lib"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


FOLDER = ("config.mk", "constraint.sdc", "mac_int3_x1_d64.v")


@pytest.mark.parametrize("name", ["quantize", "simulate", "synthesize"])
@pytest.mark.parametrize("seed", [-1, 1 << 32, 0.5])
def test_seeds_are_checked(name: str, seed: Any, tmp_path: Path) -> None:
    with pytest.raises(dint.InputError, match=f"seed is {seed}: "):
        getattr(dint, name)(seed=seed, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_front_takes_neither_a_period_nor_activity(tmp_path: Path) -> None:
    with pytest.raises(dint.InputError, match="--period 5: --front gives the netlists of all periods"):
        dint.synthesize(front=True, period_ns=5, out=tmp_path / "out")
    for option in ("saif", "vcd"):
        with pytest.raises(dint.InputError, match=f"--{option}: --front gives many netlists"):
            dint.synthesize(front=True, out=tmp_path / "out", **{option: True})
