"""The settings of a measurement as form fields, and what was typed into them.

Everything follows from the classes of settings. Imports no Panel and no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from workbench.lab.settings import Setting, fields_of
from workbench.measurements.base import Settings
from workbench.measurements.catalogue import measurement

TITLES: Final = {"passes": "Passes (N)"}
"""Fields whose name alone says too little."""


@dataclass(frozen=True)
class Checked:
    """Typed settings, None if anything is wrong with them, and the reasons by field."""

    settings: Settings | None
    problems: dict[str, str]


def fields(kind: str) -> dict[str, Setting]:
    """Return the settings of a measurement by the name of the field."""
    found = fields_of(kind, measurement(kind).settings)
    return {setting.name.rpartition(".")[2]: setting for setting in found}


def defaults(kind: str) -> dict[str, str]:
    """Return the text of each field with the default settings."""
    return texts(kind, {})


def texts(kind: str, values: dict[str, Any]) -> dict[str, str]:
    """Return settings as they stand in the fields; those not given have their defaults."""
    whole = measurement(kind).settings().model_dump(mode="json") | values
    return {name: setting.text(whole[name]) for name, setting in fields(kind).items()}


def check(kind: str, typed: dict[str, str]) -> Checked:
    """Read what was typed; a problem is reported at its field."""
    known = fields(kind)
    data = {name: setting.parse(typed[name]) for name, setting in known.items() if name in typed}
    try:
        return Checked(measurement(kind).settings.model_validate(data), {})
    except ValidationError as error:
        problems: dict[str, str] = {}
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else next(iter(known))
            given = "nothing" if problem["input"] in ("", None) else repr(problem["input"])
            reason = f"{given} given; expected {known[name].expected}"
            if known[name].optional:
                reason += ", or nothing"
            problems.setdefault(name, reason)
        return Checked(None, problems)


def spec(kind: str) -> list[dict[str, Any]]:
    """Return the fields of a measurement as the browser builds them."""
    found = []
    for name, setting in fields(kind).items():
        words = setting.describes
        if setting.bounds:
            words = f"{words} {setting.bounds[0].upper()}{setting.bounds[1:]}."
        title = TITLES.get(name, setting.title[0].upper() + setting.title[1:])
        field = {"name": name, "title": title, "hint": words.strip(), "kind": setting.kind}
        found.append(field | {"choices": list(setting.choices)})
    return found


def settings_words(kind: str, values: dict[str, Any]) -> str:
    """Return the settings that are not the defaults, in words; "usual settings" if all are."""
    plain, given = defaults(kind), texts(kind, values)
    differ = [f"{n.replace('_', ' ')} {given[n]}" for n in plain if given[n] != plain[n]]
    return ", ".join(differ) or "usual settings"


def usage(kind: str) -> str:
    """Return the settings of a measurement with their defaults, for the command line's help.

    Those that every measurement has, except for ``examples``, are left out.
    """
    parts = []
    values = defaults(kind)
    for name, setting in fields(kind).items():
        if name in Settings.model_fields and name != "examples":
            continue
        value = values[name]
        choices = f" ({'|'.join(setting.choices)})" if setting.choices else ""
        parts.append(f"{name}={repr(value) if ' ' in value else value}{choices}")
    return " ".join(parts)
