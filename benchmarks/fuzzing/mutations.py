# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil a valid input: bytes, tokens of a text, plain data, JSON, archives of arrays, tensor files.

Every function takes a `random.Random` and changes nothing in place. Most changes keep the syntax, so that what is spoiled gets
past the first check.
"""

from __future__ import annotations

import copy
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NUMBERS",
    "VALUES",
    "WORDS",
    "array",
    "bomb",
    "damaged",
    "data",
    "json_text",
    "misplaced",
    "npz",
    "tensor_file",
    "text",
    "tokens",
]

#: Numbers as text that are out of place nearly everywhere.
NUMBERS = (
    "-1", "0", "-0", "1e308", "-1e308", "1e400", "1e-320", "nan", "inf", "-inf", "NaN", "Infinity", "1.5", "0x10", "1_0", "1e3",
    "١٢", "½", "1,5", "1.2.3", "--1", "+", "e", ".", "65", "4097", "2147483648", "99999999999999999999", "9" * 5000,
    "-" + "9" * 400,
)  # fmt: skip
#: Words that name nothing.
WORDS = (
    "", " ", "none", "no-such-thing", "x" * 5000, "dint5", "DINT4 ", "é", "\u202e", "日本", "😀", "a\nb", "a\tb", "\x1b[31m",
    "[red]", "[/]", "%s", "{0}", "$(id)", "'; --", "../../x", "/dev/null", "/", ".", "~", "-", "--", "-h", "\\", '"', "'",
)  # fmt: skip
_DEEP = "\0deep"
#: Values of plain data that are out of place nearly everywhere; the last one is lists in lists, far beyond any parser's stack.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 65, 1 << 31, 1 << 63, 1 << 64, -(1 << 63) - 1, 10**400, 1.5, -0.0, 1e308, 5e-324,
    math.nan, math.inf, -math.inf, "", "1", "nan", "x" * 5000, "\0", "\ud800", "é", "a\nb", "../../x", "no-such-thing",
    [], {}, [[]], {"": None}, [None], [0] * 1000, ["x"], {"x": {"x": []}}, _DEEP,
)  # fmt: skip
_DEPTH = 100_000
_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]\w*|[-+]?\d[\d.]*(?:[eE][-+]?\d+)?|\s+|.', re.DOTALL)


def _times(rng: Random) -> int:
    """How often to spoil: once mostly."""
    return rng.choice((1, 1, 1, 1, 2, 3, 10))


# Bytes


def damaged(content: bytes, rng: Random) -> bytes:
    """Bits flipped, bytes lost, doubled, exchanged or foreign, or the end missing."""
    spoilt = bytearray(content)
    for _ in range(_times(rng)):
        place, length = rng.randrange(len(spoilt) + 1), rng.choice((1, 1, 2, 8, 100, 5000))
        match rng.randrange(6):
            case 0 if place < len(spoilt):
                spoilt[place] ^= 1 << rng.randrange(8)
            case 1:
                del spoilt[place:]
            case 2:
                del spoilt[place : place + length]
            case 3:
                spoilt[place:place] = spoilt[place : place + length]
            case 4:
                spoilt[place : place + length] = rng.randbytes(min(length, len(spoilt) - place))
            case _:
                spoilt[place:place] = rng.choice(
                    (b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"\0" * 1000, rng.randbytes(length))
                )
    return bytes(spoilt)


# Text


def tokens(source: str) -> list[str]:
    """Words, numbers, quoted strings, blanks and single marks; joined they are the text again."""
    return _TOKEN.findall(source)


def text(words: Sequence[str], rng: Random) -> str:
    """The text made of `words` (`tokens`), spoilt: mostly names, numbers and strings only, so that its structure stays."""
    spoilt = list(words)
    gentle = rng.random() < 0.6
    for _ in range(_times(rng)):
        spoilt = [word for word in spoilt if word]
        places = [place for place, word in enumerate(spoilt) if word[0].isalnum() or word[0] in '"_+-'] if gentle else []
        places = places or [place for place, word in enumerate(spoilt) if not word.isspace()]
        if not places:
            break
        place, other = rng.choice(places), rng.choice(places)
        if gentle:
            match rng.randrange(4):
                case 0:
                    spoilt[place] = ""
                case 1:
                    spoilt[place] = spoilt[other]
                case _:
                    spoilt[place] = _odd(spoilt[place], rng)
        else:
            _broken(spoilt, place, other, rng)
    result = "".join(spoilt)
    if rng.random() < 0.05:
        result = damaged(result.encode("utf-8", "surrogateescape"), rng).decode("utf-8", "surrogateescape")
    return result


def _broken(words: list[str], place: int, other: int, rng: Random) -> None:
    """Something done to `words` that breaks their structure."""
    match rng.randrange(9):
        case 0:
            words[place] = ""
        case 1:
            words[place] *= min(rng.choice((2, 2, 2, 1000, 50_000)), _DEPTH // len(words[place]) + 1)
        case 2:
            words[place], words[other] = words[other], words[place]
        case 3:
            words[place] = words[other]
        case 4:
            words[place + 1 :] = []
        case 5:
            words[place : place + rng.randrange(1, 100)] = []
        case 6:
            opening, closing = rng.choice(("()", "{}", "[]", ("(!", ")")))
            depth = rng.choice((1, 1, 3, 5000, _DEPTH // 2))
            words[place] = opening * depth + words[place] + closing * depth
        case 7:
            start, length = min(place, other), rng.randrange(1, 300)
            words[place:place] = words[start : start + length]
        case _:
            words[place] = _odd(words[place], rng)


def _odd(word: str, rng: Random) -> str:
    """Something odd of the same kind."""
    if word[0] == '"':
        return f'"{rng.choice((*NUMBERS, *WORDS))}"'
    if word[0].isdigit() or word[0] in "+-":
        return rng.choice(NUMBERS)
    return rng.choice((*WORDS, *NUMBERS)) if rng.random() < 0.7 else word.swapcase()


# Plain data


def data(value: Any, rng: Random) -> Any:
    """A copy of `value` (objects, lists, scalars) with something lost, renamed, exchanged, or of another type or size."""
    holder = [copy.deepcopy(value)]
    for _ in range(_times(rng)):
        places = list(_places(holder))
        box, key = rng.choice(places)
        match rng.randrange(8):
            case 0 if box is not holder:
                del box[key]
            case 1 if isinstance(box, dict):
                box[rng.choice((*WORDS, f"{key}x"))] = box.pop(key)
            case 2:
                other_box, other_key = rng.choice(places)
                box[key] = copy.deepcopy(other_box[other_key])
            case 3 if isinstance(box, list) and box is not holder:
                box[key:key] = [box[key]] * rng.choice((1, 1, 100))
            case 4 if isinstance(box[key], (int, float)) and not isinstance(box[key], bool):
                box[key] = rng.choice((-box[key], box[key] + 1, box[key] * 1000, str(box[key]), 2 * [box[key]], [box[key]]))
            case 5 if isinstance(box[key], str):
                box[key] = rng.choice((box[key][:-1], box[key] + "x", box[key].upper(), [box[key]], *WORDS))
            case _:
                box[key] = copy.deepcopy(rng.choice(VALUES))
    return holder[0]


def _places(box: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) at any depth."""
    found: list[tuple[Any, Any]] = []
    boxes = [box]
    while boxes:
        box = boxes.pop()
        for key in list(box) if isinstance(box, dict) else range(len(box)):
            found.append((box, key))
            if isinstance(box[key], (dict, list)):
                boxes.append(box[key])
    return found


