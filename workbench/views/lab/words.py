"""The lab's form as data, and its numbers in words. Knows no Panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.lab.arms import ARMS
from workbench.lab.estimate import Estimate
from workbench.lab.proposal import Choices, Proposal, points_of
from workbench.lab.settings import common, settings_of, task_settings
from workbench.progress import time_words
from workbench.task_config import task_kinds
from workbench.tasks import task as make_task
from workbench.tasks.base import few_examples_note

if TYPE_CHECKING:  # sweeps load torch
    from workbench.lab.sweeps import PlannedRun

USUAL = ("sleep", "random_n", "deeper", "longer", "no_fast_weights")
"""Arms that are shown first: the question, its controls at equal compute, and chance."""


def spec(task: str) -> dict[str, Any]:
    """Return what the form of a task asks for."""
    return {
        "tasks": [
            {"name": name, "title": task_kinds()[name].title, "describes": describes}
            for name, (describes, _) in task_settings().items()
        ],
        "starts": points_of(task),
        "settings": [
            {
                "name": s.name,
                "title": s.title[0].upper() + s.title[1:],
                "describes": s.describes.replace("`", ""),
                "kind": s.kind,
                "choices": list(s.choices),
                "bounds": "" if s.kind in ("choice", "boolean") else s.bounds,
                "common": s.name in common(task),
            }
            for s in settings_of(task)
        ],
        "arms": [
            {
                "name": arm.name,
                "title": arm.title,
                "describes": arm.describes.replace("`", ""),
                "common": arm.name in USUAL,
            }
            for arm in ARMS.values()
        ],
    }


def values(task: str, choices: Choices) -> dict[str, Any]:
    """Return what the fields of the form hold."""
    held = {n: getattr(choices, n) for n in ("start", "sweep", "seeds", "steps", "arms")}
    return {"task": task, "settings": choices.values, **held}


def choices_of(message: dict[str, Any]) -> Choices:
    """Return what a message of the form says was chosen."""
    return Choices(
        sweep=str(message["sweep"]).strip(),
        start=str(message["start"]),
        values={str(name): str(text) for name, text in message["settings"].items()},
        arms={str(name): str(text) for name, text in message["arms"].items()},
        seeds=str(message["seeds"]),
        steps=str(message["steps"]),
    )


def preview(proposal: Proposal, time: Estimate | None, cores: int) -> str:
    """Return how many runs these are, what they cost, how long they take and by what estimate."""
    assert proposal.sweep is not None
    total, to_do = len(proposal.sweep.runs), len(proposal.to_do)
    count = f"{total} run{'' if total == 1 else 's'}"
    if not to_do:
        return f"{count}, all finished already: nothing to start."
    if to_do < total:
        count += f", {total - to_do} finished already"
    spent = flops(sum(plan.flops for plan in proposal.to_do))
    words = f"{count}: {spent} of training"
    warning = _few_examples(proposal.to_do)
    if time is None:
        words += "; how long that takes is unknown: no run of this size has finished here."
        return words + warning
    place = f"{cores} CPU thread{'' if cores == 1 else 's'}"
    return (
        f"{words}, about {time_words(time.seconds)} on {place}, evaluations not counted "
        f"(from {time.source}).{warning}"
    )


def _few_examples(plans: list[PlannedRun]) -> str:
    """Return a warning about the longest of the runs that repeats its examples; "" without one."""
    longest = max((plan.experiment for plan in plans), key=lambda e: e.training.sequences)
    note = few_examples_note(make_task(longest.task), longest.training.sequences)
    return f" Note: {note}." if note else ""


def flops(value: float) -> str:
    """Return a number of floating-point operations in words."""
    for size, unit in ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e6:.3g} MFLOP"
