# SPDX-License-Identifier: Apache-2.0
"""The search over code tables: what it gives are tables of the format, none of which an exchange of two codes improves."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest

from golden import DINT3, DINT4, INT3, INT8, NumberFormat
from golden.errors import InputError
from hdl.code_search import catalogue_coding, codings, recoded, shuffled
from hdl.split import GRID, split_of
from hdl.truth_table import implicants, literals


@pytest.fixture(scope="module")
def found() -> dict[str, list]:
    return {number_format.name: codings(number_format) for number_format in (DINT3, INT3, DINT4)}


@pytest.mark.parametrize("number_format", [DINT3, INT3, DINT4], ids=lambda one: one.name)
def test_codings_are_tables_of_the_format(number_format: NumberFormat, found: dict[str, list]) -> None:
    tables = [coding.number_format.values for coding in found[number_format.name]]
    assert len(set(tables)) == len(tables) > 5
    special = {number_format.values[code] for code in number_format.special_codes}
    for coding in found[number_format.name]:
        other = coding.number_format
        assert sorted(other.values) == sorted(number_format.values)
        assert other.values[0] == 0
        assert {other.values[code] for code in other.special_codes} == special
        assert coding.split == split_of(other)
    costs = [coding.split.cost for coding in found[number_format.name]]
    assert costs == sorted(costs)


@pytest.mark.parametrize("number_format", [DINT3, INT3, DINT4], ids=lambda one: one.name)
def test_no_exchange_improves_the_best(number_format: NumberFormat, found: dict[str, list]) -> None:
    best = found[number_format.name][0]
    values = best.number_format.values
    for one, other in combinations(range(len(values)), 2):
        exchanged = list(values)
        exchanged[one], exchanged[other] = exchanged[other], exchanged[one]
        split = split_of(recoded(number_format, exchanged))
        assert split is not None
        assert split.cost >= best.split.cost


def test_three_bits_against_every_table(found: dict[str, list]) -> None:
    """All 5040 tables of dINT3 with zero at code 0: the search finds the cheapest."""
    others = [value for value in DINT3.values if value]
    costs = []
    for order in permutations(others):
        # The order of the code's bits doesn't matter: one of the six orders of each table is enough.
        if not order[0] < order[1] or not order[1] < order[3]:
            continue
        split = split_of(recoded(DINT3, (0, *order)))
        assert split is not None
        costs.append(split.cost)
    assert len(costs) == 5040 // 6
    assert found["dint3"][0].split.cost == min(costs)


def test_dint4s_codes_are_within_two_percent_of_the_best(found: dict[str, list]) -> None:
    """The catalogue's table, against the best found, and against tables at random, which are far worse."""
    own, best = catalogue_coding(DINT4).split.cost, found["dint4"][0].split.cost
    assert best <= own < 1.02 * best
    assert min(coding.split.cost for coding in shuffled(DINT4, 20)) > 1.03 * best


def test_equal_seeds_equal_tables(found: dict[str, list]) -> None:
    assert codings(INT3, GRID, seed=0) == found["int3"]
    assert shuffled(DINT4, 3, seed=1) == shuffled(DINT4, 3, seed=1) != shuffled(DINT4, 3, seed=2)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="INT8 has codes of 8 bits: code tables are searched up to 4 bits"):
        codings(INT8)
    with pytest.raises(InputError, match="a code table of int3 has the format's values"):
        recoded(INT3, range(8))


def test_literals_by_hand() -> None:
    """Factored: w0 (w1' + w2) has three literals, where the sum of products w0 w1' + w0 w2 has four."""
    codes = frozenset(c for c in range(8) if c & 1 and (not c & 2 or c & 4))
    assert sorted(implicants(3, codes)) == ["-01", "1-1"]
    assert literals(3, codes) == 3
    assert literals(4, frozenset({5})) == 4
    assert literals(2, frozenset({1, 2})) == 4  # an exclusive or has no common factor
    assert literals(3, frozenset(range(8))) == 0
