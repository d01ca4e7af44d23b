"""The page of interventions: one change of the memory, and what becomes of the answers at once."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import xarray as xr

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.figures import all_heads
from workbench.figures.shifts import answer_shifts
from workbench.figures.theme import Theme
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM
from workbench.theatre.csv_text import csv_of
from workbench.theatre.problem import Problem
from workbench.views.cursor import drawings, words
from workbench.views.cursor.cursor import Extent
from workbench.views.cursor.reading import ReadingView
from workbench.views.cursor.view import queued
from workbench.views.interventions import words as told
from workbench.views.interventions.model import (
    InterventionCursor,
    actions,
    asked_queries,
    changed_window,
    most_modes,
    next_donor,
    result,
)
from workbench.views.interventions.screen import InterventionScreen
from workbench.views.parts.html import failure_html
from workbench.views.parts.outbox import Changes

TITLES = {
    "noise": "noise: the donor's part in the recipient's reading",
    "denoise": "denoise: the recipient's part in the donor's reading",
    "": "the right answer's logit minus the best other",
}


class Interventions(ReadingView):
    """The page of interventions."""

    cursor_type = InterventionCursor
    screen_type = InterventionScreen
    title = "Interventions"
    what = "change the memory of"
    cursor: InterventionCursor
    screen: InterventionScreen

    def run(self, checkpoint: Any) -> Extent:
        """Get the reading, and a donor where none is named."""
        extent = super().run(checkpoint)
        cursor = self.cursor
        known = list(actions(checkpoint.task).values())
        if cursor.action not in known:
            if "action" in cursor.given:
                self.problems.append(
                    ("action", f"{cursor.action!r} does not fit {checkpoint.task.name}; "
                     f"{known[0]!r} is used")
                )  # fmt: skip
            cursor.action = known[0]
        most = most_modes(self.examples)
        if cursor.modes > most:
            said = f"{cursor.modes} modes do not exist here; {most} are shown"
            self.problems.append(("modes", said))
            cursor.modes = most
        if cursor.donor is None or cursor.donor == cursor.example:
            named, cursor.donor = cursor.donor, next_donor(self.examples, cursor.example)
            if named is not None:
                said = f"donor {named} is the recipient itself; {cursor.donor} is taken"
                self.problems.append(("donor", said))
        return extent

    def choose(self, name: str, value: Any) -> None:
        """Set a parameter of the cursor; a donor that is the recipient becomes the next one."""
        if name == "donor" and value == self.cursor.example and not self._outbox.applying:
            step = 1 if value >= (self.cursor.donor or 0) else -1
            other = value + step
            value = other if 0 <= other < len(self.examples.batch) else value - step
        super().choose(name, value)

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold."""
        cursor, examples = self.cursor, self.examples
        try:
            found = result(cursor, examples)
        except WorkbenchError as error:
            place = self.place(theme, str(error))
            return [*place, *self._setup(), *self._refused(error)]
        verdict = told.verdict(cursor, examples, found)
        return [
            *self.place(theme, _plain(verdict)),
            *self._setup(),
            *self._answers(found, verdict, theme),
            *self._states(found, theme),
        ]

    def _refused(self, error: WorkbenchError) -> Changes:
        screen = self.screen
        gone = [screen.figure_pane, screen.table, screen.said, screen.button]
        return [
            (screen.problem, {"object": failure_html(error), "visible": True}),
            *[(pane, {"visible": False}) for pane in [*gone, *screen.states]],
            *[(pane, {"object": ""}) for pane in screen.state_names],
        ]

    def _answers(self, found: xr.Dataset, verdict: str, theme: Theme) -> Changes:
        cursor, examples, screen = self.cursor, self.examples, self.screen
        patched = cursor.action == "patch"
        asked = asked_queries(examples, cursor.example)
        queries = examples.problem(cursor.example).short_labels
        units = {way: f"{what} (nat)" if way else "nat" for way, what in told.AXES.items()}

        def draw() -> Any:
            shifts = found["logit_diff"].isel({dims.QUERY: asked})
            return answer_shifts(shifts, queries=queries, titles=TITLES, units=units, theme=theme)

        paragraphs = [
            verdict,
            told.exactness(cursor, examples, found),
            told.rule(cursor, found),
        ]
        says = "".join(f'<p class="says">{text}</p>' for text in paragraphs if text)
        omits = told.OMITS if patched else told.OMITS_ERASED
        if len(asked) > 1 and not examples.batch.isolated:
            omits += told.IN_VIEW[omits]
        legend = told.LEGEND if patched else told.LEGEND_ERASED
        says += f'<p class="says"><span class="omits">{escape(omits)}</span></p>'
        return [
            (screen.problem, {"object": "", "visible": False}),
            (screen.said, {"object": says, "visible": True}),
            (
                screen.figure_pane,
                {"figure": screen.figure("shifts", self._key(theme), draw), "visible": True},
            ),
            (
                screen.table,
                {"object": told.tables(cursor, examples, found) + legend, "visible": True},
            ),
            (screen.button, {"visible": True}),
        ]

    def _states(self, found: xr.Dataset, theme: Theme) -> Changes:
        cursor, screen = self.cursor, self.screen
        here = found["fast_weight"].sel({dims.LAYER: cursor.layer})
        if cursor.action == "patch":
            here = here.isel({dims.DIRECTION: 0})
            names = {
                INTACT: f"recipient, example {cursor.example}",
                DONOR: f"donor, example {cursor.donor}",
                PATCH: "recipient after the change",
            }
        else:
            names = {
                INTACT: f"example {cursor.example}, intact",
                CHANGED: "after the change",
                RANDOM: "after the random change",
            }
        limit = float(np.abs(here.sel({dims.CONTROL: list(names)})).max()) or 1.0
        changes: Changes = []
        for number, (control, text) in enumerate(names.items()):
            one = here.sel({dims.CONTROL: control}, drop=True).expand_dims({dims.SLEEP_PASS: [0]})

            def draw(one: xr.DataArray = one) -> Any:
                return all_heads(
                    one.assign_coords({dims.GDN_HEAD: np.arange(one.sizes[dims.GDN_HEAD])}),
                    sleep_pass=0,
                    limit=limit,
                    selected=cursor.gdn_head if cursor.part == "head" else -1,
                    theme=theme,
                )

            figure = screen.figure(f"state {number}", (self._key(theme), cursor.layer), draw)
            label = f"S of the {text}" if control == INTACT else f"S, {text}"
            changes += [
                (screen.states[number], {"figure": figure, "label": label, "visible": True}),
                (screen.state_names[number], {"object": f"<h3>{escape(text)}</h3>"}),
            ]
        return changes

    def _key(self, theme: Theme) -> tuple[Any, ...]:
        address = self.cursor.address()
        return (self.examples, tuple(address.items()), theme)

    def _setup(self) -> Changes:
        """Return the notes, the pictures and what the widgets offer."""
        cursor, examples, screen = self.cursor, self.examples, self.screen
        assert cursor.passes is not None and cursor.donor is not None
        extent = examples.extent
        patched, part = cursor.action == "patch", cursor.part
        window = changed_window(cursor.boundary, extent) + 1
        span = f"0-{len(examples.batch) - 1}"
        whose = "the recipient's" if patched else "its"
        link = words.onward("stepper", cursor, f"Step through {whose} sleep")
        link += words.onward("memory", cursor, "Look into its memory")
        link += words.onward("attribution", cursor, "Attribute its answers")
        return [
            (screen.note, {"object": words.trained_note(cursor.passes, examples.checkpoint.sleep)}),
            (screen.example, {"label": f"{'Recipient' if patched else 'Example'} ({span})"}),
            (
                screen.donor,
                {"label": f"Donor ({span})", "end": extent.examples - 1, "visible": patched},
            ),
            (screen.action, {"options": actions(examples.checkpoint.task)}),
            (screen.percent, {"visible": cursor.action == "scale"}),
            (screen.modes, {"visible": part == "modes", "end": most_modes(examples)}),
            (
                screen.changed,
                {
                    "visible": part == "change",
                    "label": f"Pass over window {window}",
                    "end": cursor.passes,
                },
            ),
            (screen.layer, {"visible": len(extent.layers) > 1}),
            (screen.gdn_head, {"visible": part == "head"}),
            (
                screen.pair_title,
                {"object": f"<h2>{'The two contexts' if patched else 'The example'}</h2>"},
            ),
            (
                screen.recipient_picture,
                {"object": self._picture(cursor.example, "recipient" if patched else "")},
            ),
            (
                screen.donor_picture,
                {"object": self._picture(cursor.donor, "donor") if patched else ""},
            ),
            (screen.onward, {"object": link}),
        ]

    def _picture(self, example: int, role: str) -> str:
        name = f"{role}, example {example}" if role else f"example {example}"
        return f"<h3>{name}</h3>{picture(self.examples.problem(example))}"

    @queued
    def save(self) -> None:
        """Send the numbers to the browser, which saves them as a file."""
        cursor, button = self.cursor, self.screen.button
        found = result(cursor, self.examples).drop_vars("fast_weight")
        name = cursor.checkpoint.replace("/", "-")
        file = f"{name}-seed-{cursor.seed}-n-{cursor.passes}-example-{cursor.example}"
        file += f"-{cursor.action}-window-{cursor.window}-pass-{cursor.sleep_pass}.csv"
        self._outbox.set([(button, button.saving(file, csv_of(found)))])


def picture(problem: Problem) -> str:
    """Return the drawing of an example."""
    return drawings.draw(problem.picture)


def _plain(text: str) -> str:
    return text.replace("<b>", "").replace("</b>", "")
