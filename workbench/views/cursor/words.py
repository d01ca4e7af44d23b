"""Sentences on pages with a cursor: where we are, how many are right, whether N was trained."""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import urlencode

import numpy as np
import xarray as xr

from workbench.config import SleepConfig
from workbench.figures import change_words
from workbench.tasks.base import Task
from workbench.tasks.phrases import level_words
from workbench.theatre.problem import MOST_PASSES, Problem, trained_range
from workbench.views.cursor.cursor import BoundaryIndex, Cursor, Extent


def where(
    boundary: BoundaryIndex, extent: Extent, change: float, sleep: SleepConfig
) -> tuple[str, str]:
    """Return the boundary's name and a sentence on what has just happened.

    `change` is the relative change of S by this pass, NaN at pass 0; `sleep` decides what an
    eviction leaves.
    """
    passes, awake = extent.passes, extent.awake
    window, number = boundary.window + 1, boundary.sleep_pass
    total, again = f"window {window} of {len(passes)}", False
    if extent.of_window:
        text, before = (extent.of_window[w] for w in (boundary.window, max(boundary.window - 1, 0)))
        again = text == before and boundary.window > 0
        total += f" (the text's window {text + 1}{', again' if again else ''})"
    kept = ["S", *_kept(sleep)]
    if boundary == (0, 0):
        return "Before the first pass", "Nothing has been read yet, so S = 0 everywhere."
    if number == 0 and again:
        return (
            f"Read awake: on to {total}",
            "The keys and values of the wake pass are gone. Next the model falls asleep over the "
            "tokens that it has just read.",
        )
    if number == 0:
        gone = f"The KV cache of window {window - 1} is gone"
        if sleep.eviction == "sliding":
            gone = "The older tokens' KV cache is gone"
        coming = "wakes to read" if awake[boundary.window] else "falls asleep over"
        crossed = "S alone" if len(kept) == 1 else _listed(kept)
        return (
            f"Evicted: on to {total}",
            f"{gone}; {crossed} crossed the boundary. Next the model {coming} window {window}.",
        )
    if awake[boundary.window] and sleep.order == "predict_then_sleep":
        wrote = f"wrote to S as well: {change_words(change)}"
        return (
            f"Awake, {total}",
            f"The model read the window once and predicted it from {_listed(kept)}. "
            f"Reading {wrote if sleep.wake_writes else 'left S as it was'}.",
        )
    if awake[boundary.window]:
        return (
            f"Awake, {total}",
            f"The model read the questions once and answered from {_listed(kept)}. "
            f"Reading wrote to S as well: {change_words(change)}.",
        )
    times = {1: "once", 2: "twice"}.get(number, f"{number} times")
    end = " The sleep ends here." if number == passes[boundary.window] else ""
    return (
        f"Asleep, {total}, pass {number} of {passes[boundary.window]}",
        f"The model has read the window {times}; in this pass {change_words(change)}.{end}",
    )


def _kept(sleep: SleepConfig) -> list[str]:
    """Return what crosses a boundary besides S, in words."""
    kept = ["the convolution tails"] if sleep.conv_state == "carry" else []
    if sleep.eviction == "sliding":
        kept.append(f"the KV cache of the newest {sleep.window - 1} tokens")
    return kept


S_ALONE: Final = "S alone"
"""What crosses a boundary under hard eviction, in the words of `crossing`."""


def crossing(sleep: SleepConfig) -> str:
    """Return what crosses a boundary, in words."""
    kept = _kept(sleep)
    return f"S, {_listed(kept)}" if len(kept) > 1 else f"S and {kept[0]}" if kept else S_ALONE


def signed(value: float, digits: int = 2, *, plus: bool = False) -> str:
    """Return a number with a proper minus sign, and no sign at zero; with a plus on request."""
    text = f"{value:{'+' if plus else ''}.{digits}f}"
    return text.lstrip("+-") if float(text) == 0 else text.replace("-", "−")


def _listed(things: list[str]) -> str:
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def score(answers: xr.Dataset, task: Task) -> str:
    """Return HTML: right answers by difficulty, with what a guess would get.

    `answers` are those of `workbench.views.stepper.walk.Walk.answers`.
    """
    correct = answers["correct"].values
    levels = answers["difficulty"].values
    chips = []
    for level in np.unique(levels).tolist():
        here = correct[levels == level]
        full = " full" if here.all() else ""
        name = escape(level_words(level, task.difficulty_name))
        chips.append(
            f'<span class="score{full}">{name}: <b>{int(here.sum())}/{len(here)}</b></span>'
        )
    return (
        f"<h2>{_answers_heading(answers)}</h2>"
        f'<p class="scores"><span class="total"><b>{int(correct.sum())} of '
        f'{len(correct)}</b> right</span><span class="muted">'
        f"(a guess: {100 * float(answers['chance'].mean()):.0f} %)</span>{''.join(chips)}</p>"
    )


def turned(right: list[bool]) -> str:
    """Return HTML that says after which passes an answer is right; `right` begins with pass 0."""
    passes = [number for number, one in enumerate(right) if one]
    last = len(right) - 1
    if not passes:
        said = "Not right after any pass of this sleep."
    elif passes == list(range(passes[0], last + 1)):
        when = f"after pass {passes[0]}" if passes[0] else "before the first pass"
        said = f"Right {when}{', and after every later one' if passes[0] < last else ''}."
    else:
        said = f"Right after passes {_listed([str(number) for number in passes])} of {last}."
    return f'<p class="says">{said}</p>'


def score_sentence(answers: xr.Dataset) -> str:
    """Return the score as a sentence, which screen readers announce at every boundary."""
    correct = answers["correct"].values
    return f"{_answers_heading(answers)}: {int(correct.sum())} of {len(correct)} right."


def _answers_heading(answers: xr.Dataset) -> str:
    given = answers["given"].values
    if given.all():
        return "The answers, awake"
    return "Answered so far, and what would follow" if given.any() else "If the model woke now"


def onward(page: str, cursor: Cursor, text: str) -> str:
    """Return HTML of a link to another page at the cursor's position."""
    link = f"{page}?{urlencode(cursor.address())}"
    return f'<p class="onward"><a href="{escape(link)}">{escape(text)}</a></p>'


def onward_to_causes(cursor: Cursor) -> str:
    """Return HTML of links to the pages that change a memory and attribute answers to it.

    These pages know the examples of a seed only: typed input has no donor.
    """
    if cursor.text:
        return ""
    change = onward("interventions", cursor, "Change this memory")
    return change + onward("attribution", cursor, "Attribute its answers")


def unlike_training(problem: Problem) -> str:
    """Return HTML that says how an example differs from all that training drew, or ""."""
    said = problem.unlike_training
    return f'<p class="note beyond">{escape(said)}</p>' if said else ""


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
