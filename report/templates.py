# SPDX-License-Identifier: Apache-2.0
"""The templates of the pages, with style, script and the filters by which figures are written."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import display, download

__all__ = ["environment"]

_HERE = Path(__file__).resolve().parent


def environment() -> Any:
    """jinja2's environment for one page: the ids that it gives away are new within the page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    found = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (_HERE / "script.js").read_text(encoding="utf-8")
    found.globals |= {
        "not_measured": display.NOT_MEASURED,
        "style": Markup((_HERE / "style.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "script_hash": f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}",
        "svg": Markup,
        "new_id": _new_ids(),
    }
    found.filters |= {
        "capitalize_first": lambda words: words[:1].upper() + words[1:],
        "count": display.count,
        "csv_address": download.csv_address,
        "fj": display.femtojoules,
        "figure": display.significant,
        "fmt": display.format_name,
        "period": display.period,
        "ratio": display.ratio,
        "score": display.score,
    }
    found.tests["numeric"] = lambda cell: re.match(r"[-+]?\d", cell) is not None
    return found


def _new_ids() -> Callable[[str], str]:
    """Gives ids made of words, each once."""
    given: dict[str, int] = {}

    def new_id(words: str) -> str:
        name = download.file_name(words)
        given[name] = given.get(name, 0) + 1
        return f"table-{name}" + (f"-{given[name]}" if given[name] > 1 else "")

    return new_id
