# SPDX-License-Identifier: Apache-2.0
"""The grid of `make benchmark-accuracy`, where a report is given one: every method on every format, dINT beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from . import display
from .accuracy import CLEAR

__all__ = ["Section", "Table", "draws_by_length", "sections"]


@dataclass(frozen=True)
class Table:
    """A table of text; the first cell of each row is its heading."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Section:
    """What was measured on one model."""

    title: str
    checkpoint_sha256: str
    sources_sha256: str  # of golden/ and quant/, when it was measured; empty where that was not recorded
    best: Table
    verdicts: Table
    tables: list[Table]
    loss: Table | None
    loss_verdict: str
    slac: Table | None


def sections(results: Mapping[str, Any]) -> list[Section]:
    """The grids of the results, ready to be written."""
    return [_section(one) for one in results.get("grids", [])]


def _section(measured: Mapping[str, Any]) -> Section:
    model, rows = measured["model"], measured["grid"]
    plain = {one["text"]: one for one in measured["unquantized"]}
    formats = list(dict.fromkeys(row["format"] for row in rows))
    found = {(row["variant"], row["text"], row["method"], row["format"]): row for row in rows}
    tables = []
    for variant, text in dict.fromkeys((row["variant"], row["text"]) for row in rows):
        title = f"{variant}; {text}, perplexity unquantized {display.significant(plain[text]['perplexity'])}"
        present = [one for one in formats if any(key[:2] == (variant, text) and key[3] == one for key in found)]
        methods = dict.fromkeys(row["method"] for row in rows if row["variant"] == variant)
        lines = [[method, *(_cell(found.get((variant, text, method, one))) for one in present)] for method in methods]
        tables.append(Table(title, ["method", *(display.format_name(one) for one in present)], lines))
    return Section(
        f"{model['name']}, {display.count(model['parameters'])} parameters",
        model["sha256"],
        measured.get("sources_sha256", ""),
        _best(measured["best"]),
        _verdicts(measured["verdicts"]),
        tables,
        _loss(measured["loss"]) if measured.get("loss") else None,
        _loss_verdict(measured.get("loss", [])),
        _slac(measured["slac"], measured["ranges"]) if measured.get("slac") and measured.get("ranges") else None,
    )


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    kl = f"{display.significant(1e3 * row['kl'])} ± {display.significant(1e3 * row['kl_standard_error'], 2)}"
    return f"{kl}; {display.significant(row['perplexity'])}"


def _best(found: list[Mapping[str, Any]]) -> Table:
    columns = ["weights and text", "dINT and the other", "dINT", "the other", "other - dINT", ""]
    lines = []
    for one in found:
        sides = [f"{display.significant(1e3 * one[f'{side}_kl'])}, {one[f'{side}_method']}" for side in ("dint", "rival")]
        clear = abs(one["kl"]) > CLEAR * one["kl_standard_error"]
        verdict = f"{display.format_name(one['dint' if one['kl'] > 0 else 'rival'])} lower" if clear else "not clear"
        lines.append([*_names(one), *sides, _difference(one), verdict])
    return Table("dINT beside other formats, each at its best method", columns, lines)


def _verdicts(found: list[Mapping[str, Any]]) -> Table:
    columns = ["weights and text", "dINT and the other", "clipping", "lower", "not clear", "higher"]
    columns += ["other / dINT", "of single methods"]
    lines = []
    for one in found:
        counts = [display.count(one[name]) for name in ("lower", "not_clear", "higher")]
        ends = f"{one['least_ratio']:.2f} to {one['greatest_ratio']:.2f}"
        lines.append([*_names(one), "yes" if one["clipped"] else "no", *counts, f"{one['mean_ratio']:.3f}", ends])
    return Table("dINT beside other formats, by method", columns, lines)


def _names(one: Mapping[str, Any]) -> list[str]:
    return [f"{one['variant']}; {one['text']}", " and ".join(display.format_name(one[side]) for side in ("dint", "rival"))]


def _difference(one: Mapping[str, Any]) -> str:
    return f"{1e3 * one['kl']:.2f} ± {1e3 * one['kl_standard_error']:.2f}"


def _loss(rows: list[Mapping[str, Any]]) -> Table:
    columns = ["weights and text", "calibration seed", "with Q(X)", "without", "difference"]
    lines = []
    for row in rows:
        kls = [display.significant(1e3 * row[name]) for name in ("kl", "kl_without")]
        shown = _difference(row["difference"])
        lines.append([f"{display.format_name(row['format'])}; {row['text']}", str(row["seed"]), *kls, shown])
    return Table("AQAS with and without quantized activations in its loss", columns, lines)


def _loss_verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """In one sentence: whether Q(X) in the loss changes anything; empty where that was not measured."""
    if not rows:
        return ""
    same = [row for row in rows if row["kl"] == row["kl_without"]]
    clear = [row["difference"] for row in rows if abs(row["difference"]["kl"]) > CLEAR * row["difference"]["kl_standard_error"]]
    helps = sum(one["kl"] > 0 for one in clear)
    unclear = len(rows) - len(same) - len(clear)
    return (
        f"Of {display.plural(len(rows), 'case')} (formats, texts and draws), Q(X) changes nothing at all in {len(same)}, "
        f"nothing that is clear in {unclear}; it lowers the KL in {helps} and raises it in "
        f"{len(clear) - helps}."
    )


def _slac(rows: Sequence[Mapping[str, Any]], ranges: Sequence[Mapping[str, Any]]) -> Table:
    lengths, lines = draws_by_length(rows)
    largest = {row["length"]: display.significant(row["mean_largest_activation"], 3) for row in ranges}
    columns = ["weights and method", "used at", *(f"calibrated at {length}" for length in lengths)]
    shown = [[f"{display.format_name(weights)}, {method}", *rest] for (weights, method), rest in lines]
    shown.append(["largest activation, mean over the layers' inputs", "", *(largest.get(length, "") for length in lengths)])
    return Table("KL by length of calibration and of use, in tokens", columns, shown)


def draws_by_length(rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], list[tuple[tuple[str, str], list[str]]]]:
    """The lengths of calibration, and lines of a table of `slac`'s rows: ((format, method), [length of use, a cell a length]).

    A cell is the KL x 1000, mean ± standard deviation over the draws of the calibration windows.
    """
    lengths = sorted({row["calibration_length"] for row in rows})
    kls: dict[tuple[str, str, int], dict[int, list[float]]] = {}
    for row in rows:
        method = row["method"] + (", cut from full length" if row["cut"] else "")
        by_length = kls.setdefault((row["format"], method, row["length"]), {})
        by_length.setdefault(row["calibration_length"], []).append(1e3 * row["kl"])
    cells = {key: [_mean_and_deviation(found.get(length, [])) for length in lengths] for key, found in kls.items()}
    return lengths, [((weights, method), [str(use), *shown]) for (weights, method, use), shown in cells.items()]


def _mean_and_deviation(draws: Sequence[float]) -> str:
    if len(draws) < 2:
        return "".join(f"{draw:.2f}" for draw in draws)
    return f"{fmean(draws):.2f} ± {stdev(draws):.2f}"
