"""The configuration as a form sees it: each setting with its meaning, kind, bounds and text form.

All of it follows from the classes of `workbench.config`: names and bounds from their JSON schema,
meanings from their docstrings, tasks from the installed ones. A field added there appears in every
form.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from workbench.config import Experiment, ModelConfig, SleepConfig, TrainingConfig
from workbench.task_config import task_kinds

ELSEWHERE = (
    "sleep.passes", "training.seed", "training.steps", "training.start", "model.vocabulary"
)  # fmt: skip
"""What no form asks for: arms say N, an experiment its seeds and budget, a task its symbols."""

COMMON = ("sleep.window", "training.batch_size", "training.eval_every", "training.compile")
"""Settings that a form shows first, after those of the task."""


@dataclass(frozen=True)
class Setting:
    """One field of a configuration.

    `name` is ``section.field`` and `describes` its meaning. `kind` is "integer", "number",
    "boolean", "choice", "list" (written with commas) or "text"; `choices` are those of a choice,
    of a number that is one of a few, or of a list's entries. `bounds` are in words, and `optional`
    allows an empty field.
    """

    name: str
    describes: str
    kind: str
    choices: tuple[str, ...] = ()
    bounds: str = ""
    optional: bool = False

    @property
    def title(self) -> str:
        """Return the field's name as words."""
        return self.name.rpartition(".")[2].replace("_", " ")

    @property
    def expected(self) -> str:
        """Return what may stand in the field, in words."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        kinds = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
        words = [kinds[self.kind]] if self.kind in kinds else []
        words += [self.bounds] if self.bounds else []
        return ", ".join(words) or f"as described: {self.describes.rstrip('.')}"

    def text(self, value: Any) -> str:
        """Return a value as text, which `parse` reads back."""
        if value is None:
            return ""
        if isinstance(value, list | tuple):
            return ", ".join(str(part) for part in value)
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    def parse(self, text: str) -> Any:
        """Return typed text in the form that pydantic reads."""
        text = text.strip()
        if self.optional and not text:
            return None
        if self.kind == "list":
            return [part for part in re.split(r"[,\s]+", text.strip("[]() ")) if part]
        # a choice among numbers takes no text
        return int(text) if self.kind == "integer" and text in self.choices else text


@cache
def task_settings() -> dict[str, tuple[str, tuple[Setting, ...]]]:
    """Return the installed tasks: name -> (what it is, its settings)."""
    found = {}
    for name, kind in task_kinds().items():
        summary = (inspect.getdoc(kind.Config) or "").partition("\n")[0]
        found[name] = (summary, fields_of("task", kind.Config))
    return found


@cache
def common(task: str) -> tuple[str, ...]:
    """Return the settings that a form shows first, in this order."""
    chosen = [f"task.{field}" for field in task_kinds()[task].Config.common]
    return (*(chosen or [setting.name for setting in task_settings()[task][1]]), *COMMON)


@cache
def settings_of(task: str) -> tuple[Setting, ...]:
    """Return every setting of an experiment with that task, the common ones first."""
    found = [
        *task_settings()[task][1],
        *fields_of("sleep", SleepConfig),
        *fields_of("training", TrainingConfig),
        *fields_of("model", ModelConfig),
    ]
    first = [s for name in common(task) for s in found if s.name == name]
    return (*first, *(s for s in found if s not in first))


def values_of(experiment: Experiment) -> dict[str, str]:
    """Return the settings of an experiment as text, by name."""
    data = experiment.model_dump(mode="json")
    found = {}
    for setting in settings_of(experiment.task.name):
        section, _, field = setting.name.partition(".")
        found[setting.name] = setting.text(data[section][field])
    return found


def with_values(
    experiment: Experiment, values: dict[str, str]
) -> tuple[Experiment | None, dict[str, str]]:
    """Return `experiment` with settings as typed, or None and the problems by setting.

    `values` maps ``section.field`` to text; names that this task does not have are ignored.
    """
    data = experiment.model_dump(mode="json")
    for setting in settings_of(experiment.task.name):
        if setting.name in values:
            section, _, field = setting.name.partition(".")
            data[section][field] = setting.parse(str(values[setting.name]))
    try:
        return Experiment.model_validate(data), {}
    except ValidationError as error:
        return None, reasons(error, experiment.task.name)


def reasons(error: ValidationError, task: str) -> dict[str, str]:
    """Return why a configuration is refused, by the setting at which to report it."""
    known = {setting.name: setting for setting in settings_of(task)}
    found: dict[str, str] = {}
    for problem in error.errors():
        section, *rest = [str(part) for part in problem["loc"]] or [""]
        rest = rest[1:] if rest[:1] == [task] else rest
        name = f"{section}.{rest[0]}" if rest else section
        message = problem["msg"].removeprefix("Value error, ")
        if name in known and problem["type"] != "value_error":
            given = "nothing" if problem["input"] in ("", []) else f"{problem['input']!r}"
            message = f"{given} given; expected {known[name].expected}"
        elif name not in known:  # several that do not agree: said at the first that is named
            named = [n for n in known if n.startswith(section) and _says(message, n)]
            named.sort(key=lambda n: message.find(n.rpartition(".")[2]))
            name = named[0] if named else next(iter(known))
        found.setdefault(name, message)
    return found


def _says(message: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name.rpartition('.')[2])}\b", message) is not None


def fields_of(section: str, model: type[BaseModel]) -> tuple[Setting, ...]:
    """Return the settings of one class, each named ``section.field``."""
    meanings = docstring_meanings(model)
    found = []
    for field, schema in model.model_json_schema()["properties"].items():
        name = f"{section}.{field}"
        if name in ELSEWHERE or "const" in schema:
            continue
        found.append(_setting(name, meanings.get(field, ""), schema))
    return tuple(found)


def _setting(name: str, describes: str, schema: dict[str, Any]) -> Setting:
    parts = schema.get("anyOf", [schema])
    optional = any(part.get("type") == "null" for part in parts)
    (part,) = [part for part in parts if part.get("type") != "null"]
    if part.get("type") == "array":
        items = part.get("items") or part["prefixItems"][0]
        choices = tuple(items.get("enum", ()))
        each = _bounds(items)
        count = part.get("minItems", 0)
        numbers = f"{count} numbers" if count and count == part.get("maxItems") else "numbers"
        bounds = f"{numbers}, each {each}" if each else numbers
        if choices:
            bounds = "one or more of " + ", ".join(choices)
        return Setting(name, describes, "list", choices, bounds, optional)
    if "enum" in part and part.get("type") == "integer":
        allowed = tuple(map(str, part["enum"]))
        bounds = f"one of {', '.join(allowed)}"
        return Setting(name, describes, "integer", allowed, bounds, optional)
    if "enum" in part:
        return Setting(name, describes, "choice", tuple(part["enum"]), "", optional)
    kinds = {"integer", "number", "boolean"}
    kind = part["type"] if part.get("type") in kinds else "text"
    return Setting(name, describes, kind, (), _bounds(part), optional)


BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
"""Bounds of a JSON schema, in words."""


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    known = {name: schema.get(name) for name in BOUNDS}
    return ", ".join(f"{BOUNDS[n]} {_number(v)}" for n, v in known.items() if v is not None)


def _number(value: float) -> str:
    """Return a bound as a person would type it: a whole number with all its digits."""
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def docstring_meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return what a class's docstring, or its parents', says of each attribute (numpydoc)."""
    found: dict[str, str] = {}
    for one in reversed([m for m in model.__mro__ if m.__doc__ and issubclass(m, BaseModel)]):
        found |= _meanings(inspect.cleandoc(one.__doc__ or ""))
    return found


def _meanings(text: str) -> dict[str, str]:
    section = text.partition("Attributes\n----------\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line[0].isspace():
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        elif line.strip():
            for name in names:
                found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    # what is None in Python is an empty field here
    return {name: re.sub(r"\bNone\b", "Empty", words) for name, words in found.items()}
