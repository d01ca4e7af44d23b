"""A view with a cursor: one sleep shown on a page, pass by pass, and its address.

Callbacks run in a pool of threads, several at a time. A session's callbacks run one after another
(`workbench.views.parts.serial_queue`), compute what to show, and leave setting it to the session's
own thread (`workbench.views.parts.outbox`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.theatre.problem import first_passes
from workbench.views.cursor.cursor import BoundaryIndex, Cursor, Extent
from workbench.views.cursor.screen import CursorScreen
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.services import lacking, services

if TYPE_CHECKING:
    from workbench.training.checkpoints import Checkpoint

logger = logging.getLogger(__name__)

SLEEP = ("checkpoint", "seed", "example", "text", "queries", "passes")
"""Parameters of the cursor that make another sleep."""

Given = ParamSpec("Given")
View = TypeVar("View", bound="CursorView")


def queued(method: Callable[Concatenate[View, Given], None]) -> Callable[..., None]:
    """Make a handler wait for its turn in the session's queue."""

    @wraps(method)
    def later(self: View, *args: Given.args, **values: Given.kwargs) -> None:
        self._queue.take(partial(method, self, *args, **values))

    return later


class CursorView(pn.viewable.Viewer):
    """A page whose panes follow one cursor.

    A subclass gives `title`, `what`, `screen_type`, `run` and `contents`, and may give `rest` for
    what can be drawn later. `shared` are the process's checkpoints unless others are given.
    `problems` lists what had to be corrected: its name in the address ("" where the address is not
    to blame) and a sentence. `location` holds the page's address in `search`, set like the panes.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    cursor_type: ClassVar[type[Cursor]] = Cursor
    screen_type: ClassVar[type[CursorScreen]]
    title: ClassVar[str] = ""
    what: ClassVar[str] = "step through"
    """What the page does with a checkpoint, for the message that there is no checkpoint."""
    after_sleep: ClassVar[bool] = False
    """Whether it opens after the last sleep, unless the address says where."""

    screen: CursorScreen

    def __init__(self, cursor: Cursor | None = None, *, shared: Any = None, **values: Any) -> None:
        super().__init__(**values)
        self.cursor = cursor or self.cursor_type()
        self.services = shared or services()
        self.location: Any = None
        self.problems: list[tuple[str, str]] = []
        self._lock = threading.RLock()
        self._following = False
        self._outbox = Outbox()
        self._queue = SerialQueue(show_error)
        self._asked: dict[str, int] = {}  # choices by parameter, counted
        self._answered: dict[str, int] = {}  # the last of them that the cursor has taken
        self._playing, self._actions = False, 0
        self.screen = self.make_screen()
        self._start()
        self.cursor.param.watch(self._moved, list(self.cursor.url))
        self.param.watch(lambda event: self._queue.take(self.draw, key="dark"), "dark")

    @classmethod
    def in_page(cls, page: Any) -> Self:
        """Return a view that follows the page's address and theme."""
        cursor = cls.cursor_type()
        location = pn.state.location
        query = dict(parse_qsl(location.search.lstrip("?"))) if location else {}
        problems = cursor.restore(query)
        view = cls(cursor, dark=page.dark_theme)
        # what the address does not name is not the user's mistake
        problems += [text for name, text in view.problems if not name or name in cursor.given]
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.location = location
        # not before: a page that is being loaded sets it to what the browser asked for
        pn.state.onload(partial(view._queue.take, view._tell_address))
        if problems:  # one notice: several would cover the page
            pn.state.onload(partial(warn, ". ".join(problems) + "."))
        return view

    def __panel__(self) -> Any:
        return self.screen.layout()

    # --- what a subclass gives or changes ----------------------------------------------------

    def make_screen(self) -> CursorScreen:
        """Return the panes."""
        return self.screen_type(self)

    def names(self) -> list[str]:
        """Return the checkpoints to choose from."""
        found: list[str] = self.services.names()
        return found

    def find(self) -> Checkpoint | None:
        """Return the model that the cursor names, and choose N; raises if it cannot be loaded."""
        cursor = self.cursor
        checkpoint: Checkpoint = self.services.checkpoint(cursor.checkpoint)
        if cursor.passes is None:
            cursor.passes = first_passes(checkpoint.sleep)
        return checkpoint

    def run(self, checkpoint: Any) -> Extent:
        """Make the sleep that the cursor names; an error is raised before anything changes."""
        raise NotImplementedError

    def contents(self, theme: Theme) -> Changes:
        """Return what the panes hold."""
        raise NotImplementedError

    def rest(self, theme: Theme) -> Changes:
        """Return what the panes hold that may be drawn after the others."""
        return []

    def busy(self) -> str:
        """Return what is being done while `run` takes its time."""
        return f"{self.cursor.checkpoint} falls asleep"

    # --- one sleep ---------------------------------------------------------------------------

    def _start(self) -> None:
        """Run the first sleep; a wrong checkpoint or input in the address is corrected."""
        cursor, known = self.cursor, self.names()
        if not known:
            raise WorkbenchError(
                f"no checkpoint to {self.what}",
                "at least one folder in data/checkpoints",
                "train one with `workbench train`, or set WORKBENCH_DATA",
            )
        named, asked = cursor.checkpoint, cursor.passes
        failures: list[Exception] = []
        for name in sorted(known, key=lambda name: name != named):  # the one named comes first
            cursor.param.update(checkpoint=name, passes=asked)
            try:
                extent = self._open()
                break
            except Exception as error:
                # one damaged folder must not close the others; the user sees which it is
                if not isinstance(error, WorkbenchError):
                    logger.exception("the checkpoint %s cannot be shown", name)
                failures.append(error)
                self.problems.append(("", f"checkpoint {name} cannot be shown: {error}"))
        else:
            raise failures[0]
        if named and named not in known:
            reason = lacking(named, getattr(self.services, "runs", None))
            self.problems.insert(0, ("checkpoint", f"{reason}; {cursor.checkpoint} is shown"))
        self.problems += cursor.fit(extent)
        if self.after_sleep and not cursor.placed:
            cursor.go(extent.last_sleep)
        self.draw()

    def _open(self) -> Extent:
        """Run the sleep of the cursor's checkpoint; an input that does not fit is left out."""
        cursor = self.cursor
        self.find()  # what fails here is not the input's fault
        if cursor.queries and not cursor.text:
            self.problems.append(("queries", "queries in the address without input are left out"))
            cursor.queries = ""
        try:
            return self._run()
        except WorkbenchError as error:
            if not cursor.text:
                raise
            self.problems.append(("input", f"the input in the address does not fit: {error}"))
            cursor.param.update(text="", queries="")
            return self._run()

    def _run(self) -> Extent:
        extent = self.run(self.find())
        self._shown = {name: getattr(self.cursor, name) for name in SLEEP}
        return extent

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
                    self.cursor.fit(self.cursor.extent)
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
        self._outbox.set([(self.screen.boundary, {"busy": self.busy()})])
        try:
            extent = self._run()
        except Exception as error:
            # whatever it was, the cursor goes back to the sleep that is shown
            cursor.param.update(**self._shown)
            known = isinstance(error, WorkbenchError)
            tell = partial(warn, str(error)) if known else partial(show_error, error)
            self._outbox.set([], then=tell)
            return
        cursor.fit(extent)
        chosen = "passes" in changed and "sleep_pass" not in changed
        if chosen and not extent.awake[cursor.window]:
            cursor.go(extent.last_sleep)

    # --- what the user does ------------------------------------------------------------------

    def choose(self, name: str, value: Any) -> None:
        """Set a parameter of the cursor, as a widget or a click asks."""
        if self._outbox.applying:
            return  # the widget was set by us
        # of several values that come while another thread has its turn, the last one counts
        self._asked[name] = asked = self._asked.get(name, 0) + 1
        self._queue.take(partial(self._take_up, name, value, asked), key=name)

    def _take_up(self, name: str, value: Any, asked: int) -> None:
        with self._lock:  # a picture drawn meanwhile shows this choice, or is known to be older
            self._answered[name] = asked
            self._choose(name, value)

    def _choose(self, name: str, value: Any) -> None:
        value, wrong = self.cursor.nearest(name, value)
        self.cursor.param.update(**{name: value})
        if wrong:
            self.draw()  # the field still holds what was typed, even where the cursor stayed
            self._outbox.set([], then=partial(warn, wrong))

    @queued
    def act(self, action: str) -> None:
        """Do what a transport button or key asks for: first, back, step, last, play or tick.

        A tick is a step that the browser's timer asks for; it counts only while playing.
        """
        cursor, playing = self.cursor, self._playing
        self._playing = False  # should the move fail
        try:
            if action == "play":
                playing = not playing
                if playing and cursor.at_end:
                    cursor.move("first")
            elif action != "tick" or playing:
                cursor.move("step" if action == "tick" else action)
                playing = playing and action in ("step", "tick") and not cursor.at_end
            self._playing = playing
        finally:
            self._actions += 1
            done = {"playing": self._playing, "serial": self._actions}
            self._outbox.set([(self.screen.transport, done)])

    @queued
    def jump(self, window: int, sleep_pass: int) -> None:
        """Go to a boundary and stop playing; a click on a timeline that is gone does nothing."""
        self._playing = False
        self._outbox.set([(self.screen.transport, {"playing": False})])
        boundary = BoundaryIndex(window, sleep_pass)
        if boundary in self.cursor.extent.boundaries:
            self.cursor.go(boundary)

    # --- what is shown -----------------------------------------------------------------------

    @property
    def theme(self) -> Theme:
        """Ground of the figures."""
        return "dark" if self.dark else "light"

    def draw(self) -> None:
        """Update every pane; those in `rest` come after whatever else is waiting."""
        with self._lock:
            changes = self.contents(self.theme) + self._address()
            # what the cursor says now: when it is set, another thread may be moving it
            values = {name: getattr(self.cursor, name) for name in self.screen.bound}
            answered = dict(self._answered)

            def follow() -> None:
                chosen = {n for n, asked in self._asked.items() if asked != answered.get(n)}
                self.screen.follow(values, chosen)

            self._outbox.set(changes, then=follow)
        self._queue.take(self._draw_rest, key="rest")

    def _draw_rest(self) -> None:
        with self._lock:
            changes = self.rest(self.theme)
        if changes:
            self._outbox.set(changes)

    def _tell_address(self) -> None:
        self._outbox.set(self._address())

    def _address(self) -> Changes:
        """Return the page's address for where the cursor stands; other parameters are kept."""
        if self.location is None:
            return []
        query = parse_qsl(self.location.search.lstrip("?"), keep_blank_values=True)
        known = set(self.cursor.url.values())
        others = [(name, text) for name, text in query if name not in known]
        search = "?" + urlencode([*self.cursor.address().items(), *others])
        return [(self.location, {"search": search})]
