# SPDX-License-Identifier: Apache-2.0
"""Liberty files as text: unpacked once into the cache, in the form that Yosys and OpenSTA both read.

`.lib.gz` is decompressed. The library's default wire load is taken out, because OpenSTA 2.0 applies it and newer versions and
ABC don't: every delay of this project is without wires.
"""

from __future__ import annotations

import gzip
import io
import re
import threading
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from golden.artifacts import most_unpacked, sha256_file, write_file
from golden.errors import InputError

__all__ = ["UNSTATED", "cell_names", "corner", "library_name", "read_text", "unpacked"]

UNSTATED = "not stated"  # a corner

_unpacking = threading.Lock()  # threads of one process would write the same temporary file

_WIRE_LOAD = re.compile(r"^[ \t]*default_wire_load(_selection)?\s*:[^;]*;[ \t]*\n?", re.MULTILINE)
_CELL = re.compile(r'^\s*cell\s*\(\s*"?([^")\s]+)"?\s*\)', re.MULTILINE)


def read_text(path: Path) -> str:
    """The text of a Liberty file, plain or compressed.

    Raises
    ------
    InputError
        If it is missing, cannot be read, is damaged, or ends before its last group is closed.
    """
    try:
        data = path.read_bytes()
        text = (_decompressed(path, data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", errors="replace")
    except FileNotFoundError:
        raise InputError(f"{path}: no such Liberty file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError(f"{path}: the compressed file is damaged or truncated; get it again") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not re.search(r"\blibrary\s*\(", text):
        raise InputError(f"{path}: no 'library' group: this is not a Liberty file")
    if text.count("{") != text.count("}"):
        raise InputError(f"{path}: ends in the middle of a group: truncated; get it again")
    return text


def _decompressed(path: Path, data: bytes) -> bytes:
    """What a .gz file unpacks to, if that is a size that a library can have."""
    most = most_unpacked(len(data))
    with gzip.open(io.BytesIO(data)) as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise InputError(f"{path}: would unpack to far more than a library has; it is no Liberty file")
    return text


_LIBRARY = re.compile(r'\blibrary\s*\(\s*"?([^")\s]+)')


_CORNER = (  # in a library's attributes: what it calls its conditions, then voltage and temperature
    (re.compile(r'^\s*default_operating_conditions\s*:\s*"?([^";\s]+)', re.MULTILINE), ""),
    (re.compile(r'^\s*nom_voltage\s*:\s*"?(\d+(?:\.\d+)?)', re.MULTILINE), " V"),
    (re.compile(r'^\s*nom_temperature\s*:\s*"?(-?\d+(?:\.\d+)?)', re.MULTILINE), " C"),
)


@lru_cache(maxsize=32)
def _names_in(path: Path, _size: int, _modified_ns: int) -> tuple[str, frozenset[str], str]:
    """Name of the library, names of its cells, its corner."""
    text = read_text(path)
    found, matches = _LIBRARY.search(text), [(pattern.search(text), unit) for pattern, unit in _CORNER]
    said = [f"{float(match[1]):g}{unit}" if unit else match[1] for match, unit in matches if match is not None]
    return found.group(1) if found else "", frozenset(_CELL.findall(text)), ", ".join(said) or UNSTATED


def cell_names(path: Path) -> frozenset[str]:
    """Names of the cells in a Liberty file. A file without any is refused."""
    names = _names(path)[1]
    if not names:
        raise InputError(f"{path}: holds no cell: not a library that can be mapped to")
    return names


def library_name(path: Path) -> str:
    """The name that a library gives itself."""
    return _names(path)[0]


def corner(path: Path) -> str:
    """What a library says of its process, voltage and temperature: 'tt_025C_1v80, 1.8 V, 25 C'."""
    return _names(path)[2]


def _names(path: Path) -> tuple[str, frozenset[str], str]:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the Liberty files in it")
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: no such Liberty file ({error.strerror})") from None
    return _names_in(path, status.st_size, status.st_mtime_ns)


def unpacked(files: Sequence[Path], cache: Path) -> tuple[Path, ...]:
    """Plain copies of the Liberty `files` in `cache`, named by content; made once."""
    folder = cache / "liberty"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cache folder {folder}: cannot be written ({error.strerror}); make it writable, or work where there is space"
        ) from error
    copies = []
    for path in files:
        copy = folder / f"{_digest(path)[:16]}.lib"
        with _unpacking:
            if not copy.exists():
                write_file(copy, _WIRE_LOAD.sub("", read_text(path)))
        copies.append(copy.resolve())
    return tuple(copies)


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
