"""Comparing runs: what differs in their configurations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.files import UnreadableFile, read_toml
from workbench.training.run_folder import CONFIG

ABSENT = "-"
"""What stands where a configuration has no such setting."""


@dataclass(frozen=True)
class Differences:
    """Settings that differ between runs.

    `rows` maps each setting that differs to its value in every run, in the order of `runs`; `same`
    counts the settings that do not. `unreadable` names runs whose configuration cannot be read;
    they are not in `runs`.
    """

    runs: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    same: int
    unreadable: tuple[str, ...] = ()


def differences(folders: Iterable[Path]) -> Differences:
    """Return the differences between the configurations of the runs in `folders`."""
    flat: dict[str, dict[str, str]] = {}
    unreadable = []
    for folder in folders:
        try:
            flat[folder.name] = dict(_flat(read_toml(folder / CONFIG)))
        except UnreadableFile:
            unreadable.append(folder.name)
    names = dict.fromkeys(name for settings in flat.values() for name in settings)
    rows = {n: tuple(settings.get(n, ABSENT) for settings in flat.values()) for n in names}
    differing = {name: row for name, row in rows.items() if len(set(row)) > 1}
    return Differences(tuple(flat), differing, len(rows) - len(differing), tuple(unreadable))


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings as ``section.field`` and text."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
