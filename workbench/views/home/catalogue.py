"""What the home page says about the bundled checkpoints, read from their provenance alone.

Loads no torch, so that the home page is there at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import Experiment, Passes, RandomPasses, load_experiment
from workbench.errors import WorkbenchError
from workbench.files import read_json
from workbench.paths import bundled_checkpoints
from workbench.tasks import task as make_task

RULES = {
    "until_memory_settles": "sleeping until the memory settles",
    "until_answers_settle": "sleeping until the answers settle",
}
"""Rules by which a sleep can end, in words."""


@dataclass(frozen=True)
class Entry:
    """One bundled checkpoint, as far as its folder can be read.

    Attributes
    ----------
    name : str
        Bundled name.
    provenance : dict
        What ``provenance.json`` holds.
    config : Experiment or None
        What ``config.toml`` holds.
    problem : str or None
        Why the folder could not be read.
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


@dataclass(frozen=True)
class Accuracy:
    """Share of queries answered right on evaluation examples.

    Attributes
    ----------
    difficulty : str
        Name of the difficulty: "hops" or "rollout".
    levels : tuple of str
        Difficulties, ascending.
    rows : dict of str to dict of str to float
        N -> difficulty -> accuracy.
    intervals : dict of str to dict of str to (float, float)
        N -> difficulty -> 95 % interval; empty where none was recorded.
    chance : dict of str to dict of str to float
        Name of the strategy -> difficulty -> expected accuracy.
    count : int
        Evaluation examples.
    first : Accuracy or None
        The same for the first query of each example alone; None where it was not measured.
    """

    difficulty: str
    levels: tuple[str, ...]
    rows: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    chance: dict[str, dict[str, float]]
    count: int
    first: Accuracy | None = None

    @classmethod
    def read(cls, metrics: dict[str, Any]) -> Accuracy | None:
        """Read the ``metrics`` of a provenance; None where there are no results."""
        passes = metrics.get("passes") or {}
        if not passes:
            return None
        first = next(iter(passes.values()))
        return cls(
            str(metrics.get("difficulty", "difficulty")),
            tuple(first["accuracy"]),
            {n: _shares(entry["accuracy"]) for n, entry in passes.items()},
            {
                n: {
                    level: (float(low), float(high))
                    for level, (low, high) in entry["interval"]["accuracy"].items()
                }
                for n, entry in passes.items()
                if "interval" in entry
            },
            {name: _shares(line["accuracy"]) for name, line in first.get("chance", {}).items()},
            int(metrics.get("count", 0)),
            cls.read(_of_first_queries(metrics)),
        )


def _of_first_queries(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return metrics of the first queries in the form of those of all queries."""
    return {
        "difficulty": metrics.get("difficulty", "difficulty"),
        "count": metrics.get("count", 0),
        "passes": {
            n: {
                "accuracy": entry["first"]["accuracy"],
                "interval": {"accuracy": entry["first"]["interval"]},
                "chance": {
                    name: {"accuracy": line["first"]}
                    for name, line in entry.get("chance", {}).items()
                    if line.get("first")
                },
            }
            for n, entry in metrics["passes"].items()
            if "first" in entry
        },
    }


def _shares(accuracy: dict[str, Any]) -> dict[str, float]:
    return {level: float(share) for level, share in accuracy.items()}


def entries() -> list[Entry]:
    """Return every bundled checkpoint, by name; one that cannot be read says why."""
    return [read_entry(name, folder) for name, folder in bundled_checkpoints().items()]


def read_entry(name: str, folder: Path) -> Entry:
    """Read one checkpoint's provenance and configuration."""
    try:
        provenance = read_json(folder / "provenance.json")
        entry = Entry(name, provenance, load_experiment(folder / "config.toml"))
        entry.accuracy  # noqa: B018  (so is a record of another shape)
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
