"""A truth table as a sum of few products (Quine 1952, McCluskey 1956): gates that can be read, and need no shifter."""

from __future__ import annotations

from collections.abc import Collection
from functools import reduce
from itertools import combinations
from operator import and_, or_

from amaranth.hdl import Value

__all__ = ["implicants", "one_of"]


def one_of(code: Value, codes: Collection[int]) -> Value:
    """Whether `code` (a few bits) is one of `codes`, at least one."""
    products = []
    for pattern in implicants(len(code), codes):
        literals = [code[i] if wanted == "1" else ~code[i] for i, wanted in enumerate(reversed(pattern)) if wanted != "-"]
        products.append(reduce(and_, literals))
    return reduce(or_, products)


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


def _matched(pattern: str) -> set[int]:
    codes = {0}
    for character in pattern:
        codes = {2 * code + bit for code in codes for bit in ((0, 1) if character == "-" else (int(character),))}
    return codes
