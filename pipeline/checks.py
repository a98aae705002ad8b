# SPDX-License-Identifier: Apache-2.0
"""What the longer checks found (`make verify`, `make mutation`, `make fuzz`), on record for the report.

A record names the sources that it is about. One that is about other sources than these, or a part of the check, is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden.artifacts import canonical_json, read_json, write_file
from golden.errors import InputError

from .stages import HARDWARE_PACKAGES, package_versions, source_hash

if TYPE_CHECKING:
    from sim.simulators import Simulator
    from synth.pdk import Pdk

__all__ = ["DIRECTORY", "collect_checks", "write_record"]

DIRECTORY = Path("build/verify")  # where the checks leave their records unless told otherwise

_Row = dict[str, Any]


def write_record(
    file: Path,
    folders: Sequence[str],
    results: Sequence[Mapping[str, Any]],
    simulators: Iterable[Simulator] = (),
    pdks: Iterable[Pdk] = (),
    whole: bool = True,
) -> None:
    """Write `results`, a plain object each, with the hash of the sources that they are about: in `folders`, or single files.

    A record of a part of the check is not `whole`. Beside it stand the versions of Python's packages and of the simulators, and
    the hashes of the kits' libraries.
    """
    versions = package_versions(HARDWARE_PACKAGES) | {simulator.name: simulator.version for simulator in simulators}
    kits = {pdk.name: list(pdk.liberty_sha256) for pdk in pdks}
    about = {"folders": folders, "sources_sha256": source_hash(folders), "versions": versions, "kits": kits, "whole": whole}
    write_file(file, canonical_json({**about, "results": results}))


def collect_checks(directory: Path = DIRECTORY) -> tuple[list[_Row], list[str]]:
    """The rows of the report's table of checks, and a sentence for every check without a record of these sources.

    A row has `check`, `of`, `tried` (how many), `held` (of those, as it should be), `exempt` (proved to make no difference) and
    `seconds` (None where the row above has them); that of a changed module also `survivors`, the changes that its tests did not
    notice: `place`, `change` and why that is no gap, `reason`, empty where it is one.

    Raises
    ------
    InputError
        If a record cannot be read.
    """
    rows: list[_Row] = []
    missing: list[str] = []
    for name, (title, target, read) in _RECORDS.items():
        file = directory / name
        try:
            record = read_json(file)
            if record["sources_sha256"] != source_hash(record["folders"]):
                missing.append(f"{title}: the record is of other sources; run `make {target}`, then the report again.")
                continue
            if not record["whole"]:
                missing.append(f"{title}: the record is of a part; run `make {target}`, then the report again.")
                continue
            rows += read(record["results"])
        except FileNotFoundError:
            missing.append(f"{title}: not run here; `make {target}` does it, then run the report again.")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"record {file}: cannot be read ({error}); remove it, or run `make {target}` again") from None
    return rows, missing


def _row(check: str, of: str, tried: int, held: int, seconds: float | None, exempt: int = 0) -> _Row:
    return {"check": check, "of": of, "tried": tried, "held": held, "exempt": exempt, "seconds": seconds}


def _grouped(results: Iterable[_Row], *keys: str) -> dict[tuple[str, ...], list[_Row]]:
    groups: dict[tuple[str, ...], list[_Row]] = {}
    for result in results:
        groups.setdefault(tuple(result[key] for key in keys), []).append(result)
    return groups


def _proofs(results: list[_Row]) -> list[_Row]:
    return [
        _row(f"proof: {shown}", f"units, {by}", len(group), len(group), sum(one["seconds"] for one in group))
        for (shown, by), group in _grouped(results, "property", "by").items()
    ]


def _products(results: list[_Row]) -> list[_Row]:
    rows = []
    for (level, tool), group in _grouped(results, "level", "tool").items():
        units = sum(one["units"] for one in group)
        seconds: float | None = sum(one["seconds"] for one in group)
        for what, title in (("products", "every product"), ("scales", "every scale"), ("sums", "sums, these included")):
            if count := sum(one[what] for one in group):
                # A run that finds a difference leaves no record: all of it held.
                rows.append(_row(f"{title}: {level}", f"{what} of {units} units, {tool}", count, count, seconds))
                seconds = None  # of one run, said once
    return rows


def _hardware(results: list[_Row]) -> list[_Row]:
    rows = []
    for one in results:
        exempt = one["equivalent"] + one["beyond_limits"]
        rows.append(_row("bench: broken units", one["design"], one["mutants"], one["killed"], one["seconds"], exempt))
    return rows


def _python(results: list[_Row]) -> list[_Row]:
    rows = []
    for one in results:
        row = _row("unit tests: changed lines", one["file"], one["mutants"], one["killed"], one["seconds"])
        survivors = [
            {
                "place": f"{one['file']}, line {survivor['line']}",
                "change": f"{survivor['change']}: {survivor['code']}",
                "reason": survivor["reason"],
            }
            for survivor in one["survivors"]
        ]
        rows.append(row | {"survivors": survivors})
    return rows


def _fuzz(results: list[_Row]) -> list[_Row]:
    return [
        _row("malformed input", one["target"], one["cases"], one["cases"] - one["findings"], one["seconds"]) for one in results
    ]


_RECORDS = {
    "proofs.json": ("Proofs", "verify", _proofs),
    "verification.json": ("Exhaustive simulation", "verify", _products),
    "mutation-hardware.json": ("Mutation score of the bench", "mutation", _hardware),
    "mutation-python.json": ("Mutation score of the unit tests", "mutation", _python),
    "fuzz.json": ("Fuzzing", "fuzz", _fuzz),
}
