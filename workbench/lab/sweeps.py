"""Sweeps: a TOML file that names a base configuration, arms, axes, seeds and a budget.

::

    title = "Does more sleep help?"
    base = "../configs/depo-n8-n4.toml"     # from this file's folder
    seeds = [0, 1, 2, 3, 4]

    [budget]
    steps = 2000                            # of each arm, or flops = 6.4e12 (each arm its steps)

    [set]                                   # of every run
    "training.final_passes" = [1, 2, 4, 8]

    [axes]                                  # every combination
    "task.nodes" = [8, 12]

    [[arms]]
    arm = "sleep"
    passes = [1, 2, 4]

A sweep is a list of runs, each a whole `Experiment`; what each is called follows from the file.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from workbench.config import Experiment, Frozen, build, load_experiment
from workbench.errors import WorkbenchError
from workbench.files import MissingFile, read_toml
from workbench.lab.arms import MATCHED, arm, at_equal_flops, trained_passes
from workbench.lab.flops import cost
from workbench.tasks import task as make_task

MOST = 10_000
"""Runs of a sweep."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Budget(Frozen):
    """What every run may use: optimiser steps, or FLOPs (each arm then gets its own steps).

    Arms matched by compute are matched to `sleep` at this budget.
    """

    steps: int | None = Field(None, ge=1)
    flops: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.steps is None) == (self.flops is None):
            raise ValueError("give either steps or flops")
        return self


class ArmAxis(Frozen):
    """An arm and each N at which to run it.

    `equal_flops` trains for the FLOPs of `sleep` at the same N instead of for its steps; `set`
    holds settings of this arm only, by dotted name.
    """

    arm: str
    passes: tuple[Annotated[int, Field(ge=0)], ...] = Field((1,), min_length=1)
    equal_flops: bool = False
    set: dict[str, Any] = {}


class SweepConfig(Frozen):
    """A sweep file.

    `title` is the question, in a line; `base` the configuration file that every arm changes, from
    the sweep file's folder. Every arm is run with each seed and each combination of the `axes`
    (settings by dotted name and their values); `set` holds settings of every run.
    """

    title: str = Field(min_length=1)
    base: str
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    budget: Budget
    arms: tuple[ArmAxis, ...] = Field(min_length=1)
    axes: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    set: dict[str, Any] = {}


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: the name of its folder, its configuration and its labels.

    The labels are ``sweep, arm, n_train, passes, axes, seed, cost, identity``: what its results are
    filed under, and the cost of a sequence (`workbench.lab.flops.Cost`).
    """

    name: str
    experiment: Experiment
    labels: dict[str, Any]

    @property
    def flops(self) -> float:
        """FLOPs of the run's training."""
        training = self.experiment.training
        return self.labels["cost"]["training"] * training.batch_size * training.steps


@dataclass(frozen=True)
class Sweep:
    """A sweep file as read, and the runs it asks for, in the order of its arms."""

    name: str
    path: Path
    config: SweepConfig
    runs: list[PlannedRun] = field(repr=False)


def load_sweep(path: str | Path, *, counting: Callable[[], None] = lambda: None) -> Sweep:
    """Read a sweep file and plan its runs.

    `counting` is called once the file has been read, before the FLOPs of each arm are counted,
    which takes seconds. Raises WorkbenchError if the file or its base is missing or not TOML, or a
    name, a setting or a value in it is unknown or does not fit.
    """
    path = Path(path)
    try:
        data = read_toml(path)
    except MissingFile:
        raise MissingFile(
            f"no sweep file at {path}", "a TOML file", "see data/sweeps for examples"
        ) from None
    if not NAME.fullmatch(path.stem):
        raise WorkbenchError(
            f"a sweep file named {path.name!r}", "letters, digits, - and _", "rename it"
        )
    if "task" in data and "arms" not in data:
        raise WorkbenchError(
            f"{path} is a training configuration", "a sweep", f"use `workbench train {path}`"
        )
    config = build(SweepConfig, data, source=str(path))
    counting()
    return Sweep(path.stem, path, config, plan(config, path))


