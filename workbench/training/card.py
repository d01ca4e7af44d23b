"""The card of a checkpoint, written from its provenance so that it cannot disagree with it."""

from __future__ import annotations

from typing import Any

from workbench.config import Experiment, RandomPasses
from workbench.tasks.base import FEW


def render_card(record: dict[str, Any], experiment: Experiment) -> str:
    """Return a checkpoint's ``card.md``, from its provenance `record`, metrics included."""
    model, task, training = experiment.model, experiment.task, experiment.training
    budget, metrics = record["budget"], record["metrics"]
    difficulty = metrics["difficulty"]
    task_settings = ", ".join(
        f"{name} = {value}"
        for name, value in task.model_dump(exclude={"name"}).items()
        if value is not None
    )
    lines = [
        f"# {record['name']}",
        "",
        f"A hybrid of {', '.join(model.layers)} (width {model.width}, {budget['parameters']:,} "
        f"parameters) trained on {task.name} ({task_settings}).",
        "",
        f"- **Sleep**: window {experiment.sleep.window}, passes {_passes(experiment)}, "
        f"{experiment.sleep.eviction} eviction",
        f"- **Budget**: {training.steps:,} steps of {training.batch_size} sequences = "
        f"{budget['tokens']:,} tokens, seed {training.seed}, {budget['seconds'] / 60:.0f} minutes "
        f"on {record['machine']['processor']} ({training.threads} thread)",
        f"- **Made by** `{record['command']}`, commit {_commit(record)}, "
        f"torch {record['versions']['torch']}",
        "- **Licence** Apache-2.0",
        "",
        f"## Accuracy by N and {difficulty}",
        "",
        f"{metrics['count']:,} examples of the evaluation stream (seed {metrics['seed']})"
        f"{_kind_of_examples(metrics, experiment)}; share of queries answered right, 95 % interval "
        "in brackets; exact = every query of an example right.",
        "",
    ]
    levels = list(next(iter(metrics["passes"].values()))["accuracy"])
    lines += [
        "| N | " + " | ".join(f"{difficulty} {level}" for level in levels) + " | exact |",
        "|---|" + "---|" * (len(levels) + 1),
    ]
    for n, entry in metrics["passes"].items():
        cells = [_cell(entry["accuracy"][v], entry["interval"]["accuracy"][v]) for v in levels]
        cells.append(_cell(entry["exact"], entry["interval"]["exact"]))
        lines.append(f"| {n} | " + " | ".join(cells) + " |")
    for name, chance in next(iter(metrics["passes"].values()))["chance"].items():
        values = [_number(chance["accuracy"].get(v)) for v in levels] + [_number(chance["exact"])]
        lines.append(f"| *{name}* | " + " | ".join(values) + " |")
    return "\n".join([*lines, *_first_queries(metrics), ""])


def _kind_of_examples(metrics: dict[str, Any], experiment: Experiment) -> str:
    """Return how the evaluation examples relate to those of training."""
    if (share := getattr(experiment.task, "held_out", None)) is not None:
        return f", on structures that training never drew ({share:.0%} of all)"
    if metrics.get("repeated", 0.0) > FEW:
        return f", of which training is expected to have drawn {metrics['repeated']:.0%} as well"
    return ""


def _first_queries(metrics: dict[str, Any]) -> list[str]:
    """Return the table of first queries; nothing where they were not measured."""
    entries = metrics["passes"]
    if not all("first" in entry for entry in entries.values()):
        return []
    levels = list(next(iter(entries.values()))["first"]["accuracy"])
    lines = [
        "",
        "The first query of each example alone, which sees no earlier answer:",
        "",
        "| N | " + " | ".join(f"{metrics['difficulty']} {level}" for level in levels) + " |",
        "|---|" + "---|" * len(levels),
    ]
    for n, entry in entries.items():
        first = entry["first"]
        cells = [_cell(first["accuracy"][v], first["interval"][v]) for v in levels]
        lines.append(f"| {n} | " + " | ".join(cells) + " |")
    for name, chance in next(iter(entries.values()))["chance"].items():
        if chance.get("first"):
            values = [_number(chance["first"].get(v)) for v in levels]
            lines.append(f"| *{name}* | " + " | ".join(values) + " |")
    return lines


def _passes(experiment: Experiment) -> str:
    passes = experiment.sleep.passes
    if isinstance(passes, RandomPasses):
        return f"N drawn from {passes.low}..{passes.high} at every step"
    return f"N = {passes}" if isinstance(passes, int) else f"{passes.kind}, at most {passes.cap}"


def _commit(record: dict[str, Any]) -> str:
    commit = record["commit"]
    if commit is None:
        return "unknown"
    return commit["hash"][:12] + (
        " with uncommitted changes" if commit["uncommitted_changes"] else ""
    )


def _cell(value: float, interval: list[float]) -> str:
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
