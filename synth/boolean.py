# SPDX-License-Identifier: Apache-2.0
"""Boolean expressions of Liberty: `function`, `when`, `next_state` and the like, evaluated and written as Verilog.

Operators, tightest first (Liberty reference manual, `function` attribute): `!x` and `x'` invert; `^` is exclusive or; `*`,
`&` and a blank are and; `+` and `|` are or. Names are pins or state variables, `0` and `1` constants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from golden.errors import InputError

__all__ = ["Expression", "parse"]

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w.\[\]]*|[01])|([!'^*&+|()]))")
_DEEPEST = 100  # parentheses within parentheses; libraries have a few
_VERILOG = {"xor": " ^ ", "and": " & ", "or": " | "}


@dataclass(frozen=True)
class Expression:
    """A node: `operator` is name, constant, not, xor, and, or; `operands` are its subexpressions."""

    operator: str
    operands: tuple[Expression, ...] = ()
    name: str = ""  # the name, or 0 or 1

    @property
    def names(self) -> frozenset[str]:
        """The names that occur."""
        if self.operator == "name":
            return frozenset({self.name})
        return frozenset().union(*(operand.names for operand in self.operands))

    def evaluate(self, values: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """The value for given values of the names: arrays of one shape (or that broadcast). A missing name is a KeyError."""
        if self.operator == "name":
            return values[self.name]
        if self.operator == "constant":
            return np.array(self.name == "1")
        operands = [operand.evaluate(values) for operand in self.operands]
        if self.operator == "not":
            return np.logical_not(operands[0])
        function = {"xor": np.logical_xor, "and": np.logical_and, "or": np.logical_or}[self.operator]
        result = operands[0]
        for operand in operands[1:]:
            result = function(result, operand)
        return result

    def truth_table(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """The value in every state of `names`, shape (2^len(names),); bit i of the state is the value of the i-th name."""
        states = np.arange(1 << len(names))
        values = {name: (states >> i & 1).astype(bool) for i, name in enumerate(names)}
        return np.broadcast_to(self.evaluate(values), states.shape)

    def verilog(self) -> str:
        """The expression in Verilog, fully parenthesized, on one-bit operands."""
        if self.operator == "name":
            return self.name
        if self.operator == "constant":
            return f"1'b{self.name}"
        if self.operator == "not":
            return f"~{self.operands[0].verilog()}"
        return "(" + _VERILOG[self.operator].join(operand.verilog() for operand in self.operands) + ")"


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """The expression that `text` says.

    Raises
    ------
    InputError
        If it does not follow the grammar.
    """
    parser = _Parser(text)
    result = parser.disjunction()
    if parser.position < len(parser.tokens):
        parser.fail()
    return result


class _Parser:
    """Recursive descent, one method per precedence level."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.position = self.depth = 0
        place, stripped = 0, text.rstrip()
        while place < len(stripped):
            match = _TOKEN.match(stripped, place)
            if match is None:
                self.fail()
            self.tokens.append(match[1] or match[2])
            place = match.end()

    def fail(self) -> NoReturn:
        raise InputError(f"boolean expression {self.text!r}: not a Liberty expression")

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def disjunction(self) -> Expression:
        operands = [self.conjunction()]
        while self.peek() and self.peek() in "+|":
            self.take()
            operands.append(self.conjunction())
        return _node("or", operands)

    def conjunction(self) -> Expression:
        operands = [self.exclusive()]
        while token := self.peek():
            if token in "*&":
                self.take()
            elif token in "+|)^'":
                break
            operands.append(self.exclusive())
        return _node("and", operands)

    def exclusive(self) -> Expression:
        operands = [self.inversion()]
        while self.peek() == "^":
            self.take()
            operands.append(self.inversion())
        return _node("xor", operands)

    def inversion(self) -> Expression:
        inverted = False
        while (token := self.take()) == "!":
            inverted = not inverted
        if token == "(":
            self.depth += 1
            if self.depth > _DEEPEST:
                self.fail()
            result = self.disjunction()
            self.depth -= 1
            if self.take() != ")":
                self.fail()
        elif token in ("0", "1"):
            result = Expression("constant", name=token)
        elif token and (token[0].isalpha() or token[0] == "_"):
            result = Expression("name", name=token)
        else:
            self.fail()
        while self.peek() == "'":
            self.take()
            inverted = not inverted
        return Expression("not", (result,)) if inverted else result


def _node(operator: str, operands: list[Expression]) -> Expression:
    return operands[0] if len(operands) == 1 else Expression(operator, tuple(operands))
