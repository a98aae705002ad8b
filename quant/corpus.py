# SPDX-License-Identifier: Apache-2.0
"""Text that every machine has: the documentation that ships inside Python itself.

The project may not contain anybody's text, yet every user needs a text to calibrate on and one to measure on. CPython
carries 465 KB of language reference (`pydoc_data.topics`) and, in the docstrings of its standard library, 1.8 MB more.
Topics are held out *by name*, and without the paragraphs that other topics repeat, so that no paragraph of the test text is
ever trained or calibrated on; of its runs of 13 words, one in a thousand is (one sentence, in Python 3.11). The text belongs
to the interpreter and changes a little with its version: whatever is measured on it carries its SHA-256.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from pathlib import Path
from pydoc_data.topics import topics as _TOPICS

from golden.errors import InputError

__all__ = ["documentation_test", "documentation_train", "held_out_topics", "read_text", "text_sha256", "training_topics"]

#: One topic in five is test text.
HELD_OUT_ONE_IN = 5
#: Shorter docstrings carry hardly any prose.
MINIMUM_DOCSTRING_CHARACTERS = 120


def held_out_topics() -> list[str]:
    """Names of the held-out topics: those whose name's SHA-256, as a number, is a multiple of `HELD_OUT_ONE_IN`.

    A hash, unlike a position in a list, decides each name alone: a topic stays on its side of the split in every version
    of Python.
    """
    return [name for name in sorted(_TOPICS) if int(text_sha256(name), 16) % HELD_OUT_ONE_IN == 0]


def documentation_test() -> str:
    """The held-out topics, in alphabetical order, separated by blank lines.

    Topics contain one another: a paragraph that also stands in a topic that is not held out is left out here.
    """
    trained = {_folded(paragraph) for topic in training_topics() for paragraph in topic.split("\n\n")}
    paragraphs = [paragraph for name in held_out_topics() for paragraph in _TOPICS[name].strip().split("\n\n")]
    return "\n\n".join(paragraph for paragraph in paragraphs if _folded(paragraph) not in trained)


def training_topics() -> list[str]:
    """The topics that are not held out, in alphabetical order."""
    held_out = set(held_out_topics())
    return [_TOPICS[name].strip() for name in sorted(_TOPICS) if name not in held_out]


def documentation_train() -> list[str]:
    """The training topics and the standard library's docstrings, one string per topic or module."""
    return training_topics() + _standard_library_docstrings()


def read_text(path: Path, option: str) -> str:
    """The text in a UTF-8 file; `option` is what the user calls it."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{option} {path}: is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror})") from None
    if not text.strip():
        raise InputError(f"{option} {path}: the text is empty")
    return text


def text_sha256(text: str) -> str:
    """SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _folded(paragraph: str) -> str:
    """Without differences of white space: topics repeat one another with other indentation."""
    return " ".join(paragraph.split())


def _standard_library_docstrings() -> list[str]:
    """Docstrings by module, read from the sources: importing every module of the library would run it."""
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"test", "tests", "idle_test", "site-packages", "dist-packages", "lib2to3", "pydoc_data", "__pycache__"}
    documents = []
    for path in sorted(root.rglob("*.py")):
        if skipped & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        docstrings = [
            ast.get_docstring(node) or ""
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        prose = "\n\n".join(text for text in docstrings if len(text) >= MINIMUM_DOCSTRING_CHARACTERS)
        if prose:
            documents.append(prose)
    return documents
