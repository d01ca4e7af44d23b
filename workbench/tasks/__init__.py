"""Tasks: generators, exact solvers and chance levels; imports neither a network nor torch.

A task is one file (or a folder, as Depo is), found by its entry point in ``sleep_workbench.tasks``.
"""

from __future__ import annotations

from typing import Any

from workbench.config import build
from workbench.errors import WorkbenchError
from workbench.task_config import TaskConfig, named, task_kinds
from workbench.tasks.base import EVALUATION, TRAIN, ChanceLine, Task, batch_generator, draw

__all__ = [
    "EVALUATION",
    "TRAIN",
    "ChanceLine",
    "Task",
    "TaskConfig",
    "batch_generator",
    "draw",
    "task",
]


def task(name_or_config: str | TaskConfig, /, **settings: Any) -> Task:
    """Return a task by name or configuration.

    Parameters
    ----------
    name_or_config : str or TaskConfig
        "depo", "rule110" or another installed task, or a configuration; ``name:value`` sets the
        field that the task names (``TaskConfig.after_colon``).
    **settings
        Fields of the configuration; the rest keep their values (the paper's, from a name).

    Raises
    ------
    WorkbenchError
        The task or a setting is unknown, or a value is out of range.

    Examples
    --------
    >>> task("depo", nodes=8, names="single", max_hops=4, queries=8).context_tokens
    16
    """
    if isinstance(name_or_config, str):
        given: dict[str, Any] = dict(named(name_or_config))
    else:
        given = name_or_config.model_dump()
    name = given["name"]
    kinds = task_kinds()
    if name not in kinds:
        raise WorkbenchError(f"task {name!r}", f"one of {', '.join(kinds)}", "check the name")
    kind = kinds[name]
    return kind(build(kind.Config, {**given, **settings}, source=f"task {name}"))