def json_text(value: Any, rng: Random | None = None) -> str:
    """`value` as JSON, in which `VALUES`' last one is nested far too deep; with `rng`, spoilt as data, rarely as text."""
    spoilt = value if rng is None else data(value, rng)
    result = json.dumps(spoilt).replace(json.dumps(_DEEP), "[" * _DEPTH + "]" * _DEPTH)
    return text(tokens(result), rng) if rng is not None and rng.random() < 0.1 else result


# Files


def spoilt_file(path: Path, words: list[str], rng: Random, astray: float = 0.05) -> None:
    """A file of `words`, spoilt as text; of a share `astray` of the cases something else in its place."""
    spoilt = text(words, rng).encode("utf-8", "surrogateescape")
    if rng.random() < astray:
        misplaced(path, spoilt, rng)
    else:
        path.write_bytes(spoilt)


def misplaced(path: Path, content: bytes, rng: Random) -> None:
    """Something else in the place of a file: nothing, a folder, a link to nowhere or to itself, another kind of file."""
    match rng.randrange(7):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(path.with_name("nowhere"))
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.write_bytes(b"")
        case 4:
            path.write_bytes(rng.randbytes(500))
        case 5:
            path.write_bytes(b"\x1f\x8b" + content)
        case _:
            path.write_text(rng.choice(("{}", "[]", "null", "<html></html>", "version https://git-lfs.github.com/spec/v1\n")))


