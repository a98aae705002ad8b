# SPDX-License-Identifier: Apache-2.0
"""Tasks of EleutherAI's lm-evaluation-harness (package lm-eval), run on a loaded model, quantized or not.

A task is one that the harness knows by name (its data comes from the Hugging Face hub) or a task file of one's own, whose
data may lie beside it. Prompts, metrics and data are the harness's; the model is the very one that everything else here
measures, in float32, with special tokens as its tokenizer adds them.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from importlib.metadata import version
from typing import Any

from golden.errors import InputError

from .failures import hub_trouble, reason
from .models import LoadedModel

__all__ = ["HARNESS", "check_tasks", "require_harness", "run_tasks"]

#: The harness's package.
HARNESS = "lm-eval"
#: Requests that run together.
BATCH = 8
#: What to do where the data of tasks cannot be fetched.
_OFFLINE = "give task files (.yaml) with their data beside them"


def require_harness(option: str) -> None:
    """Refuse `option` where the harness is not installed."""
    try:
        import lm_eval.models.huggingface  # noqa: F401
    except ImportError as error:
        raise InputError(f"{option}: the package {error.name} is missing; 'dint doctor' says how to install it") from None


def check_tasks(tasks: Sequence[str], option: str, way_out: str = _OFFLINE) -> None:
    """Refuse tasks that the harness does not have, or whose data is not to be had.

    `option` is what the user gave, `way_out` what to give instead where the hub cannot be reached.

    Raises
    ------
    InputError
        If so, or if the harness is missing.
    """
    require_harness(option)
    with _silenced(True):
        try:
            _task_manager(tasks).load(list(tasks))
        except Exception as error:  # an unknown task, no network, a broken task file: one kind of exception each
            raise _unusable(error, option, way_out) from error


def run_tasks(loaded: LoadedModel, tasks: Sequence[str], limit: int | None = None, quiet: bool = True) -> list[dict[str, Any]]:
    """The metrics of `tasks` on a model, one entry for each metric of each task or group.

    Parameters
    ----------
    tasks
        Names of the harness's tasks, groups or tags, or paths of task files (.yaml).
    limit
        Only so many documents of each task.
    quiet
        Without the harness's progress bars.

    Returns
    -------
    list of dict
        `task`, `metric`, `filter`, `value`, `standard_error` (None where the harness gives none), `few_shot`, `documents`,
        `task_version` and `harness_version`.

    Raises
    ------
    InputError
        If the harness is missing, or a task or its data cannot be loaded.
    """
    require_harness(f"--tasks {','.join(tasks)}")
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: it is a number of documents, 1 or more")
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    with _silenced(quiet):
        manager = _task_manager(tasks)
        model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=BATCH, max_length=loaded.window)
        try:
            results: Any = lm_eval.simple_evaluate(
                model, tasks=list(tasks), task_manager=manager, limit=limit, log_samples=False
            )
        except Exception as error:  # as in `check_tasks`
            raise _unusable(error, f"--tasks {','.join(tasks)}") from error
    return [row for task in results["results"] for row in _rows(results, task)]


def _task_manager(tasks: Sequence[str]) -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=not all(task.endswith((".yaml", ".yml")) for task in tasks))


def _unusable(error: Exception, option: str, way_out: str = _OFFLINE) -> InputError:
    known = "give tasks of lm-eval ('lm_eval ls tasks'), whose data it fetches from the hub, or task files (.yaml)"
    return InputError(f"{option}: {hub_trouble(error, way_out) or f'{reason(error)}; {known}'}")


def _rows(results: dict[str, Any], task: str) -> Iterator[dict[str, Any]]:
    found = results["results"][task]
    count = results["n-samples"].get(task)
    for key, value in sorted(found.items()):
        metric, comma, chosen = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = found.get(f"{metric}_stderr,{chosen}")
        yield {
            "task": task,
            "metric": metric,
            "filter": chosen,
            "value": float(value),
            "standard_error": float(error) if isinstance(error, int | float) else None,
            "few_shot": results["n-shot"].get(task),
            "documents": count and count["effective"],
            "task_version": str(results["versions"].get(task)),
            "harness_version": version(HARNESS),
        }


@contextmanager
def _silenced(bars: bool) -> Iterator[None]:
    """Without the harness's own notes, which repeat what is checked here, and perhaps without its bars."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stderr(io.StringIO()) if bars else nullcontext():
            yield
    finally:
        logger.setLevel(level)
