# SPDX-License-Identifier: Apache-2.0
"""Wheel and source distribution: built from a copy of the tree, held against each other, installed in an empty environment.

    python -m benchmarks.package [--out DIR]

Takes minutes, and the network, for what pip installs. Exit code 1, and a line, at the first thing that is not as it should be.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: What a type checker should say of a program that uses the package, line by line.
_PROGRAM = """\
import dint
bits: int = dint.MacConfig(dint.DINT4, lanes=4).accumulator_bits
name: str = dint.DINT4.bits
area = dint.synthesize(lanes=1, period_ns=8)["design__instance__area"]
dint.generate(lanez=4)
"""
_COMPLAINTS = [(3, "Incompatible types in assignment"), (5, 'Unexpected keyword argument "lanez"')]


class Wrong(Exception):
    """Something is not as it should be."""


def main() -> int:
    """Check everything, print what was found; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", type=Path, help="directory for both files; default: none, they are thrown away")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="dint-package-") as place:
        try:
            files = _check(Path(place))
        except Wrong as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copy2(file, out)
    return 0


def _check(place: Path) -> list[Path]:
    tree = place / "tree"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=unwanted)
    for name in (".ci", ".pre-commit-config.yaml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, tree / name)
    expected = {
        str(file.relative_to(tree)) for package in _packages() for file in (tree / package).rglob("*") if file.is_file()
    }
    builder = _environment(place / "builder", "build")
    _run(builder, "-m", "build", "--outdir", str(place / "dist"), str(tree))  # the wheel of the source distribution
    _run(builder, "-m", "build", "--wheel", "--outdir", str(place / "direct"), str(tree))
    (source,), (wheel,) = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
    (direct,) = (place / "direct").glob("*.whl")
    for file in (source, wheel):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")

    held = _contents(wheel)
    if held != _contents(direct):
        raise Wrong("the wheel that the source distribution gives is not that of the tree")
    installed = {name for name in held if ".dist-info/" not in name}
    if installed != expected | {"dint.py"}:
        raise Wrong(f"the wheel lacks, or has besides, {sorted(installed ^ (expected | {'dint.py'}))}")
    print(f"{len(installed)} files in the wheel: all of the packages, the same from the tree and from the source distribution")

    shutil.unpack_archive(source, place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    names = {str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file() and "egg-info" not in str(file)}
    if lacking := sorted(name for name in names if not (unpacked / name).is_file() and not name.startswith("build/")):
        raise Wrong(f"the source distribution lacks {lacking}")
    print(f"{len(names)} files of the tree in the source distribution")

    python = _environment(place / "empty", str(wheel))
    _try(python, place)
    return [source, wheel]


def _packages() -> list[str]:
    found: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    return found


def _environment(place: Path, package: str) -> Path:
    """A new environment with one package and what it needs; its interpreter."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    return python


def _contents(wheel: Path) -> dict[str, str]:
    """SHA-256 by name; the record of them is the same if they are."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def _try(python: Path, place: Path) -> None:
    """What works without extras, and what says that it does not."""
    size = sum(file.lstat().st_size for file in (place / "empty").rglob("*") if file.is_file())
    print(f"{size / 1e6:.0f} MB in an environment without extras")
    work = place / "work"
    work.mkdir()
    dint = python.with_name("dint")
    for arguments in ([], ["--help"], ["formats"], ["pdks"], ["generate", "--lanes", "16", "--out", "rtl"]):
        _run(dint, *arguments, work=work)
    _run(Path(sys.executable), str(ROOT / "dint.py"), "generate", "--lanes", "16", "--out", "own", work=work)
    for file in (work / "own").iterdir():
        if (work / "rtl" / file.name).read_bytes() != file.read_bytes():
            raise Wrong(f"{file.name} is not what the tree generates")
    refused = subprocess.run([dint, "quantize"], cwd=work, capture_output=True, text=True, check=False)
    if refused.returncode != 1 or not refused.stderr.endswith("'dint doctor' says how to install it\n"):
        raise Wrong(f"dint quantize without torch: exit code {refused.returncode}, {refused.stderr}")
    print("without extras: help, formats, pdks and generate work, and quantize says what is missing")

    (work / "program.py").write_text(_PROGRAM)
    command = ["-m", "mypy", "--strict", "--python-executable", str(python), "program.py"]
    checked = subprocess.run([sys.executable, *command], cwd=work, capture_output=True, text=True, check=False)
    lines = [line for line in checked.stdout.splitlines() if ": error: " in line]
    wanted = [f"program.py:{line}: error: {message}" for line, message in _COMPLAINTS]
    if len(lines) != len(wanted) or not all(line.startswith(start) for line, start in zip(lines, wanted, strict=True)):
        raise Wrong(f"mypy of a program that uses the package: {checked.stdout}{checked.stderr}")
    print("mypy sees the types of the installed package")


def _run(program: Path, *arguments: str, work: Path | None = None) -> None:
    done = subprocess.run([program, *arguments], cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Wrong(
            f"{program.name} {' '.join(arguments)}: exit code {done.returncode}: {(done.stderr or done.stdout)[-2000:]}"
        )


if __name__ == "__main__":
    sys.exit(main())
