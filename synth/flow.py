# SPDX-License-Identifier: Apache-2.0
"""The search for a good netlist: the same recipes for every architecture and format, run in parallel, cached one by one.

For the smallest area, every architecture is mapped with full-adder cells in both polarities and, where it is followed, with
both small adders. For a clock period it is mapped for speed as well, with full adders of gates, which ABC may restructure (a
full-adder cell is a wall to it), and between the two with some of either kind; what closes with the least area is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from golden import UnitConfig
from golden.errors import InputError, ToolError
from sim.processes import children_end_with_us

from . import liberty_text
from .mapping import DEFAULT_CACHE, Mapped, area_by_part, generate_all, map_design
from .pdk import Pdk
from .recipe import Recipe

__all__ = [
    "JOBS",
    "SMALL_ADDERS",
    "Task",
    "Workshop",
    "area_recipes",
    "bisect",
    "fast_recipes",
    "fastest",
    "mixed_recipes",
    "smallest",
    "smallest_of",
    "synthesize",
    "to_size",
]

JOBS = 2
SMALL_ADDERS = ("brent-kung", "ripple")
FIRST_ADDER = "sklansky"
MORE_ADDERS = ("kogge-stone", "brent-kung")
FAST_SCRIPTS = ("balanced", "speed", "delay")
# Delay targets of the last round as shares of the clock period: ABC does not see setup times and the delay of flip-flops.
RECOVERY = (0.98, 0.9)
# Between minimum area and speed, from small to fast: the script, and the time that full-adder cells may take. No script stands
# for the one that was the fastest with gates only.
MIXED = (
    ("area", 0.6),
    ("buffered", 0.6),
    ("balanced", 1.0),
    ("balanced", 0.6),
    ("balanced", 0.3),
    ("", 0.3),
    ("", 0.15),
    ("", -0.1),
)


@dataclass(frozen=True)
class Task:
    """One synthesis to do."""

    config: UnitConfig
    recipe: Recipe


def area_recipes(config: UnitConfig, pdk: Pdk, adders: Iterable[str] = SMALL_ADDERS) -> list[Recipe]:
    """What is tried for the smallest area. A multiplication left to Yosys is tried with and without its Booth multiplier."""
    if config.architecture == "multiply":
        return [Recipe("logic"), Recipe("logic", booth=True)]
    if pdk.full_adder is None:
        return [Recipe("logic", adder=adder) for adder in adders]
    return [Recipe("cells", complement=complement, adder=adder) for adder in adders for complement in (False, True)]


def fast_recipes(config: UnitConfig, adders: Iterable[str], scripts: Iterable[str] = FAST_SCRIPTS) -> list[Recipe]:
    """What is tried for speed, without regard to area."""
    scripts = tuple(scripts)
    booth = config.architecture == "multiply"
    return [Recipe("logic", adder=adder, script=script, delay_ps=1, booth=booth) for adder in adders for script in scripts]


def to_size(results: Iterable[Mapped], period_ns: float, count: int) -> list[Mapped]:
    """The `count` netlists to size for a period: the smallest of those mapped for speed, with gates only, that close.

    What misses the period at full speed is left out: of several hundred, on three libraries, none closed by being sized.
    """
    gates = (mapped for mapped in results if (mapped.recipe.full_adders, mapped.recipe.delay_ps) == ("logic", 1))
    return sorted((mapped for mapped in gates if mapped.closes(period_ns)), key=lambda mapped: mapped.area_um2)[:count]


def mixed_recipes(config: UnitConfig, pdk: Pdk, fast: Recipe) -> list[Recipe]:
    """Between the two, from small to fast: some full adders are cells, the others gates.

    Parameters
    ----------
    fast
        The recipe with gates only by which the architecture is the fastest: its adder and its script suit it.
    """
    if config.architecture == "multiply" or pdk.full_adder is None:
        return []
    mixed = replace(fast, full_adders="cells", complement=pdk.full_adder.inverted, delay_ps=1)
    return [
        replace(
            mixed,
            script=script or fast.script,
            adder="brent-kung" if script in ("area", "buffered") else fast.adder,
            allowance=time,
        )
        for script, time in MIXED
    ]


class Workshop:
    """Runs syntheses for one kit, `jobs` at a time, and counts them.

    One that fails is marked as failed, and the others go on; only when none succeeds is that an error.

    Parameters
    ----------
    advance
        Called after each synthesis, with what was done.

    Attributes
    ----------
    failed
        What a tool said of each synthesis that failed.
    """

    def __init__(
        self, pdk: Pdk, cache: Path = DEFAULT_CACHE, jobs: int = JOBS, advance: Callable[[str], None] | None = None
    ) -> None:
        self.pdk = pdk
        self.cache = cache
        self._jobs = jobs
        self._advance = advance
        self._done: dict[Task, Mapped] = {}
        self.failed: dict[Task, str] = {}

    def run(self, tasks: Sequence[Task]) -> list[Mapped | None]:
        """The results of `tasks`, in order, None for what failed; none is done twice.

        Raises
        ------
        ToolError
            If all have failed, of these tasks and of those before.
        """
        from joblib import Parallel, delayed

        new = [task for task in dict.fromkeys(tasks) if task not in self._done and task not in self.failed]
        generate_all([task.config for task in new], self._jobs)
        if new:
            # Here, since a thread that still writes when another one has failed leaves half a file.
            liberty_text.unpacked(self.pdk.liberty, self.cache)
        with children_end_with_us():
            calls = (delayed(self._mapped)(task) for task in new)
            # Threads are enough, since each only waits for Yosys.
            for task, mapped in zip(new, Parallel(self._jobs, prefer="threads", return_as="generator")(calls), strict=True):
                if isinstance(mapped, ToolError):
                    self.failed[task] = str(mapped)
                    if not self._done and len(self.failed) == len(new):
                        raise mapped
                else:
                    self._done[task] = mapped
                if self._advance is not None:
                    self._advance(f"{self.pdk.name} {task.config.name}")
        return [self._done.get(task) for task in tasks]

    def _mapped(self, task: Task) -> Mapped | ToolError:
        try:
            return map_design(task.config, self.pdk, task.recipe, self.cache)
        except ToolError as error:
            return error

    def run_recipes(self, pairs: Iterable[tuple[UnitConfig, Sequence[Recipe]]]) -> list[Mapped]:
        """All recipes of all configurations, as one batch; what did not fail."""
        tasks = [Task(config, recipe) for config, recipes in pairs for recipe in recipes]
        return [mapped for mapped in self.run(tasks) if mapped is not None]

    def size(self, fast: Iterable[tuple[Mapped, float]]) -> None:
        """Map netlists again with gates sized for a period in ns; for less of it where the result does not close."""
        pending = list(fast)
        for share in RECOVERY:
            tasks = [Task(one.config, replace(one.recipe, delay_ps=round(1000 * period * share))) for one, period in pending]
            again = zip(self.run(tasks), (period for _, period in pending), strict=True)
            pending = [(mapped, period) for mapped, period in again if mapped is not None and not mapped.closes(period)]

    def areas_by_part(self, designs: Sequence[Mapped]) -> list[tuple[dict[str, float], float]]:
        """`synth.mapping.area_by_part` of each."""
        from joblib import Parallel, delayed

        with children_end_with_us():
            calls = (delayed(area_by_part)(mapped, self.pdk, self.cache) for mapped in designs)
            return list(Parallel(self._jobs, prefer="threads")(calls))

    def results(self, config: UnitConfig) -> list[Mapped]:
        """Everything mapped so far for a configuration."""
        return [mapped for task, mapped in self._done.items() if task.config == config]

    def smallest_of_each(self, configs: Iterable[UnitConfig]) -> list[Mapped]:
        """The smallest result of each configuration that has one; ToolError if none has."""
        best = [mapped for mapped in (smallest(self.results(config)) for config in configs) if mapped is not None]
        if not best:
            raise ToolError(f"{self.pdk.name}: every synthesis failed, the first with: {next(iter(self.failed.values()))}")
        return best

    def architectures(self, format_name: str) -> list[str]:
        """Architectures of a format that were mapped, and what they register, where that was a choice."""
        configs = [task.config for task in self._done if task.config.format_name == format_name]
        choice = len({one.pipeline for one in configs}) > 1
        registered = (" registered" * (choice and one.pipeline > 0) + " decoded" * one.decoded for one in configs)
        return list(dict.fromkeys(one.architecture + more for one, more in zip(configs, registered, strict=True)))

    def count(self, format_name: str, lanes: int) -> int:
        """Number of syntheses for a format and lane count."""
        return sum(task.config.format_name == format_name and task.config.lanes == lanes for task in self._done)


def smallest(results: Iterable[Mapped], period_ns: float | None = None) -> Mapped | None:
    """The smallest result, of those that close at a period; the faster of equals. None if none closes."""
    closing = [mapped for mapped in results if period_ns is None or mapped.closes(period_ns)]
    return min(closing, key=lambda mapped: (mapped.area_um2, mapped.delay_ns, mapped.netlist_sha256), default=None)


def smallest_of(results: Iterable[Mapped]) -> Mapped:
    """The smallest of results, whatever their delay; the faster of equals. ToolError if there is none."""
    if (best := smallest(results)) is None:
        raise ToolError("every synthesis of a unit failed: Yosys or OpenSTA may be damaged; install them again")
    return best


def fastest(results: Iterable[Mapped]) -> Mapped:
    """The fastest result; the smaller of equals."""
    return min(results, key=lambda mapped: (mapped.delay_ns, mapped.area_um2, mapped.netlist_sha256))


def bisect(shop: Workshop, ladders: Mapping[UnitConfig, Sequence[Recipe]], periods_ns: Iterable[float]) -> None:
    """For each period, map by recipes that get faster and larger until the first that closes is known.

    All architectures are mapped at once; of n recipes about log2(n) are tried, and for a shorter period none below what closes
    at the longer. Delays do not fall strictly along a ladder, so that another recipe may close with less area.
    """
    first = dict.fromkeys(ladders, 0)
    for period_ns in sorted(periods_ns, reverse=True):
        spans = {config: (low, len(ladders[config])) for config, low in first.items()}
        while unknown := {config: (low + high) // 2 for config, (low, high) in spans.items() if low < high}:
            tasks = [Task(config, ladders[config][middle]) for config, middle in unknown.items()]
            for (config, middle), mapped in zip(unknown.items(), shop.run(tasks), strict=True):
                low, high = spans[config]
                closes = mapped is not None and mapped.closes(period_ns)
                spans[config] = (low, middle) if closes else (middle + 1, high)
        first = {config: low for config, (low, _) in spans.items()}


def synthesize(
    config: UnitConfig,
    pdk: Pdk,
    target_period_ns: float | None = None,
    cache: Path = DEFAULT_CACHE,
    jobs: int = JOBS,
    advance: Callable[[str], None] | None = None,
) -> Mapped:
    """The best netlist of one configuration: the smallest, or the smallest that closes at a period.

    If nothing closes, the fastest that was found is returned: compare its `delay_ns` with the period.

    Raises
    ------
    InputError
        If the period is not positive.
    """
    if target_period_ns is not None and not 0 < target_period_ns < float("inf"):
        raise InputError(f"period is {target_period_ns:g} ns: it must be positive; leave it out for the smallest area")
    workshop = Workshop(pdk, cache, jobs, advance)
    results = workshop.run_recipes([(config, area_recipes(config, pdk))])
    best = smallest(results, target_period_ns)
    if best is not None or target_period_ns is None:
        assert best is not None
        return best
    fast = workshop.run_recipes([(config, fast_recipes(config, (FIRST_ADDER, *MORE_ADDERS)))])
    if fast:
        bisect(workshop, {config: mixed_recipes(config, pdk, fastest(fast).recipe)}, [target_period_ns])
        workshop.size((mapped, target_period_ns) for mapped in to_size(fast, target_period_ns, 2))
    everything = workshop.results(config)
    return smallest(everything, target_period_ns) or fastest(everything)
