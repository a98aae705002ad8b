# SPDX-License-Identifier: Apache-2.0
"""The command line, fuzzed by what it says of itself: every command with options of every kind, odd values, odd files.

Each case contains at least one thing that no command can do, so that success is a finding: a value that no option of its type
takes, or an output directory that cannot be made.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from golden.errors import InputError

from . import mutations, operand_files
from .engine import Case, Garbage, Target
from .models import tiny_model, tiny_quantized

__all__ = ["TARGETS", "Ended", "in_this_process", "unless_refused"]

#: By type of option: what none of them takes, and what some may.
_WRONG: dict[str, tuple[str, ...]] = {
    "int": ("-1", "", "abc", "1.5", "1e3", "nan", "0x10", "--", "-99999999999999999999", "-" + "9" * 5000, "1 2"),
    "float": ("-1", "0", "", "abc", "nan", "inf", "-inf", "1e999", "1,5"),
    "str": tuple(word for word in mutations.WORDS if word not in ("", " ", "none", ".", "/", "~", "-h", "--")),
    "Path": ("missing", "missing/x", "folder", "garbage", "empty", "loop", "é/é", "x" * 300, "x" * 5000, "/proc/self/mem"),
}
_ODD: dict[str, tuple[str, ...]] = {
    "int": (
        "0",
        "1",
        "2",
        "3",
        "16",
        "64",
        "65",
        "4096",
        "65536",
        "1000000",
        "16777217",
        "2147483648",
        "9" * 19,
        "9" * 40,
        "١٢",
    ),
    "float": ("1", "1e-300", "1e308", "0.001", "10"),
    "str": (
        "dint4",
        "int8",
        "int4",
        "fp4_e2m1",
        "DINT4",
        "none",
        "aqas",
        "optq",
        "pe",
        "auto",
        "icarus",
        "asymmetric",
        "fp32",
        "",
    ),
    "Path": ("tiny.lib", "operands.npz", "model", "quantized", "mine.toml", "text.txt", ".", ""),
}


@dataclass(frozen=True)
class Option:
    """An option or argument of a command."""

    names: tuple[str, ...]  # none: an argument
    kind: str  # int, float, str, Path, or flag
    is_output: bool


@dataclass(frozen=True)
class _CommandLine:
    commands: dict[str, list[Option]]
    files: Path


def _commands() -> dict[str, list[Option]]:
    """Every command and what it takes, as typer knows it."""
    import typer

    import dint

    group: Any = typer.main.get_command(dint.app)
    return {
        name: [_option(parameter) for parameter in command.params if not {"--help", "--debug"} & set(parameter.opts)]
        for name, command in group.commands.items()
    }


def _option(parameter: Any) -> Option:
    names = tuple(name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-"))
    annotation = str(parameter.type_descriptor.annotation)
    kind = next(kind for kind in ("Path", "float", "bool", "int", "str") if kind in annotation)
    return Option(names, "flag" if kind == "bool" else kind, parameter.name in ("out", "waves"))


def _prepare(folder: Path) -> _CommandLine:
    """Files of every kind that an option may name."""
    (folder / "folder").mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "garbage").write_bytes(Random(1).randbytes(3000))
    (folder / "loop").symlink_to("loop")
    (folder / "text.txt").write_text("the a of is " * 50)
    (folder / "tiny.lib").write_bytes((Path(__file__).resolve().parents[2] / "tests/synth/tiny.lib").read_bytes())
    (folder / "mine.toml").write_text('format = "dint4"\n')
    operand_files.operands(folder)
    tiny_quantized(tiny_model(folder / "model"), folder / "quantized", weights="dint4")
    import quant.command  # noqa: F401  (imported here, it is not part of any case's time)
    import synth.command  # noqa: F401

    return _CommandLine(_commands(), folder)


# What a command that needs a model or runs long is given, where nothing else is.
_BASE = {
    "quantize": ["model", "--no-table", "--calibration-length", "8"],
    "evaluate": ["quantized", "--windows", "1"],
    "operands": ["quantized", "--tokens", "1"],
    "export": ["quantized"],
    "table3": ["model", "--windows", "1"],
    "simulate": ["--cycles", "16", "--lanes", "1"],
    "codes": ["dint3"],
    "sweep": ["mine.toml"],
    "zero-points": ["--lanes", "1", "--units", "1"],
}


def _arguments(line: _CommandLine, rng: Random) -> list[str]:
    """A command line that cannot be carried out."""
    command = rng.choice(sorted(line.commands))
    options = line.commands[command]
    arguments = [command, *_BASE.get(command, [])]
    if rng.random() < 0.03:
        return [
            rng.choice((command, *mutations.WORDS[3:])),
            rng.choice(("--no-such-option", "x", "--out", "--lanez=3")),
            "x",
            "y",
        ]
    takers = [option for option in options if option.kind != "flag" and not option.is_output]
    if not takers:
        return [*arguments, rng.choice(_WRONG["str"])]
    chosen = [option for option in options if option.names and not option.is_output]
    certain = rng.random() < 0.6
    if certain or not any(option.is_output for option in options):
        wrong = rng.choice(takers)
        value = rng.choice(_WRONG[wrong.kind])
        if wrong.names:
            arguments.append(f"{wrong.names[0]}={value}")
        else:
            arguments[1:2] = [value]
        out = "out"
    else:
        out = rng.choice(("text.txt/out", "loop/out", "text.txt", "x" * 300, "/proc/nowhere/out"))
    for option in rng.sample(chosen, min(len(chosen), rng.choice((0, 1, 2, 4)))):
        if option.kind == "flag":
            arguments.append(rng.choice(option.names))
        elif not certain:
            arguments.append(f"{option.names[0]}={rng.choice((*_ODD[option.kind], *_ODD[option.kind], *_WRONG[option.kind]))}")
    if any("--out" in option.names for option in options):
        arguments.append(f"--out={out}")
    return [argument.replace("\0", "") for argument in arguments]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    arguments: list[str]
    code: int
    output: str
    errors: str


def in_this_process(arguments: list[str]) -> Ended:
    """The entry point in this process."""
    import dint

    output, errors, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv
    try:
        sys.argv = ["dint", *arguments]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            dint.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return Ended(arguments, code, output.getvalue(), errors.getvalue())


def unless_refused(ended: Ended) -> Ended:
    """How a command ended; InputError if it was refused as it should be, so that what it left is looked for."""
    lines = ended.errors.splitlines()
    if ended.code in (1, 2) and len(lines) == 1 and lines[0].startswith("error: "):
        raise InputError(lines[0])
    return ended


def _process(arguments: list[str]) -> Ended:
    """The entry point as users start it."""
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    arguments = [argument.encode("utf-8", "replace").decode() for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-m", "dint", *arguments], capture_output=True, text=True, check=False, env=environment
    )
    return Ended(arguments, done.returncode, done.stdout, done.stderr)


def _case(call: Callable[[list[str]], Ended]) -> Callable[[_CommandLine, Random, Path], Case]:
    def case(line: _CommandLine, rng: Random, folder: Path) -> Case:
        arguments = _arguments(line, rng)
        for file in line.files.iterdir():
            (folder / file.name).symlink_to(file.readlink() if file.is_symlink() else file)

        def run() -> Ended:
            return unless_refused(call(arguments))

        def check(ended: Ended) -> None:
            raise Garbage(f"exit code {ended.code}: {ended.arguments} {ended.errors[-3000:]}")

        return Case(run, check)

    return case


TARGETS = (
    Target("command line", 20, _prepare, _case(in_this_process), cpu_s=30),
    Target("processes", 1, _prepare, _case(_process), cpu_s=60),
)
