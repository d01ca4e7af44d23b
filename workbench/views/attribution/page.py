"""The page of attribution: what one answer is owed to, with how far that can be trusted."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Final, Self

import numpy as np
import xarray as xr

from workbench import dims
from workbench.figures import all_heads
from workbench.figures.attribution import attribution_bars, attribution_matrix
from workbench.figures.theme import Theme
from workbench.instruments.attributing.one_answer import SUBJECTS, Asked, baselines_of
from workbench.instruments.attribution import METHODS
from workbench.theatre.csv_text import csv_of
from workbench.theatre.problem import Problem
from workbench.views.attribution import words as told
from workbench.views.attribution.model import (
    AttributionCursor,
    Work,
    asked_of,
    put_right,
    result_key,
    sampled,
    subjects,
)
from workbench.views.attribution.screen import AttributionScreen
from workbench.views.cursor import words
from workbench.views.cursor.reading import Examples, ReadingView
from workbench.views.cursor.view import queued
from workbench.views.parts.html import failure_html
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes
from workbench.views.site.sessions import at_end

EVERY: Final = 0.15
"""Seconds between two messages of how far the work is."""

Key = tuple[Examples, Asked]


class Attribution(ReadingView):
    """The page of attribution."""

    cursor_type = AttributionCursor
    screen_type = AttributionScreen
    title = "Attribution"
    what = "attribute the answers of"
    cursor: AttributionCursor
    screen: AttributionScreen

    def __init__(self, cursor: AttributionCursor | None = None, **values: Any) -> None:
        self.work: Work | None = None
        self._key: Key | None = None
        self._told = 0.0
        super().__init__(cursor, **values)

    @classmethod
    def in_page(cls, page: Any) -> Self:
        """Return a view that follows the page's address and theme, and ends with its session."""
        view = super().in_page(page)
        at_end(view.cancel)
        return view

    # --- the work ----------------------------------------------------------------------------

    def cancel(self) -> None:
        """End the work that is being done."""
        work = self.work
        if work is not None:
            work.cancel()

    def start(self) -> None:
        """Attribute again what was cancelled."""
        self._queue.take(partial(self._begin, None))

    def check_parameters(self) -> None:
        """Compare the attribution shown with those of shuffled parameters."""
        found = self._found(self._wanted())
        if found is not None:
            self._queue.take(partial(self._begin, int(found.attrs["against"])))

    def _found(self, key: Key, against: int | None = None) -> xr.Dataset | None:
        """Return what has been worked out, in whichever session, or None."""
        examples, asked = key
        found: xr.Dataset | None = examples.known(result_key(asked, against))
        return found

    def _wanted(self) -> Key:
        return self.examples, asked_of(self.cursor, self.examples)

    def _begin(self, against: int | None) -> None:
        self.cancel()
        examples, asked = self._wanted()
        self._key = examples, asked
        self.work = Work(examples, asked, self._changed, against=against)
        self.work.start()
        self.draw()

    def _changed(self, work: Work) -> None:
        """Show how far the work is; told by its thread."""
        if work is not self.work:
            return
        if work.ended:
            try:
                self._queue.take(self.draw, key="ended")
            except Exception as error:  # in a thread of ours: nobody else would tell of it
                failed = {"object": failure_html(error)}
                tell = partial(show_error, error)
                self._outbox.set([(self.screen.progress, failed)], then=tell)
        elif (now := time.monotonic()) > self._told + EVERY:
            self._told = now
            self._outbox.set([(self.screen.progress, {"object": told.progress(work)})])

    def _choose(self, name: str, value: Any) -> None:
        if name == "subject":  # with the method and the baseline that suit it best
            method = SUBJECTS[value].methods[0]
            baseline = baselines_of(value, method, self.cursor.boundary)[0]
            before = self.cursor.method
            self.cursor.param.update(subject=value, method=method, baseline=baseline)
            if method != before:
                said = f"Method is now {method}, which suits {value} best; it was {before}."
                self._outbox.set([], then=partial(warn, said))
        else:
            super()._choose(name, value)

    # --- what is shown -----------------------------------------------------------------------

    def draw(self) -> None:
        """Bring every pane up to date, once the choices make sense together."""
        with self._lock:
            before, self._following = self._following, True
            try:
                self.problems += put_right(self.cursor, self.examples)
            finally:
                self._following = before
            key = self._wanted()
            if key != self._key and self._found(key) is None:
                self.cancel()
                self._key = key
                self.work = Work(*key, self._changed)
                self.work.start()
            elif key != self._key:
                self.cancel()
                self._key, self.work = key, None
        super().draw()

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold."""
        key = self._wanted()
        return [
            *self.place(theme),
            *self._choices(key[1]),
            *self._work_changes(key),
            *self._result(key, theme),
        ]

    def _choices(self, asked: Asked) -> Changes:
        cursor, examples, screen = self.cursor, self.examples, self.screen
        assert cursor.passes is not None
        problem = examples.problem(cursor.example)
        known = SUBJECTS[asked.subject]
        baselines = baselines_of(asked.subject, asked.method, asked.boundary)
        several = len(examples.extent.passes) > 2
        stops = known.kind == "state" or (known.kind == "changes" and several)
        entries = asked.subject == "entries of S"
        link = words.onward("stepper", cursor, "Step through this sleep")
        link += words.onward("memory", cursor, "Look into this memory")
        link += words.onward("interventions", cursor, "Change this memory")
        return [
            (screen.note, {"object": words.trained_note(cursor.passes, examples.checkpoint.sleep)}),
            (screen.query, {"options": query_options(problem)}),
            (screen.subject, {"options": {name: name for name in subjects(examples)}}),
            (screen.method, {"options": {name: name for name in known.methods}}),
            (screen.baseline, {"options": {name: name for name in baselines}}),
            (screen.steps, {"visible": asked.method == METHODS[0]}),
            (screen.samples, {"visible": sampled(asked, examples)}),
            (screen.layer, {"visible": entries and len(examples.extent.layers) > 1}),
            *screen.show_stops(stops),
            (screen.onward, {"object": link}),
            (screen.about, {"object": told.subject_words(asked)}),
        ]

    def _work_changes(self, key: Key) -> Changes:
        screen, work = self.screen, self.work
        at_work = work is not None and not work.ended
        found = self._found(key) is not None
        gone = work is not None and work.ended and not found
        said = "" if work is None else told.progress(work)
        return [
            (screen.progress, {"object": said}),
            (screen.cancel, {"visible": at_work}),
            (screen.start, {"visible": gone}),
            (screen.randomise, {"visible": found and not at_work}),
            (screen.button, {"visible": found}),
        ]

    def _result(self, key: Key, theme: Theme) -> Changes:
        """Return the attribution: tokens in the text and the ring, else a figure."""
        examples, asked = key
        screen = self.screen
        problem = examples.problem(asked.example)
        query, said = self.cursor.query, examples.said(asked.example)
        found = self._found(key)
        if found is None:
            plain = told.picture(None, problem, query, said, 1.0)
            empty = [screen.facts, screen.check, screen.context]
            return [
                (screen.picture, {"object": plain}),
                *[(pane, {"object": ""}) for pane in empty],
                (screen.chart, {"visible": False}),
            ]
        values = found["attribution"]
        limit = float(np.abs(values).max()) or 1.0
        check = self._found(key, int(found.attrs["against"]))
        of_tokens = asked.subject == "tokens"
        context = ""
        if SUBJECTS[asked.subject].kind == "embeddings":
            tokens = examples.context(asked.example, asked.query)
            windows = np.arange(tokens) // examples.sleep.window
            context = told.context(values, problem, windows, limit)
        elif asked.subject == "entries of S":
            context = told.scale_words(limit)
        chart: dict[str, Any] = {"visible": False}
        if not of_tokens:
            name = (key, self.cursor.layer, theme)
            chart = {
                "figure": screen.figure("chart", name, partial(self._draw, key, values, theme)),
                "label": f"Attribution to {asked.subject}",
                "visible": True,
            }
        coloured = values if of_tokens else None
        return [
            (screen.picture, {"object": told.picture(coloured, problem, query, said, limit)}),
            (screen.context, {"object": context}),
            (screen.chart, chart),
            (screen.facts, {"object": told.facts(found, examples, asked)}),
            (
                screen.check,
                {"object": "" if check is None else told.check_words(check, values.size)},
            ),
        ]

    def _draw(self, key: Key, values: xr.DataArray, theme: Theme) -> Any:
        subject = key[1].subject
        if subject == "passes and heads":
            return attribution_matrix(values, theme=theme)
        if subject == "entries of S":
            here = values.sel({dims.LAYER: self.cursor.layer}, drop=True)
            names = {dims.GDN_HEAD: np.arange(here.sizes[dims.GDN_HEAD])}
            here = here.expand_dims({dims.SLEEP_PASS: [0]}).assign_coords(names)
            return all_heads(here, sleep_pass=0, selected=-1, theme=theme)
        if subject == "heads of S":
            layers = values[dims.LAYER].values.tolist()
            several = len(layers) > 1
            heads = range(values.sizes[dims.GDN_HEAD])
            rows = [
                f"layer {i} head {h}" if several else f"head {h}" for i in layers for h in heads
            ]
            return attribution_bars(values.values.reshape(-1), rows, theme=theme)
        (axis,) = values.dims
        word = "window" if axis == dims.WINDOW else "pass"
        numbers = np.arange(values.size) + 1
        return attribution_bars(values.values, [f"{word} {n}" for n in numbers], theme=theme)

    @queued
    def save(self) -> None:
        """Send the numbers to the browser, which saves them as a file."""
        key = self._wanted()
        found = self._found(key)
        if found is None:
            return
        asked, cursor, button = key[1], self.cursor, self.screen.button
        name = cursor.checkpoint.replace("/", "-")
        what = f"{asked.subject}-{asked.method}".replace(" ", "-")
        file = f"{name}-seed-{cursor.seed}-n-{cursor.passes}-example-{asked.example}"
        file += f"-query-{asked.query}-{what}.csv"
        self._outbox.set([(button, button.saving(file, csv_of(found)))])


def query_options(problem: Problem) -> dict[str, int]:
    """Return the queries by their labels; those asked twice are numbered."""
    labels = [query.label for query in problem.queries]
    return {
        label if labels.count(label) == 1 else f"{label} (query {number + 1})": number
        for number, label in enumerate(labels)
    }
