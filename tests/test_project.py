# SPDX-License-Identifier: Apache-2.0
"""What every file, and the files about the project, must say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = [*PROJECT["tool"]["setuptools"]["packages"], "benchmarks", "tests"]
SOURCES = [
    ROOT / "dint.py",
    *(file for folder in FOLDERS for kind in ("*.py", "*.pyi") for file in (ROOT / folder).rglob(kind)),
]
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"


def test_every_source_file_names_its_licence() -> None:
    assert len(SOURCES) > 300
    assert [str(file.relative_to(ROOT)) for file in SOURCES if not file.read_text().startswith(LICENCE)] == []
    assert PROJECT["project"]["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (.+)$"),
        ("CHANGELOG.md", r"^## \[([\d.]+)\]"),
        ("hdl/companions.py", r'^CORE_VERSION = "(.+)"$'),
    ],
)
def test_versions_agree(file: str, pattern: str) -> None:
    found = re.search(pattern, (ROOT / file).read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == PROJECT["project"]["version"]


def test_the_citation_names_licence_and_paper() -> None:
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["project"]["license"]
    assert [one["name"] for one in citation["authors"]] == [one["name"] for one in PROJECT["project"]["authors"]]
    (paper,) = citation["references"]
    assert {one["value"] for one in paper["identifiers"]} == {"arXiv:2311.05161"}


def test_packages_are_all_there_is() -> None:
    """A folder with modules that is forgotten in pyproject.toml would be missing from the wheel."""
    found = {file.parent.name for file in ROOT.glob("*/__init__.py*")} - {"tests", "benchmarks"}
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])
    assert all(Path(ROOT / folder).is_dir() for folder in found)
