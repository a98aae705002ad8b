"""What waits for a module that is not imported yet."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quant.on_import import when_imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name of a package on the path, with a module `late`; a broken module `broken` beside it."""
    folder = tmp_path / "awaited_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "late.py").write_text("done = True\n")
    (folder / "broken.py").write_text("raise ValueError('broken')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield "awaited_package"
    for name in [name for name in sys.modules if name.startswith("awaited_package")]:
        del sys.modules[name]


def test_once_after_the_module_is_complete(package: str) -> None:
    finders, seen = len(sys.meta_path), []
    when_imported(f"{package}.late", lambda: seen.append(sys.modules[f"{package}.late"].done))
    importlib.import_module(package)
    assert seen == []
    module = importlib.import_module(f"{package}.late")
    assert seen == [True]
    assert len(sys.meta_path) == finders
    importlib.reload(module)
    assert seen == [True]
    assert importlib.util.find_spec(f"{package}.late").origin == module.__file__


def test_at_once_for_a_module_that_is_there(package: str) -> None:
    importlib.import_module(package)
    seen = []
    when_imported(package, lambda: seen.append(1))
    assert seen == [1]


def test_two_can_wait_for_the_same(package: str) -> None:
    seen: list[int] = []
    when_imported(f"{package}.late", lambda: seen.append(1))
    when_imported(f"{package}.late", lambda: seen.append(2))
    importlib.import_module(f"{package}.late")
    assert sorted(seen) == [1, 2]


def test_modules_that_are_broken_or_missing_stay_so(package: str) -> None:
    seen: list[int] = []
    for name in ("broken", "missing"):
        when_imported(f"{package}.{name}", lambda: seen.append(1))
    with pytest.raises(ValueError, match="broken"):
        importlib.import_module(f"{package}.broken")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"{package}.missing")
    assert seen == []
