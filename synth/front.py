# SPDX-License-Identifier: Apache-2.0
"""The front of one configuration: what area each clock period takes, from minimum area to maximum speed.

An architecture is mapped in both its structures by the recipes for area, by those for speed, and by those between them, in
which full adders of cells become gates bit by bit. What no other netlist beats in both area and delay is the front. Where
neighbours are further apart than asked for, shares of cells between theirs are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from golden import ToolError, UnitConfig

from .flow import FIRST_ADDER, JOBS, MORE_ADDERS, Workshop, area_recipes, fast_recipes, fastest, mixed_recipes
from .mapping import DEFAULT_CACHE, Mapped
from .pdk import Pdk
from .recipe import Recipe

__all__ = ["STEP", "front", "pareto", "steps"]

STEP = 0.03  # neighbours' areas should differ by less
_ROUNDS = 3
_FAMILY = (
    ("buffered", (1.0, 0.6)),
    ("balanced", (1.0, 0.6, 0.3)),
    ("speed", (1.0, 0.6, 0.3, 0.15)),
    ("delay", (0.6, 0.3, 0.15)),
)
_GATES = -0.3  # an allowance at which hardly a cell is left: where refinement takes gates to be


def front(
    config: UnitConfig,
    pdk: Pdk,
    cache: Path = DEFAULT_CACHE,
    jobs: int = JOBS,
    advance: Callable[[str], None] | None = None,
    step: float = STEP,
) -> list[Mapped]:
    """Netlists of one architecture that no other beats in area and delay, the smallest and slowest first.

    Parameters
    ----------
    config
        The configuration; its architecture's structure for speed is tried as well.
    step
        Largest difference in area between neighbours, as a share of the larger. What recipes can do bounds it: ask `steps`.

    Raises
    ------
    InputError, ToolError
        If a Liberty file cannot be used, or a tool is missing or fails.
    """
    from hdl.architectures import architecture_of

    shop = Workshop(pdk, cache, jobs, advance)
    quick = config.varied(architecture=architecture_of(config).fast or config.architecture)
    configs = list(dict.fromkeys((config, quick)))
    shop.run_recipes((one, area_recipes(one, pdk)) for one in configs)
    shop.run_recipes((one, fast_recipes(one, (FIRST_ADDER, *MORE_ADDERS))) for one in configs)
    gates = [one for one in shop.results(quick) if one.recipe.full_adders == "logic"]
    if not gates:
        raise ToolError(f"{quick.name}: every synthesis for speed failed, the first with: {next(iter(shop.failed.values()))}")
    best = fastest(gates).recipe
    for one in configs:
        if ladder := mixed_recipes(one, pdk, best):
            family = [
                replace(ladder[0], script=script, adder=FIRST_ADDER, allowance=a) for script, some in _FAMILY for a in some
            ]
            shop.run_recipes([(one, ladder + family)])

    def found() -> list[Mapped]:
        return pareto(mapped for one in configs for mapped in shop.results(one))

    for _ in range(_ROUNDS):
        wide = [pair for pair in pairwise(found()) if _step(*pair) >= step]
        if not shop.run_recipes((config, recipes) for pair in wide for config, recipes in _between(*pair, best)):
            break
    return found()


def pareto(results: Iterable[Mapped]) -> list[Mapped]:
    """Those that no other beats, from small and slow to large and fast; of equals one."""
    kept: list[Mapped] = []
    for mapped in sorted(results, key=lambda one: (one.area_um2, one.delay_ns, one.netlist_sha256)):
        if not kept or mapped.delay_ns < kept[-1].delay_ns:
            kept.append(mapped)
    return kept


def steps(netlists: Sequence[Mapped]) -> list[float]:
    """Difference in area between neighbours of a front, as a share of the larger."""
    return [_step(small, large) for small, large in pairwise(netlists)]


def _step(small: Mapped, large: Mapped) -> float:
    return 1 - small.area_um2 / large.area_um2


def _between(small: Mapped, large: Mapped, best: Recipe) -> list[tuple[UnitConfig, list[Recipe]]]:
    """Recipes with a share of cells between that of two neighbours, by the scripts of both and by the fastest."""
    shares = [mapped.recipe.allowance if mapped.recipe.full_adders == "cells" else _GATES for mapped in (small, large)]
    if not any(mapped.recipe.full_adders == "cells" for mapped in (small, large)) or shares[0] == shares[1]:
        return []
    cells = small.recipe if small.recipe.full_adders == "cells" else large.recipe
    middle = round(sum(shares) / 2, 3)
    scripts = dict.fromkeys((small.recipe.script, large.recipe.script, best.script))
    recipes = [replace(cells, script=script, delay_ps=0 if script == "area" else 1, allowance=middle) for script in scripts]
    return [(config, recipes) for config in dict.fromkeys((small.config, large.config))]
