"""Presets: experiments to start from, read from ``data/presets.toml``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field

from workbench.config import Frozen, build
from workbench.errors import WorkbenchError
from workbench.files import Stamp, read_toml, stamp_if_there
from workbench.lab.estimate import Work
from workbench.lab.proposal import Choices, bundled, starting_point
from workbench.lab.settings import values_of
from workbench.paths import data_folder


class Preset(Frozen):
    """An experiment with what it can show, what it cannot, and its work.

    `start`, `arms`, `seeds` and `steps` are as in `Choices`; `size` names settings that differ from
    `start`. `work` has (runs, steps, FLOPs of a step) for each arm and N.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    shows: str
    cannot: str
    start: str
    size: str
    arms: dict[str, str]
    seeds: str
    steps: str
    work: tuple[tuple[int, int, float], ...]


class Presets(Frozen):
    """The file: settings by size, and the presets."""

    sizes: dict[str, dict[str, str]]
    presets: tuple[Preset, ...]


def presets() -> dict[str, Preset]:
    """Return the presets by name; those whose starting point is not bundled are left out."""
    known = bundled()
    return {one.name: one for one in _file().presets if one.start in known}


def choices(preset: Preset, sweep: str) -> Choices:
    """Return what a form holds for a preset; `sweep` begins the names of its runs."""
    values = values_of(starting_point(preset.start)) | _file().sizes[preset.size]
    return Choices(sweep, preset.start, values, preset.arms, preset.seeds, preset.steps)


def work_of(preset: Preset) -> list[Work]:
    """Return the runs of a preset as their time is estimated from."""
    each = [[Work(steps * flops, steps, 1)] * runs for runs, steps, flops in preset.work]
    return [one for runs in each for one in runs]


def _file() -> Presets:
    path = data_folder() / "presets.toml"
    return _read(path, stamp_if_there(path))


@lru_cache(maxsize=4)
def _read(path: Path, changed: Stamp | None) -> Presets:
    if changed is None:
        return Presets(sizes={}, presets=())
    found = build(Presets, read_toml(path), source=str(path))
    for one in found.presets:
        if one.size not in found.sizes:
            raise WorkbenchError(
                f"{path}: size {one.size!r} of {one.name}", "a table of sizes", "add it"
            )
    return found
