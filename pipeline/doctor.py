# SPDX-License-Identifier: Apache-2.0
"""`dint doctor`: what is installed, what is missing, what cannot be done without it, and the one command that installs it.

Every other command finds out by itself, and stops; this one looks at everything at once. It loads neither torch nor Amaranth.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from golden.errors import DintError

from .stages import ROOT

__all__ = ["EXTRAS", "Check", "checks", "doctor"]

#: By extra ("": what is always there): what cannot be done without it, and whether the main job needs it.
EXTRAS: dict[str, tuple[str, bool]] = {
    "": ("anything", True),
    "hardware": ("simulate, synthesize, sweep, zero-points, codes, report", True),
    "quantization": ("quantize, operands, evaluate, export, table3, report", True),
    "report": ("report", True),
    "datasets": ("--dataset, --calibration-dataset, table3", False),
    "evaluation": ("evaluate --tasks, table3", False),
    "compressed-tensors": ("export", False),
    "cluster": ("sweep --cluster", False),
}
_CHECKPOINT = ROOT / "quant" / "checkpoint"
_BUILD = Path("build")
_FREE_MB = 500  # the main job on three kits leaves 401 MB


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    found: str  # version, place or number
    problem: str  # empty if all is well
    disables: str  # what cannot be done without it
    required: bool  # by the main job
    apt: tuple[str, ...] = ()  # packages of Debian that bring it
    extras: tuple[str, ...] = ()  # extras of this package that bring it
    by_hand: str = ""  # how to get what neither has


def doctor(quiet: bool = False) -> dict[str, Any]:
    """Look at everything, and print it.

    Returns
    -------
    dict
        `ok`: whether the main job can run; `fix`: the command that installs what it lacks, as far as apt and pip have it;
        `checks`: one object each, with `name`, `found`, `problem`, `disables`, `required` by the main job, and its own `fix`.
    """
    found = list(checks())
    lacking = [check for check in found if check.problem and check.required]
    if not quiet:
        _print(found, lacking)
    shown = ("name", "found", "problem", "disables", "required")
    rows = [{key: getattr(check, key) for key in shown} | {"fix": _fix([check])} for check in found]
    return {"ok": not lacking, "fix": _fix(lacking), "checks": rows}


def checks() -> Iterator[Check]:
    """Everything, in the order of the display."""
    yield from _packages()
    yield from _programs()
    yield from _kits()
    yield _checkpoint()
    yield _room()


def _packages() -> Iterator[Check]:
    """Python, and the packages of every extra, with the versions that this package's own metadata asks for."""
    if (about := _about()) is None:
        problem = f"is not installed in {sys.prefix}, so that what it needs is not known"
        yield Check("dint", "", problem, "anything", True, extras=("all",))
        return
    wanted, running = about.metadata["Requires-Python"], platform.python_version()
    wrong = "" if SpecifierSet(wanted).contains(running, prereleases=True) else f"{wanted} is needed"
    yield Check("Python", running, wrong, "anything", True, by_hand="make .venv anew with a Python of that version")
    requirements = [Requirement(text) for text in about.requires or ()]
    for extra, (disables, required) in EXTRAS.items():
        of_extra = [one for one in requirements if _belongs(one, extra)]
        found, problems = _compare(of_extra)
        name = f"packages, {extra}" if extra else "packages"
        yield Check(name, ", ".join(found), ", ".join(problems), disables, required, extras=(extra or "all",))


def _about() -> importlib.metadata.Distribution | None:
    """This package's metadata; None if it runs from its files without being installed."""
    try:
        return importlib.metadata.distribution("dint")
    except importlib.metadata.PackageNotFoundError:
        return None


def _belongs(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return not extra
    return requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""})


def _compare(requirements: Iterable[Requirement]) -> tuple[list[str], list[str]]:
    """What is there in a version that fits, and what does not."""
    found, problems = [], []
    for one in requirements:
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{one.name} is missing ({one.specifier})")
            continue
        if one.specifier.contains(version, prereleases=True):
            found.append(f"{one.name} {version}")
        else:
            problems.append(f"{one.name} is {version} ({one.specifier})")
    return found, problems


def _programs() -> Iterator[Check]:
    from sim.simulators import find_simulator
    from synth import sta, yosys

    yield _asked("Icarus", lambda: find_simulator("icarus").version, "simulate, synthesize, report", True, apt=("iverilog",))
    compilers = tuple(program for program in ("perl", "make", "g++") if shutil.which(program) is None)
    yield _asked(
        "Verilator",
        lambda: find_simulator("verilator").version,
        "simulate --simulator verilator, simulate --layer",
        False,
        apt=compilers,
        extras=() if compilers else ("hardware",),
    )
    yield _asked("OpenSTA", sta.version, "synthesize, sweep, zero-points, codes --map, report", True, apt=("opensta",))
    yield _asked("Yosys", yosys.version, "synthesize, sweep, zero-points, codes --map, report", True, extras=("hardware",))
    yield _shared_python()


