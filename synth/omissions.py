# SPDX-License-Identifier: Apache-2.0
"""What a comparison did not try or measure, in sentences: a reader should not have to guess it."""

from __future__ import annotations

from golden.shapes import PE
from sim.column import ROWS
from sim.workload import HELD_CYCLES, OPT_FC2, UNIFORM, WEIGHTS_HELD

from .flow import FIRST_ADDER
from .search import Effort

__all__ = ["lanes_in_words", "not_measured"]

_OF_ELEMENTS = (
    f"Other lives of a processing element: its weight stays for {HELD_CYCLES} activations, while in the last {ROWS} cycles the "
    f"weights of an array of {ROWS} rows are shifted through; the partial sum that comes from above is that of all inputs "
    "before its own, and every register is counted.",
    "Clock gating of the weight registers, which change seldom: every flip-flop is clocked in every cycle, on both sides.",
    "Partial sums in carry-save form between elements: each element has a final adder.",
)


def lanes_in_words(lanes: int) -> str:
    """A lane count."""
    return f"{lanes} lane{'s' if lanes > 1 else ''}"


def not_measured(found: list[str], given: bool, effort: Effort, shape: str) -> list[str]:
    """All that a comparison leaves out, and `found` of its cases; `given`: there were operands of a model for every format."""
    adders = "; ".join(
        f"up to {lanes_in_words(limit)} {' and '.join(adder.title() for adder in names) or 'none'}"
        for limit, names in effort.adders
    )
    among = {source for source, _ in effort.workloads}
    finalists_only = ["uniform operands"] if given and UNIFORM in {source for source, _ in effort.also} - among else []
    sentences = [
        "Wires: areas are cell areas, delays and energies are without wire capacitance and without a clock tree.",
        "Other corners: every library is typical only.",
        "INT8 weights stored as sign and magnitude (+-127): they cannot hold -128, which the unit's interface allows.",
        "Multiplications left to Yosys (`multiply`) with more than one lane: it gives every product an adder of its own.",
        "INT8 Booth with every multiple selected for itself, as dINT4 has it in direct-grid.",
        "Every final adder with every architecture: at minimum area Brent-Kung, and ripple for those that are followed, "
        f"in the polarity that was the smaller with Brent-Kung; at the clocks {FIRST_ADDER.title()} for all, and for the "
        f"{effort.fast} fastest architectures of each format more ({adders}); between the two the adder with which the "
        "architecture was the fastest, and Brent-Kung in the two smallest steps.",
        "Every step between full adders of cells and of gates: about three of eight for each architecture and clock, by "
        f"bisection, in one polarity. Gates are sized where hardly a full adder is a cell, for the {effort.recover} "
        "smallest netlists of each architecture.",
        "Netlists of the same architecture that are larger but more frugal: energy is compared among the smallest netlist of "
        "each architecture.",
        "Structures built for speed (`-fast`) at minimum area.",
        f"{' and '.join(['Zero-delay activity', *finalists_only])}: measured for the finalists only, that is the smallest "
        "netlist of each format and the one that is most frugal with the first kind of operands and with delays.",
    ]
    if effort.both < 64:
        sentences.append(
            f"The small structures at the clocks with more than {lanes_in_words(effort.both)}, unless they close as they are."
        )
    if shape == PE:
        sentences += _OF_ELEMENTS
    elif all(dataflow != WEIGHTS_HELD for _, dataflow in effort.workloads):
        sentences.append("Weights held over many cycles: operands stream, a new weight and activation for every product.")
    if given and UNIFORM not in among and not finalists_only:
        sentences.append("Uniform operands: energies are for the model's operands.")
    if not given or OPT_FC2 not in among:
        sentences.append("Activations behind a ReLU by themselves: the model's operands are those of all its layers.")
    if not given:
        sentences.append("Operands of a model: none were given, so energies are for uniform random operands.")
    return sentences + list(dict.fromkeys(found))
