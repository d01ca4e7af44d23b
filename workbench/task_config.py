"""The settings of tasks: their base class, and the installed tasks that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, ValidationError

from workbench.errors import WorkbenchError
from workbench.registry import registered


class Frozen(BaseModel):
    """Base of every configuration: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    later: ClassVar[tuple[str, ...]] = ()
    """Settings newer than the first recorded sweeps: a run with their defaults is the same run."""


class TaskConfig(Frozen):
    """Base of the settings of every task; each task's own file holds its class."""

    common: ClassVar[tuple[str, ...]] = ()
    """Fields that a form shows first; empty shows all of them."""
    after_colon: ClassVar[str] = ""
    """Field that the task's name can set: with "dataset", ``name:value`` is the task `name` with
    ``dataset = value``."""

    name: str


TASKS = "sleep_workbench.tasks"
"""Entry points of tasks: classes derived from `workbench.tasks.Task`."""
WORDS = ("title", "difficulty_name", "unit")
"""Attributes that every task's class has."""


def task_kinds() -> Mapping[str, Any]:
    """Return the installed tasks by name, ours and those of other packages.

    Raises `WorkbenchError` if a task cannot be imported, or lacks the name and the settings of its
    entry point.
    """
    found = registered(TASKS, type)
    for name, kind in found.items():
        settings = getattr(kind, "Config", None)
        if not (isinstance(settings, type) and issubclass(settings, TaskConfig)):
            given, expected = "has no settings", "an attribute Config, derived from TaskConfig"
        elif getattr(kind, "name", "") != name or settings.model_fields["name"].default != name:
            given, expected = "has another name than its settings", f"{name!r} in both"
        elif lacks := [
            *sorted(getattr(kind, "__abstractmethods__", ())),
            *(word for word in WORDS if not hasattr(kind, word)),
        ]:
            given, expected = f"lacks {', '.join(lacks)}", "all that workbench.tasks.Task asks for"
        else:
            continue
        source = f"{kind.__module__}.{kind.__qualname__}"
        raise WorkbenchError(f"the task {name!r} ({source}) {given}", expected, f"fix {source}")
    return found


def named(name: str) -> dict[str, str]:
    """Return the settings in a task's name, which are more than one in ``name:value``."""
    head, _, value = name.partition(":")
    kind = task_kinds().get(head)
    field = kind.Config.after_colon if kind is not None and value else ""
    return {"name": head, field: value} if field else {"name": name}


def _of_its_task(value: Any) -> Any:
    """Return settings as the class of the task that they name."""
    if not isinstance(value, dict):
        return value
    if "name" in value:
        value = value | named(str(value["name"]))
    name, kinds = str(value.get("name")), task_kinds()
    context = {"discriminator": "'name'"}
    if "name" not in value:
        lines: list[Any] = [{"type": "union_tag_not_found", "input": value, "ctx": context}]
    elif name not in kinds:
        context |= {"tag": name, "expected_tags": ", ".join(map(repr, kinds))}
        lines = [{"type": "union_tag_invalid", "input": value, "ctx": context}]
    else:
        try:
            return kinds[name].Config.model_validate(value)
        except ValidationError as error:  # each place begins with the name, as in a union
            lines = [{**line, "loc": (name, *line["loc"])} for line in error.errors()]
    raise ValidationError.from_exception_data("task", lines)


AnyTask = Annotated[SerializeAsAny[TaskConfig], BeforeValidator(_of_its_task)]
"""Settings of any installed task; its `name` says which."""
