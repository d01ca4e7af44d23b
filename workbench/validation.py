"""Settings from a file, a form or the command line: checked, and what is wrong in one line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from workbench.errors import WorkbenchError
from workbench.files import UnreadableFile, parse_toml
from workbench.task_config import TaskConfig, task_kinds

ModelT = TypeVar("ModelT", bound=BaseModel)


def build(model: type[ModelT], data: dict[str, Any], *, source: str) -> ModelT:
    """Validate `data` as `model`; the first thing wrong becomes one clear line."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise WorkbenchError(*_explain(error, source, model)) from None


def _explain(error: ValidationError, source: str, model: type[BaseModel]) -> tuple[str, str, str]:
    # a table given for `passes` is not a wrong number
    errors = error.errors()
    meant = [e for e in errors if e["type"] != "int_type" or not isinstance(e["input"], dict)]
    first = (meant or errors)[0]
    tags = {"random", "until_memory_settles", "until_answers_settle", *task_kinds()}
    places = [str(part) for part in first["loc"]]
    # a tag follows the field that it chooses for; the field after it may have the same name
    parts = [
        part
        for before, part in zip(["", *places], places, strict=False)
        if part not in tags or before in ("", *tags)
    ]
    # pydantic also names the branches of a union: constrained-int, tagged-union[...]
    branch = ("constrained-", "tagged-union[")
    where = ".".join(part for part in parts if not part.startswith(branch))
    message = first["msg"].removeprefix("Value error, ")
    given = f"{source}: {where}" if where else source  # settings that disagree have no place
    if first["type"] == "union_tag_invalid":
        context = first["ctx"]
        name = context["discriminator"].strip("'")
        expected = f"one of {context['expected_tags']}"
        return f"{given}.{name} = {context['tag']!r}", expected, "change the value"
    if first["type"] == "union_tag_not_found":
        return f"{given} has no {first['ctx']['discriminator']}", "a field of this name", "add it"
    if first["type"] == "extra_forbidden":
        names, fix = _known(model, first["loc"])
        return f"{given} is unknown", f"one of {', '.join(names)}", fix
    if first["type"] == "missing":
        return f"{given} is missing", "a value", "add it"
    if first["type"] == "value_error" and not message.startswith("Input should be"):
        return f"{given} does not fit", "values that agree", message
    return f"{given} = {first['input']!r:.100}", _wanted(message), "change the value"


def _wanted(message: str) -> str:
    """Return what pydantic's sentence expects, worded to follow "expected"."""
    if message.startswith("Unable to parse"):
        return "a smaller number"
    words = re.sub(r", unable to parse .*|, got .*| after validation, not .*", "", message)
    words = re.sub(r"^\w+ should (be|have|match) ", r"\1 ", words)
    if words.startswith("match "):
        return f"a value that {words.replace('match', 'matches', 1)}"
    words = re.sub(r"^(be|have) ", "", words)
    comparison = ("greater", "less", "finite")
    return f"a value {words}" if words.startswith(comparison) else words[0].lower() + words[1:]


def _known(model: type[BaseModel], where: tuple[int | str, ...]) -> tuple[list[str], str]:
    """Return the names that a section has, and what to write for the unknown one at `where`."""
    *parents, last = (str(part) for part in where)
    here = [model]
    for part in parents:
        inside = [m for h in here if part in h.model_fields for m in _models(h, part)]
        # a part that is not a field is the tag of a union: it chooses one of the models
        chosen = [m for m in here if part in {str(f.default) for f in m.model_fields.values()}]
        here = inside or chosen or here
    names = list(dict.fromkeys(name for h in here for name in h.model_fields))
    elsewhere = [
        f"{section}.{last}"
        for h in here
        for section in h.model_fields
        if any(last in m.model_fields for m in _models(h, section))
    ]
    close = get_close_matches(last, names, n=1)
    if close or elsewhere:
        return names, f"write {(elsewhere or ['.'.join([*parents[:1], *close])])[0]}"
    return names, "remove or rename it"


def _models(model: type[BaseModel], field: str) -> list[type[BaseModel]]:
    """Return the models that a field may hold."""
    waiting: list[Any] = [model.model_fields[field].annotation]
    found: list[type[BaseModel]] = []
    while waiting:
        kind = waiting.pop(0)
        if kind is TaskConfig:
            found += [task.Config for task in task_kinds().values()]
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            found.append(kind)
        waiting += [k for k in get_args(kind) if isinstance(k, type) or get_args(k)]
    return found


def apply_overrides(
    data: dict[str, Any],
    overrides: list[str] | tuple[str, ...],
    *,
    form: str = "section.field=value",
    example: str = "sleep.passes=4",
) -> dict[str, Any]:
    """Return `data` with each ``a.b=value`` set; values are TOML, bare words are strings.

    `form` and `example` say in an error what is expected.
    """
    result = _copy(data)
    for override in overrides:
        name, sign, text = override.partition("=")
        if not sign or not name.strip():
            raise WorkbenchError(f"override {override!r}", form, f"write for example {example}")
        target = result
        *parents, last = name.strip().split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise WorkbenchError(
                    f"override {override!r} goes inside {parent}, which is a plain value",
                    "a section before each dot",
                    "set the whole value, for example sleep.passes='{kind=\"random\"}'",
                )
        target[last] = _value(text.strip())
    return result


def _value(text: str) -> Any:
    try:
        found = parse_toml(f"value = {text}", what="the value")
    except UnreadableFile:
        return text
    return found["value"] if len(found) == 1 else text


def _copy(data: dict[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, dict) else value for key, value in data.items()}
