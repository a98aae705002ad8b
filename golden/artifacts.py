# SPDX-License-Identifier: Apache-2.0
"""Artefacts: written whole or not at all, and known by their SHA-256."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError

__all__ = [
    "canonical_json",
    "disk_failures",
    "most_unpacked",
    "output_directory",
    "read_json",
    "read_record",
    "read_user_json",
    "record_text",
    "replacing",
    "sha256_file",
    "sha256_of",
    "sole_use",
    "write_file",
]

# What writing ends with on a disk that is full, over its quota or its largest file, failing, or mounted read-only.
_DISK_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


@contextmanager
def disk_failures(where: str, way_out: str = "name another directory") -> Iterator[None]:
    """Around writing: a disk that is full or fails becomes an `InputError` of one line that begins with `where`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FAILURES:
            raise
        raise InputError(f"{where}: cannot be written ({error.strerror}); free some space or {way_out}") from error


@contextmanager
def output_directory(out: Path) -> Iterator[Path]:
    """A temporary directory whose contents move into `out` when the block ends well, and vanish when it does not.

    Files of `out` with other names stay as they are. Use it as the first thing a command does: an `out` that cannot be
    written is refused here, before any work, and a disk that becomes full later is an `InputError` too.
    """
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=out))
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); name another directory") from None
    try:
        with disk_failures(f"--out {out}"):
            yield scratch
            with _locked(out, fcntl.LOCK_EX):  # of two runs that end at once each leaves whole folders
                for source in sorted(scratch.iterdir()):
                    target = out / source.name
                    if source.is_dir() and target.is_dir():
                        shutil.rmtree(target)
                    source.replace(target)
    except BaseException as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if not existed:
            _remove_if_empty(out)
        if isinstance(error, InputError) and str(scratch) in str(error):  # the user knows no such directory
            raise InputError(str(error).replace(str(scratch), f"--out {out}")) from error
        raise
    scratch.rmdir()


@contextmanager
def sole_use(directory: Path) -> Iterator[None]:
    """No other run works in `directory` while the block lasts: one that wants to is refused. It is made if need be.

    Do not use it for what `output_directory` is used for inside the block, which would wait for itself.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror}); name another directory with --out") from None
    try:
        with _locked(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield
    except BlockingIOError:
        what = "another run is at work there; wait for its end, or name another directory with --out"
        raise InputError(f"{directory}: {what}") from None
    except BaseException:
        for empty in (directory, directory.parent):
            _remove_if_empty(empty)
        raise


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    """A lock on the directory itself, which ends with the block or the process; none on file systems that have no locks.

    Raises
    ------
    BlockingIOError
        If another process has it, and `how` says not to wait.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, how)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
                raise
        yield
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, which becomes `path` when the block ends well, and vanishes when it does not.

    Threads, processes and machines that make the same file at the same time do not meet: the last one stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: str | bytes) -> None:
    """Write one file under a temporary name and rename it. `InputError` if the disk is full or fails."""
    data = content.encode() if isinstance(content, str) else content
    with disk_failures(str(path)), replacing(path) as temporary:
        temporary.write_bytes(data)


def canonical_json(data: Any) -> str:
    """JSON with sorted keys: equal data, equal bytes."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def most_unpacked(packed: int) -> int:
    """Bytes that a compressed file of `packed` bytes may unpack to: what is far beyond is an accident or an attack."""
    return max(1 << 26, 100 * packed)


def read_json(path: Path) -> Any:
    """The data of a JSON file. OSError if it cannot be read, ValueError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("it nests too deep") from None


def read_user_json(path: Path, name: str, hint: str) -> Any:
    """The data of a JSON file that a user calls `name`; InputError, ending in the `hint`, if there is none to be had."""
    try:
        return read_json(path)
    except OSError as error:
        raise InputError(f"{name} {path}: cannot be read ({error.strerror}); {hint}") from None
    except ValueError as error:
        raise InputError(f"{name} {path}: is not JSON ({error}); {hint}") from None


def record_text(facts: dict[str, Any]) -> str:
    """What a file has to hold for `read_record`: `facts` with their SHA-256."""
    return canonical_json({"facts": facts, "sha256": sha256_of(facts)})


def read_record(path: Path) -> dict[str, Any] | None:
    """The facts of a file that holds a `record_text`; None if there is none, or it is not as it was written."""
    try:
        record = read_json(path)
        facts: dict[str, Any] = record["facts"]
        return facts if record["sha256"] == sha256_of(facts) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
