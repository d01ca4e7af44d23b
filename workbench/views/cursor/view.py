"""A view with a cursor: one sleep looked at from a page, pass by pass, and its address.

Callbacks run in a pool of threads, several at a time. A session's callbacks run one after another
(`workbench.views.parts.serial_queue`), compute what to show, and leave setting it to the session's
own thread (`workbench.views.parts.outbox`).
"""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.views.cursor.cursor import BoundaryIndex, Cursor, Extent
from workbench.views.cursor.screen import CursorScreen
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.services import lacking

logger = logging.getLogger(__name__)

SLEEP = ("checkpoint", "seed", "example", "text", "queries", "passes")
"""Parameters of the cursor that make another sleep."""


class CursorView(pn.viewable.Viewer):
    """A page whose panes follow one cursor.

    A subclass gives `make_screen`, `names`, `run`, `extent`, `awake` and `contents`, and may give
    `rest` for what can wait.

    Parameters
    ----------
    cursor : Cursor or None
        What to show first; what it leaves open is chosen.

    Attributes
    ----------
    cursor : Cursor
        Where we are.
    location : object or None
        What holds the page's address in `search`, set like the panes.
    problems : list of (str, str)
        What had to be put right: its name in the address ("" for what is wrong whatever the
        address says), and a sentence.
    screen : CursorScreen
        The panes.
    """

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")

    cursor_type: ClassVar[type[Cursor]] = Cursor
    what: ClassVar[str] = "step through"
    """What is done with a checkpoint, for the sentence that says there is none."""

    screen: CursorScreen

    def __init__(self, cursor: Cursor | None = None, **values: Any) -> None:
        super().__init__(**values)
        self.cursor = cursor or self.cursor_type()
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
        # what the address does not name is no mistake of the user's
        problems += [text for name, text in view.problems if not name or name in cursor.given]
        page.param.watch(lambda event: setattr(view, "dark", event.new), "dark_theme")
        view.location = location
        # not before: a page that is being loaded sets it to what the browser was asked for
        pn.state.onload(partial(view._queue.take, view._tell_address))
        if problems:  # one notice: several would cover the page
            pn.state.onload(partial(warn, ". ".join(problems) + "."))
        return view

    def __panel__(self) -> Any:
        return self.screen.layout()

    # --- what a subclass gives ---------------------------------------------------------------

    def make_screen(self) -> CursorScreen:
        """Return the panes."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Return what there is to choose from."""
        raise NotImplementedError

    def lacking(self, name: str) -> str:
        """Return why there is nothing of that name."""
        return f"there is no checkpoint {name!r}"

    def check(self) -> None:
        """Raise where what the cursor names cannot be had, whatever the input."""
        raise NotImplementedError

    def run(self) -> None:
        """Make the sleep that the cursor names; raises before anything changes."""
        raise NotImplementedError

    @property
    def extent(self) -> Extent:
        """What the cursor ranges over."""
        raise NotImplementedError

    @property
    def awake(self) -> tuple[bool, ...]:
        """Which windows are read awake."""
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
        """Run the first sleep; a wrong checkpoint or input in the address is put right."""
        cursor, known = self.cursor, self.names()
        if not known:
            raise WorkbenchError(
                f"no checkpoint to {self.what}",
                "at least one folder in data/checkpoints",
                "train one with `workbench train`, or set WORKBENCH_DATA",
            )
        named = cursor.checkpoint
        asked = cursor.passes
        failures: list[Exception] = []
        for name in sorted(known, key=lambda name: name != named):  # the one named comes first
            cursor.param.update(checkpoint=name, passes=asked)
            try:
                self._open()
                break
            except Exception as error:
                # one damaged folder must not close the others; what it is goes to the user
                if not isinstance(error, WorkbenchError):
                    logger.exception("the checkpoint %s cannot be shown", name)
                failures.append(error)
                self.problems.append(("", f"checkpoint {name} cannot be shown: {error}"))
        else:
            raise failures[0]
        if named and named not in known:
            said = f"{self.lacking(named)}; {cursor.checkpoint} is shown"
            self.problems.insert(0, ("checkpoint", said))
        self.problems += cursor.fit(self.extent)
        self.draw()

    def _open(self) -> None:
        """Run the sleep of the cursor's checkpoint; an input that does not fit is left out."""
        cursor = self.cursor
        self.check()  # what fails here is not the input's fault
        if cursor.queries and not cursor.text:
            self.problems.append(("queries", "queries in the address without input are left out"))
            cursor.queries = ""
        try:
            self._run_it()
        except WorkbenchError as error:
            if not cursor.text:
                raise
            self.problems.append(("input", f"the input in the address does not fit: {error}"))
            cursor.param.update(text="", queries="")
            self._run_it()

    def _run_it(self) -> None:
        self.run()
        self._shown = {name: getattr(self.cursor, name) for name in SLEEP}

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
                    self.cursor.fit(self.extent)
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
            self._run_it()
        except Exception as error:
            # whatever it was, the cursor goes back to the sleep that is shown
            cursor.param.update(**self._shown)
            known = isinstance(error, WorkbenchError)
            tell = partial(warn, str(error)) if known else partial(show_error, error)
            self._outbox.set([], then=tell)
            return
        cursor.fit(self.extent)
        asleep = [w for w, awake in enumerate(self.awake) if not awake]
        if "passes" in changed and "sleep_pass" not in changed and cursor.window in asleep:
            cursor.go(BoundaryIndex(asleep[-1], self.extent.passes[asleep[-1]]))

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

    def act(self, action: str) -> None:
        """Do what a transport button or key asks for: first, back, step, last, play or tick.

        A tick is a step that the browser's timer asks for; it counts only while playing.
        """
        self._queue.take(partial(self._act, action))

    def _act(self, action: str) -> None:
        cursor, playing = self.cursor, self._playing
        self._playing = False  # should the move fail
        try:
            if action == "play":
                playing = not playing
                if playing and cursor.at_end:
                    cursor.first()
            elif action == "tick":
                if playing:
                    cursor.step()
                playing = playing and not cursor.at_end
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
        """Go to a boundary and stop playing."""
        self._queue.take(partial(self._jump, BoundaryIndex(window, sleep_pass)))

    def _jump(self, boundary: BoundaryIndex) -> None:
        self._playing = False
        self._outbox.set([(self.screen.transport, {"playing": False})])
        if (
            boundary in self.extent.boundaries
        ):  # else the click was on a timeline that has just gone
            self.cursor.go(boundary)

    # --- what is shown -----------------------------------------------------------------------

    @property
    def theme(self) -> Theme:
        """Ground of the figures."""
        return "dark" if self.dark else "light"

    def draw(self) -> None:
        """Bring every pane up to date, the ones that can wait after what else waits."""
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
        """Return the page's address for where the cursor stands; what is not ours is kept."""
        if self.location is None:
            return []
        query = parse_qsl(self.location.search.lstrip("?"), keep_blank_values=True)
        known = set(self.cursor.url.values())
        others = [(name, text) for name, text in query if name not in known]
        search = "?" + urlencode([*self.cursor.address().items(), *others])
        return [(self.location, {"search": search})]


class CheckpointView(CursorView):
    """A page on the checkpoints of a process, which a subclass has as `services`."""

    services: Any

    def names(self) -> list[str]:
        """Return the checkpoints to choose from."""
        found: list[str] = self.services.names()
        return found

    def lacking(self, name: str) -> str:
        """Return why there is no such checkpoint."""
        return lacking(name, getattr(self.services, "runs", None))

    def check(self) -> None:
        """Raise where the checkpoint cannot be had."""
        self.services.checkpoint(self.cursor.checkpoint)
