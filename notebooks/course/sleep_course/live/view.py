"""What a notebook shows of runs that train: a Stop button, progress, and figures patched in place.

Figures come from `workbench.figures`; a figure
that is on screen gets only new data, so that it neither flickers nor loses its zoom.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

import ipywidgets  # type: ignore[import-untyped]
import plotly.graph_objects as go

from workbench import dims, figures
from workbench.lab import results
from workbench.lab.runs import Run
from workbench.notebook.exploring import redraw
from workbench.tasks.phrases import level_words

PAUSE = 1.0
"""Seconds between two drawings: each takes 0.1 s of a core that could train."""
STATES = {"queued": "waits", "starting": "is starting", "died": "died"}


class View:
    """The widgets of a live experiment; its button calls `stop`.

    `box` holds all: `button`, `bar` (share done) and `line` (rate and remaining time); `each`, a
    line for each run; `learning`, loss and accuracy by hops while training; `against_n`, accuracy
    against N so far.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.button = ipywidgets.Button(description="Stop", icon="stop", button_style="danger")
        self.button.tooltip = "Stop all live runs"
        self.bar = ipywidgets.FloatProgress(max=1.0, layout={"width": "240px"})
        self.line = ipywidgets.Label("The runs are requested.")
        self.each = ipywidgets.HTML()
        # not imported above, which takes seconds
        self.learning = go.FigureWidget(layout={"height": 330})
        self.against_n = go.FigureWidget(layout={"height": 330, "width": 460})
        self.button.on_click(lambda button: stop())
        top = ipywidgets.HBox([self.button, self.bar, self.line])
        self.box = ipywidgets.VBox([top, self.each, self.learning, self.against_n])
        self._seen: Hashable = None
        self._drawn = 0.0

    def stopping(self) -> None:
        """Show that the click was received."""
        self.button.disabled = True
        self.button.description = "Stopping"
        self.line.value = "Each run stops after its step."

    def update(self, runs: list[Run], share: float, words: str, ended: bool) -> None:
        """Show how the runs are; figures only when a run has reported more."""
        self.bar.value = share
        if ended or not self.button.disabled:
            self.line.value = words
        if ended:
            self.button.disabled, self.button.icon = True, ""
            self.button.description = "Ended"
        self.each.value = "<br>".join(_state(run) for run in runs)
        seen = tuple((run.name, run.state, run.changed) for run in runs)
        if seen != self._seen and (ended or time.monotonic() - self._drawn > PAUSE):
            for shown, wanted in zip((self.learning, self.against_n), draw(runs), strict=True):
                if wanted is not None:
                    redraw(shown, wanted)
            self._seen, self._drawn = seen, time.monotonic()


def draw(runs: list[Run]) -> tuple[go.Figure | None, go.Figure | None]:
    """Return learning curves and accuracy against N; None where nothing is known yet."""
    entries = results.entries_of(runs)
    if not any(entry["loss"]["step"] for entry in entries):
        return None, None
    data = results.dataset(entries)
    shared = {"difficulty_name": data.attrs["difficulty"], "chance": data["chance"]}
    learning = figures.learning_curves(results.learning(data), **shared)
    end = 1.03 * max(entry["budget"]["steps"] for entry in entries)
    learning.update_xaxes(range=[0, end])
    if not data.sizes[dims.N_TEST]:
        return learning, None
    accuracy = results.against_n(results.latest(data)["accuracy"])
    points = results.over_seeds(accuracy)
    against_n = figures.accuracy_against_n(points, **shared)
    against_n.update_layout(width=460)
    return learning, against_n


def report(runs: list[Run]) -> str:
    """Return how far each run is and its newest accuracy by difficulty, a line each."""
    lines = []
    for run, entry in zip(runs, results.entries_of(runs), strict=True):
        newest = entry["final"] or (entry["curve"]["passes"] or [{}])[-1]
        known = [
            f"{level_words(level, entry['difficulty'])} {share:.2f}"
            for scores in newest.values()
            for level, share in scores["accuracy"].items()
        ]
        shown = ",  ".join(known) or "not evaluated yet"
        lines.append(
            f"N = {run.labels.get('passes', '?')}  step {run.step:,} of {run.steps:,}:  {shown}"
        )
    return "\n".join(lines)


def words_of(runs: list[Run], asked: bool, seconds: float) -> str:
    """Return how the runs ended, in a sentence."""
    lost = [f"N = {r.labels.get('passes', '?')} {r.state}: {r.problem}" for r in runs if r.problem]
    if lost:
        return "; ".join(lost)
    if asked and any(run.state == "stopped" for run in runs):
        return f"Stopped by you after {seconds:.0f} s."
    return f"Finished after {seconds:.0f} s."


def _state(run: Run) -> str:
    words = STATES.get(run.state, run.state)
    return f"N = {run.labels.get('passes', '?')} {words}, step {run.step:,} of {run.steps:,}"
