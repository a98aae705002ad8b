# SPDX-License-Identifier: Apache-2.0
"""What surrounds the work of every sub-command here: idle threads, a progress bar, the output directory, silence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from golden.artifacts import output_directory
from golden.errors import InputError

from .failures import reason

__all__ = ["figure", "progress_bar", "quiet_libraries", "written", "yield_when_idle"]


def yield_when_idle() -> None:
    """Let torch's threads sleep while they wait: spinning, they take the time of whatever else runs. Before torch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def figure(value: float | None, error: float | None, decimals: int) -> str:
    """A figure ± its standard error, where it has one: '1.032 ± 0.006'; nothing where it was not measured."""
    if value is None:
        return ""
    return f"{value:.{decimals}f}" + ("" if error is None else f" ± {error:.{decimals}f}")


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A bar for each task, gone when the block ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    watched = console.is_interactive or console.is_jupyter  # where it is not, rich ends a bar with an empty line
    with Progress(*columns, console=console, transient=True, disable=not watched) as progress:
        yield progress


@contextmanager
def written(out: Path) -> Iterator[Path]:
    """`output_directory`, with what safetensors raises when the disk is full reported in one line too."""
    from safetensors import SafetensorError

    with output_directory(out) as scratch:
        try:
            yield scratch
        except SafetensorError as error:
            raise InputError(
                f"--out {out}: cannot be written ({reason(error)}); free some space or name another directory"
            ) from error


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Without the bars and notes of transformers and of the hub's client: what matters is checked and said here."""
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub_logging.set_verbosity_error()  # it tells of each of its attempts to reach the hub
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()
