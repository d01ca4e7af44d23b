"""The lab: start experiments, watch runs train, stop and compare them.

The run folders hold the truth; a session holds only filters and a selection. Runs are separate
processes, which outlive this one. The process's one watch (`workbench.lab.watch`) finds what
changes; each session polls it twice a second, and then patches what it shows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param

from workbench.errors import WorkbenchError
from workbench.figures.panels import COLUMNS
from workbench.lab import actions
from workbench.lab.arms import ARMS
from workbench.lab.queue import ensure_queue
from workbench.lab.runs import Run
from workbench.lab.trash import empty_trash
from workbench.lab.watch import Seen
from workbench.views.lab import rows as lab_rows
from workbench.views.lab.asleep import Asleep
from workbench.views.lab.figures import Curves
from workbench.views.lab.screen import LabScreen
from workbench.views.lab.start import LabStart
from workbench.views.lab.state import FILTERS, NAMES, LabState
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Changes, Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.services import Services, services
from workbench.views.site.sessions import at_end

PERIOD = 500
"""Milliseconds between two polls."""
NARROWEST = 260
"""Pixels that a panel of a figure needs."""
TITLES = {arm.name: arm.title for arm in ARMS.values()}


class Lab(pn.viewable.Viewer):
    """The lab: `state` are its filters and selection, `screen` the panes, `start` the form."""

    dark = param.Boolean(False, doc="Whether the figures are drawn for a dark page.")
    columns = param.Integer(COLUMNS, doc="Most panels of a figure side by side.")

    def __init__(
        self, state: LabState | None = None, *, shared: Services | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.services = shared or services()
        self.watch = self.services.watch()
        self.state = state or LabState()
        self.location: Any = None
        self._outbox = Outbox()
        self._queue = SerialQueue(show_error)
        self._said, self._done = "", ""
        self._asked: set[str] = set()  # actions that have arrived; a repeated message is one
        self._until: frozenset[str] = frozenset()
        self._version = -1
        self.watch.open(self)
        self.start = LabStart(self.services, self._outbox, self.started)
        self.curves = Curves()
        self.asleep = Asleep(self.services, self._outbox)
        self.screen = LabScreen(
            self.start.form, self.asleep, on_message=self.receive, save=self.save
        )
        self.state.param.watch(lambda *events: self.take(self.draw), list(NAMES))
        self.param.watch(lambda event: self.take(self.draw), ["dark", "columns"])
        self.param.watch(lambda event: self.asleep.paint(event.new), "dark")
        self.asleep.dark = self.dark
        self.screen.smoothing.param.watch(lambda event: self.take(self.draw), "value")

    @classmethod
    def in_page(cls, page: Any) -> Lab:
        """Return a lab that follows the page's address and theme, and the runs while it is open."""
        lab = cls(dark=page.dark_theme)
        location = pn.state.location
        query = dict(parse_qsl(location.search.lstrip("?"))) if location else {}
        problems = lab.restore(query)
        page.param.watch(lambda event: setattr(lab, "dark", event.new), "dark_theme")
        lab.location = location
        lab.draw()
        pn.state.onload(lab._live)
        at_end(lab.close)
        if problems:
            pn.state.onload(partial(warn, ". ".join(problems) + "."))
        return lab

    def restore(self, query: dict[str, str]) -> list[str]:
        """Take filters and selection from an address; without any, show the newest experiment."""
        runs = self.watch.seen.runs
        known = {run.name for run in runs}
        problems = self.state.restore(query, known, lab_rows.sweeps_of(runs))
        if not self.state.selected and NAMES["selected"] not in query:
            self.state.selected = lab_rows.newest_sweep(runs)
        return problems

    def close(self) -> None:
        """Stop following the runs."""
        self.watch.close(self)

    def __panel__(self) -> Any:
        return self.screen.layout()

    def take(self, task: Callable[[], None], *, key: Any = "draw") -> None:
        """Do something when no other thread of this session is at work."""
        self._queue.take(task, key=key)

    def _live(self) -> None:
        pn.state.add_periodic_callback(self.poll, period=PERIOD)
        self.take(self.draw)

    def poll(self) -> None:
        """Show what is new, if anything is."""
        if self.watch.seen.version != self._version:
            self.take(self.draw)

    # --- what the user does ------------------------------------------------------------------

    def receive(self, message: dict[str, Any]) -> None:
        """Do what the table asks for."""
        kind = message.get("kind")
        if kind == "filter":
            filters = {name: str(message[name]) for name in FILTERS}
            self.state.param.update(**filters, turn=int(message["turn"]))
        elif kind == "select":
            names = [str(name) for name in message["names"]]
            self.state.param.update(selected=names, turn=int(message["turn"]))
        elif kind == "width":
            self.columns = max(1, min(COLUMNS, int(message["width"]) // NARROWEST))
        elif kind == "do" and (number := str(message["id"])) not in self._asked:
            self._asked.add(number)
            names = [str(name) for name in message["names"]]
            act = partial(self.act, str(message["action"]), names, str(message.get("text", "")))
            self.take(partial(act, number), key=None)

    def act(self, action: str, names: list[str], text: str = "", number: str = "") -> None:
        """Stop, resume, kill, delete, restore or annotate runs, and say what came of it."""
        seen, root = self.watch.seen, self.watch.root
        runs = [run for run in seen.runs if run.name in set(names)]
        doings: dict[str, Callable[[], str]] = {
            "stop": lambda: actions.stop_runs(runs).words,
            "resume": lambda: actions.resume_runs(runs, root, self.services.slots()).words,
            "kill": lambda: actions.kill_runs(runs).words,
            "delete": lambda: actions.delete_runs(runs).words,
            "note": lambda: actions.note_runs(runs, text).words,
            "restore": lambda: actions.restore_runs(root, names).words,
            "queue": self._start_queue,
            "empty": lambda: f"Removed for good: {empty_trash(root)} deleted.",
        }
        if action not in doings:
            return
        self._until = frozenset()
        try:
            self._said = doings[action]()
        except (WorkbenchError, OSError) as error:
            self._said = f"That did not work: {error}"
        self._done = number
        self.watch.look()
        self.draw()

    def _start_queue(self) -> str:
        ensure_queue(self.watch.root, self.services.slots())
        return "A queue is starting."

    def started(self, names: list[str], words: str) -> None:
        """Show the runs that the form has just started."""
        seen = self.watch.look()
        going = frozenset(name for name in names if _goes_on(seen, name))
        self._said, self._until = words, going
        self.state.param.update(text="", state="", sweep="", selected=names)
        self.take(self.draw)  # also where nothing but the words has changed

    def save(self, which: str) -> None:
        """Save the data of the selected runs, "learning" or "against_n", as CSV."""

        def hand_over() -> None:
            button = self.screen.downloads[which]
            self._outbox.set([(button, button.saving(*self.curves.csv(which)))])

        self.take(hand_over, key=None)

    # --- what is shown -----------------------------------------------------------------------

    def draw(self) -> None:
        """Bring every pane up to date."""
        seen = self.watch.seen
        turn = self.state.turn  # before the choice it belongs to, which may change meanwhile
        self._version = seen.version
        if self._until and not any(_goes_on(seen, name) for name in self._until):
            self._said, self._until = "", frozenset()  # "4 runs are queued" has become untrue
        chosen = self.selected(seen)
        # the table goes ahead: figures take longer, and a stop must be seen at once
        table = self.screen.runs(seen, self._table(seen, chosen, turn))
        self._outbox.set(table + self._address())
        names = [run.name for run in chosen]
        self.watch.follow(self, names)
        logged, versions = self.watch.events_of(names), self.watch.versions(names)
        self.curves.update(
            chosen,
            logged,
            versions,
            "dark" if self.dark else "light",
            columns=self.columns,
            smoothing=float(self.screen.smoothing.value),
        )
        self._outbox.set(self.screen.drawings(seen, chosen, self.curves))

    def selected(self, seen: Seen) -> list[Run]:
        """Return the selected runs that are there, in the order of the table."""
        wanted = set(self.state.selected)
        return [run for run in seen.runs if run.name in wanted]

    def _table(self, seen: Seen, chosen: list[Run], turn: int) -> dict[str, Any]:
        state = self.state
        present = {lab_rows.shown_state(run, seen) for run in seen.runs}
        filters = {name: getattr(state, name) for name in FILTERS}
        names = [run.name for run in chosen]
        return {
            "rows": lab_rows.rows(seen, arms=TITLES, **filters),
            "states": [(run.name, lab_rows.shown_state(run, seen)) for run in chosen],
            "total": len(seen.runs),
            "done": self._done,
            "choices": {"turn": turn, "names": names, **filters},
            "state_options": [s for s in lab_rows.SHOWN_STATES if s in present or s == state.state],
            "sweep_options": lab_rows.sweeps_of(seen.runs),
            "counts": lab_rows.counts(seen),
            "said": self._said,
            "waiting": seen.waiting,
            "trash": list(seen.trash),
            "now": time.time(),
        }

    def _address(self) -> Changes:
        """Return the page's address for what is shown; what is not ours is kept."""
        if self.location is None:
            return []
        query = parse_qsl(self.location.search.lstrip("?"), keep_blank_values=True)
        others = [(name, text) for name, text in query if name not in NAMES.values()]
        search = urlencode([*self.state.address().items(), *others], safe=",")
        return [(self.location, {"search": f"?{search}" if search else ""})]


def _goes_on(seen: Seen, name: str) -> bool:
    """Whether a run waits or is at work."""
    run = seen.run(name)
    return run is not None and (run.state == "queued" or run.active)
