"""What installed packages add to the workbench, found by entry points, ours included.

Groups: ``sleep_workbench.`` and ``tasks``, ``mixers``, ``measurements`` or ``pages``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from workbench.errors import WorkbenchError


@cache
def names(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name, sorted; imports nothing.

    Raises `WorkbenchError` if there are none, or if two packages use one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        if point.name in found:
            raise WorkbenchError(
                f"two entry points {point.name!r} in {group}: {found[point.name].value} and "
                f"{point.value}",
                "one of each name",
                f"uninstall one of {_source(found[point.name])} and {_source(point)}",
            )
        found[point.name] = point
    if not found:
        raise WorkbenchError(
            f"no entry points in {group}",
            "those of the installed workbench",
            "install it again (any command of run.py does, or pip install -e .)",
        )
    return found


@cache
def registered(group: str, kind: type | tuple[type, ...]) -> dict[str, Any]:
    """Import what the entry points of a group name, once per process, and return it by name.

    Sorted by ``order``, where they have one, then by name. Raises `WorkbenchError` if one cannot be
    imported or is not an instance of `kind`.
    """
    found = {name: load(point, kind) for name, point in names(group).items()}
    return dict(sorted(found.items(), key=lambda item: (getattr(item[1], "order", 0), item[0])))


def load(point: EntryPoint, kind: type | tuple[type, ...]) -> Any:
    """Import what an entry point names; see `registered`."""
    where = f"{point.value}, entry point {point.name!r} of {_source(point)}"
    try:
        found = point.load()
    except Exception as error:
        raise WorkbenchError(
            f"{where} cannot be imported ({type(error).__name__}: {error})",
            "a module that imports",
            f"fix or uninstall {_source(point)}",
        ) from error
    if not isinstance(found, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise WorkbenchError(
            f"{where} is a {type(found).__name__}",
            " or ".join(one.__name__ for one in kinds),
            f"fix or uninstall {_source(point)}",
        )
    return found


def _source(point: EntryPoint) -> str:
    """Return the name of the distribution that an entry point belongs to."""
    return point.dist.name if point.dist is not None else "its package"
