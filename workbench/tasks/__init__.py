"""Tasks: generators, exact solvers and chance levels; imports neither a network nor torch."""

from __future__ import annotations

from typing import Any

from workbench.config import DepoConfig, Rule110Config, build
from workbench.errors import WorkbenchError
from workbench.tasks.base import (
    EVALUATION,
    TRAIN,
    ChanceLine,
    Task,
    batch_generator,
    draw,
)
from workbench.tasks.depo import Depo
from workbench.tasks.rule110 import Rule110

__all__ = ["EVALUATION", "TASKS", "TRAIN", "ChanceLine", "Task", "batch_generator", "draw", "task"]

TASKS = ("depo", "rule110")
"""Names that `task` knows."""


def task(name_or_config: str | DepoConfig | Rule110Config, /, **settings: Any) -> Task:
    """Return a task by name or configuration.

    Parameters
    ----------
    name_or_config : str or DepoConfig or Rule110Config
        "depo" or "rule110", or a configuration.
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
        name, given = name_or_config, {}
    else:
        name, given = name_or_config.name, name_or_config.model_dump()
    data = {**given, **settings}
    if name == "depo":
        return Depo(build(DepoConfig, data, source="task depo"))
    if name == "rule110":
        return Rule110(build(Rule110Config, data, source="task rule110"))
    raise WorkbenchError(f"task {name!r}", f"one of {', '.join(TASKS)}", "check the name")
