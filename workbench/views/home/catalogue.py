"""What the home page says about the bundled checkpoints, read from their provenance alone.

Loads no torch, so that the home page is there at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import Experiment, Passes, RandomPasses, load_experiment
from workbench.errors import WorkbenchError
from workbench.files import read_json
from workbench.paths import bundled_checkpoints
from workbench.tasks import task as make_task
from workbench.tasks.phrases import measure_of

RULES = {
    "until_memory_settles": "sleeping until the memory settles",
    "until_answers_settle": "sleeping until the answers settle",
}
"""Rules that end a sleep, in words."""


@dataclass(frozen=True)
class Entry:
    """One bundled checkpoint: its ``provenance.json`` and ``config.toml``, as far as readable.

    `problem` says why its folder could not be read.
    """

    name: str
    provenance: dict[str, Any]
    config: Experiment | None
    problem: str | None = None

    @property
    def task(self) -> str:
        """The task with its settings, in a line."""
        return make_task(self.config.task).summary() if self.config else "unknown task"

    @property
    def trained(self) -> str:
        """How the model slept in training."""
        if self.config is None:
            return "trained in an unknown way"
        sleep = self.config.sleep
        words = f"{passes_words(sleep.passes)}, windows of {sleep.window} tokens"
        return words + (", sliding eviction" if sleep.eviction == "sliding" else "")

    @property
    def accuracy(self) -> Accuracy | None:
        """Measured accuracies, if the provenance has them."""
        metrics = self.provenance.get("metrics")
        return Accuracy.read(metrics) if isinstance(metrics, dict) else None

    @property
    def bits(self) -> list[str]:
        """Bits per token, or the task's own measure, at each N; empty without groups of tokens."""
        measure = measure_of(self.config.task.name) if self.config else ""
        what = measure[:1].upper() + measure[1:] or "Bits per token"
        passes = (self.provenance.get("metrics") or {}).get("passes", {})
        return [
            f"{what} at N = {n}: "
            + ", ".join(f"{group} {one['bits']:.3f}" for group, one in entry["bits"].items())
            for n, entry in passes.items()
            if entry.get("bits")
        ]


@dataclass(frozen=True)
class Accuracy:
    """Share of queries answered right on evaluation examples."""

    difficulty: str
    """Its name, such as "hops" or "rollout"."""
    levels: tuple[str, ...]
    """Difficulties, ascending."""
    rows: dict[str, dict[str, float]]
    """N -> difficulty -> accuracy."""
    intervals: dict[str, dict[str, tuple[float, float]]]
    """N -> difficulty -> 95 % interval; empty where none was recorded."""
    chance: dict[str, dict[str, float]]
    """Name of the strategy -> difficulty -> expected accuracy."""
    count: int
    """Evaluation examples."""
    first: Accuracy | None = None
    """The same for the first query of each example; None where it was not measured."""

    @classmethod
    def read(cls, metrics: dict[str, Any], part: Part | None = None) -> Accuracy | None:
        """Read the ``metrics`` of a provenance; None where there are no results."""
        passes = metrics.get("passes") or {}
        each = {n: (part or _all_queries)(entry) for n, entry in passes.items()}
        found = {n: one for n, one in each.items() if one is not None}
        if not found:
            return None
        shares, _, chance = next(iter(found.values()))
        return cls(
            str(metrics.get("difficulty", "difficulty")),
            tuple(shares),
            {n: _shares(one[0]) for n, one in found.items()},
            {
                n: {level: (float(low), float(high)) for level, (low, high) in one[1].items()}
                for n, one in found.items()
                if one[1]
            },
            {name: _shares(line) for name, line in chance.items()},
            int(metrics.get("count", 0)),
            None if part else cls.read(metrics, _first_queries),
        )


Part = Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None]
"""Takes the record of one N, and returns accuracies, their intervals, and the chance lines."""


def _all_queries(entry: dict[str, Any]) -> Any:
    chance = {name: line["accuracy"] for name, line in entry.get("chance", {}).items()}
    return entry["accuracy"], entry.get("interval", {}).get("accuracy", {}), chance


def _first_queries(entry: dict[str, Any]) -> Any:
    if "first" not in entry:
        return None
    lines = entry.get("chance", {}).items()
    chance = {name: line["first"] for name, line in lines if line.get("first")}
    return entry["first"]["accuracy"], entry["first"]["interval"], chance


def _shares(accuracy: dict[str, Any]) -> dict[str, float]:
    return {level: float(share) for level, share in accuracy.items()}


def entries() -> list[Entry]:
    """Return every bundled checkpoint; one that cannot be read says why."""
    return [read_entry(name, folder) for name, folder in bundled_checkpoints().items()]


def read_entry(name: str, folder: Path) -> Entry:
    """Read one checkpoint's provenance and configuration."""
    try:
        provenance = read_json(folder / "provenance.json")
        entry = Entry(name, provenance, load_experiment(folder / "config.toml"))
        entry.accuracy, entry.bits  # noqa: B018  (a record of another shape fails here)
    except WorkbenchError as error:
        return Entry(name, {}, None, error.given)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = f"its provenance.json is damaged ({type(error).__name__}: {error})"
        return Entry(name, {}, None, said)
    return entry


def passes_words(passes: Passes) -> str:
    """Return how many sleep passes were trained, in words."""
    if isinstance(passes, int):
        return f"trained with N = {passes}"
    if isinstance(passes, RandomPasses):
        return f"trained with N drawn from {passes.low} to {passes.high}"
    return f"trained with N up to {passes.cap}, {RULES[passes.kind]}"