def _asked(name: str, ask: Callable[[], str], disables: str, required: bool, **ways: Any) -> Check:
    """A program that says its version, or what is wrong with it; `ways` to get it are fields of `Check`."""
    try:
        return Check(name, ask(), "", disables, required, **ways)
    except DintError as error:
        return Check(name, "", str(error), disables, required, **ways)


def _shared_python() -> Check:
    """cocotb loads the interpreter as a shared library, which Debian ships apart from python3."""
    name, disables = f"libpython{sys.version_info.major}.{sys.version_info.minor}", "simulate, report"
    try:
        from find_libpython import find_libpython  # cocotb's own way to find it
    except ImportError:
        return Check(name, "", "cocotb, which looks for it, is missing", disables, True, extras=("hardware",))
    place = find_libpython()
    return Check(name, place or "", "" if place else "is not installed", disables, True, apt=(name,))


def _kits() -> Iterator[Check]:
    from synth.pdk import DEFAULT_PDK, TECHNOLOGIES, discover

    try:
        found = {kit.name: kit for kit in discover()}
    except DintError as error:  # as of a folder that cannot be read
        yield Check("PDKs", "", str(error), "synthesize, report", True)
        return
    for technology in TECHNOLOGIES:
        kit, required = found.get(technology.name), technology.name == DEFAULT_PDK
        packaged = (f"qflow-tech-{technology.name}",) if technology.qflow else ()
        yield Check(
            f"PDK {technology.name}",
            f"through {kit.origin}" if kit else "",
            "" if kit else "is not on this machine",
            "synthesize, report" if required else f"--pdk {technology.name}",
            required,
            apt=packaged,
            by_hand="" if packaged else technology.get,
        )


def _checkpoint() -> Check:
    files = ("config.json", "model.safetensors", "tokenizer.json")
    missing = [name for name in files if not (_CHECKPOINT / name).is_file()]
    problem = f"lacks {', '.join(missing)}" if missing else ""
    by_hand = "the files of this project, anew; or name another model"
    return Check("checkpoint", str(_CHECKPOINT), problem, "quantize and report without a model", True, by_hand=by_hand)


def _room() -> Check:
    """Whether the default output directories can be written."""
    place = next(folder for folder in (_BUILD.absolute(), *_BUILD.absolute().parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free // 10**6
    problem = "" if free_mb >= _FREE_MB else f"{_FREE_MB} MB are needed"
    if not os.access(place, os.W_OK):
        problem = "cannot be written"
    by_hand = "a directory that can be written and has room: change to another, or name one with --out"
    return Check("disk", f"{free_mb:,} MB free in {place}", problem, "what writes to build", True, by_hand=by_hand)


def _fix(lacking: Iterable[Check]) -> str | None:
    """One shell command for all that apt and pip can bring; None if that is nothing."""
    lacking = [check for check in lacking if check.problem]
    apt = sorted({package for check in lacking for package in check.apt})
    extras = sorted({extra for check in lacking for extra in check.extras})
    commands = []
    if apt:
        commands.append([*([] if os.geteuid() == 0 else ["sudo"]), "apt-get", "install", "-y", *apt])
    if extras:
        source = ["dint"] if _about() else ["--editable", str(ROOT)]
        source[-1] += f"[{','.join(extras)}]"
        commands.append([sys.executable, "-m", "pip", "install", *source])
    return " && ".join(map(shlex.join, commands)) or None


def _print(found: Sequence[Check], lacking: Sequence[Check]) -> None:
    console = Console(highlight=False)
    table = Table("", "", Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
    for check in found:
        mark = "[red]lacks[/]" if check in lacking else "[yellow]without[/]" if check.problem else "[green]ok[/]"
        told = escape("; ".join(filter(None, (check.problem, check.found))))
        table.add_row(mark, check.name, f"{told}\n[dim]disables: {escape(check.disables)}[/]" if check.problem else told)
    console.print(table)
    for check in found:
        if check.problem and check not in lacking:
            console.print(f"{check.name}, if you want it: {_fix([check]) or check.by_hand}", markup=False, soft_wrap=True)
    if not lacking:
        console.print("[green]The main job, dint report, can run here.[/]")
        return
    console.print("[red]The main job, dint report, cannot run here.[/] What it lacks:")
    for way in filter(None, (_fix(lacking), *dict.fromkeys(check.by_hand for check in lacking))):
        console.print(f"  {way}", markup=False, soft_wrap=True)
