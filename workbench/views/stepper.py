"""The stepper: one sleep, pass by pass, with everything that can be seen of it.

Callbacks come from a pool of threads, several at a time. They take turns by a lock, compute what
is to be shown, and leave setting it to the session's own thread (`workbench.views.outbox`).
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import panel as pn
import param

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.views import words
from workbench.views.cursor import MOST_PASSES, URL, Cursor, Place
from workbench.views.outbox import Outbox
from workbench.views.problem import drawn, misfit, typed
from workbench.views.screen import Scene, Screen
from workbench.views.services import Services, services
from workbench.views.walk import Walk

SLEEP = ("checkpoint", "seed", "example", "text", "queries", "passes")
"""Parameters of the cursor that make another sleep."""


class Stepper(pn.viewable.Viewer):
    """The stepper.

    Parameters
    ----------
    cursor : Cursor or None
        What to show first; what it leaves open is chosen.
    shared : Services or None
        The process's checkpoints.

    Attributes
    ----------
    cursor : Cursor
        Where we are.
    address : Cursor
        The cursor as the page's address says it, set like the panes.
    problems : list of (str, str)
        What had to be put right in the cursor: its name in the address, and a sentence.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    def __init__(
        self, cursor: Cursor | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.cursor = cursor or Cursor()
        self.address = Cursor()
        self.services = shared or services()
        self.problems: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._following = False
        self._outbox = Outbox()
        self._wanted: dict[str, Any] = {}
        self._playing, self._actions = False, 0
        self.screen = Screen(
            self.services.names(),
            choose=self.choose,
            act=self.act,
            submit=self.submit,
            jump=self.jump,
        )
        self._start()
        self.cursor.param.watch(self._moved, list(URL))
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
            location.sync(stepper.address, URL, on_error=lambda values: None)
        for problem in problems:
            pn.state.onload(partial(_warn, problem))
        return stepper

    def __panel__(self) -> Any:
        return self.screen.layout()

    # --- one sleep ---------------------------------------------------------------------------

    def _start(self) -> None:
        """Run the first sleep; a wrong checkpoint or input in the address is put right."""
        cursor, known = self.cursor, self.services.names()
        if not known:
            raise WorkbenchError(
                "no checkpoint to step through",
                "at least one folder in data/checkpoints",
                "train one with `workbench train`, or set WORKBENCH_DATA",
            )
        if cursor.checkpoint not in known:
            if cursor.checkpoint:
                text = f"there is no checkpoint {cursor.checkpoint!r}; {known[0]} is shown"
                self.problems.append(("checkpoint", text))
            cursor.checkpoint = known[0]
        try:
            self._run()
        except WorkbenchError as error:
            if not cursor.text:
                raise
            self.problems.append(("input", f"the input in the address does not fit: {error}"))
            cursor.param.update(text="", queries="")
            self._run()
        self.problems += cursor.fit(self.walk.extent)
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
            if self._following:
                return
            self._following = True
            try:
                changed = {event.name for event in events}
                if changed.intersection(SLEEP):
                    self._follow(changed)
                else:
                    self.cursor.fit(self.walk.extent)
            finally:
                self._following = False
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
            self._outbox.set([], then=partial(_warn, str(error)))
            cursor.param.update(**self._shown)
            return
        cursor.fit(self.walk.extent)
        asleep = not self.walk.awake[cursor.window]
        if "passes" in changed and "sleep_pass" not in changed and asleep:
            cursor.go(self.walk.last_sleep)

    # --- what the user does ------------------------------------------------------------------

    def choose(self, name: str, value: Any) -> None:
        """Set a parameter of the cursor, as a widget or a click asks."""
        if self._outbox.applying:
            return  # the widget was set by us
        self._wanted[name] = value
        with self._lock:
            # of several values that came while another thread had its turn, the last one counts
            if name in self._wanted:
                self.cursor.param.update(**{name: self._wanted.pop(name)})

    def act(self, action: str) -> None:
        """Do what a transport button or key asks for: first, back, step, last or play."""
        with self._lock:
            cursor = self.cursor
            playing = self._playing
            self._playing = False  # should the move fail
            try:
                if action == "play":
                    playing = not playing
                    if playing and cursor.at_end:
                        cursor.first()
                else:
                    moves = {"first": cursor.first, "back": cursor.back, "step": cursor.step}
                    (moves | {"last": cursor.last})[action]()
                    playing = playing and action == "step" and not cursor.at_end
                self._playing = playing
            finally:
                self._actions += 1
                done = {"playing": self._playing, "serial": self._actions}
                self._outbox.set([(self.screen.transport, done)])

    def jump(self, window: int, sleep_pass: int) -> None:
        """Go to a stop and stop playing."""
        with self._lock:
            self.cursor.go(Place(window, sleep_pass))
            self._playing = False
            self._outbox.set([(self.screen.transport, {"playing": False})])

    def submit(self, text: str, queries: str, draw: bool = False) -> None:
        """Use what was typed; if it does not fit, say so at the field and change nothing else."""
        with self._lock:
            wrong = None if draw else misfit(self.checkpoint.task, text, queries)
            if wrong is None:
                self._outbox.set(self.screen.complain("", ""))
                self.cursor.param.update(text=text.strip(), queries=queries.strip())
            else:
                self._outbox.set(self.screen.complain(wrong[0], str(wrong[1])))

    # --- what is shown -----------------------------------------------------------------------

    def draw(self) -> None:
        """Bring every pane up to date."""
        with self._lock:
            theme: Theme = "dark" if self.dark else "light"
            scene = Scene(self.cursor, self.checkpoint, self.problem, self.walk, theme)
            changes = self.screen.contents(scene)
            changes.append((self.address, {name: getattr(self.cursor, name) for name in URL}))
            self._outbox.set(changes, then=lambda: self.screen.follow(self.cursor, self._wanted))


def _warn(message: str) -> None:
    if pn.state.notifications is not None:
        pn.state.notifications.warning(message, duration=10_000)
