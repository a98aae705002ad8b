# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of the tools' own records: results of a report, stages of the main job, caches of syntheses and energies."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console

from golden.artifacts import read_json, read_record, record_text, sha256_file, write_file
from golden.errors import InputError
from pipeline.stages import Stage, Stages
from report import schema, shapes
from report.command import render

from . import mutations
from .engine import Case, Garbage, Target

__all__ = ["TARGETS"]


def _example(shape: Any, name: str = "") -> Any:
    """Results of that shape with one entry in every list, and figures that fit each other."""
    match shape:
        case dict():
            return {key: _example(inner, key) for key, inner in shape.items()}
        case list():
            return [_example(shape[0], name)]
        case shapes.Each():
            return {"dint4": _example(shape.value, name)}
        case shapes.Maybe() | shapes.IfThere():
            return _example(shape.value, name)
        case shapes.OneOf():
            return shape.words[0]
    if str in shape.types:
        return {"format": "dint4", "weights": "dint4", "reference": "int8", "pdk": "osu018"}.get(name, "2026-01-01")
    return True if shape.types == (bool,) else 1


def _results(_: Path) -> dict[str, Any]:
    example: dict[str, Any] = _example(schema.RESULTS)
    schema.check(example)
    return example


def _results_file(example: dict[str, Any], rng: Random, folder: Path) -> Case:
    path, out = folder / "results.json", folder / "out"
    text = mutations.json_text(example, rng)
    if rng.random() < 0.05:
        mutations.misplaced(path, text.encode(), rng)
    else:
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
    draws = rng.random() < 0.03  # takes half a second

    def run() -> Any:
        if draws:
            return render(path, out, quiet=True)
        try:
            results = read_json(path)
        except (OSError, ValueError) as error:  # as `render` does
            raise InputError(f"no JSON ({error})") from None
        return schema.check(results)

    def check(_: Any) -> None:
        if draws and sorted(file.name for file in out.iterdir()) != ["index.html", "metrics.json", "results.json"]:
            raise Garbage("files: not those of a report")

    return Case(run, check)


# Stages and caches: whatever is there, work is done again or what it once made is taken


def _stage_record(_: None, rng: Random, folder: Path) -> Case:
    root = folder / "stages"

    def work(directory: Path) -> None:
        (directory / "figures.json").write_text('{"area": 1}\n')
        (directory / "notes").write_text("made by the stage\n")

    def stage() -> Stage:
        return Stages(root, Console(quiet=True)).run("a stage", {"lanes": 1}, work)

    made = stage()
    for _times in range(rng.choice((1, 1, 2))):
        files = sorted(path for path in made.directory.iterdir() if path.is_file() and not path.is_symlink())
        if not files:
            break
        path = rng.choice((*files, *(file for file in files if file.name == "stage.json")))
        content = path.read_bytes()
        path.unlink()
        match rng.randrange(5):
            case 0:
                mutations.misplaced(path, content, rng)
            case 1:
                path.write_bytes(mutations.damaged(content, rng))
            case 2:
                pass
            case _ if path.suffix == ".json" and content[:1] == b"{":
                try:
                    path.write_text(mutations.json_text(json.loads(content), rng), encoding="utf-8", errors="replace")
                except (ValueError, RecursionError):
                    path.write_bytes(mutations.damaged(content, rng))

    def check(found: Stage) -> None:
        if found.json("figures.json") != {"area": 1} or found.path("notes").read_text() != "made by the stage\n":
            raise Garbage("files: not what the stage makes")
        if type(found.seconds) not in (float, int) or not 0 <= found.seconds < math.inf:
            raise Garbage(f"seconds: {found.seconds!r}")
        if type(found.date) is not str:
            raise Garbage(f"date: {found.date!r}")

    return Case(stage, check)


def _cache_entry(_: None, rng: Random, folder: Path) -> Case:
    """A record as earlier runs keep them, or a netlist with its facts."""
    from synth import mapping

    entry = folder / "entry"
    entry.mkdir()
    (entry / "netlist.v").write_text("module m(); endmodule\n")
    digest = sha256_file(entry / "netlist.v")
    facts = {"area_um2": 1.0, "delay_ns": 2.0, "cell_counts": {"INV": 3}, "netlist_sha256": digest}
    write_file(entry / "facts.json", record_text(facts))
    path = entry / rng.choice(("netlist.v", "facts.json", "facts.json", "facts.json"))
    content = path.read_bytes()
    path.unlink()
    if rng.random() < 0.2:
        mutations.misplaced(path, content, rng)
    elif path.name == "netlist.v" or rng.random() < 0.3:
        path.write_bytes(mutations.damaged(content, rng))
    else:
        path.write_text(mutations.json_text(json.loads(content), rng), encoding="utf-8", errors="surrogateescape")
    read = (lambda: read_record(path)) if path.name == "facts.json" and rng.random() < 0.5 else (lambda: mapping._read(entry))

    def check(found: dict[str, Any] | None) -> None:
        if found is not None and found != facts:
            raise Garbage(f"facts: others than were kept: {found!r}")

    return Case(read, check)


TARGETS = (
    Target("results", 10, _results, _results_file),
    Target("stages", 5, lambda _: None, _stage_record),
    Target("caches", 5, lambda _: None, _cache_entry),
)
