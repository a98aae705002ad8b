# SPDX-License-Identifier: Apache-2.0
"""Records of the longer checks: shown if they are of these sources, named if they are not, refused if they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.errors import InputError
from pipeline import checks
from pipeline.checks import collect_checks, write_record

PROOF = {
    "design": "mac_dint4_x1",
    "property": "products",
    "by": "exhaustion",
    "compared": 4096,
    "unit": "products",
    "seconds": 1.5,
}
EXHAUSTIVE = {
    "level": "rtl",
    "tool": "icarus",
    "unit": "mac_dint4_x1",
    "units": 7,
    "products": 28672,
    "scales": 512,
    "sums": 30000,
    "seconds": 2.0,
}
FAULTS = {"design": "mac_int4_x1", "mutants": 300, "killed": 290, "equivalent": 7, "beyond_limits": 3, "seconds": 60.0}
SURVIVOR = {"line": 7, "change": "1 to 2", "code": "x = 1", "reason": "never read"}
LINES = {"file": "golden/mac.py", "mutants": 100, "killed": 97, "seconds": 9.0, "survivors": [SURVIVOR]}
FUZZED = {"target": "operands", "cases": 2000, "findings": 1, "seconds": 4.0}


def test_all_records(tmp_path: Path) -> None:
    write_record(tmp_path / "proofs.json", ["golden"], [PROOF, {**PROOF, "design": "mac_dint4_x4", "seconds": 2.0}])
    write_record(tmp_path / "verification.json", ["golden", "hdl"], [EXHAUSTIVE])
    write_record(tmp_path / "mutation-hardware.json", ["hdl"], [FAULTS])
    write_record(tmp_path / "mutation-python.json", ["golden"], [LINES])
    write_record(tmp_path / "fuzz.json", ["golden"], [FUZZED])
    rows, missing = collect_checks(tmp_path)
    assert missing == []
    assert [(row["check"], row["tried"], row["held"], row["exempt"], row["seconds"]) for row in rows] == [
        ("proof: products", 2, 2, 0, 3.5),
        ("every product: rtl", 28672, 28672, 0, 2.0),
        ("every scale: rtl", 512, 512, 0, None),
        ("sums, these included: rtl", 30000, 30000, 0, None),
        ("bench: broken units", 300, 290, 10, 60.0),
        ("unit tests: changed lines", 100, 97, 0, 9.0),
        ("malformed input", 2000, 1999, 0, 4.0),
    ]
    shown = {"place": "golden/mac.py, line 7", "change": "1 to 2: x = 1", "reason": "never read"}
    assert [row["survivors"] for row in rows if "survivors" in row] == [[shown]]


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    rows, missing = collect_checks(tmp_path / "nothing")
    assert rows == []
    assert len(missing) == 5
    assert missing[0] == "Proofs: not run here; `make verify` does it, then run the report again."


def test_a_record_of_other_sources_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path / "proofs.json", ["golden"], [PROOF])
    monkeypatch.setattr(checks, "source_hash", lambda _: "another")
    rows, missing = collect_checks(tmp_path)
    assert rows == []
    assert missing[0] == "Proofs: the record is of other sources; run `make verify`, then the report again."


def test_a_record_of_a_part_is_not_shown(tmp_path: Path) -> None:
    write_record(tmp_path / "fuzz.json", ["golden"], [FUZZED], whole=False)
    rows, missing = collect_checks(tmp_path)
    assert rows == []
    assert missing[-1] == "Fuzzing: the record is of a part; run `make fuzz`, then the report again."


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folders": 5, "sources_sha256": 1}', "\x00"])
def test_a_record_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "proofs.json").write_text(text)
    with pytest.raises(InputError, match=r"proofs\.json: cannot be read") as failure:
        collect_checks(tmp_path)
    assert "\n" not in str(failure.value)
