# SPDX-License-Identifier: Apache-2.0
"""Every method on every format alike, and what follows from it: dINT beside its rivals, by method and best to best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import track

from golden import format_by_name
from quant.recipe import Recipe
from report.accuracy import CLEAR, RIVALS, difference

from .cells import Cells, without_windows
from .tables import difference_cell, table

__all__ = ["METHODS", "VARIANTS", "grid", "print_grid", "verdicts", "wanted_of"]

FORMATS = ("int4", "dint4", "fp4_e2m1", "int3", "dint3")
#: By name, what a method adds to rounding to nearest; the paper's AWQ and AQAS include the clipping.
METHODS: dict[str, dict[str, str]] = {
    "RTN": {},
    "clipping": {"clipping": "awq"},
    "SmoothQuant": {"scaling": "smoothquant"},
    "AWQ": {"scaling": "awq"},
    "AQAS": {"scaling": "aqas"},
    "SmoothQuant, clipping": {"scaling": "smoothquant", "clipping": "awq"},
    "AWQ, clipping": {"scaling": "awq", "clipping": "awq"},
    "AQAS, clipping": {"scaling": "aqas", "clipping": "awq"},
    "OPTQ": {"rounding": "optq"},
    "SmoothQuant, OPTQ": {"scaling": "smoothquant", "rounding": "optq"},
    "AWQ, OPTQ": {"scaling": "awq", "rounding": "optq"},
    "AQAS, OPTQ": {"scaling": "aqas", "rounding": "optq"},
    "clipping, OPTQ": {"clipping": "awq", "rounding": "optq"},
    "SmoothQuant, clipping, OPTQ": {"scaling": "smoothquant", "clipping": "awq", "rounding": "optq"},
    "AWQ, clipping, OPTQ": {"scaling": "awq", "clipping": "awq", "rounding": "optq"},
    "AQAS, clipping, OPTQ": {"scaling": "aqas", "clipping": "awq", "rounding": "optq"},
}
#: By name, what the layers are. With INT8 attention the values are in the weights' format.
VARIANTS: dict[str, dict[str, Any]] = {
    "symmetric": {},
    "asymmetric": {"form": "asymmetric"},
    "symmetric, groups of 128": {"group_size": 128},
    "asymmetric, groups of 128": {"form": "asymmetric", "group_size": 128},
    "weights only": {"activations": "fp32"},
    "asymmetric, weights only": {"form": "asymmetric", "activations": "fp32"},
    "weights only, groups of 128": {"activations": "fp32", "group_size": 128},
    "asymmetric, weights only, groups of 128": {"form": "asymmetric", "activations": "fp32", "group_size": 128},
    "values and INT8 attention": {"attention": "int8"},
    "asymmetric, values and INT8 attention": {"form": "asymmetric", "attention": "int8"},
    "values and INT8 attention, groups of 128": {"attention": "int8", "group_size": 128},
    "asymmetric, values and INT8 attention, groups of 128": {"form": "asymmetric", "attention": "int8", "group_size": 128},
}


def wanted_of(variants: Sequence[str] | None = None, methods: Sequence[str] | None = None) -> list[tuple[str, str, str]]:
    """Variant, method and format of every quantization of the grid; of all variants and methods where none are named."""
    return [
        (variant, method, number_format)
        for variant, number_format, method in product(variants or VARIANTS, FORMATS, methods or METHODS)
        if "form" not in VARIANTS[variant] or format_by_name(number_format).has_zero_points
    ]


def grid(
    cells: Cells, wanted: Sequence[tuple[str, str, str]], console: Console
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Perplexity and KL of every quantization on every text; dINT's differences to its rivals, by method and best to best."""
    measured = {}
    for variant, method, number_format in track(wanted, "quantizations", console=console, transient=True):
        choices = {**METHODS[method], **VARIANTS[variant]}
        if "attention" in choices:
            choices["value_format"] = number_format
        measured[variant, method, number_format] = cells.measure(Recipe(number_format, **choices))
    rows, divergences = [], {}
    for (variant, method, number_format), texts in measured.items():
        for row in texts:
            divergences[variant, method, number_format, row["text"]] = row["divergences"]
            rows.append({"variant": variant, "method": method, "format": number_format, **without_windows(row)})
    differences = [
        {
            "variant": variant,
            "method": method,
            "rival": rival,
            "dint": number_format,
            "text": text,
            **difference(divergences[variant, method, rival, text], dint),
        }
        for (variant, method, number_format, text), dint in divergences.items()
        for rival, other in RIVALS
        if other == number_format and (variant, method, rival, text) in divergences
    ]
    return rows, differences, best(rows, divergences)


