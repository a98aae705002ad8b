# SPDX-License-Identifier: Apache-2.0
"""The published schema is that of the shapes, a schema, and what the files of figures fit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golden.artifacts import canonical_json
from report.metrics import metrics
from report.metrics_schema import MEANINGS, QUANTIZATION, REPORT, SYNTHESIS, json_schema
from report.shapes import check_shape
from tests.conftest import ROOT

PUBLISHED = ROOT / "docs" / "metrics.schema.json"


def test_the_published_schema_is_up_to_date() -> None:
    assert PUBLISHED.read_text() == canonical_json(json_schema()), (
        "run python -m report.metrics_schema > docs/metrics.schema.json"
    )


def test_figures_of_a_report_have_the_shape(results: dict[str, Any]) -> None:
    check_shape(metrics(results), REPORT, "metrics.json")
    check_shape(results["accuracy"] | {"recipe": {}}, QUANTIZATION, "metrics.json")


def test_figures_with_units_are_explained() -> None:
    named = {name for shape in (SYNTHESIS, REPORT["designs"][0], REPORT["energies"][0]) for name in shape if "__" in name}
    assert named <= MEANINGS.keys()


def test_a_validator_accepts_figures_and_refuses_others(results: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema here: it comes with the extra dev")
    schema = json.loads(PUBLISHED.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    made = json.loads(canonical_json(metrics(results)))
    assert validator.is_valid(made)
    assert not validator.is_valid({})
    made["designs"][0]["design__instance__area"] = "1"
    assert not validator.is_valid(made)
    of_reports = jsonschema.Draft202012Validator(schema["$defs"]["report"])
    [fault] = of_reports.iter_errors(made)
    assert list(fault.absolute_path) == ["designs", 0, "design__instance__area"]
