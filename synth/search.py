# SPDX-License-Identifier: Apache-2.0
"""The search of one comparison: netlists of minimum area and netlists for the baseline's tightest clock, by equal effort.

1. Every architecture that can do a format is mapped for area, by the same recipes; those over `Effort.keep` times the smallest
   of their format are dropped, on every side alike. Those kept are mapped with a ripple-carry adder as well; with few lanes so
   are their structures for speed, which are a little larger there and may be more frugal.
2. Those kept are mapped for speed, in the structure that is built for it, the fastest of each format by more recipes. The
   first clock period is the shortest at which an INT8 unit closes, and a little (if no dINT4 unit can follow, the shortest at
   which both close); the others are longer, since areas change by leaps where few netlists close. Other groups of formats may
   set clocks, likewise.
3. For each period every architecture is mapped with full adders of cells and of gates, as few gates as close, in its structure
   for speed and with few lanes in the small one too; where hardly a full adder can be a cell, netlists of gates only are sized.
   Of every architecture the smallest netlist that closes counts.
4. Where no unit of a block format closes, 2 and 3 are done with a register behind what scales a block. That is an edge of
   latency more than others have, so that such units count at those clocks only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from golden import BlockMacConfig, NumberFormat, UnitConfig, formats_of, unit_of_options
from golden.errors import ToolError
from golden.shapes import MAC
from sim.workload import OPT, STREAMING, UNIFORM

from .flow import (
    FIRST_ADDER,
    SMALL_ADDERS,
    Workshop,
    area_recipes,
    bisect,
    fast_recipes,
    fastest,
    mixed_recipes,
    smallest,
    smallest_of,
    to_size,
)
from .mapping import Mapped

__all__ = ["BASELINE", "CANDIDATE", "FORMATS", "REFERENCE", "Effort", "Found", "search", "small_architectures", "units"]

_FEW_CELLS = 0.15  # up to this allowance hardly a full adder is a cell
_Value = TypeVar("_Value")

BASELINE, CANDIDATE, REFERENCE = FORMATS = ("int8", "dint4", "int4")


@dataclass(frozen=True)
class Effort:
    """How much is tried; the same for every format.

    Parameters
    ----------
    keep
        Architectures above this multiple of the smallest area of their format are not followed further. Where a format has an
        architecture that is much smaller than its others, the most frugal may be among those. None: all are followed.
    margins
        The clock periods lie above the shortest found by these shares. At the shortest itself a single netlist closes, and its
        area is a matter of luck.
    scripts
        ABC's scripts for speed, of `synth.recipe.SCRIPTS`.
    fast
        Number of architectures of each format, the fastest first, that more adders than the first are tried for.
    adders
        Those adders, by lane count up to which they apply: the fewer lanes, the more of the delay is the adder's.
    both
        Lane count up to which both structures of an architecture are mapped for area, and between area and speed; with more
        lanes the small one is for the former and the fast one for the latter. They differ around the accumulator, which is the
        lesser part of a unit with many lanes.
    recover
        Number of netlists of each architecture that are sized for a clock period.
    cycles
        Clock cycles of each sample of an energy measurement, by lane count up to which they apply.
    workloads
        Sources and dataflows of operands (`sim.workload`) that energy is measured for, of every netlist.
    also
        More of them, for the finalists of the first workload only.
    samples
        Samples of operands, each with a simulation of its own, for the finalists' energy; their spread gives its standard
        error.
    clock_reference
        Take INT4 to the common clock too; otherwise the cost of the denormal codes is given at minimum area only.
    """

    keep: float | None = 1.33
    margins: tuple[float, ...] = (0.03, 0.25)
    scripts: tuple[str, ...] = ("speed", "delay")
    fast: int = 2
    adders: tuple[tuple[int, tuple[str, ...]], ...] = ((1, ("kogge-stone", "brent-kung")), (64, ("kogge-stone",)))
    both: int = 1
    recover: int = 1
    cycles: tuple[tuple[int, int], ...] = ((1, 384), (64, 96))
    workloads: tuple[tuple[str, str], ...] = ((OPT, STREAMING),)
    also: tuple[tuple[str, str], ...] = ((UNIFORM, STREAMING),)
    samples: int = 3
    clock_reference: bool = False

    def cycles_for(self, lanes: int) -> int:
        """Cycles of an energy measurement of a unit with `lanes`."""
        return _by_lanes(self.cycles, lanes)

    def adders_for(self, lanes: int) -> tuple[str, ...]:
        """More adders for a unit with `lanes`."""
        return _by_lanes(self.adders, lanes)


def _by_lanes(values: Iterable[tuple[int, _Value]], lanes: int) -> _Value:
    return next(value for limit, value in values if lanes <= limit)


@dataclass
class Found:
    """What the search found on one kit for one lane count, by format: a netlist an architecture."""

    minimum: dict[str, list[Mapped]] = field(default_factory=dict)  # the smallest
    clocked: dict[float, dict[str, list[Mapped]]] = field(default_factory=dict)  # period in ns -> the smallest that close
    fastest: dict[str, Mapped] = field(default_factory=dict)  # of each format
    failed: dict[str, str] = field(default_factory=dict)  # formats without any netlist, and why

    @property
    def tightest_ns(self) -> dict[str, float]:
        """Shortest period of each format."""
        return {name: mapped.delay_ns for name, mapped in self.fastest.items()}


def units(
    lanes: int = 1, depth: int = 65536, pipeline: int | None = None, shape: str = MAC, formats: Sequence[str] = FORMATS
) -> dict[str, UnitConfig]:
    """What is compared: the unit of each format, all alike. A processing element has one lane."""
    given = lanes if shape == MAC else None
    named = {name: formats_of(name) for name in formats}
    return {
        name: unit_of_options(
            own, activations=activations, shape=shape, lanes=given, default_lanes=1, depth=depth, pipeline=pipeline
        )
        for name, (own, activations) in named.items()
    }


def search(
    shop: Workshop,
    plain: Mapping[str, UnitConfig],
    effort: Effort,
    clocks: Sequence[Collection[str]] = ((BASELINE, CANDIDATE),),
) -> Found:
    """Search one kit (the workshop's) for units of one shape and lane count.

    Parameters
    ----------
    plain
        The unit of each format.
    clocks
        Groups of formats. Each sets clocks: the shortest period at which a unit of each of its formats closes, and
        `effort.margins`. Every format of any group is mapped for all of them, and may miss those of others.

    Raises
    ------
    InputError, ToolError
        If a Liberty file cannot be used, or a tool is missing or fails.
    """
    found = Found()
    lanes = next(iter(plain.values())).lanes
    small = {
        name: [way for one in small_architectures(config.multiplied, lanes) for way in _ways(config.varied(architecture=one))]
        for name, config in plain.items()
    }
    first, *others = SMALL_ADDERS
    shop.run_recipes((config, area_recipes(config, shop.pdk, (first,))) for group in small.values() for config in group)
    for name, group in small.items():
        try:
            best = shop.smallest_of_each(group)
        except ToolError as error:
            found.failed[name] = str(error)
            continue
        limit = (effort.keep or math.inf) * min(mapped.area_um2 for mapped in best)
        found.minimum[name] = [mapped for mapped in best if mapped.area_um2 <= limit]
    if not found.minimum:
        raise ToolError(next(iter(found.failed.values())))
    kept = [mapped for best in found.minimum.values() for mapped in best]
    shop.run_recipes((mapped.config, [replace(mapped.recipe, adder=adder) for adder in others]) for mapped in kept)
    for name, best in found.minimum.items():
        found.minimum[name] = [smallest_of(shop.results(mapped.config)) for mapped in best]
    if lanes <= effort.both:
        for name, best in found.minimum.items():
            known = [mapped.config for mapped in best]
            fast = [config for config in dict.fromkeys(map(_fast_of, known)) if config not in known]
            shop.run_recipes((config, area_recipes(config, shop.pdk, others)) for config in fast)
            found.minimum[name] += [mapped for config in fast if (mapped := smallest(shop.results(config)))]
    mapped_ones = ([name for name in group if name in found.minimum] for group in clocks)
    _search_at_the_clock(shop, found, effort, lanes, [group for group in mapped_ones if group])
    return found


def small_architectures(number_format: NumberFormat, lanes: int) -> list[str]:
    """Names of the architectures that can do a format and are not built for speed.

    What is left to the synthesis tool (`multiply`) is tried with one lane only: with more, each product has an adder of its
    own there, and the whole is half as large again as with a common tree, or more.
    """
    from hdl.architectures import ARCHITECTURES

    known = {name: one for name, one in ARCHITECTURES.items() if one.can_do(number_format) and not one.for_speed}
    return [name for name in known if lanes == 1 or name != "multiply"]


def _fast_of(config: UnitConfig) -> UnitConfig:
    """The configuration in the structure that is built for speed, if it has one."""
    from hdl.architectures import ARCHITECTURES

    return config.varied(architecture=ARCHITECTURES[config.architecture].fast or config.architecture)


def _ways(config: UnitConfig) -> list[UnitConfig]:
    """A configuration, and where weights are registered and decoded, the one that registers what they select."""
    from hdl.architectures import ARCHITECTURES

    decodes = config.registers_weights and ARCHITECTURES[config.architecture].decodes(config.weight_format)
    return [config, *([config.varied(decoded=True)] if decodes else [])]


def _search_at_the_clock(shop: Workshop, found: Found, effort: Effort, lanes: int, clocks: Sequence[Collection[str]]) -> None:
    """Steps 2 to 4."""
    followed = {
        name: [mapped.config for mapped in best]
        for name, best in found.minimum.items()
        if any(name in group for group in clocks) or effort.clock_reference
    }
    fast = _for_speed(shop, followed, effort, lanes)
    found.fastest = {name: fastest(one for config in configs for one in shop.results(config)) for name, configs in fast.items()}
    slowest = [max(found.tightest_ns[name] for name in group) for group in clocks]
    wanted_ns = [(1 + margin) * shortest_ns for shortest_ns in slowest for margin in effort.margins]
    periods_ns = sorted({math.ceil(1000 * period_ns) / 1000 for period_ns in wanted_ns})  # in whole picoseconds
    _between(shop, followed, fast, effort, lanes, periods_ns)
    for period_ns in periods_ns:
        found.clocked[period_ns] = {name: _closing(shop, followed.get(name, []), period_ns) for name in found.minimum}
    missed = {period_ns: [name for name, closing in those.items() if not closing] for period_ns, those in found.clocked.items()}
    registered = {
        name: [config.varied(pipeline=1) for config in configs]
        for name, configs in followed.items()
        if isinstance(configs[0], BlockMacConfig)
        and not configs[0].pipeline
        and any(name in those for those in missed.values())
    }
    if registered:
        fast = _for_speed(shop, registered, effort, lanes)
        _between(shop, registered, fast, effort, lanes, [period_ns for period_ns, those in missed.items() if those])
        for period_ns, those in missed.items():
            found.clocked[period_ns] |= {
                name: _closing(shop, registered[name], period_ns) for name in those if name in registered
            }


def _for_speed(
    shop: Workshop, followed: Mapping[str, Sequence[UnitConfig]], effort: Effort, lanes: int
) -> dict[str, list[UnitConfig]]:
    """Step 2: what is followed is mapped for speed, the fastest of each format by more recipes; what was mapped so."""

    def delay_ns(config: UnitConfig) -> float:
        return fastest(shop.results(config)).delay_ns

    fast = {name: list(dict.fromkeys(map(_fast_of, configs))) for name, configs in followed.items()}
    shop.run_recipes((config, fast_recipes(config, (FIRST_ADDER,), effort.scripts)) for config in _all(fast))
    fast = {name: [mapped.config for mapped in shop.smallest_of_each(configs)] for name, configs in fast.items()}
    ahead = {name: sorted(configs, key=delay_ns)[: effort.fast] for name, configs in fast.items()}
    shop.run_recipes((config, fast_recipes(config, effort.adders_for(lanes), effort.scripts)) for config in _all(ahead))
    return fast


def _between(
    shop: Workshop,
    followed: Mapping[str, Sequence[UnitConfig]],
    fast: Mapping[str, Sequence[UnitConfig]],
    effort: Effort,
    lanes: int,
    periods_ns: Sequence[float],
) -> None:
    """Step 3: netlists between area and speed, as small as close at each period."""
    between = dict.fromkeys([*(_all(followed) if lanes <= effort.both else []), *_all(fast)])
    # The small structure is mapped by the recipes of its fast one.
    mixed = {
        config: mixed_recipes(config, shop.pdk, fastest(shop.results(_fast_of(config))).recipe)
        for config in between
        if _fast_of(config) in _all(fast)
    }
    bisect(shop, mixed, periods_ns)
    # Every architecture, since the smallest is seldom the most frugal.
    shop.size(
        (mapped, period_ns)
        for period_ns in periods_ns
        for config in _all(fast)
        if not _cells_win(shop.results(config), period_ns)
        for mapped in to_size(shop.results(config), period_ns, effort.recover)
    )


def _closing(shop: Workshop, configs: Sequence[UnitConfig], period_ns: float) -> list[Mapped]:
    """The smallest netlist of each architecture that closes at a period, in either of its structures."""
    pairs = ((config, _fast_of(config)) for config in configs)
    closing = (smallest([*shop.results(one), *shop.results(other)], period_ns) for one, other in pairs)
    return list({mapped.netlist_sha256: mapped for mapped in closing if mapped is not None}.values())


def _cells_win(results: Iterable[Mapped], period_ns: float) -> bool:
    """Whether the smallest netlist that closes has a good part of its full adders in cells: sizing gates wins far less."""
    best = smallest(results, period_ns)
    return best is not None and best.recipe.full_adders == "cells" and best.recipe.allowance > _FEW_CELLS


def _all(configs: Mapping[str, Sequence[UnitConfig]]) -> list[UnitConfig]:
    return [config for group in configs.values() for config in group]