def plan(config: SweepConfig, path: Path, base: Experiment | None = None) -> list[PlannedRun]:
    """Return the runs of a sweep: arm by arm, in each every N, axis value and seed.

    The stem of `path` names the sweep; the file need not exist if `base` is given, which every arm
    then changes in place of the file that `config` names.
    """
    combined = math.prod(map(len, config.axes.values())) * len(config.seeds)
    asked = combined * sum(len(axis.passes) for axis in config.arms)
    if asked > MOST:
        raise WorkbenchError(f"{path} asks for {asked:,} runs", f"at most {MOST:,}", "split it")
    runs: list[PlannedRun] = []
    for axis in config.arms:
        for passes, values in product(axis.passes, product(*config.axes.values())):
            axes = dict(zip(config.axes, values, strict=True))
            chosen = _experiment(config, axis, passes, axes, path, base)
            per_sequence = cost(chosen)
            for seed in config.seeds:
                experiment = chosen.model_copy(
                    update={"training": chosen.training.model_copy(update={"seed": seed})}
                )
                labels = {
                    "sweep": path.stem,
                    "arm": axis.arm,
                    "n_train": trained_passes(experiment),
                    "passes": passes,
                    "axes": axes,
                    "seed": seed,
                    "cost": per_sequence._asdict(),
                    "identity": identity(experiment),
                }
                parts = [f"{key.rsplit('.', 1)[-1]}{_plain(v)}" for key, v in axes.items()]
                name = "-".join([f"{path.stem}.{axis.arm}", f"n{passes}", *parts, f"seed{seed}"])
                runs.append(PlannedRun(name, experiment, labels))
    _check_names(runs, path)
    return runs


def identity(experiment: Experiment) -> str:
    """Return a short hash of a configuration: equal configurations are the same run.

    A setting that a newer version added leaves it as it was, unless it is used (`Frozen.later`).
    """
    values = experiment.model_dump(mode="json")
    if experiment.retrofit is None:
        del values["retrofit"]
    for section, settings in experiment:
        for name in settings.later if settings is not None else ():
            if getattr(settings, name) == type(settings).model_fields[name].default:
                del values[section][name]
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _experiment(
    config: SweepConfig,
    axis: ArmAxis,
    passes: int,
    axes: dict[str, Any],
    path: Path,
    base: Experiment | None,
) -> Experiment:
    """Return the configuration of one arm at one N and one combination of axes."""
    base = load_experiment(path.parent / config.base) if base is None else base
    settings = {**config.set, **axes}
    base = _with(base, settings, path)
    change = arm(axis.arm).change
    if config.budget.steps is not None:
        base = _with(base, {"training.steps": config.budget.steps}, path)
        experiment = _with(change(base, passes), axis.set, path)
        # an arm's own settings may change what a step costs
        if axis.equal_flops or (axis.set and axis.arm in MATCHED):
            if "training.steps" in axis.set:
                raise WorkbenchError(
                    f"{path}: training.steps set for {axis.arm}, which is matched by compute",
                    "steps that follow from the match",
                    "remove the setting, or the match",
                )
            experiment = at_equal_flops(experiment, arm("sleep").change(base, passes))
    else:
        assert config.budget.flops is not None
        experiment = _with(change(base, passes), axis.set, path)
        each = cost(experiment).training * experiment.training.batch_size
        steps = max(round(config.budget.flops / each), 1)
        experiment = _with(experiment, {"training.steps": steps}, path)
    # the vocabulary is filled in when a run begins: name it, so that configurations compare equal
    symbols = len(make_task(experiment.task).vocabulary)
    return _with(experiment, {"model.vocabulary": symbols}, path)


def _with(experiment: Experiment, settings: dict[str, Any], path: Path) -> Experiment:
    """Return `experiment` with settings by dotted name."""
    data = experiment.model_dump()
    for name, value in settings.items():
        *parents, last = name.split(".")
        target: Any = data
        for parent in parents:
            target = target.get(parent) if isinstance(target, dict) else None
        if not parents or not isinstance(target, dict):
            raise WorkbenchError(
                f"{path}: setting {name!r}", "section.field", "write for example training.steps"
            )
        target[last] = value
    return build(Experiment, data, source=str(path))


def _check_names(runs: list[PlannedRun], path: Path) -> None:
    seen: set[str] = set()
    for run in runs:
        if run.name in seen:
            raise WorkbenchError(
                f"{path} asks for {run.name} twice", "each arm and N once", "remove one of them"
            )
        seen.add(run.name)


def _plain(value: Any) -> str:
    """Return a value as it may stand in a folder's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", str(value)).strip("_")
