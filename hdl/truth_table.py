# SPDX-License-Identifier: Apache-2.0
"""A truth table as a sum of few products (Quine 1952, McCluskey 1956): gates that can be read, and their number.

Or as a tree of multiplexers. What it is not is a case statement: an `always @*` runs first when its input changes, so that with
an input that never does its output would stay unknown in a simulation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache, reduce
from itertools import combinations
from operator import and_, or_

from amaranth.hdl import Mux, Value, ValueLike

__all__ = ["implicants", "literals", "lookup", "one_of"]


def one_of(code: Value, codes: Collection[int]) -> Value:
    """Whether `code` (a few bits) is one of `codes`, at least one."""
    products = []
    for pattern in implicants(len(code), codes):
        literals = [code[i] if wanted == "1" else ~code[i] for i, wanted in enumerate(reversed(pattern)) if wanted != "-"]
        products.append(reduce(and_, literals))
    return reduce(or_, products)


def lookup(select: Value, values: Sequence[ValueLike]) -> Value:
    """The one of `values`, at least one, that has the number `select`; numbers beyond the last have it, too."""
    if len(values) == 1:
        return Value.cast(values[0])
    bits = (len(values) - 1).bit_length()
    half = 1 << bits - 1
    lower, upper = (lookup(select[: bits - 1], part) for part in (values[:half], values[half:]))
    chosen = Mux(select[bits - 1], upper, lower)
    return Mux(select[bits:].any(), values[-1], chosen) if bits < len(select) else chosen


def implicants(bits: int, codes: Collection[int]) -> list[str]:
    """Patterns of `bits` characters 0, 1 or -, highest bit first, that together match exactly `codes`."""
    level = {format(code, f"0{bits}b") for code in codes}
    prime: set[str] = set()
    while level:
        merged, used = set(), set()
        for one, other in combinations(sorted(level), 2):
            differing = [i for i in range(bits) if one[i] != other[i]]
            if len(differing) == 1 and "-" not in (one[differing[0]], other[differing[0]]):
                merged.add(one[: differing[0]] + "-" + one[differing[0] + 1 :])
                used |= {one, other}
        prime |= level - used
        level = merged
    # Widest first, and of equal ones the first in order: the same cover every time.
    chosen, missing = [], set(codes)
    while missing:
        best = max(sorted(prime), key=lambda pattern: len(missing & _matched(pattern)))
        chosen.append(best)
        missing -= _matched(best)
    return chosen


@cache
def literals(bits: int, codes: frozenset[int]) -> int:
    """Size of the gates that recognize `codes`: literals of the sum of products, common ones factored out.

    Literal factoring (Brayton, Hachtel, Sangiovanni-Vincentelli, "Multilevel logic synthesis", Proc. IEEE 78, 1990).
    """
    return _factored([frozenset(place for place in enumerate(one) if place[1] != "-") for one in implicants(bits, codes)])


def _factored(products: list[frozenset[tuple[int, str]]]) -> int:
    counts = Counter(literal for one in products for literal in one)
    common, uses = max(sorted(counts.items()), key=lambda item: item[1], default=((0, ""), 0))
    if uses < 2:
        return sum(map(len, products))
    inside = [one - {common} for one in products if common in one]
    return 1 + _factored(inside) + _factored([one for one in products if common not in one])


def _matched(pattern: str) -> set[int]:
    codes = {0}
    for character in pattern:
        codes = {2 * code + bit for code in codes for bit in ((0, 1) if character == "-" else (int(character),))}
    return codes
