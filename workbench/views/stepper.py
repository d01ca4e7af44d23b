"""The stepper: one sleep, pass by pass, with everything that can be seen of it."""

from __future__ import annotations

import threading
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import panel as pn
import panel_material_ui as pmui
import param

from workbench import dims
from workbench.errors import WorkbenchError
from workbench.figures import all_heads, answer_table, one_head, pass_curves, timeline
from workbench.figures.theme import Theme
from workbench.views import drawings, words
from workbench.views.components import FigurePane, Transport
from workbench.views.controls import Controls
from workbench.views.cursor import MOST_PASSES, QUANTITIES, URL, Cursor, Place
from workbench.views.problem import drawn, typed
from workbench.views.services import Services, services
from workbench.views.walk import Walk

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
SLEEP = {"checkpoint", "seed", "example", "text", "queries", "passes"}
"""Parameters of the cursor that make another sleep."""


class Stepper(pn.viewable.Viewer):
    """The stepper.

    Parameters
    ----------
    cursor : Cursor
        What to show; `checkpoint` may be empty, then the first one is taken.
    shared : Services or None
        The process's checkpoints.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    def __init__(
        self, cursor: Cursor | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.cursor = cursor or Cursor()
        self.services = shared or services()
        self._lock = threading.RLock()
        self._busy = False
        self._build()
        self._start()
        names = [*URL]
        self.cursor.param.watch(self._moved, names)
        self.param.watch(lambda event: self.draw(), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Stepper:
        """Return a stepper that follows the page's address and theme."""
        cursor = Cursor()
        location = pn.state.location
        query = dict(parse_qsl(location.search.lstrip("?"))) if location else {}
        problems = cursor.restore(query)
        stepper = cls(cursor, dark=page.dark_theme)
        # what the address does not name is no mistake of the user's
        problems += [text for name, text in stepper.problems if name in query]
        page.param.watch(lambda event: setattr(stepper, "dark", event.new), "dark_theme")
        if location:
            location.sync(cursor, URL, on_error=lambda values: None)
        for problem in problems:
            pn.state.onload(partial(_notify, problem))
        return stepper

    # --- one sleep ---------------------------------------------------------------------------

    def _start(self) -> None:
        """Run the first sleep; a wrong checkpoint or input in the address is put right."""
        self.problems: list[tuple[str, str]] = []
        known = self.services.names()
        if not known:
            raise WorkbenchError(
                "no checkpoint to step through",
                "at least one folder in data/checkpoints",
                "train one with `workbench train`, or set WORKBENCH_DATA",
            )
        if self.cursor.checkpoint not in known:
            if self.cursor.checkpoint:
                text = f"there is no checkpoint {self.cursor.checkpoint!r}; {known[0]} is shown"
                self.problems.append(("checkpoint", text))
            self.cursor.checkpoint = known[0]
        try:
            self._run()
        except WorkbenchError as error:
            if not self.cursor.text:
                raise
            self.problems.append(("input", f"the input in the address does not fit: {error}"))
            self.cursor.param.update(text="", queries="")
            self._run()
        self.problems += self.cursor.fit(self.walk.extent)
        self.draw()

    def _run(self) -> None:
        """Make the example and the walk that the cursor names; raises before anything changes."""
        cursor = self.cursor
        checkpoint = self.services.checkpoint(cursor.checkpoint)
        if cursor.passes is None:
            cursor.passes = min(words.trained_range(checkpoint.sleep)[1], MOST_PASSES)
        if cursor.text:
            problem = typed(checkpoint.task, cursor.text, cursor.queries)
        else:
            problem = drawn(checkpoint.task, cursor.seed, cursor.example)
        sleep = checkpoint.sleep.with_passes(cursor.passes)
        walk = Walk(checkpoint.model, problem.batch, sleep, checkpoint.task)
        walk.finish()
        self.checkpoint, self.problem, self.walk = checkpoint, problem, walk
        self._shown = {name: getattr(cursor, name) for name in SLEEP}

    def _moved(self, *events: param.parameterized.Event) -> None:
        """Follow the cursor, in whichever thread it was moved."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                changed = {event.name for event in events}
                if changed & SLEEP:
                    self._follow(changed)
                else:
                    self.cursor.fit(self.walk.extent)
            finally:
                self._busy = False
            self.draw()

    def _follow(self, changed: set[str]) -> None:
        """Run another sleep and put the cursor where its change can be seen."""
        cursor = self.cursor
        if "text" not in changed and changed & {"checkpoint", "seed", "example"}:
            cursor.param.update(text="", queries="")  # what was typed belonged elsewhere
        if "checkpoint" in changed and "passes" not in changed:
            cursor.passes = None  # as that model was trained
        try:
            self._run()
        except WorkbenchError as error:
            _notify(str(error))
            cursor.param.update(**self._shown)
            return
        cursor.fit(self.walk.extent)
        asleep = not self.walk.awake[cursor.window]
        if "passes" in changed and "sleep_pass" not in changed and asleep:
            cursor.go(self.walk.last_sleep)

    # --- moves -------------------------------------------------------------------------------

    def act(self, action: str) -> None:
        """Do what a transport button or key asks for: first, back, step, last or play."""
        with self._lock:
            if action == "play":
                if not self.transport.playing and self.cursor.at_end:
                    self.cursor.first()
                self.transport.playing = not self.transport.playing
                return
            if action != "step":
                self.transport.playing = False
            {"first": self.cursor.first, "back": self.cursor.back, "step": self.cursor.step,
             "last": self.cursor.last}[action]()  # fmt: skip
            if self.cursor.at_end:
                self.transport.playing = False

    # --- what is shown -----------------------------------------------------------------------

    def _build(self) -> None:
        """Make every pane once; `draw` fills them."""
        self.controls = Controls(self.cursor, self.services.names(), self._choose)
        self.transport = Transport(self.act)
        self.timeline = FigurePane(self._clicked_timeline, label="Timeline of the sleep")
        self.heads = FigurePane(self._clicked_head, label="Fast weights, all heads")
        self.head = FigurePane(label="Fast weights, one head")
        self.answers = FigurePane(self._clicked_answer, label="Answers if the model woke now")
        self.curves = FigurePane(label="Curves along the walk")
        self.place = _html("where")
        self.tokens = _html("tokens-pane")
        self.picture = _html("picture")
        self.score = _html("score-pane")
        self.quantity = pmui.RadioButtonGroup(
            label="Show",
            options={"S": "state", "change: pass": "change", "change: sleep": "sleep_change"},
            value=self.cursor.quantity,
            size="small",
            color="primary",
            margin=0,
            stylesheets=[".MuiFormLabel-root { display: none; }"],
            sx={
                "& .MuiToggleButton-root": {
                    "textTransform": "none",
                    "whiteSpace": "nowrap",
                    "py": "5px",
                    "px": "9px",
                }
            },
        )
        self.layer = pmui.Select(label="Layer", options=[0], size="small", width=90, margin=0)
        self.gdn_head = pmui.Select(label="Head", options=[0], size="small", width=90, margin=0)
        self.quantity.param.watch(lambda e: self._choose("quantity", e.new), "value")
        self.layer.param.watch(lambda e: self._choose("layer", e.new), "value")
        self.gdn_head.param.watch(lambda e: self._choose("gdn_head", e.new), "value")

    def _choose(self, name: str, value: Any) -> None:
        # Another thread waits for the lock; a widget set by `draw` finds it held by its own.
        with self._lock:
            if not self._busy:
                self.cursor.param.update(**{name: value})

    def _clicked_timeline(self, curve: int, custom: Any) -> None:
        with self._lock:
            if custom:
                self.transport.playing = False
                self.cursor.go(Place(int(custom[0]), int(custom[1])))

    def _clicked_head(self, curve: int, custom: Any) -> None:
        self._choose("gdn_head", min(curve, self.walk.extent.heads - 1))

    def _clicked_answer(self, curve: int, custom: Any) -> None:
        if custom is not None:
            self._choose("query", int(custom))

    def draw(self) -> None:
        """Bring every pane up to date; panes whose content is the same are not sent again."""
        with self._lock, pn.io.hold():
            theme: Theme = "dark" if self.dark else "light"
            walk, cursor = self.walk, self.cursor
            place = cursor.place
            self._busy = True
            try:
                self.controls.refresh(self.checkpoint, self.problem)
                self.quantity.value = cursor.quantity
                self.layer.param.update(options=list(walk.extent.layers), value=cursor.layer)
                self.layer.visible = len(walk.extent.layers) > 1
                self.gdn_head.param.update(
                    options=list(range(walk.extent.heads)), value=cursor.gdn_head
                )
            finally:
                self._busy = False
            places = walk.extent.places
            self.transport.param.update(index=places.index(place), count=len(places))
            self._draw_memory(theme)
            self._draw_answers(theme)
            self._draw_walk(theme)

    def _draw_memory(self, theme: Theme) -> None:
        cursor, walk = self.cursor, self.walk
        states = walk.states(cursor.window).sel({dims.LAYER: cursor.layer}, drop=True)
        shared: dict[str, Any] = {
            "sleep_pass": cursor.sleep_pass,
            "quantity": cursor.quantity,
            "limit": walk.scale(cursor.quantity, cursor.layer),
            "awake": walk.awake[cursor.window],
            "theme": theme,
        }
        self.heads.draw(all_heads(states, selected=cursor.gdn_head, **shared))
        self.head.draw(one_head(states, gdn_head=cursor.gdn_head, **shared))
        self.head.label = f"Head {cursor.gdn_head}, {QUANTITIES[cursor.quantity]}"

    def _draw_answers(self, theme: Theme) -> None:
        cursor, walk, task = self.cursor, self.walk, self.checkpoint.task
        answers = walk.answers(cursor.place)
        chosen = self.problem.queries[cursor.query]
        best = answers["probability"].isel({dims.QUERY: cursor.query}).argmax(dims.SYMBOL)
        answer = str(answers[dims.SYMBOL].values[int(best)])
        draw = drawings.ring if task.name == "depo" else drawings.automaton
        self.picture.object = draw(self.problem, chosen, answer)
        self.score.object = words.score(answers, task, awake=walk.awake[cursor.window])
        self.answers.draw(
            answer_table(
                answers,
                [query.label for query in self.problem.queries],
                chance=words.guess(task),
                title="",
                selected=cursor.query,
                theme=theme,
            )
        )

    def _draw_walk(self, theme: Theme) -> None:
        cursor, walk = self.cursor, self.walk
        place = cursor.place
        summary = walk.summary()
        change = summary["memory_change"]
        name, sentence = words.where(
            place, walk.extent.passes, walk.awake, float(change[place.window, place.sleep_pass]),
            walk.sleep,
        )  # fmt: skip
        self.place.object = (
            f'<h1 class="unseen">Stepper</h1><div class="where" aria-live="polite">'
            f"<b>{escape(name)}</b><span>{escape(sentence)}</span></div>"
        )
        self.tokens.object = drawings.tokens(
            self.problem, walk.spans, walk.awake, place, walk.cached_tokens(place)
        )
        self.timeline.draw(
            timeline(change, passes=walk.extent.passes, awake=walk.awake, place=place, theme=theme)
        )
        self.curves.draw(
            pass_curves(
                summary.sel({dims.LAYER: cursor.layer}, drop=True),
                walk.answer_curves(),
                passes=walk.extent.passes,
                place=place,
                difficulty=walk.answers(place)["difficulty"].values,
                difficulty_name=self.checkpoint.task.difficulty_name,
                chance=words.guess(self.checkpoint.task),
                replay=walk.replays(cursor.layer),
                selected=cursor.gdn_head,
                theme=theme,
            )
        )

    def __panel__(self) -> Any:
        left = _column(
            _card("Setup", *self.controls.setup),
            _card("The example", self.picture, *self.controls.own_input),
            name="left",
        )
        heading = pn.pane.HTML("<h2>Fast weights S</h2>", stylesheets=[CSS], margin=0)
        memory = _card(
            None,
            _row(heading, self.quantity, self.layer, self.gdn_head, name="bar"),
            _row(self.heads, self.head, name="pair"),
        )
        answers = _card(None, self.score, self.answers)
        right = _column(
            _card(None, self.transport, self.place, self.timeline, self.tokens),
            _row(memory, answers, name="main"),
            _card("Along the walk", self.curves),
            name="right",
        )
        return _row(left, right, name="stepper")


def _notify(message: str) -> None:
    if pn.state.notifications is not None:
        pn.state.notifications.warning(message, duration=10_000)


def _html(name: str) -> pn.pane.HTML:
    return pn.pane.HTML(
        "", css_classes=[name], stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def _row(*objects: Any, name: str) -> pn.Column:
    return pn.Column(
        *objects, css_classes=[name], stylesheets=[CSS], sizing_mode="stretch_width", margin=0
    )


def _column(*objects: Any, name: str) -> pn.Column:
    return _row(*objects, name=name)


def _card(title: str | None, *objects: Any) -> pn.Column:
    heading = (
        [pn.pane.HTML(f"<h2>{escape(title)}</h2>", stylesheets=[CSS], margin=0)] if title else []
    )
    return _row(*heading, *objects, name="panel")
