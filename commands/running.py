# SPDX-License-Identifier: Apache-2.0
"""What all commands have in common: `--json`, `--debug`, the place in the help, and the exit code.

A command is a function that prints for people unless its `quiet` is set, and returns the same as plain data. Data whose `ok`
is false is an answer, not an error, and ends with exit code 1.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

OUTPUT_PANEL = "Output"

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, nothing else.", rich_help_panel=OUTPUT_PANEL)]
_Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.", rich_help_panel=OUTPUT_PANEL)]

_tracebacks = False


def show_tracebacks(shown: bool = True) -> None:
    """From now on errors are shown with their traceback, or without."""
    global _tracebacks
    _tracebacks = shown


def tracebacks_shown() -> bool:
    """Whether errors are shown with their traceback."""
    return _tracebacks


def add(app: typer.Typer, panel: str, *functions: Callable[..., Any]) -> None:
    """Make commands of `functions`, under the heading `panel` of the help."""
    for function in functions:
        app.command(rich_help_panel=panel)(_command(function))


def _command(function: Callable[..., Any]) -> Callable[..., None]:
    """`function` with the options that it does not have to know of."""

    @functools.wraps(function)
    def run(*, as_json: bool, debug: bool, **arguments: Any) -> None:
        if debug:
            show_tracebacks()
        if as_json:
            with redirect_stdout(sys.stderr):  # what libraries say
                result = function(**arguments | {"quiet": True})
            from golden.artifacts import canonical_json

            print(canonical_json(result), end="")
        else:
            result = function(**arguments)
        if isinstance(result, Mapping) and not result.get("ok", True):
            raise typer.Exit(1)

    signature = inspect.signature(function, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("as_json", _Json), ("debug", _Debug))
    ]
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    return run
