"""What the home page says about the bundled checkpoints, read from their provenance alone.

Loads no torch, so that the home page is there at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.config import load_experiment
from workbench.errors import WorkbenchError
from workbench.files import read_json, read_toml
from workbench.paths import bundled_checkpoints
from workbench.tasks.phrases import counted

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
    provenance, config : dict
        What ``provenance.json`` and ``config.toml`` hold.
    problem : str or None
        Why the folder could not be read.
    """

    name: str
    provenance: dict[str, Any]
    config: dict[str, Any]
    problem: str | None = None

    @property
    def task(self) -> str:
        """The task as a person would name it."""
        return task_words(self.config.get("task", {}))

    @property
    def trained(self) -> str:
        """How the model slept in training."""
        sleep = self.config.get("sleep", {})
        words = f"{passes_words(sleep.get('passes', 1))}, windows of {sleep.get('window')} tokens"
        return words + (", sliding eviction" if sleep.get("eviction") == "sliding" else "")

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
        provenance, config = read_json(folder / "provenance.json"), folder / "config.toml"
        load_experiment(config)  # a configuration that no model can have is a problem to be shown
        entry = Entry(name, provenance, read_toml(config))
        entry.accuracy  # noqa: B018  (so is a record of another shape)
    except WorkbenchError as error:
        return Entry(name, {}, {}, error.given)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = f"its provenance.json is damaged ({type(error).__name__}: {error})"
        return Entry(name, {}, {}, said)
    return entry


def task_words(task: dict[str, Any]) -> str:
    """Return a task's settings in plain words."""
    if task.get("name") == "depo":
        size = "a ring of" if task.get("n_dist", "fixed") == "fixed" else "rings of up to"
        hops = task.get("hops") or (1, task.get("max_hops"))
        asked = ", ".join(map(str, hops))
        if not task.get("hops"):
            asked = f"{hops[0]} to {hops[-1]}" if hops[-1] != 1 else "1"
        nodes = task.get("nodes")
        return f"Depo: follow the arrows of {size} {nodes} nodes, {counted(asked, 'hop')}"
    if task.get("name") == "rule110":
        steps = counted(task.get("rollout", 0), "step")
        strings = counted(task.get("strings", 0), "string")
        return f"Rule 110: the first of {task.get('cells')} cells after {steps}, {strings}"
    return str(task.get("name", "unknown task"))


def passes_words(passes: Any) -> str:
    """Return how many sleep passes were trained, in words."""
    if isinstance(passes, int):
        return f"trained with N = {passes}"
    if isinstance(passes, dict) and passes.get("kind") == "random":
        return f"trained with N drawn from {passes.get('low')} to {passes.get('high')}"
    if isinstance(passes, dict) and passes.get("kind") in RULES:
        return f"trained with N up to {passes.get('cap')}, {RULES[passes['kind']]}"
    return f"trained with N by the rule {passes}"
