"""Artefacts: written whole or not at all, and known by their SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = ["canonical_json", "output_directory", "sha256_file", "sha256_of", "write_file"]


@contextmanager
def output_directory(out: Path) -> Iterator[Path]:
    """A temporary directory whose contents move into `out` when the block ends well, and vanish when it does not.

    Files of `out` with other names stay as they are. Use it as the first thing a command does: an `out` that cannot be
    written is refused here, before any work.
    """
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=out))
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); name another directory") from None
    try:
        yield scratch
        for source in sorted(scratch.iterdir()):
            target = out / source.name
            if source.is_dir() and target.is_dir():
                shutil.rmtree(target)
            source.replace(target)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        if not existed:
            _remove_if_empty(out)
        raise
    scratch.rmdir()


def write_file(path: Path, content: str | bytes) -> None:
    """Write one file under a temporary name and rename it."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(data: Any) -> str:
    """JSON with sorted keys: equal data, equal bytes."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(data: Any) -> str:
    """SHA-256 of plain data, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()
