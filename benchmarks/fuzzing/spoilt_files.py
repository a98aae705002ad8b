# SPDX-License-Identifier: Apache-2.0
"""Files that are spoilt as for their parsers, read by the commands that users give them to, all else as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from . import kits, models, operand_files
from .command_line import Ended, in_this_process, unless_refused
from .engine import Case, Garbage, Target

__all__ = ["TARGETS"]

#: By the target whose cases spoil the file: commands that read it. {file} is what the case made.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "operand files": ("simulate --format=dint4 --lanes=2 --cycles=8 --operands={file} --out=out",),
    "liberty files": (
        "pdks --liberty={file}",
        "synthesize --format=dint3 --lanes=1 --period=9 --activity=vectorless --liberty={file} --cache=cache --out=out",
    ),
    "model directories": (
        "quantize {file} --no-table --calibration-length=8 --out=out",
        "evaluate {file} --windows=1 --out=out",
    ),
    "quantized models": (
        "evaluate {file} --windows=1 --out=out",
        "operands {file} --tokens=1 --out=out",
        "export {file} --out=out",
    ),
}

_IN_PART = ("liberty files",)  # whose commands leave cells unread that they do not need


@dataclass(frozen=True)
class _Material:
    targets: Mapping[str, Target]
    prepared: Mapping[str, Any]


def _prepare(folder: Path) -> _Material:
    targets = {one.name: one for module in (operand_files, kits, models) for one in module.TARGETS if one.name in _COMMANDS}
    prepared = {}
    for name, target in targets.items():
        (own := folder / name.replace(" ", "-")).mkdir()
        prepared[name] = target.prepare(own)
    import quant.command  # noqa: F401  (imported here, it is not part of any case's time)
    import synth.command  # noqa: F401

    return _Material(targets, prepared)


def _case(material: _Material, rng: Random, folder: Path) -> Case:
    name = rng.choice(sorted(_COMMANDS))
    before = set(folder.iterdir())
    parsed: Case = material.targets[name].case(material.prepared[name], rng, folder)
    made = sorted(set(folder.iterdir()) - before)
    file = made[0].name if made else "missing"
    arguments = [word.format(file=file) for word in rng.choice(_COMMANDS[name]).split()]

    def check(ended: Ended) -> None:
        if ended.code:
            raise Garbage(f"exit code {ended.code}: {ended.arguments} {ended.errors[-3000:]}")
        if name not in _IN_PART:
            parsed.check(parsed.run())  # what the command took, the parser must take, and it must be sound

    return Case(lambda: unless_refused(in_this_process(arguments)), check)


TARGETS = (Target("files given to commands", 10, _prepare, _case, cpu_s=60),)
