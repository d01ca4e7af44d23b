"""An experiment put together by hand: the choices, what is wrong with them, the runs they ask for.

`check` is quick and reports every mistake at its field; `propose` counts FLOPs from the models and
takes seconds. The result is a `Sweep`, the same as one read from a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.config import Experiment, SleepConfig, load_experiment
from workbench.errors import WorkbenchError
from workbench.lab.arms import ARMS, arm
from workbench.lab.runs import Run
from workbench.lab.settings import values_of, with_values
from workbench.lab.supervise import missing
from workbench.lab.sweeps import NAME, ArmAxis, Budget, PlannedRun, Sweep, SweepConfig, plan
from workbench.paths import data_folder
from workbench.task_config import named, task_kinds
from workbench.tasks import task as make_task

MOST_RUNS = 500
"""Runs of one experiment; more is a slip of the hand."""
USUAL_ARMS = {"sleep": "1, 2, 4"}
USUAL_SEEDS, USUAL_STEPS = "0, 1", "600"


@dataclass(frozen=True)
class Choices:
    """What a person chose, as typed.

    `sweep` begins the names of the runs; `start` is a bundled configuration or a task, and `values`
    settings that differ from it, by ``section.field``; `arms` maps arms to their N.
    """

    sweep: str
    start: str
    values: dict[str, str] = field(default_factory=dict)
    arms: dict[str, str] = field(default_factory=lambda: dict(USUAL_ARMS))
    seeds: str = USUAL_SEEDS
    steps: str = USUAL_STEPS


@dataclass(frozen=True)
class Checked:
    """Choices as read, and problems by the field to report them at.

    Fields are ``sweep``, ``start``, ``arms``, ``arms.NAME``, ``seeds``, ``steps``, or a setting.
    `base` is what every arm changes; None where a setting is wrong.
    """

    base: Experiment | None
    axes: tuple[ArmAxis, ...]
    seeds: tuple[int, ...]
    steps: int
    problems: dict[str, str]

    @property
    def count(self) -> int:
        """Return how many runs these are."""
        return len(self.seeds) * sum(len(axis.passes) for axis in self.axes)


@dataclass(frozen=True)
class Proposal:
    """The runs of an experiment, and those not finished yet; no sweep if there are problems."""

    sweep: Sweep | None
    to_do: list[PlannedRun]
    problems: dict[str, str]


def bundled() -> dict[str, Path]:
    """Return the bundled configurations by name."""
    folder = data_folder() / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def starting_point(name: str) -> Experiment:
    """Return a bundled configuration, or the defaults of the task of that name."""
    known = bundled()
    if name in known:
        return load_experiment(known[name])
    if named(name)["name"] not in task_kinds():
        raise WorkbenchError(
            f"no configuration {name!r}", "a bundled one, or a task", "choose another"
        )
    made = make_task(name)  # one window holds its context, which is then slept on once
    return Experiment(task=made.config, sleep=SleepConfig(window=max(2, made.context_tokens)))


def points_of(task: str) -> list[str]:
    """Return where an experiment with a task can start, leaving out files that cannot be read.

    A task without a bundled configuration starts from its defaults, under its own name.
    """
    found = []
    for name in bundled():
        try:
            found += [name] if starting_point(name).task.name == task else []
        except WorkbenchError:
            continue
    return found or [task]


def usual(start: str, runs: list[Run]) -> Choices:
    """Return a form's initial choices."""
    values = values_of(starting_point(start))
    return Choices(free_name(start, runs), start, values)


def free_name(start: str, runs: list[Run]) -> str:
    """Return a name that no experiment here has: ``depo-n8-n4-1``, ``-2``, ..."""
    taken = {str(run.labels.get("sweep", "")) for run in runs}
    taken |= {run.name.partition(".")[0] for run in runs}
    number, start = 1, start.replace(":", "-")
    while f"{start}-{number}" in taken:
        number += 1
    return f"{start}-{number}"


