"""The card of a checkpoint, written from its provenance so that it cannot disagree with it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from workbench.config import Experiment, RandomPasses
from workbench.tasks.base import FEW
from workbench.tasks.phrases import measure_of

BITS = "95 % intervals in brackets, from resampling whole sources (chapters of a text)."
FIRST_QUERIES = "The first query of each example alone, which sees no earlier answer:"


def render_card(record: dict[str, Any], experiment: Experiment) -> str:
    """Return a checkpoint's ``card.md``, from its provenance `record`, metrics included."""
    task, training = experiment.task, experiment.training
    budget, metrics = record["budget"], record["metrics"]
    difficulty = metrics["difficulty"]
    task_settings = ", ".join(
        f"{name} = {value}"
        for name, value in task.model_dump(exclude={"name"}).items()
        if value is not None
    )
    origin = record.get("started_from")
    lines = [
        f"# {record['name']}",
        "",
        f"{_kind_of_model(experiment, budget['parameters'])} trained on {task.name} "
        f"({task_settings}).",
        "",
        f"- **Sleep**: window {experiment.sleep.window}, passes {_passes(experiment)}, "
        f"{experiment.sleep.eviction} eviction",
        f"- **Budget**: {training.steps:,} steps of {training.batch_size} sequences = "
        f"{budget['tokens']:,} tokens, seed {training.seed}, {budget['seconds'] / 60:.0f} minutes "
        f"on {record['machine']['processor']} ({training.threads} thread)",
        f"- **Made by** `{record['command']}`, commit {_commit(record)}, "
        f"torch {record['versions']['torch']}",
        *([f"- **Started from** the weights of {origin['name']}"] if origin else []),
        f"- **Licence** {_licence(origin)}",
        "",
    ]
    bits = [
        [f"## {title}", "", BITS, "", markdown(table), ""]
        for title, table in bit_tables(metrics["passes"], measure_of(task.name)).items()
    ]
    lines += [
        *chain(*bits[:1]),  # what such a task is judged by
        f"## Accuracy by N and {difficulty}",
        "",
        f"{metrics['count']:,} examples of the evaluation stream (seed {metrics['seed']})"
        f"{_kind_of_examples(metrics, experiment)}; share of queries answered right, 95 % interval "
        "in brackets; exact = every query of an example right.",
        "",
    ]
    lines.append(markdown(_in_italics(scores(metrics["passes"], difficulty))))
    if first := first_scores(metrics["passes"], difficulty):
        lines += ["", FIRST_QUERIES, "", markdown(_in_italics(first))]
    lines += ["", *chain(*bits[1:])]
    return "\n".join(lines).rstrip() + "\n"


def _licence(origin: dict[str, Any] | None) -> str:
    """Return the licence of the weights; what a retrofit added is under that of its base."""
    return (origin or {}).get("licence", "Apache-2.0")


def _kind_of_model(experiment: Experiment, parameters: int) -> str:
    """Return what was trained, and how many parameters learnt."""
    model, retrofit = experiment.model, experiment.retrofit
    if retrofit is None:
        kinds = ", ".join(model.layers)
        return f"A hybrid of {kinds} (width {model.width}, {parameters:,} parameters)"
    places = f"after blocks {', '.join(map(str, retrofit.after))}" if retrofit.after else ""
    if retrofit.replace:
        places += f" in place of the attention of {', '.join(map(str, retrofit.replace))}"
    return (
        f"{retrofit.base} with {retrofit.insert} layers {places.strip()} ({parameters:,} "
        f"parameters that learnt, train = {retrofit.train}; the base is not included)"
    )


def _kind_of_examples(metrics: dict[str, Any], experiment: Experiment) -> str:
    """Return how the evaluation examples relate to those of training."""
    if (share := getattr(experiment.task, "held_out", None)) is not None:
        return f", on structures that training never drew ({share:.0%} of all)"
    if metrics.get("repeated", 0.0) > FEW:
        return f", of which training is expected to have drawn {metrics['repeated']:.0%} as well"
    return ""


