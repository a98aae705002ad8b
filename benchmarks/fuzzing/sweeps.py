# SPDX-License-Identifier: Apache-2.0
"""Sweep files, fuzzed: what is read is a plan whose points can be, or it is refused in one line."""

from __future__ import annotations

from pathlib import Path
from random import Random

from . import mutations
from .engine import Case, Garbage, Target

__all__ = ["TARGETS"]

_SWEEP = """
format = ["int8", "dint4"]  # comment
architecture = ["booth-carry", "digit-grid"]
shape = ["mac", "pe"]
lanes = [1, 16]
pipeline = 1
depth = 4096
decoded = [false, true]
pdk = "osu018"
period = ["minimum-area", 8.0, 4]
activity = "sdf"
dataflow = "weights-held"
cycles = 64
seed = 3
power-engine = "dint"
"""


def _sweep(words: list[str], rng: Random, folder: Path) -> Case:
    from golden.artifacts import canonical_json
    from hdl.architectures import architecture_of
    from sweep.plan import Plan, describe, read_plan
    from synth.request import Request

    path = folder / "sweep.toml"
    mutations.spoilt_file(path, words, rng)

    def check(plan: Plan) -> None:
        described = {canonical_json(describe(point)) for point in plan.points}
        if not plan.points or len(described) < len(plan.points):
            raise Garbage("no points, or one twice")
        for point in plan.points:
            point.check()
            architecture_of(point.unit)
            if point.pdk not in plan.kits:
                raise Garbage(f"pdk: {point.pdk!r}")
            if Request.of(point.plain()) != point:
                raise Garbage("plain: not the point")

    return Case(lambda: read_plan(path), check)


TARGETS = (Target("sweep files", 8, lambda _: mutations.tokens(_SWEEP), _sweep),)
