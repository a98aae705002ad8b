"""The search of one comparison: netlists of minimum area and netlists for the baseline's tightest clock, by equal effort.

1. Every architecture that can do a format is mapped for area, by the same recipes; those over `Effort.keep` times the smallest
   of their format are dropped, on every side alike.
2. The others are mapped for speed, in the structure that is built for it, the fastest of each format by more recipes; the
   clock period is the shortest at which an INT8 unit closes, to the resolution of the search (if no dINT4 unit can follow,
   the shortest at which both close).
3. Netlists near that period are sized for it; of every architecture the smallest netlist that closes counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from golden import MacConfig, format_by_name
from sim.workload import OPT, STREAMING

from .flow import FIRST_ADDER, Workshop, area_recipes, fast_recipes, fastest, recovery_recipes, smallest
from .mapping import Mapped

__all__ = ["BASELINE", "CANDIDATE", "FORMATS", "REFERENCE", "Effort", "Found", "search", "small_architectures"]

BASELINE, CANDIDATE, REFERENCE = FORMATS = ("int8", "dint4", "int4")


@dataclass(frozen=True)
class Effort:
    """How much is tried; the same for every format.

    Parameters
    ----------
    keep
        Architectures above this multiple of the smallest area of their format are not followed further.
    margin
        The clock period lies above the shortest found by this share, the resolution of the search: at the shortest itself a
        single netlist closes, and its area is a matter of luck.
    fast
        Number of architectures of each format, the fastest first, that more adders than the first are tried for.
    adders
        Those adders.
    recover
        Number of netlists of each architecture that are sized for the clock period.
    cycles
        Clock cycles of each sample of an energy measurement, by lane count up to which they apply.
    workloads
        Sources and dataflows of operands (`sim.workload`) that energy is measured for.
    samples
        Samples of operands, each with a simulation of its own, for the finalists' energy; their spread gives its standard
        error.
    clock_reference
        Take INT4 to the common clock too; otherwise the cost of the denormal codes is given at minimum area only.
    """

    keep: float = 1.25
    margin: float = 0.03
    fast: int = 2
    adders: tuple[str, ...] = ("kogge-stone",)
    recover: int = 1
    cycles: tuple[tuple[int, int], ...] = ((1, 512), (64, 192))
    workloads: tuple[tuple[str, str], ...] = ((OPT, STREAMING),)
    samples: int = 3
    clock_reference: bool = False

    def cycles_for(self, lanes: int) -> int:
        """Cycles of an energy measurement of a unit with `lanes`."""
        return next(cycles for limit, cycles in self.cycles if lanes <= limit)


@dataclass
class Found:
    """What the search found on one kit for one lane count, by format: a netlist an architecture."""

    minimum: dict[str, list[Mapped]] = field(default_factory=dict)  # the smallest
    clocked: dict[str, list[Mapped]] = field(default_factory=dict)  # the smallest that close at the period
    tightest_ns: dict[str, float] = field(default_factory=dict)  # shortest period of each format
    period_ns: float = math.nan


def search(shop: Workshop, lanes: int, depth: int, pipeline: int, effort: Effort) -> Found:
    """Search one kit (the workshop's) for one lane count.

    Raises
    ------
    InputError, ToolError
        If a Liberty file cannot be used, or a tool is missing or fails.
    """
    found = Found(clocked={name: [] for name in FORMATS})
    plain = {name: MacConfig(format_by_name(name), lanes=lanes, depth=depth, pipeline=pipeline) for name in FORMATS}
    small = {name: [replace(config, architecture=one) for one in small_architectures(name)] for name, config in plain.items()}
    shop.run_recipes((config, area_recipes(config, shop.pdk)) for group in small.values() for config in group)
    for name, group in small.items():
        best = [_smallest(shop.results(config)) for config in group]
        limit = effort.keep * min(mapped.area_um2 for mapped in best)
        found.minimum[name] = [mapped for mapped in best if mapped.area_um2 <= limit]
    _search_at_the_clock(shop, found, effort)
    return found


def small_architectures(number_format: str) -> list[str]:
    """Names of the architectures that can do a format and are not built for speed."""
    from hdl.architectures import ARCHITECTURES

    return [name for name, one in ARCHITECTURES.items() if number_format in one.formats and not one.for_speed]


def _search_at_the_clock(shop: Workshop, found: Found, effort: Effort) -> None:
    """Steps 2 and 3."""
    from hdl.architectures import ARCHITECTURES

    def fast_of(config: MacConfig) -> MacConfig:
        return replace(config, architecture=ARCHITECTURES[config.architecture].fast or config.architecture)

    def shortest_ns(config: MacConfig) -> float:
        return fastest(shop.results(config)).delay_ns

    followed = {
        name: [mapped.config for mapped in best]
        for name, best in found.minimum.items()
        if name != REFERENCE or effort.clock_reference
    }
    fast = {name: list(dict.fromkeys(map(fast_of, configs))) for name, configs in followed.items()}
    shop.run_recipes((config, fast_recipes(config, (FIRST_ADDER,))) for config in _all(fast))
    ahead = {name: sorted(configs, key=shortest_ns)[: effort.fast] for name, configs in fast.items()}
    shop.run_recipes((config, fast_recipes(config, effort.adders)) for config in _all(ahead))
    found.tightest_ns = {name: min(map(shortest_ns, configs)) for name, configs in fast.items()}
    # In whole picoseconds; the baseline decides, unless the candidate cannot follow.
    wanted = max((1 + effort.margin) * found.tightest_ns[BASELINE], found.tightest_ns[CANDIDATE])
    found.period_ns = math.ceil(1000 * wanted) / 1000

    sized = []
    # Every architecture, since the smallest is seldom the most frugal.
    for config in _all(fast):
        near = sorted(
            (mapped for mapped in shop.results(config) if mapped.recipe.delay_ps == 1),
            # Sizing makes netlists a little faster too, so what misses by a little has a chance.
            key=lambda mapped: (mapped.delay_ns > 1.02 * found.period_ns, mapped.area_um2),
        )[: effort.recover]
        sized += [(config, recovery_recipes(mapped.recipe, found.period_ns)) for mapped in near]
    shop.run_recipes(sized)
    for name, configs in fast.items():
        closing = (smallest(shop.results(config), found.period_ns) for config in dict.fromkeys([*followed[name], *configs]))
        found.clocked[name] = [mapped for mapped in closing if mapped is not None]


def _all(configs: Mapping[str, Sequence[MacConfig]]) -> list[MacConfig]:
    return [config for group in configs.values() for config in group]


def _smallest(results: Iterable[Mapped]) -> Mapped:
    best = smallest(results)
    assert best is not None
    return best
