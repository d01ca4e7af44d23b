"""The record of a measurement, and what the files that hold one share.

A measurement draws evaluation examples, runs an instrument on them and returns its summary over
examples: small enough to keep (`workbench.measurements.records`), and all that pages and
docs/findings.md are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from workbench.batch import Batch
from workbench.config import Frozen, SleepConfig
from workbench.tasks.base import EVALUATION, draw

if TYPE_CHECKING:  # a page that only shows measurements loads no torch
    import plotly.graph_objects as go
    import xarray as xr

    from workbench.training.checkpoints import Checkpoint

Rows = list[list[str]]
"""Cells of a table, its head first."""


class Settings(Frozen):
    """Settings of every measurement.

    Attributes
    ----------
    examples : int
        Examples of the evaluation stream, drawn apart from those of training.
    seed : int
        Seed of the examples, and of random controls.
    passes : int or None
        N. None is the largest that the model was trained with.
    """

    examples: int = Field(256, ge=2, le=100_000)
    seed: int = Field(0, ge=0, lt=2**32)
    passes: int | None = Field(None, ge=1, le=64)


@dataclass(frozen=True)
class Reporter:
    """How a measurement reports its progress, in steps of any kind, and how it is cancelled."""

    on_progress: Callable[[float, float], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False

    def counter(self, total: float) -> Callable[[float], None]:
        """Return what an instrument calls with the steps done since its last call."""
        done = 0.0

        def count(steps: float) -> None:
            nonlocal done
            done += steps
            self.on_progress(done, total)
            self.check()

        return count

    def of_shares(self, *, total: float = 1.0) -> dict[str, Any]:
        """Return the options of an instrument that reports the share done and can be stopped."""
        return {"on_progress": lambda share: self.on_progress(share, total), "stop": self.check}

    def check(self) -> bool:
        """Raise KeyboardInterrupt if the measurement is to end: what is incomplete is dropped."""
        if self.stop():
            raise KeyboardInterrupt
        return False


class Chart(NamedTuple):
    """One figure of a measurement: heading, what it shows and does not show, and how to draw it.

    ``draw(theme="light" | "dark")`` returns the figure. `choices` are further options of it, each
    with the values to choose from; what it draws without is the last.
    """

    title: str
    says: str
    draw: Callable[..., go.Figure]
    choices: Mapping[str, Sequence[Any]] = {}


@dataclass(frozen=True)
class Measurement:
    """A measurement, found by an entry point of ``sleep_workbench.measurements`` that names it.

    - title: what menus and forms call it.
    - order: measurements are listed from the smallest to the largest, then by name.
    - says: what its numbers show and do not show, in plain words.
    - asks: the question that it answers; by default its title.
    - concludes: ``concludes(dataset)`` answers it in one sentence; "" where that cannot be said.
    - settings: settings and their defaults; their meanings are read from the class's docstring.
    - run: ``run(checkpoint, settings, reporter) -> Dataset``.
    - tables: ``tables(dataset)`` returns tables by heading.
    - charts: ``charts(dataset)`` returns figures.
    - words: entries it adds to the glossary.
    """

    title: str
    order: int
    says: str
    settings: type[Settings]
    run: Callable[[Checkpoint, Any, Reporter], xr.Dataset]
    tables: Callable[[xr.Dataset], dict[str, Rows]]
    charts: Callable[[xr.Dataset], list[Chart]] = lambda data: []
    words: Mapping[str, str] = field(default_factory=dict)
    asks: str = ""
    concludes: Callable[[xr.Dataset], str] = lambda data: ""


class SplitSettings(Settings):
    """Settings of a measurement that trains decoders.

    Attributes
    ----------
    splits : int
        Seeds: how often the examples are split again, and random controls drawn.
    """

    splits: int = Field(5, ge=1, le=100)


def sleep_of(checkpoint: Checkpoint, settings: Settings) -> SleepConfig:
    """Return how the model sleeps in a measurement."""
    from workbench.training.evaluation import default_passes

    return checkpoint.sleep.with_passes(settings.passes or default_passes(checkpoint.sleep)[-1])


def drawn(
    checkpoint: Checkpoint, settings: Settings, *, step: int = 0
) -> tuple[Batch, SleepConfig]:
    """Return a measurement's evaluation examples, and how the model sleeps on them.

    Another `step`, other examples.
    """
    batch = draw(checkpoint.task, settings.examples, settings.seed, step, EVALUATION)
    return batch, sleep_of(checkpoint, settings)
