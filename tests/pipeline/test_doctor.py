# SPDX-License-Identifier: Apache-2.0
"""`dint doctor`: what is missing is found, with the command that installs it, also where almost everything is missing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipeline import doctor as module
from pipeline.doctor import EXTRAS, Check, checks, doctor
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def required(names: Iterator[str] | list[str], seen: set[str]) -> set[str]:
    """Installed distributions that `names` need, and these themselves."""
    for name in names:
        if name not in seen:
            seen.add(name)
            needed = (Requirement(text) for text in importlib.metadata.requires(name) or ())
            required([one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})], seen)
    return seen


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a Python with this package installed without extras: of the others it finds nothing."""
    folder = tmp_path_factory.mktemp("site-packages")
    for name in [*required([Requirement(text).name for text in PROJECT["dependencies"]], set()), "dint"]:
        files = importlib.metadata.files(name)
        assert files is not None
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            place = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if not (folder / top).exists() and not top.endswith(".pth"):
                (folder / top).symlink_to(place)
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(folder))), "PATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def run_bare(bare: dict[str, str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "dint", *arguments]
    return subprocess.run(command, env=bare, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_without_extras_and_programs_it_says_what_to_install(bare: dict[str, str], tmp_path: Path) -> None:
    result = run_bare(bare, "doctor", "--json", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    rows = {row["name"]: row for row in found["checks"]}
    assert found["ok"] is False
    assert "torch is missing (==" in rows["packages, quantization"]["problem"]
    assert "iverilog is not on PATH" in rows["Icarus"]["problem"]
    assert rows["Icarus"]["fix"].endswith("apt-get install -y iverilog")
    assert rows["Yosys"]["fix"] == rows["packages, hardware"]["fix"]
    apt, pip = found["fix"].split(" && ")
    assert {"iverilog", "opensta"} <= set(apt.split())
    assert pip == f"{sys.executable} -m pip install 'dint[hardware,quantization,report]'"
    told = run_bare(bare, "doctor", cwd=tmp_path)
    assert told.returncode == 1
    assert f"  {found['fix']}\n" in told.stdout
    assert "dint report, cannot run here" in told.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--help"], ["formats"], ["pdks"], ["generate"]], ids=" ".join)
def test_what_needs_no_extra_runs_without(arguments: list[str], bare: dict[str, str], tmp_path: Path) -> None:
    result = run_bare(bare, *arguments, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "module"), [("simulate", None), ("synthesize", None), ("quantize", "safetensors"), ("report", None)]
)
def test_what_needs_an_extra_says_who_helps(command: str, module: str | None, bare: dict[str, str], tmp_path: Path) -> None:
    result = run_bare(bare, command, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    if module is not None:
        assert result.stderr == f"error: No module named '{module}'; 'dint doctor' says how to install it\n"
    assert list(tmp_path.iterdir()) == []


def test_where_all_is_there_the_main_job_can_run() -> None:
    for program in ("iverilog", "vvp", "sta"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    result = doctor(quiet=True)
    assert result["ok"], [row for row in result["checks"] if row["problem"]]
    assert result["fix"] is None


def test_every_extra_of_use_is_looked_at() -> None:
    for_development = {"all", "benchmark", "dev"}
    assert set(EXTRAS) - {""} == set(PROJECT["optional-dependencies"]) - for_development


def test_what_the_main_job_needs_is_what_extra_all_has() -> None:
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert everything.extras == {extra for extra, (_, needed) in EXTRAS.items() if extra and needed}


def test_other_versions_are_told() -> None:
    version = importlib.metadata.version("numpy")
    found, problems = module._compare([Requirement("numpy>=1"), Requirement("numpy<1"), Requirement("dint-nowhere==2")])
    assert found == [f"numpy {version}"]
    assert problems == [f"numpy is {version} (<1)", "dint-nowhere is missing (==2)"]


def test_a_full_or_read_only_disk_and_a_lost_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_CHECKPOINT", tmp_path)
    monkeypatch.setattr(module, "_FREE_MB", 10**12)
    found = {check.name: check for check in checks()}
    assert found["checkpoint"].problem == "lacks config.json, model.safetensors, tokenizer.json"
    assert found["disk"].problem == f"{10**12} MB are needed"
    result = doctor(quiet=True)
    assert result["ok"] is False
    assert all(row["fix"] is None for row in result["checks"] if row["name"] in ("checkpoint", "disk"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert module._room().problem == "cannot be written"


def test_the_fix_is_for_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = [Check("a", "", "missing", "x", True, apt=("b", "a")), Check("c", "", "missing", "x", True, apt=("a",))]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert module._fix(lacking) == "sudo apt-get install -y a b"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert module._fix(lacking) == "apt-get install -y a b"
    monkeypatch.setattr(module, "_about", lambda: None)
    assert module._fix([Check("p", "", "missing", "x", True, extras=("all",))]) == (
        f"{sys.executable} -m pip install --editable '{ROOT}[all]'"
    )