def array(values: NDArray[Any], rng: Random) -> NDArray[Any]:
    """Another type, shape, order or size, or other values."""
    spoilt = np.array(values)
    match rng.randrange(7):
        case 0:
            kinds = ("uint8", "int8", ">i4", "int64", "uint64", "float16", "float64", "complex64", "bool", "U3", "S2", "M8[s]")
            with np.errstate(all="ignore"):
                return np.asarray(spoilt.view("V1") if rng.random() < 0.1 else spoilt.astype(rng.choice(kinds)))
        case 1:
            return spoilt.T if spoilt.ndim > 1 else spoilt[:, None]
        case 2:
            return spoilt[: rng.randrange(len(spoilt) + 1)] if spoilt.ndim else spoilt[None]
        case 3:
            return rng.choice((spoilt.ravel(), spoilt[None], np.zeros((0, *spoilt.shape[1:]), spoilt.dtype), spoilt.ravel()[0]))
        case 4 if spoilt.size:
            content = bytearray(spoilt.tobytes())
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            return np.frombuffer(bytes(content), spoilt.dtype).reshape(spoilt.shape)
        case 5 if spoilt.size and spoilt.dtype.kind in "iuf":
            extreme = rng.choice((np.nan, np.inf)) if spoilt.dtype.kind == "f" else np.iinfo(spoilt.dtype).max
            spoilt.flat[rng.randrange(spoilt.size)] = extreme
            return spoilt
        case _:
            return np.repeat(spoilt, 2, axis=0) if spoilt.ndim else np.array(0)


def npz(arrays: dict[str, NDArray[Any]], rng: Random) -> bytes:
    """An archive of arrays; now and then with headers that lie, doubled names, foreign members, or a bomb."""
    members: list[tuple[str, bytes]] = []
    for name, values in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, values, allow_pickle=False)
        members.append((f"{name}.npy", file.getvalue()))
    place = rng.randrange(len(members))
    name, content = members[place]
    match rng.randrange(12):
        case 0:
            members[place] = (name, _with_other_header(content, rng))
        case 1:
            members.append((name, members[0][1]))
        case 2:
            members.append((rng.choice(("x", "../x.npy", "/x.npy", "0.weights", "é.npy", ".npy")), b"no array"))
        case 3:
            return bomb()
        case 4:
            members[place] = (name.removesuffix(".npy"), content)
        case 5:
            members[place] = (name, damaged(content, rng))
        case _:
            pass
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA))) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)  # a date of its own: equal cases, equal bytes
            info.compress_type = archive.compression
            archive.writestr(info, content)
    return damaged(result.getvalue(), rng) if rng.random() < 0.25 else result.getvalue()


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """An archive of 270 KB with an array of 268 MB."""
    array_file, result = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array(array_file, np.zeros(1 << 28, np.uint8), allow_pickle=False)
    with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("manifest.npy"), array_file.getvalue(), zipfile.ZIP_DEFLATED, 1)
    return result.getvalue()


def _with_other_header(content: bytes, rng: Random) -> bytes:
    """An array file (NEP 1) whose header is spoilt."""
    (length,) = struct.unpack("<H", content[8:10])
    header = content[10 : 10 + length].decode()
    if rng.random() < 0.5:
        shapes = ("(99999999999,)", "(-1,)", "(1 << 40,)", "(4611686018427387904, 4)", "()", "(1.5,)", "None", "(2, 2, 2)")
        header = re.sub(r"'shape': \([^)]*\)", f"'shape': {rng.choice(shapes)}", header)
    else:
        header = text(tokens(header), rng)
    spoilt = header.encode("utf-8", "replace")
    return content[:8] + struct.pack("<H", len(spoilt) & 0xFFFF) + spoilt + content[10 + length :]


def tensor_file(content: bytes, rng: Random) -> bytes:
    """A safetensors file with a header that lies (names, types, shapes, offsets, its own length), or damaged."""
    (length,) = struct.unpack("<Q", content[:8])
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    match rng.randrange(8):
        case 0:
            return damaged(content, rng)
        case 1:
            return struct.pack("<Q", rng.choice((0, 1, length - 1, length + 1, 1 << 40, (1 << 64) - 1))) + content[8:]
        case 2:
            body = damaged(body, rng)
        case 3:
            name = rng.choice([name for name in header if name != "__metadata__"])
            entry = header[name]
            change = rng.choice(("dtype", "shape", "offsets", "name"))
            if change == "dtype":
                entry["dtype"] = rng.choice(("F16", "BF16", "I32", "F64", "U8", "BOOL", "F8_E4M3", "X"))
            elif change == "shape":
                entry["shape"] = rng.choice((entry["shape"][::-1], [], [1 << 40, 1 << 40], [-1], entry["shape"] + [1], [0]))
            elif change == "offsets":
                start, end = entry["data_offsets"]
                entry["data_offsets"] = rng.choice(([end, start], [start, end + 4], [0, 1 << 62], [start - 4, end], [start]))
            else:
                header[rng.choice((*WORDS, name + "x"))] = header.pop(name)
        case 4:  # one value of some tensor is none
            name = rng.choice([name for name in header if name != "__metadata__" and header[name]["dtype"] == "F32"])
            start, _ = header[name]["data_offsets"]
            odd = struct.pack("<f", rng.choice((math.nan, math.inf, -math.inf, 3e38)))
            body = body[:start] + odd + body[start + 4 :]
        case _:
            header = data(header, rng)
    spoilt = json_text(header).encode()
    spoilt += b" " * (-len(spoilt) % 8)
    return struct.pack("<Q", len(spoilt)) + spoilt + body
