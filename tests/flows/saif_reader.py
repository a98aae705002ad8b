# SPDX-License-Identifier: Apache-2.0
"""Reads SAIF as its grammar has it, strictly: parentheses, strings, names with escapes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r'\s*(?:(?P<mark>[()])|"(?P<text>[^"]*)"|(?P<word>(?:\\.|[^\s()"\\])+))')


@dataclass
class State:
    low: int
    high: int
    unknown: int
    changes: int


@dataclass
class Instance:
    ports: dict[str, State] = field(default_factory=dict)
    nets: dict[str, State] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)


@dataclass
class File(Instance):
    header: dict[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> int:
        return int(self.header["DURATION"])


def read_saif(text: str) -> File:
    [(kind, *contents)] = nested(text)
    assert kind == "SAIFILE"
    file = File()
    for keyword, *rest in contents:
        if keyword == "INSTANCE":
            name, *inner = rest
            assert name not in file.instances
            file.instances[name] = instance(inner)
        else:
            assert keyword not in file.header
            file.header[keyword] = " ".join(rest)
    return file


def instance(contents: list[Any]) -> Instance:
    found = Instance()
    for keyword, *rest in contents:
        if keyword == "INSTANCE":
            name, *inner = rest
            assert name not in found.instances
            found.instances[name] = instance(inner)
            continue
        states = {"PORT": found.ports, "NET": found.nets}[keyword]
        for name, *times in rest:
            assert name not in states
            numbers = {key: int(value) for key, value in times}
            states[name] = State(*(numbers.pop(key) for key in ("T0", "T1", "TX", "TC")))
            assert not numbers
    return found


def nested(text: str) -> list[Any]:
    """Lists of words and lists."""
    stack: list[list[Any]] = [[]]
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = TOKEN.match(text, place)
        assert match is not None, text[place : place + 40]
        place = match.end()
        if match["mark"] == "(":
            stack.append([])
        elif match["mark"]:
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(re.sub(r"\\(.)", r"\1", match["word"]) if match["word"] else match["text"])
    [whole] = stack
    return whole
