"""How a weight is split into digits, so that each digit selects one multiple of the activation: a search with a cost model.

A split has two or more rows, and gives every code one digit a row, 0 or plus or minus a power of two; the value of the code is
the sum of its digits. Any table of values up to four bits has many splits. The search goes through all pairs of digit sets
(or, for an array of and gates, two single digits and a set), keeps those whose sums are all the values that the format needs,
and for codes that can be split in several ways takes what makes the decoder small. What is best is decided by `cost`, a
count of gates whose coefficients are those of a fit to mapped areas:

* a bit of the heap costs a full adder, since it has to be added up;
* every multiple that a bit of a row chooses from costs an and gate and its share of the or (a *leg*);
* a row whose sign is shared costs an exclusive or a bit of the activation, and halves the legs of multiples in pairs;
* selecting costs the decoder's gates, counted in literals of the sum of products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import combinations, product

from golden import NumberFormat

from .truth_table import implicants

__all__ = ["AND_ARRAY", "COEFFICIENTS", "DIRECT", "GRID", "Row", "Split", "split_of", "splits"]

# Styles: rows may share a sign / select every multiple for itself / all rows but one are plain and gates.
GRID, DIRECT, AND_ARRAY = "grid", "direct", "and-array"

# Gates (of the area of a two-input nand) per counted thing.
COEFFICIENTS = {"bits": 5.5, "legs": 1.1, "exclusive_ors": 2.3, "literals": 0.7}

_ACTIVATION_BITS = 8
_MOST_DIGITS = 6  # of a row, beside 0: more never paid
_KEPT = 24  # combinations of digit sets whose decoders are looked at

_Sets = tuple[tuple[int, ...], ...]  # digits other than 0, one set a row


@dataclass(frozen=True)
class Row:
    """One row of a split: `digits[code]` is 0 or plus or minus a power of two.

    `shared_sign`: the activation is inverted once for all multiples of the row, instead of each being selected for itself.
    `inverted`: the row is built for minus the digits and subtracted.
    """

    digits: tuple[int, ...]
    shared_sign: bool = False
    inverted: bool = False

    @cached_property
    def multiples(self) -> tuple[int, ...]:
        """The digits other than 0, smallest magnitude first."""
        return tuple(sorted(set(self.digits) - {0}, key=lambda multiple: (abs(multiple), multiple < 0)))

    def counts(self) -> dict[str, int]:
        """What the row costs, by the names of `COEFFICIENTS`."""
        shape = _shape(self.multiples, self.shared_sign)
        selected = [{m, -m} if self.shared_sign else {m} for m in self.multiples]
        if shape["signed"]:
            selected.append({m for m in self.multiples if m < 0})
        masks = {sum(1 << code for code, digit in enumerate(self.digits) if digit in wanted) for wanted in selected}
        bits = (len(self.digits) - 1).bit_length()
        return {
            "bits": shape["bits"],
            "legs": shape["legs"],
            "exclusive_ors": shape["exclusive_ors"],
            "literals": sum(_literals(bits, mask) for mask in sorted(masks)),
        }


@dataclass(frozen=True)
class Split:
    """Rows whose digits add up to the values of a format, the row of the largest digits last."""

    rows: tuple[Row, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """What the rows cost together, by the names of `COEFFICIENTS`."""
        each = [row.counts() for row in self.rows]
        return {name: sum(counts[name] for counts in each) for name in COEFFICIENTS}

    @cached_property
    def cost(self) -> float:
        """Estimated area of a lane in gates: partial products and the full adders that add them up."""
        return round(sum(COEFFICIENTS[name] * count for name, count in self.counts.items()), 6)


@lru_cache(maxsize=256)
def split_of(number_format: NumberFormat, style: str = GRID) -> Split | None:
    """The best split of a format's codes in a style; None if there is none, or the codes have more than four bits."""
    return next(iter(splits(number_format, style)), None)


def splits(number_format: NumberFormat, style: str = GRID) -> list[Split]:
    """Splits of a format's codes by cost, the cheapest first; equal ones in order of their digits."""
    if number_format.bits > 4:
        return []
    found = {_decided(number_format.values, sets, style) for sets in _digit_sets(frozenset(number_format.values), style)}
    return sorted(found, key=lambda split: (split.cost, [row.digits for row in split.rows]))


def _shape(multiples: Sequence[int], shared_sign: bool) -> dict[str, int]:
    """Bits, legs and exclusive ors of a row with these multiples, and whether it has a carry bit for its sign."""
    shifts = [abs(multiple).bit_length() - 1 for multiple in multiples]
    width = _ACTIVATION_BITS + max(shifts) - min(shifts)
    signed = min(multiples) < 0 < max(multiples)
    if shared_sign:
        legs = width * len(set(shifts))
    else:
        # Below its lowest bit, a multiple is 0, or 1 if it is inverted, and then the select alone has to be ored.
        legs = sum(width - (shift - min(shifts)) * (not signed or m > 0) for m, shift in zip(multiples, shifts, strict=True))
    return {"bits": width + signed, "legs": legs, "exclusive_ors": _ACTIVATION_BITS * shared_sign, "signed": signed}


