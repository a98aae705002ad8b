# SPDX-License-Identifier: Apache-2.0
"""What is missing or contradicts itself is refused in one line that says where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from golden.errors import InputError
from report.schema import RESULTS, check
from report.shapes import Each, IfThere, Maybe


def paths(shape: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Path of every key that the shape asks for; lists and free names are entered at their first element."""
    if isinstance(shape, Maybe):
        yield from paths(shape.value, prefix)
    elif isinstance(shape, Each):
        yield from paths(shape.value, (*prefix, ...))
    elif isinstance(shape, list):
        yield from paths(shape[0], (*prefix, 0))
    elif isinstance(shape, dict):
        for name, inner in shape.items():
            if isinstance(inner, IfThere):
                continue
            yield (*prefix, name)
            yield from paths(inner, (*prefix, name))


def holder(results: Any, path: tuple[Any, ...]) -> Any:
    """The object that holds the last key of `path`; for a list, its first element that is not null there."""
    found = [results]
    for step in path[:-1]:
        inner: list[Any] = []
        for value in found:
            if isinstance(value, dict):
                inner += list(value.values()) if step is ... else [value[step]]
            elif isinstance(value, list):
                inner += value
        found = [value for value in inner if value is not None]
    return found[0]


ALL = list(paths(RESULTS))


def test_the_synthetic_results_pass(results: dict[str, Any]) -> None:
    check(results)


def test_results_of_earlier_runs_pass(results: dict[str, Any], as_earlier: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    check(as_earlier(results))


@pytest.mark.parametrize("path", ALL, ids=lambda path: ".".join("*" if step is ... else str(step) for step in path))
def test_every_key_is_needed(path: tuple[Any, ...], results: dict[str, Any]) -> None:
    del holder(results, path)[path[-1]]
    with pytest.raises(InputError, match=rf"results\.json: .*{path[-1]} is missing; ") as caught:
        check(results)
    assert "\n" not in str(caught.value)


WRONG: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: r.update(date=20260101), "date is 20260101, expected text"),
    (lambda r: r["designs"][1].update(area_um2=float("nan")), r"designs\[1\]\.area_um2 is nan, expected a finite number"),
    (lambda r: r["designs"][1].update(area_um2=True), r"designs\[1\]\.area_um2 is True, expected a number"),
    (lambda r: r["designs"][0].update(cells=None), r"designs\[0\]\.cells is None, expected an integer"),
    (lambda r: r["designs"][0].update(options={1, 2}), "is not plain JSON"),
    (lambda r: r["designs"][0]["area_by_part_um2"].update(decoder=1e9), "parts that sum to area_um2"),
    (lambda r: r["energies"][3]["by_part_j"].update(registers=1.0), r"energies\[3\]\.by_part_j"),
    (lambda r: r["simulations"][0].update(level="netlist"), "expected one of rtl, gate"),
    (
        lambda r: r["comparisons"][2].update(area_ratio=1.93),
        r"comparisons\[2\]\.area_ratio is 1\.93, expected baseline / candidate = ",
    ),
    (
        lambda r: r["comparisons"][2].update(energy_ratio=None),
        r"comparisons\[2\]\.energy_ratio is None, expected baseline / candidate",
    ),
    (
        lambda r: r["comparisons"][2]["baseline"].update(energy_per_mac_j=None),
        r"comparisons\[2\]\.energy_ratio is .* expected null",
    ),
    (lambda r: r["comparisons"][2]["candidate"].update(area_um2=0), "expected a ratio of positive figures"),
    (lambda r: r["comparisons"][0].update(activity="vcd"), "activity is 'vcd', expected one of sdf, zero-delay"),
    (lambda r: r["clocks"][0].update(set_by="int4"), r"clocks\[0\]\.set_by is 'int4', expected one of int8, dint4"),
    (lambda r: r["clocks"][0].pop("tightest_ns"), r"clocks\[0\]\.tightest_ns is missing"),
    (lambda r: r["energies"][0].update(samples="three"), r"energies\[0\]\.samples is 'three', expected an integer"),
    (
        lambda r: r["comparisons"][0].update(energy_ratio_standard_error=float("nan")),
        r"comparisons\[0\]\.energy_ratio_standard_error is nan",
    ),
    (lambda r: r["operands"]["int8"].update(recipe=["none"]), r"operands\.int8\.recipe is \['none'\], expected an object"),
    (lambda r: r.update(provenance={}), "provenance is {}, expected a list"),
    (lambda r: r.update(accuracy=[]), r"accuracy is \[\], expected an object"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG, ids=[message for _, message in WRONG])
def test_contradictions_are_refused(spoil: Callable[[dict[str, Any]], Any], message: str, results: dict[str, Any]) -> None:
    spoil(results)
    with pytest.raises(InputError, match=message):
        check(results)


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_object_at_all(value: Any) -> None:
    with pytest.raises(InputError, match="the whole is"):
        check(value)