def scores(passes: dict[str, Any], difficulty: str) -> list[list[str]]:
    """Return a table of an evaluation: accuracy by difficulty and exact, for each N.

    Shares have their 95 % interval; the chance lines follow.
    """
    one = next(iter(passes.values()))
    levels = list(one["accuracy"])
    rows = [["N", *(f"{difficulty} {level}" for level in levels), "exact"]]
    for n, entry in passes.items():
        interval = entry["interval"]
        exact = with_interval(entry["exact"], interval["exact"])
        rows.append([n, *_shares(entry["accuracy"], interval["accuracy"], levels), exact])
    for name, chance in one["chance"].items():
        shares = [*(chance["accuracy"].get(v) for v in levels), chance["exact"]]
        rows.append([name, *map(_number, shares)])
    return rows


def first_scores(passes: dict[str, Any], difficulty: str) -> list[list[str]]:
    """Return the same of each example's first query; empty where that was not measured."""
    if not all("first" in entry for entry in passes.values()):
        return []
    one = next(iter(passes.values()))
    levels = list(one["first"]["accuracy"])
    rows = [["N", *(f"{difficulty} {level}" for level in levels)]]
    for n, entry in passes.items():
        rows.append([n, *_shares(entry["first"]["accuracy"], entry["first"]["interval"], levels)])
    for name, chance in one["chance"].items():
        if chance.get("first"):
            rows.append([name, *(_number(chance["first"].get(v)) for v in levels)])
    return rows


def _shares(shares: dict[str, Any], intervals: dict[str, Any], levels: list[str]) -> list[str]:
    return [with_interval(shares[level], intervals[level]) for level in levels]


def bit_tables(passes: dict[str, Any], measure: str) -> dict[str, list[list[str]]]:
    """Return tables of bits by their titles: by group, and each group by section.

    Empty where they were not measured. `measure`: "bits per character"; "" for bits per token.
    """
    measure = measure[:1].upper() + measure[1:] or "Bits per token"
    found: dict[str, list[list[str]]] = {}
    if not all("bits" in entry for entry in passes.values()):
        return found
    parts = {n: entry["bits"] for n, entry in passes.items()}
    groups = dict.fromkeys(group for part in parts.values() for group in part)
    found[measure] = _bit_table(parts, list(groups), "")
    for group in groups:
        inside = {n: part.get(group, {}).get("sections", {}) for n, part in parts.items()}
        sections = dict.fromkeys(section for part in inside.values() for section in part)
        if len(sections) > 1:
            rows = _bit_table(inside, list(sections), "section ")
            found[f"{measure} of {group}, by section"] = rows
    return found


def _bit_table(parts: dict[str, Any], names: list[str], kind: str) -> list[list[str]]:
    """Return bits by N and name; the head has `kind` before each name."""
    rows = [[n, *(_bits(part.get(name)) for name in names)] for n, part in parts.items()]
    return [["N", *(f"{kind}{name}" for name in names)], *rows]


def _bits(entry: dict[str, Any] | None) -> str:
    """Return bits with their interval, where they have one."""
    if entry is None:
        return ""
    interval = entry["interval"]
    return with_interval(entry["bits"], interval) if interval else f"{entry['bits']:.3f}"


def markdown(rows: list[list[str]]) -> str:
    """Return rows, the first one the heads, as a Markdown table."""
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *rest])


def _in_italics(rows: list[list[str]]) -> list[list[str]]:
    """Return a table of scores with the names of its chance lines in italics."""
    head, *rest = rows
    return [head, *([n if n.isdecimal() else f"*{n}*", *cells] for n, *cells in rest)]


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


def with_interval(value: float, interval: Sequence[float]) -> str:
    """Return a share with its interval: ``0.500 [0.400, 0.600]``."""
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