def best(
    rows: Sequence[dict[str, Any]], divergences: Mapping[tuple[str, str, str, str], Sequence[float]]
) -> list[dict[str, Any]]:
    """By variant and text, dINT's method of lowest KL beside that of each rival, which may be another one."""
    lowest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["variant"], row["text"], row["format"]
        lowest[key] = min(lowest.get(key, row), row, key=lambda one: one["kl"])
    found = []
    for variant, text in dict.fromkeys((row["variant"], row["text"]) for row in rows):
        for rival, dint in RIVALS:
            if not {(variant, text, rival), (variant, text, dint)} <= lowest.keys():
                continue
            entry: dict[str, Any] = {"variant": variant, "text": text, "rival": rival, "dint": dint}
            for side in ("rival", "dint"):
                row = lowest[variant, text, entry[side]]
                entry |= {f"{side}_method": row["method"], f"{side}_kl": row["kl"]}
            by_window = (divergences[variant, entry[f"{side}_method"], entry[side], text] for side in ("rival", "dint"))
            found.append({**entry, **difference(*by_window)})
    return found


def verdicts(differences: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By variant, text, pair of formats and clipping: by how many methods dINT's KL is clearly lower, and the ratios.

    The methods share calibration, test text and most of their steps: counts are a summary of them, no repeated trials.
    """
    pairs: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for one in differences:
        clipped = "clipping" in METHODS[one["method"]]
        pairs.setdefault((one["variant"], one["text"], one["rival"], one["dint"], clipped), []).append(one)
    found = []
    for (variant, text, rival, dint, clipped), met in pairs.items():
        lower = sum(one["kl"] > CLEAR * one["kl_standard_error"] for one in met)
        higher = sum(-one["kl"] > CLEAR * one["kl_standard_error"] for one in met)
        ratios = [one["ratio"] for one in met]
        mean = math.exp(fmean(math.log(ratio) for ratio in ratios))
        counts = {"lower": lower, "not_clear": len(met) - lower - higher, "higher": higher}
        ends = {"mean_ratio": mean, "least_ratio": min(ratios), "greatest_ratio": max(ratios)}
        found.append({"variant": variant, "text": text, "rival": rival, "dint": dint, "clipped": clipped, **counts, **ends})
    return found


def print_grid(rows: list[dict[str, Any]], bests: list[dict[str, Any]], found: list[dict[str, Any]], console: Console) -> None:
    """A table for each variant and text, one of the best methods, and one of the verdicts."""
    by_cell = {(row["variant"], row["text"], row["method"], row["format"]): row for row in rows}
    for variant, text in dict.fromkeys((row["variant"], row["text"]) for row in rows):
        lines = []
        for method in dict.fromkeys(row["method"] for row in rows if row["variant"] == variant):
            cells = [by_cell.get((variant, text, method, one)) for one in FORMATS]
            lines.append([method, *(shown for cell in cells for shown in (_kl(cell), _perplexity(cell)))])
        headings = ["", *(heading for one in FORMATS for heading in (f"{one}: KL", "perplexity"))]
        console.print(table(f"{variant}; {text}: KL x 1000 ± standard error, and perplexity", headings, lines))
    lines = []
    for one in bests:
        methods = [f"{1e3 * one[f'{side}_kl']:.2f}, {one[f'{side}_method']}" for side in ("dint", "rival")]
        lines.append([f"{one['variant']}; {one['text']}", f"{one['dint']}, {one['rival']}", *methods, difference_cell(one)])
    title = "Best of all methods: KL x 1000; rival - dINT ± standard error"
    console.print(table(title, ["", "dINT and its rival", "dINT", "rival", "difference"], lines))
    lines = []
    for one in found:
        counts = [str(one[name]) for name in ("lower", "not_clear", "higher")]
        ends = f"{one['least_ratio']:.2f} to {one['greatest_ratio']:.2f}"
        names = [f"{one['variant']}; {one['text']}", "yes" if one["clipped"] else "no", f"{one['dint']}, {one['rival']}"]
        lines.append([*names, *counts, f"{one['mean_ratio']:.3f}", ends])
    headings = ["", "clipping", "dINT and its rival", "lower", "not clear", "higher", "KL rival / dINT", "of single methods"]
    title = f"dINT against the format of as many bits: methods by which its KL differs by more than {CLEAR:g} standard errors"
    console.print(table(title, headings, lines))


def _kl(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{1e3 * row['kl']:.2f} ± {1e3 * row['kl_standard_error']:.2f}"


def _perplexity(row: dict[str, Any] | None) -> str:
    return "" if row is None else f"{row['perplexity']:.2f}"
