# SPDX-License-Identifier: Apache-2.0
"""Texts to calibrate and to measure on: a file, a data set of Hugging Face's `datasets`, strings, or token ids."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from golden.errors import InputError

from .corpus import read_text, text_sha256
from .failures import hub_trouble, reason

__all__ = ["Dataset", "Source", "Text", "one_source", "text_of", "tokenize"]

#: So much of a data set is read, in characters: it may be larger than the disk. WikiText-2 has 11 million.
MAXIMUM_CHARACTERS = 1 << 24
#: Between the rows of a data set and between strings, as GPTQ joins them.
SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Dataset:
    """A data set by its name on the hub or its directory: NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT; "test" by default."""

    name: str


#: What a user can give: a UTF-8 file, a data set, strings that are joined by blank lines, or token ids.
Source = Path | Dataset | Sequence[str] | Sequence[int]


@dataclass(frozen=True)
class Text:
    """A text and what to call it in results."""

    name: str
    content: str | tuple[int, ...]  # characters, or token ids of the model's tokenizer

    @property
    def sha256(self) -> str:
        """In hexadecimal, of the UTF-8 bytes; of the ids as little-endian 64-bit integers."""
        if isinstance(self.content, str):
            return text_sha256(self.content)
        return hashlib.sha256(np.array(self.content, dtype="<i8").tobytes()).hexdigest()

    def tokens(self, tokenizer: Any) -> Tensor:
        """Tokens (n,) int64, without special tokens, unlike GPTQ's texts; ids that the tokenizer lacks are refused."""
        if isinstance(self.content, str):
            return tokenize(tokenizer, self.content)
        for token in self.content:
            if not 0 <= token < len(tokenizer):
                raise InputError(f"text {self.name}: token id {token} is none of the tokenizer's 0 to {len(tokenizer) - 1}")
        return torch.tensor(self.content, dtype=torch.int64)


def tokenize(tokenizer: Any, text: str) -> Tensor:
    """Tokens (n,) int64 of a whole text, without special tokens."""
    return torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], dtype=torch.int64)


def one_source(text: Source | None, dataset: str | None, option: str) -> Source | None:
    """The one that is given of a text and the name of a data set, options `option`-text and `option`-dataset."""
    if dataset is None:
        return text
    if text is not None:
        raise InputError(f"{option}-dataset {dataset}: {option}-text is given, too; leave out one")
    return Dataset(dataset)


def text_of(source: Source, option: str) -> Text:
    """The text in `source`; `option` is what the user calls it.

    Raises
    ------
    InputError
        If it cannot be read, or is empty, or is none of the kinds of `Source`.
    """
    if isinstance(source, Path):
        return Text(source.name, read_text(source, option))
    if isinstance(source, Dataset):
        return _dataset_text(source.name, option)
    items: Any = source.tolist() if isinstance(source, np.ndarray | Tensor) else source
    if isinstance(items, str) or not isinstance(items, Sequence):
        raise InputError(f"{option}: a path, a list of strings or a list of token ids is needed, not {type(items).__name__}")
    if not any(item != "" for item in items):
        raise InputError(f"{option}: the text is empty")
    if all(isinstance(item, str) for item in items):
        return Text("strings", SEPARATOR.join(items))
    if all(type(item) is int for item in items):
        return Text("token ids", tuple(items))
    raise InputError(f"{option}: the list has other things than strings, or other things than token ids")


def _dataset_text(source: str, option: str) -> Text:
    name, *rest = source.split(":")
    if not name or len(rest) > 2:
        raise InputError(f"{option} {source}: it is NAME, NAME:SPLIT or NAME:CONFIGURATION:SPLIT")
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(f"{option} {source}: the package datasets is missing; 'dint doctor' says how to install it") from None
    split, configuration = (rest[-1] if rest else "test"), (rest[0] if len(rest) == 2 else None)
    try:
        rows = iter(load_dataset(name, configuration, split=split, streaming=True))
        first: dict[str, Any] = next(rows, {})
        column = _column(first, option, source)
        pieces, length = [first[column]], len(first[column])
        while length < MAXIMUM_CHARACTERS and (row := next(rows, None)) is not None:
            pieces.append(row[column])
            length += len(row[column])
    except InputError:
        raise
    except StopIteration:  # what datasets ends with where a file has no row
        raise InputError(f"{option} {source}: the data set is empty") from None
    except Exception as error:  # no network, no such data set, split or file: one kind of exception each
        trouble = hub_trouble(error, f"give its directory, or a file by {option.replace('dataset', 'text')}")
        told = f"no such directory, and {trouble}" if trouble else f"cannot be read ({reason(error)})"
        raise InputError(f"{option} {source}: {told}") from error
    content = SEPARATOR.join(pieces)[:MAXIMUM_CHARACTERS]
    if not content.strip():
        raise InputError(f"{option} {source}: the text is empty")
    return Text(source, content)


def _column(row: dict[str, Any], option: str, source: str) -> str:
    """The column called "text", or the only one with strings in it."""
    if not row:
        raise InputError(f"{option} {source}: the data set is empty")
    found = [name for name, value in row.items() if isinstance(value, str)]
    if "text" in found:
        return "text"
    if len(found) != 1:
        columns = ", ".join(islice(row, 8))
        raise InputError(f"{option} {source}: no column 'text', and not one column of strings; its columns are {columns}")
    return found[0]
