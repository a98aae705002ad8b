# SPDX-License-Identifier: Apache-2.0
"""Every command: an example that can be typed, the same options with the same meaning, names that the shell completes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

import dint
from tests.conftest import ROOT

GROUP: Any = typer.main.get_command(dint.app)
LISTINGS = {"check", "doctor", "formats", "pdks"}  # write nothing


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(dint.app, arguments, prog_name="dint")


def parse(line: str) -> Any:
    """The context of a command line, everything behind `dint`. A line that cannot be parsed raises."""
    name, *arguments = shlex.split(line)
    return GROUP.commands[name].make_context(name, arguments)


def examples(name: str) -> list[str]:
    return re.findall(r"^ *Example: dint (.+)$", GROUP.commands[name].help, re.MULTILINE)


@pytest.mark.parametrize("name", GROUP.commands)
def test_help_has_examples_of_the_command_that_can_be_typed(name: str) -> None:
    shown = " ".join(re.sub(r"[│╭╮╰╯─]", "", invoke(name, "--help").stdout).split())
    assert examples(name)
    for example in examples(name):
        assert f"Example: dint {example}" in shown
        assert parse(example).info_name == name
        assert example.split()[0] == name


@pytest.mark.parametrize("file", ["README.md", *(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))])
def test_documented_command_lines_can_be_typed(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    lines = [line for line in re.findall(r"`dint ([^`]+)`", text) if line.split()[0] in GROUP.commands]
    assert lines or file != "README.md"
    for line in lines:
        parse(line)


def test_a_line_that_cannot_be_typed_is_noticed() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse("generate --lane 4")


@pytest.mark.parametrize("name", ["doctor", "formats", "generate", "pdks"])
def test_quick_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in examples(name):
        result = invoke(*shlex.split(example))
        assert result.exit_code == 0 or name == "doctor", result.output
        assert result.stdout


def test_version() -> None:
    assert re.fullmatch(r"dint \d+\.\d+\S*\n", invoke("--version").stdout)


def test_alone_it_says_how_to_begin() -> None:
    result = invoke()
    assert result.exit_code == 0
    lines = re.findall(r"^  dint (.+?)  ", result.stdout, re.MULTILINE)
    assert [parse(line).info_name for line in lines] == ["doctor", "generate", "report"]
    assert len(result.stdout.splitlines()) < 12
    assert "dint --help" in result.stdout


def test_all_commands_have_the_same_options_for_output() -> None:
    for name, command in GROUP.commands.items():
        found = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--quiet", "--debug"} <= found, name
        assert ("--out" in found) == (name not in LISTINGS), name


def test_one_meaning_has_one_spelling() -> None:
    """Clock periods and lane counts are given alike wherever there are any."""
    for name, command in GROUP.commands.items():
        found = [set(parameter.opts) for parameter in command.params]
        for spellings in ({"--period", "--period-ns"}, {"--lanes", "--lane"}):
            for options in found:
                if options & spellings:
                    assert (spellings - {"--lane"}) <= options, name


@pytest.mark.parametrize(
    "arguments",
    [["formats"], ["pdks"], ["doctor"], ["generate", "--lanes", "1"]],
    ids=lambda arguments: arguments[0],
)
def test_json_is_all_there_is_on_stdout(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments, "--json")
    found = json.loads(result.stdout)
    if arguments[0] == "formats":
        assert found["dint4"]["values"] == list(dint.DINT4.values)
        assert found["dint4"]["unit"] == 0.5
        assert (found["nvfp4"]["block"], found["nvfp4"]["scale"], found["nvfp4"]["bits_per_scalar"]) == (16, "e4m3", 4.5)
    elif arguments[0] == "pdks":
        assert {"osu018", "asap7"} <= {row["name"] for row in found}
    elif arguments[0] == "generate":
        assert set(found) == {"v", "json", "sdc", "core"}
        assert all(Path(file).is_file() for file in found.values())
    else:
        assert result.exit_code == (0 if found["ok"] else 1)


@pytest.mark.parametrize("arguments", [["formats"], ["pdks"], ["generate", "--lanes", "1"]], ids=lambda arguments: arguments[0])
def test_quiet_prints_nothing(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments, "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_report_gives_its_metrics_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def main_job(**arguments: Any) -> Path:
        given.update(arguments)
        print("what a library says")
        (tmp_path / "metrics.json").write_text('{"comparisons": []}')
        return tmp_path / "index.html"

    monkeypatch.setattr("pipeline.main_job.main_job", main_job)
    assert json.loads(invoke("report", "--json").stdout) == {"comparisons": []}
    assert given["quiet"] is True
    assert invoke("report").stdout == "what a library says\n"
    assert given["quiet"] is False


COMPLETIONS = [
    ("generate", "--format", "dint4_", ["dint4_quarter", "dint4_eighth", "dint4_g32", "dint4_g64", "dint4_g128"]),
    ("generate", "--format", "nv", ["nvfp4"]),
    ("pareto", "--format", "nv", ["nvfp4", "nvfp4_a4"]),
    ("generate --format nvfp4", "--architecture", "booth", []),
    ("generate --format int8", "--architecture", "bau", ["baugh-wooley", "baugh-wooley-fast"]),
    ("generate --format int8", "--architecture", "digit", []),
    ("generate --format dint4", "--architecture", "digit", ["digit-grid", "digit-grid-fast"]),
    ("simulate", "--simulator", "v", ["verilator"]),
    ("quantize", "--recipe", "w4a8v4-int4-aq", ["w4a8v4-int4-aqas", "w4a8v4-int4-aqas-optq"]),
]


@pytest.mark.parametrize(("line", "option", "begun", "expected"), COMPLETIONS)
def test_the_shell_completes_names(line: str, option: str, begun: str, expected: list[str]) -> None:
    context = parse(line)
    parameter = next(one for one in context.command.params if option in one.opts)
    assert [item.value for item in parameter.shell_complete(context, begun)] == expected


def test_kits_of_a_folder_are_completed(tmp_path: Path) -> None:
    library = tmp_path / "asap7" / "lib" / "NLDM" / "asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120.lib"
    library.parent.mkdir(parents=True)
    library.touch()
    context = parse(f"synthesize --platforms {tmp_path}")
    parameter = next(one for one in context.command.params if "--pdk" in one.opts)
    assert [item.value for item in parameter.shell_complete(context, "as")] == ["asap7"]


def test_completion_reaches_the_shell() -> None:
    asked = {"_DINT_COMPLETE": "complete_bash", "COMP_WORDS": "dint generate --format dint3", "COMP_CWORD": "3"}
    command = [sys.executable, "-m", "dint"]
    result = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["dint3", "dint3_quarter", "dint3_eighth"]


def test_misspelt_commands_and_options_are_recognized() -> None:
    assert "Did you mean 'simulate'?" in invoke("simulat").output
    assert "--format" in invoke("generate", "--formt", "dint4").output


def test_debug_is_understood_behind_the_command_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dint", "generate", "--lanes", "0", "--debug", "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
