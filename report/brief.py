# SPDX-License-Identifier: Apache-2.0
"""The page in a minute: what a dINT4 MAC saves and costs, the worst case first, what accuracy says, and what was checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import accuracy, display, summary, verification

__all__ = ["brief", "interval_factor"]


def brief(results: Mapping[str, Any], ranges: Sequence[summary.Range], fronts: Sequence[str]) -> dict[str, list[str]]:
    """Question -> sentences, those of `dint pareto` being `fronts`. Questions without a figure are left out."""
    found = {
        "Beside INT8 × INT8": [*_ratios(ranges, "int8"), *_paper(results)],
        "Beside INT4 × INT8": _ratios(ranges, "int4"),
        "Accuracy of the model": _accuracy(results["accuracy"]),
        "Accuracy against silicon": list(fronts),
        "Checked": _checked(results),
    }
    return {question: said for question, said in found.items() if said}


def _ratios(ranges: Sequence[summary.Range], reference: str) -> list[str]:
    """Over all kinds of comparison: the least favourable ratio of each metric and where it is, then the most favourable."""
    said = []
    for candidate in dict.fromkeys(entry.candidate for entry in ranges if entry.reference == reference):
        alike = [entry for entry in ranges if entry.leading and (entry.reference, entry.candidate) == (reference, candidate)]
        for metric in ("area", "energy"):
            of_metric = [entry for entry in alike if entry.metric == metric]
            if not of_metric:
                continue
            least, most = min(of_metric, key=lambda entry: entry.low), max(of_metric, key=lambda entry: entry.high)
            has = "has" if metric == "area" else "takes"
            of = f"the {metric} of {display.format_name(candidate)}"
            span = f"{least.low_text} {of} at worst ({summary.KINDS[least.kind]}: {least.low_at})"
            span += "" if least.low_text == most.high_text else f", {most.high_text} at best"
            uniform = _uniform([one for entry in of_metric if (one := summary.with_uniform(entry, ranges))])
            said.append(f"{display.format_name(reference)} {has} {span}{_loss(least, most)}{uniform}.")
    return said


def _uniform(ranges: Sequence[summary.Range]) -> str:
    """The least and the most favourable ratio with uniform operands, where they were measured beside those of the model."""
    if not ranges:
        return ""
    least, most = min(ranges, key=lambda entry: entry.low), max(ranges, key=lambda entry: entry.high)
    best = "" if least.low_text == most.high_text else f", {most.high_text} at best"
    return f"; with uniform random operands {least.low_text} at worst ({summary.KINDS[least.kind]}: {least.low_at}){best}"


def _loss(least: summary.Range, most: summary.Range) -> str:
    """Below 1 the candidate is the worse one, which a reader is not to overlook."""
    if least.low >= 1:
        return ""
    worse = "is larger" if least.metric == "area" else "takes more"
    return f": {display.format_name(least.candidate)} {worse} {'throughout' if most.high < 1 else 'where it is below 1×'}"


def _paper(results: Mapping[str, Any]) -> list[str]:
    """In how many comparisons the paper's ratios are reached."""
    said = []
    for metric, figure in summary.PAPER.items():
        rows = [
            row
            for row in summary.leading(summary.for_metric(results["comparisons"], metric))
            if (row["reference"], row["candidate"]["format"]) == ("int8", "dint4")
        ]
        reached = sum(row[f"{metric}_ratio"] >= figure for row in rows)
        if rows:
            said.append(f"{display.ratio(figure)} in {metric} in {reached} of {len(rows)} comparisons")
    return [f"The paper's ratios are reached: {', '.join(said)}; its library, lanes and operands are others."] if said else []


def _accuracy(measured: Mapping[str, Any]) -> list[str]:
    """The quantization behind the operands beside that of another format, alike in all else."""
    chosen = {row["name"] for row in measured["rows"] if row["chosen"]}
    pairs = [pair for pair in accuracy.pairs(measured) if pair["dint"] in chosen]
    return [f"KL divergence of {pair['other']} and of {pair['dint']} on {pair['text']}: {pair['kl']}." for pair in pairs]


def _checked(results: Mapping[str, Any]) -> list[str]:
    found = verification.verification(results)
    sums = found["energy_sums"] + sum(level["sums"] for level in found["levels"].values())
    if not sums:
        return []
    return [f"{display.count(sums)} sums in simulation equal the exact integer model, behind every energy too; none differs."]


def interval_factor(results: Mapping[str, Any]) -> str:
    """By how much 95 % confidence intervals of the ratios are wider than their standard errors; empty where not recorded."""
    factors = [
        row["energy_ratio_confidence_95"] / error
        for row in results["comparisons"]
        if row.get("energy_ratio_confidence_95") and (error := summary.ratio_error(row))
    ]
    shown = list(dict.fromkeys(f"{factor:.1f}" for factor in sorted(factors)))
    return " to ".join(dict.fromkeys((shown[0], shown[-1]))) if shown else ""
