"""The lab's form as data, and its numbers in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.config import Experiment
from workbench.lab.arms import ARMS, MATCHED
from workbench.lab.estimate import Estimate, Speed, Work, estimate, smallest_difference
from workbench.lab.presets import Preset, presets
from workbench.lab.presets import work_of as preset_work
from workbench.lab.proposal import Checked, Choices, points_of
from workbench.lab.settings import common, settings_of, task_settings
from workbench.progress import time_words
from workbench.task_config import task_kinds
from workbench.tasks import task as make_task
from workbench.tasks.base import few_examples_note
from workbench.tasks.phrases import counted

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
    """Return what a message of the form says was chosen; what it leaves out is empty."""

    def texts(name: str) -> dict[str, str]:
        found = message.get(name)
        return {str(key): str(one) for key, one in found.items()} if isinstance(found, dict) else {}

    return Choices(
        sweep=str(message.get("sweep", "")).strip(),
        start=str(message.get("start", "")),
        values=texts("settings"),
        arms=texts("arms"),
        seeds=str(message.get("seeds", "")),
        steps=str(message.get("steps", "")),
    )


def preset_cards(known: list[Speed], cores: int) -> list[dict[str, str]]:
    """Return the presets as the form shows them, with the time that each takes here."""
    cards = []
    for preset in presets().values():
        time = estimate(preset_work(preset), known, cores)
        took = f"about {time_words(time.seconds)}" if time else "time unknown"
        card = {"name": preset.name, "title": preset.title, "time": took}
        cards.append(card | {"shows": preset.shows, "cannot": preset.cannot})
    return cards


def plan(
    checked: Checked,
    work: list[Work],
    time: Estimate | None,
    cores: int,
    preset: Preset | None = None,
    warning: str = "",
) -> list[list[str]]:
    """Return what will be trained, how long it takes, and what it can and cannot show.

    `work` is what is still to do; nothing where all runs have finished.
    """
    total = checked.count
    count = counted(total, "run")
    if not work:
        return [["Trains", f"{count}, all finished already: nothing to start."]]
    done = f" ({total - len(work)} finished already)" if len(work) < total else ""
    arms = "; ".join(
        f"{ARMS[axis.arm].title.removesuffix(', N = 1')} with N = {_listed(axis.passes)}"
        for axis in checked.axes
    )
    steps = sorted({one.steps for one in work})
    each = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    seeds = f"seed{'' if len(checked.seeds) == 1 else 's'} {_listed(checked.seeds)}"
    spent = flops(sum(one.flops for one in work))
    rows = [["Trains", f"{count}{done}: {arms}; {seeds}; {each} steps each, {spent}."]]
    takes = "Unknown: no run of this size has finished here or is recorded."
    if time is not None:
        place = counted(cores, "CPU thread")
        takes = f"About {time_words(time.seconds)} on {place}, evaluations not counted; estimated "
        takes += f"from {time.source}."
    rows.append(["Takes", takes])
    if preset is not None:
        rows.append(["Can show", preset.shows])
    return [*rows, ["Cannot show", " ".join([*limits(checked, preset), warning]).strip()]]


def limits(checked: Checked, preset: Preset | None = None) -> list[str]:
    """Return what an experiment cannot show, in sentences."""
    arms = {axis.arm: axis.passes for axis in checked.axes}
    count = len(checked.seeds)
    found = [preset.cannot] if preset is not None else []
    if sum(map(len, arms.values())) == 1:
        found.append("A difference: there is only one arm at one N.")
    elif preset is None and len(arms.get("sleep", ())) > 1 and not set(arms) & set(MATCHED):
        found.append(
            "Whether sleep or computing helps: more passes compute more. The arms deeper and "
            "longer have equal compute."
        )
    if count == 1:
        found.append("How sure it is: that takes several seeds.")
    else:
        found.append(
            f"Small differences: with {count} seeds, those below about "
            f"{smallest_difference(count):.2f} will not stand (if seeds differ as in the recorded "
            "sweeps)."
        )
    return found


def few_examples(experiments: list[Experiment]) -> str:
    """Return a warning about the longest of the runs that repeats its examples; "" without one."""
    if not experiments:
        return ""
    longest = max(experiments, key=lambda e: e.training.sequences)
    note = few_examples_note(make_task(longest.task), longest.training.sequences)
    return f"Note: {note}." if note else ""


def _listed(values: Sequence[int]) -> str:
    """Return numbers in words: ``1``, ``1 and 3``, ``0, 1 and 2``."""
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last


def flops(value: float) -> str:
    """Return a number of floating-point operations in words."""
    for size, unit in ((1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e6:.3g} MFLOP"