def _shape_cost(multiples: Sequence[int], shared_sign: bool) -> float:
    shape = _shape(multiples, shared_sign)
    return sum(COEFFICIENTS[name] * shape[name] for name in ("bits", "legs", "exclusive_ors"))


def _shares_sign(multiples: Sequence[int], style: str) -> bool:
    """Whether inverting the activation once is the cheaper way to have these multiples."""
    if style != GRID or not min(multiples) < 0 < max(multiples):
        return False
    return _shape_cost(multiples, True) < _shape_cost(multiples, False)


@lru_cache(maxsize=256)
def _digit_sets(values: frozenset[int], style: str) -> tuple[_Sets, ...]:
    """The cheapest combinations of digit sets, one a row, that have every value as a sum: cheapest first, decoders apart."""
    top = max(map(abs, values)).bit_length()
    digits = [sign << k for k in range(top + 1) for sign in (1, -1)]
    offset = 4 << top  # sums as bits of an integer, so that adding a digit to all of them is a shift

    def sums(earlier: int, multiples: Sequence[int]) -> int:
        return earlier | sum_or(earlier << m if m >= 0 else earlier >> -m for m in multiples)

    def sum_or(masks: Iterator[int]) -> int:
        result = 0
        for mask in masks:
            result |= mask
        return result

    def cost_of(multiples: Sequence[int]) -> float:
        return _shape_cost(multiples, _shares_sign(multiples, style))

    wanted = sum(1 << (value + offset) for value in values)
    sets = [chosen for count in range(1, _MOST_DIGITS + 1) for chosen in combinations(digits, count)]
    lower: list[tuple[float, _Sets]] = sorted((cost_of(chosen), (chosen,)) for chosen in sets)
    upper = lower
    if style == AND_ARRAY:
        pairs = [((one,), (other,)) for one, other in combinations(digits, 2)]
        upper = sorted((sum(map(cost_of, pair)), pair) for pair in pairs)
    best: list[tuple[float, _Sets]] = []
    limit = float("inf")
    for upper_cost, high in upper:
        if upper_cost + lower[0][0] >= limit:
            break
        reached = 1 << offset
        for row in high:
            reached = sums(reached, row)
        for lower_cost, low in lower:
            if upper_cost + lower_cost >= limit or (upper is lower and (lower_cost, low) > (upper_cost, high)):
                break
            if not wanted & ~sums(reached, low[0]):
                best.append((upper_cost + lower_cost, (*low, *high)))
                if len(best) >= 2 * _KEPT:
                    best = sorted(best)[:_KEPT]
                    limit = best[-1][0]
    return tuple(combination for _, combination in sorted(best)[:_KEPT])


def _decided(values: Sequence[int], sets: Sequence[Sequence[int]], style: str) -> Split:
    """The split with these digits that has the smallest decoder, as far as changing one code after the other finds it."""
    ordered = sorted(sets, key=lambda multiples: (max(map(abs, multiples)), min(map(abs, multiples)), multiples))
    sums: dict[int, list[tuple[int, ...]]] = {}
    for digits in product(*((0, *multiples) for multiples in ordered)):
        sums.setdefault(sum(digits), []).append(digits)
    options = [sorted(sums[value], key=lambda digits: (sum(map(bool, digits)), digits)) for value in values]

    def split(chosen: Sequence[Sequence[int]]) -> Split:
        rows = []
        for index, digits in enumerate(zip(*chosen, strict=True)):
            if multiples := set(digits) - {0}:
                # Measured on several libraries: with both signs, the highest row is smaller inverted, the others are not.
                inverted = max(multiples) < 0 or (min(multiples) < 0 and index == len(ordered) - 1)
                rows.append(Row(digits, _shares_sign(tuple(multiples), style), inverted))
        return Split(tuple(rows))

    chosen = [choices[0] for choices in options]
    best, improved = split(chosen), True
    while improved:
        improved = False
        for code, choices in enumerate(options):
            for choice in choices:
                other = split([*chosen[:code], choice, *chosen[code + 1 :]])
                if other.cost < best.cost:
                    chosen[code], best, improved = choice, other, True
    return best


@cache
def _literals(bits: int, mask: int) -> int:
    """Size of the decoder of a set of codes, given as the bits of `mask`: literals of its sum of products."""
    patterns = implicants(bits, [code for code in range(1 << bits) if mask >> code & 1])
    return sum(bits - pattern.count("-") for pattern in patterns)
