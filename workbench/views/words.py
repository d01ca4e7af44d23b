"""Sentences on the stepper: where we are, how many are right, whether N was trained. No Panel."""

from __future__ import annotations

from html import escape

import numpy as np
import xarray as xr

from workbench.config import RandomPasses, SleepConfig
from workbench.tasks.base import Task
from workbench.views.cursor import MOST_PASSES, Place


def where(
    place: Place,
    passes: tuple[int, ...],
    awake: tuple[bool, ...],
    change: float,
    sleep: SleepConfig,
) -> tuple[str, str]:
    """Return the stop's name and a sentence on what has just happened.

    Parameters
    ----------
    place : Place
        Where the cursor stands.
    passes, awake : tuple
        Last pass of each window, and which windows are read awake.
    change : float
        Relative change of the memory by this pass; NaN at pass 0.
    sleep : SleepConfig
        Decides what an eviction leaves.
    """
    window, number = place.window + 1, place.sleep_pass
    total = f"window {window} of {len(passes)}"
    if place == (0, 0):
        return "Before the first pass", "Nothing has been read yet, so S = 0 everywhere."
    if number == 0:
        left = "S alone" if sleep.eviction == "hard" else "S and the newest tokens' cache"
        coming = "wakes to read" if awake[place.window] else "falls asleep over"
        return (
            f"Evicted: on to {total}",
            f"The KV cache of window {window - 1} is gone; {left} crossed the boundary. "
            f"Next the model {coming} window {window}.",
        )
    if awake[place.window]:
        return (
            f"Awake, {total}",
            "The model read the questions once and answered from S. "
            f"Reading wrote to S as well ({_percent(change)} of its norm).",
        )
    times = {1: "once", 2: "twice"}.get(number, f"{number} times")
    end = " The sleep ends here." if number == passes[place.window] else ""
    return (
        f"Asleep, {total}, pass {number} of {passes[place.window]}",
        f"The model has read the window {times}; this pass changed S by {_percent(change)} of "
        f"its norm.{end}",
    )


def _percent(share: float) -> str:
    return "0 %" if not np.isfinite(share) else f"{100 * share:.0f} %"


def score(answers: xr.Dataset, task: Task, *, awake: bool = False) -> str:
    """Return HTML: right answers by difficulty, with what a guess would get.

    Parameters
    ----------
    answers : Dataset
        As from `workbench.views.walk.Walk.answers`.
    task : Task
        Gives the chance line and the difficulty's name.
    awake : bool
        Whether the model is awake rather than asked what if.
    """
    correct = answers["correct"].values
    levels = answers["difficulty"].values
    unit = {"hops": "hop", "rollout": "step"}.get(task.difficulty_name, task.difficulty_name)
    chips = []
    for level in np.unique(levels).tolist():
        here = correct[levels == level]
        full = " full" if here.all() else ""
        name = f"{level} {unit}{'' if level == 1 else 's'}"
        chips.append(
            f'<span class="score{full}">{escape(name)}: <b>{int(here.sum())}/{len(here)}</b></span>'
        )
    line = guess(task)
    chance = next(iter(line.values())) if line else 0.0
    return (
        f"<h2>{'The answers, awake' if awake else 'If the model woke now'}</h2>"
        f'<p class="scores" aria-live="polite"><span class="total"><b>{int(correct.sum())} of '
        f'{len(correct)}</b> right</span><span class="muted">'
        f"(a guess: {100 * chance:.0f} %)</span>{''.join(chips)}</p>"
    )


def guess(task: Task) -> dict[int, float]:
    """Return the score by difficulty of the best guess: the chance line of the figures."""
    return max((line.accuracy for line in task.chance().values()), key=_total)


def _total(accuracy: dict[int, float]) -> float:
    return sum(accuracy.values())


def trained_range(sleep: SleepConfig) -> tuple[int, int]:
    """Return the smallest and largest N that training used."""
    if isinstance(sleep.passes, int):
        return sleep.passes, sleep.passes
    if isinstance(sleep.passes, RandomPasses):
        return sleep.passes.low, sleep.passes.high
    return 1, sleep.passes.cap


def trained_note(passes: int, sleep: SleepConfig) -> str:
    """Return HTML saying whether N was trained."""
    low, high = trained_range(sleep)
    trained = f"N = {low}" if low == high else f"N from {low} to {high}"
    ends = (low - 0.25, min(high, MOST_PASSES) + 0.25)
    left, right = (100 * (n - 1) / (MOST_PASSES - 1) for n in ends)
    strip = (
        f'<div class="range" aria-hidden="true"><i style="left:{left:.1f}%;'
        f'width:{right - left:.1f}%"></i></div>'
    )
    if low <= passes <= high:
        return f'{strip}<p class="note">Trained with {trained}.</p>'
    side = "beyond" if passes > high else "below"
    return (
        f'{strip}<p class="note beyond">Trained with {trained}: this is {side} the trained '
        "range.</p>"
    )
