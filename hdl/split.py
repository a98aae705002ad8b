# SPDX-License-Identifier: Apache-2.0
"""How a weight is split into digits, so that each digit selects one multiple of the activation: a search with a cost model.

A split has two or more rows, and gives every code one digit a row, 0 or plus or minus a power of two; the value of the code is
the sum of its digits. Any table of values up to four bits has many splits. The search goes through all pairs of digit sets
(or, for an array of and gates, all sets of rows with a single digit each), keeps those whose sums are all the values that the
format needs, and for codes that can be split in several ways takes what makes the decoder small. What is best is decided by
`Split.cost`:

* a bit of the heap costs a full adder, since it has to be added up;
* every bit of the activation, or inverse of one, that a bit of a row chooses from costs an and gate and its share of the or (a
  *leg*; in the sign extension several multiples have the same);
* a row whose sign is shared costs an exclusive or a bit of the activation, and halves the legs of multiples in pairs;
* selecting costs the decoder's gates, counted in literals of the factored sums of products.

The coefficients are those of a fit to the smallest areas of 34 four-lane units of dINT4, INT4 and FP4 E2M1 (20 splits, and 14
code tables of one, 9 of them at random), mapped to OSU018, ASAP7 and SKY130: with the same coefficients for all three
libraries it errs by 1.4% of the unit's area (root mean square), and ranks the units as mapping does (rank correlation 0.94 to
0.97). Fitted one by one, the libraries want per bit 5.3, 3.1, 6.6; leg 0.9, 0.7, 1.5; exclusive or 1.6, 1.5, 2.8; literal
0.5, 0.2, 0.3. The model doesn't see less than a percent: `dint codes --map` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import combinations, product

from golden import NumberFormat

from .truth_table import literals

__all__ = ["ARRAY", "COEFFICIENTS", "DIRECT", "GRID", "STYLES", "Row", "Split", "split_of", "splits"]

# Styles, by the names of the architectures: rows may share a sign; rows select every multiple for itself; rows have a single
# multiple, so that each is a row of and gates.
GRID, DIRECT, ARRAY = STYLES = ("digit-grid", "direct-grid", "baugh-wooley")

# Gates (of the area of a two-input nand) per counted thing.
COEFFICIENTS = {"bits": 5.5, "legs": 1.0, "exclusive_ors": 1.8, "literals": 0.35}

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

    @cached_property
    def selected(self) -> frozenset[frozenset[int]]:
        """What the decoder of the row has to tell apart: sets of codes, one a multiple (or magnitude) and one for the sign."""
        wanted = [{m, -m} if self.shared_sign else {m} for m in self.multiples]
        if min(self.multiples) < 0 < max(self.multiples):
            wanted.append({m for m in self.multiples if m < 0})
        return frozenset(frozenset(c for c, digit in enumerate(self.digits) if digit in one) for one in wanted)

    def counts(self) -> dict[str, int]:
        """What the row costs, by the names of `COEFFICIENTS`."""
        bits = (len(self.digits) - 1).bit_length()
        decoder = sum(literals(bits, codes) for codes in self.selected)
        return _shape(self.multiples, self.shared_sign) | {"literals": decoder}


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
    if number_format.bits > 4:
        return None
    best: Split | None = None
    for shape_cost, sets in _digit_sets(frozenset(number_format.values), style):
        if best is not None and shape_cost > best.cost:
            break
        split = _decided(number_format.values, sets, style)
        best = split if best is None else min(best, split, key=_order)
    return best


def splits(number_format: NumberFormat, style: str = GRID) -> list[Split]:
    """Splits of a format's codes by cost, the cheapest first; equal ones in order of their digits."""
    if number_format.bits > 4:
        return []
    found = {_decided(number_format.values, sets, style) for _, sets in _digit_sets(frozenset(number_format.values), style)}
    return sorted(found, key=_order)


def _order(split: Split) -> tuple[float, list[tuple[int, ...]]]:
    return split.cost, [row.digits for row in split.rows]


def _shape(multiples: Sequence[int], shared_sign: bool) -> dict[str, int]:
    """Bits, legs and exclusive ors of a row with these multiples."""
    shifts = [abs(multiple).bit_length() - 1 for multiple in multiples]
    width = _ACTIVATION_BITS + max(shifts) - min(shifts)
    signed = min(multiples) < 0 < max(multiples)
    legs = {
        (place, min(place - shift, _ACTIVATION_BITS - 1), signed and not shared_sign and multiple < 0)
        for multiple, shift in zip(multiples, shifts, strict=True)
        for place in range(shift, min(shifts) + width)
    }
    return {"bits": width + signed, "legs": len(legs), "exclusive_ors": _ACTIVATION_BITS * shared_sign}


def _shape_cost(multiples: Sequence[int], shared_sign: bool) -> float:
    shape = _shape(multiples, shared_sign)
    return sum(COEFFICIENTS[name] * shape[name] for name in ("bits", "legs", "exclusive_ors"))


def _shares_sign(multiples: Sequence[int], style: str) -> bool:
    """Whether inverting the activation once is the cheaper way to have these multiples."""
    if style != GRID or not min(multiples) < 0 < max(multiples):
        return False
    return _shape_cost(multiples, True) < _shape_cost(multiples, False)


@lru_cache(maxsize=256)
def _digit_sets(values: frozenset[int], style: str) -> tuple[tuple[float, _Sets], ...]:
    """The cheapest combinations of digit sets, one a row, that have every value as a sum, with their cost without decoders."""
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
    if style == ARRAY:
        rows = product(*((0, 1 << k, -1 << k) for k in range(top + 1)))
        arrays = [tuple((one,) for one in chosen if one) for chosen in rows]
        able = [chosen for chosen in arrays if not wanted & ~reduce(sums, chosen, 1 << offset)]
        return tuple(sorted((sum(map(cost_of, chosen)), chosen) for chosen in able)[:_KEPT])
    sets = [chosen for count in range(1, _MOST_DIGITS + 1) for chosen in combinations(digits, count)]
    lower: list[tuple[float, _Sets]] = sorted((cost_of(chosen), (chosen,)) for chosen in sets)
    upper = lower
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
    return tuple(sorted(best)[:_KEPT])


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
            for choice in choices[1:] if chosen[code] == choices[0] else choices:
                other = split([*chosen[:code], choice, *chosen[code + 1 :]])
                if other.cost < best.cost:
                    chosen[code], best, improved = choice, other, True
    return best
