"""Further axes of a sweep: settings other than arm, N and seed in which runs differ.

A figure shows one value of each, chosen by name and value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.errors import WorkbenchError

Entry = Mapping[str, Any]


def open_axes(entries: Iterable[Entry]) -> dict[str, list[Any]]:
    """Return the axes in which runs differ, each with its values in order of appearance."""
    entries = list(entries)
    names = sorted({name for entry in entries for name in _axes(entry)})
    found = {name: _values(entries, name) for name in names}
    return {name: values for name, values in found.items() if len(values) > 1}


def at_axes(entries: Sequence[Entry], axes: Mapping[str, Any]) -> list[Entry]:
    """Return the runs of a record at those values, by dotted name of the axis.

    Raises WorkbenchError for an unknown axis or value, and where the runs differ in another axis.
    """
    known = sorted({name for entry in entries for name in _axes(entry)})
    for name, value in axes.items():
        if name not in known:
            expected = (
                f"one of {', '.join(known)}"
                if known
                else "no axis, as its runs differ in no setting but arm, N and seed"
            )
            raise WorkbenchError(f"axis {name!r}", expected, "name it as the sweep file does")
        values = _values(entries, name)
        entries = [e for e in entries if name in _axes(e) and _axes(e)[name] == value]
        if not entries:
            raise WorkbenchError(
                f"{name} = {value_text(value)}", f"one of {_listed(values)}", "choose one"
            )
    for name, values in open_axes(entries).items():
        raise WorkbenchError(
            f"runs that differ in {name}",
            f"one of {_listed(values)}",
            f"choose: axes={{{name!r}: {values[0]!r}}}, or --axis {name}={value_text(values[0])}",
        )
    return list(entries)


def parse_axes(entries: Sequence[Entry], texts: Iterable[str]) -> dict[str, Any]:
    """Return values by name from ``NAME=VALUE`` texts, with the types that the runs have.

    Raises WorkbenchError for a text without ``=`` and a name given twice.
    """
    chosen: dict[str, Any] = {}
    for text in texts:
        name, equals, wanted = (part.strip() for part in text.partition("="))
        if not equals or not name or name in chosen:
            raise WorkbenchError(
                f"axis {text!r}", "NAME=VALUE, each name once", "write for example task.nodes=8"
            )
        values = _values(entries, name) if any(name in _axes(e) for e in entries) else []
        # `at_axes` reports names and values that no run has, with those that they have
        chosen[name] = next((v for v in values if value_text(v) == wanted), wanted)
    return chosen


def value_text(value: Any) -> str:
    """Return a value of an axis as it is written on a command line."""
    return value if isinstance(value, str) else json.dumps(value)


def axes_words(axes: Mapping[str, Any]) -> str:
    """Return chosen values as they may stand in a file's name: ``nodes8``."""
    parts = [f"{name.rsplit('.', 1)[-1]}{value_text(v)}" for name, v in axes.items()]
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part).strip("_") for part in parts)


def _axes(entry: Entry) -> Mapping[str, Any]:
    return entry["labels"].get("axes") or {}


def _values(entries: Iterable[Entry], name: str) -> list[Any]:
    found: list[Any] = []
    for entry in entries:
        value = _axes(entry).get(name)
        if value not in found:
            found.append(value)
    return found


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(value_text, values))