def check(choices: Choices) -> Checked:
    """Read the choices; every mistake is reported at its field. Loads no torch."""
    problems: dict[str, str] = {}
    if not NAME.fullmatch(choices.sweep) or len(choices.sweep) > 60:
        given = repr(choices.sweep) if choices.sweep else "nothing"
        problems["sweep"] = f"{given} given; expected letters, digits, - and _, at most 60"
    base: Experiment | None = None
    settings: dict[str, str] = {}
    try:
        base, settings = with_values(starting_point(choices.start), choices.values)
    except WorkbenchError as error:
        problems["start"] = str(error)
    problems |= settings
    axes = []
    if not choices.arms:
        problems["arms"] = "nothing chosen; expected at least one arm"
    for name, text in choices.arms.items():
        passes, wrong = _numbers(text, least=1)
        if name not in ARMS:
            problems["arms"] = f"no arm {name!r}"
        elif wrong:
            problems[f"arms.{name}"] = f"N: {wrong}"
        else:
            axes.append(ArmAxis(arm=name, passes=passes))
    seeds, wrong = _numbers(choices.seeds, least=0)
    if wrong:
        problems["seeds"] = wrong
    steps, wrong = _numbers(choices.steps, least=1)
    if wrong or len(steps) != 1:
        given = repr(choices.steps) if choices.steps.strip() else "nothing"
        problems["steps"] = f"{given} given; expected a whole number, at least 1"
    found_steps = steps[0] if steps else 0
    checked = Checked(base, tuple(axes), seeds, found_steps, problems)
    if checked.count > MOST_RUNS:
        problems["seeds"] = (
            f"{checked.count} runs; expected at most {MOST_RUNS}; choose fewer seeds, arms or N"
        )
    return checked


def propose(choices: Choices, root: Path) -> Proposal:
    """Plan the runs and count their cost; refuse settings that would fail at the start."""
    from workbench.training.loop import check_start

    checked = check(choices)
    if checked.problems or checked.base is None:
        return Proposal(None, [], checked.problems)
    path = Path(f"{choices.sweep}.toml")
    common: dict[str, Any] = {
        "title": choices.sweep,
        "base": choices.start,
        "seeds": checked.seeds,
        "budget": Budget(steps=checked.steps, flops=None),
    }
    problems: dict[str, str] = {}
    runs: list[PlannedRun] = []
    for axis in checked.axes:  # one by one, so that a problem is shown at its arm
        try:
            planned = plan(SweepConfig(arms=(axis,), **common), path, checked.base)
            for n in range(0, len(planned), len(checked.seeds)):
                first = planned[n].experiment
                check_start(first, make_task(first.task), examples=64)
            runs += planned
        except WorkbenchError as error:
            said = str(error).removeprefix(f"{path}: ")
            problems.setdefault(_field(error, axis.arm, checked.base), said)
    if problems:
        return Proposal(None, [], problems)
    sweep = Sweep(choices.sweep, path, SweepConfig(arms=checked.axes, **common), runs)
    try:
        to_do = missing(sweep, root)
    except WorkbenchError as error:
        said = f"{error.given}; expected another name for this experiment"
        return Proposal(None, [], {"sweep": said})
    return Proposal(sweep, to_do, {})


def _field(error: WorkbenchError, name: str, base: Experiment) -> str:
    """Return the field that an error is about: a setting that it names, else the arm."""
    for setting in values_of(base):
        if re.search(rf"\b{re.escape(setting)}\b", error.given):
            return setting
    device = error.given.startswith("device ")
    return "training.device" if device else f"arms.{arm(name).name}"


def _numbers(text: str, *, least: int) -> tuple[tuple[int, ...], str]:
    """Return whole numbers written as ``0, 1, 4`` or ``0-4``, and what is wrong with them."""
    found: list[int] = []
    given = repr(text) if text.strip() else "nothing"
    wrong = f"{given} given; expected whole numbers as {least}, {least + 1}, at least {least}"
    for part in re.split(r"[,\s]+", text.strip().strip(",")):
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if ends is None:
            return (), wrong
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if first < least or last < first or last - first >= MOST_RUNS:
            return (), wrong
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found)), ""
