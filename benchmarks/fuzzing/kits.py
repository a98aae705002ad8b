# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed of cell libraries: Liberty files, folders of platforms, Boolean expressions."""

from __future__ import annotations

import gzip
import math
import re
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np

from synth import liberty, pdk
from synth.boolean import Expression, parse
from synth.cell_models import cell_models
from synth.liberty import Library
from synth.liberty_text import unpacked

from . import mutations
from .engine import Case, Target, garbage, nothing

__all__ = ["TARGETS"]

_ROOT = Path(__file__).resolve().parents[2]


def _libraries(_: Path) -> list[list[str]]:
    """Texts of two small libraries: one made up, one of a few cells of an installed kit, if there is one."""
    texts = [(_ROOT / "tests/synth/tiny.lib").read_text()]
    if installed := [kit for kit in pdk.discover() if kit.full_adder and kit.flip_flop]:
        kit = installed[0]
        whole = kit.liberty[0].read_text()
        head, *cells = re.split(r"(?m)^(?=\s*cell\s*\()", whole)
        chosen = [cell for cell in cells[:-1] if re.match(r"\s*cell\s*\(\s*\"?(INVX1|NAND2X1|DFFPOSX1|FAX1)\b", cell)]
        texts.append("".join([head, *chosen]) + "\n}\n")
    return [mutations.tokens(one) for one in texts]


@lru_cache(maxsize=1)
def _gzip_bomb() -> bytes:
    return gzip.compress(b"library (x) {" + b" " * (1 << 28) + b"}", 1, mtime=0)


def _liberty(texts: list[list[str]], rng: Random, folder: Path) -> Case:
    path = folder / rng.choice(("cells.lib", "cells.lib.gz"))
    spoilt = mutations.text(rng.choice(texts), rng).encode("utf-8", "surrogateescape")
    if rng.random() < 0.05:
        mutations.misplaced(path, spoilt, rng)
    elif path.suffix == ".gz" and rng.random() < 0.02:
        path.write_bytes(_gzip_bomb())
    else:
        if path.suffix == ".gz" and rng.random() < 0.9:
            spoilt = gzip.compress(spoilt, 1, mtime=0)
            spoilt = mutations.damaged(spoilt, rng) if rng.random() < 0.3 else spoilt
        path.write_bytes(spoilt)

    def run() -> Library:
        kit = pdk.find(liberty=[path])
        library = liberty.load(kit.liberty)
        for name in library.cells:
            library.cell(name)
        if rng.random() < 0.3:
            for copy in unpacked(kit.liberty, folder.parent / "cache"):
                copy.unlink()
            for made in (folder.parent / "cache" / "liberty", folder.parent / "cache"):
                made.rmdir()
        cell_models(library, [name for name, cell in library.cells.items() if not cell.latches and not cell.has_state_table])
        return library

    return Case(run, _sound_library)


def _sound_library(library: Library) -> None:
    for name, value in asdict(library.units).items():
        garbage(not 0 < value < math.inf, f"{name}: {value}")
    garbage(not 0 < library.voltage < math.inf, f"voltage: {library.voltage}")
    low, high = library.slew_thresholds
    garbage(not 0 <= low < high <= 1, f"slew thresholds: {low} {high}")
    for cell in library.cells.values():
        garbage(not 0 <= cell.area < math.inf, f"area: {cell.area} of {cell.name}")
        leakages = [one.value for one in cell.leakage] + [cell.cell_leakage or 0.0]
        garbage(not all(math.isfinite(value) for value in leakages), f"leakage: {leakages} of {cell.name}")
        for pin in cell.pins.values():
            capacitances = (pin.capacitance, pin.rise_capacitance, pin.fall_capacitance, pin.max_capacitance or 0.0)
            garbage(not all(0 <= value < math.inf for value in capacitances), f"capacitance: {capacitances} of {cell.name}")
            tables = [table for arc in pin.timing for table in arc.tables.values()]
            tables += [table for power in pin.internal_power for table in (power.rise, power.fall) if table is not None]
            for table in tables:
                numbers = np.concatenate([table.values.ravel(), *table.indices])
                garbage(not np.isfinite(numbers).all(), f"table: not finite in {cell.name}")


def _platforms(folder: Path) -> list[str]:
    """Places of Liberty files in a folder of platforms; their text."""
    del folder
    return ["asap7/lib/NLDM/asap7sc7p5t_SIMPLE_RVT_TT_nldm_1.lib", "sky130hd/lib/sky130_fd_sc_hd__tt_025C_1v80.lib"]


def _platform(places: list[str], rng: Random, folder: Path) -> Case:
    content = (_ROOT / "tests/synth/tiny.lib").read_bytes()
    root = folder / rng.choice(("platforms", "plat [1]*", "é"))
    for place in places:
        path = root / place
        if rng.random() < 0.3:
            path = (
                path.parents[rng.choice((0, 0, 1))]
                if rng.random() < 0.5
                else path.with_name(rng.choice(("x.lib", "config.mk")))
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            if rng.random() < 0.6:
                mutations.misplaced(path, content, rng)
            else:
                path.write_bytes(mutations.damaged(content, rng))
    root = root if rng.random() < 0.8 else rng.choice((folder / "nowhere", next(path for path in root.rglob("*") if path.name)))
    name = rng.choice(("asap7", "sky130hd", *mutations.WORDS))

    def run() -> Library:
        kit = pdk.find(name, platforms=root, environ={}, qflow=folder)
        library = liberty.load(kit.liberty)
        for cell in library.cells:
            library.cell(cell)
        return library

    return Case(run, _sound_library)


_EXPRESSIONS = ("!A", "(A B)'", "A ^ B ^ !C + D*E", "((A&B)|(!C&D'))' 1", "IQ' * (D + 0)", "A+B C'^D")


def _expression(_: None, rng: Random, __: Path) -> Case:
    source = mutations.text(mutations.tokens(rng.choice(_EXPRESSIONS)), rng)

    def check(expression: Expression) -> None:
        names = sorted(expression.names)
        if len(names) > 6 or len(source) > 1000 or set(names) & {"if", "in", "or", "is", "and", "not", "for", "def", "as"}:
            return
        if any(re.fullmatch(r"[A-Za-z_]\w*", name) is None for name in names):
            return
        written = expression.verilog().replace("1'b", "")
        expected = [
            bool(eval(written, {}, {name: state >> i & 1 for i, name in enumerate(names)}) & 1)
            for state in range(1 << len(names))
        ]
        garbage(expression.truth_table(names).tolist() != expected, f"truth table: not that of {written}")

    return Case(lambda: parse(source), check)


TARGETS = (
    Target("liberty files", 25, _libraries, _liberty),
    Target("platform folders", 5, _platforms, _platform),
    Target("expressions", 10, nothing, _expression),
)
