"""A watch on the run store: one polling thread per process, however many sessions there are.

It stats the folders a few times a second and reads only what has changed; the events of runs that
are followed are read on from the last byte. Pages compare a version. When no page has asked for a
while, it sleeps.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.files import UnreadableFile, stamp_if_there
from workbench.lab.queue import queue_works
from workbench.lab.runs import Run, list_runs, read_events, to_resume
from workbench.lab.trash import trashed
from workbench.training.run_files import EVENTS
from workbench.training.run_folder import STOP

logger = logging.getLogger(__name__)

PAUSE = 0.25
"""Seconds between two looks."""
LINGER = 20.0
"""Seconds that it looks for a page after the page has last asked."""
MOST = 64
"""Pages that it looks for at a time; the one that has not asked the longest is dropped first."""
PATIENCE = 5.0
"""Seconds that runs may wait, with none at work, before it is asked whether a queue works."""

EventList = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Seen:
    """What the last look found; `version` changes when anything else here does.

    `runs` are sorted experiment by experiment, the newest first. `stopping` names active runs that
    have been asked to stop, `resuming` those of them that go on after that, and `trash` deleted
    runs, the newest first. `waiting`: runs wait in a queue that no process works on. `problem`: why
    the folder cannot be read, or "".
    """

    version: int = 0
    runs: tuple[Run, ...] = ()
    stopping: frozenset[str] = frozenset()
    resuming: frozenset[str] = frozenset()
    trash: tuple[str, ...] = ()
    waiting: bool = False
    problem: str = ""

    def run(self, name: str) -> Run | None:
        """Return the run of that name."""
        return next((run for run in self.runs if run.name == name), None)


@dataclass
class _Tail:
    """The events of a run that is followed, up to a byte of its file."""

    inode: int = 0
    offset: int = 0
    entries: EventList = ()


class Watch:
    """Runs under the folder `root`, as they are now; it looks every `pause` seconds."""

    def __init__(self, root: Path, pause: float = PAUSE) -> None:
        self.root, self.pause = root, pause
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._followers: dict[Hashable, tuple[frozenset[str], float]] = {}  # and until when
        self._tails: dict[str, _Tail] = {}
        self._seen = Seen()
        self._waiting_since = 0.0
        self._waiting = False

    @property
    def seen(self) -> Seen:
        """What the last look found."""
        return self._seen

    def follow(self, key: Hashable, names: Iterable[str] = ()) -> Seen:
        """Look for the page `key` for the next `LINGER` seconds; return what is seen.

        `names` are the runs whose events it needs; they have been read when this returns.
        """
        wanted, until = frozenset(names), time.monotonic() + LINGER
        with self._lock:
            before = self._followers.pop(key, None)
            self._followers[key] = (wanted, until)  # the newest is last
            while len(self._followers) > MOST:
                self._followers.pop(next(iter(self._followers)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
            self._wanted.set()
        return self._seen if before is not None and before[0] == wanted else self.look()

    def forget(self) -> None:
        """Stop looking for pages that have not asked for a while."""
        now = time.monotonic()
        with self._lock:
            self._followers = {k: one for k, one in self._followers.items() if one[1] > now}
            if not self._followers:
                self._wanted.clear()

    def events_of(self, names: Iterable[str]) -> dict[str, EventList]:
        """Return the events of runs that are followed."""
        tails = self._tails
        return {name: tails[name].entries for name in names if name in tails}

    def versions(self, names: Iterable[str]) -> tuple[tuple[str, int, int], ...]:
        """Return for each run what changes when its events do: file, and bytes read of it."""
        tails = {name: self._tails.get(name) or _Tail() for name in names}
        return tuple((name, one.inode, one.offset) for name, one in tails.items())

    def look(self) -> Seen:
        """Look now; called by the thread, and after a change."""
        with self._looking:
            try:
                found = self._look()
            except OSError as error:
                found = replace(self._seen, problem=f"{self.root} cannot be read ({error})")
            moved = self._read_on()
            if moved or replace(found, version=self._seen.version) != self._seen:
                self._seen = replace(found, version=self._seen.version + 1)
            return self._seen

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self.forget()
            try:
                self.look()
            except Exception:  # a folder may hold anything; the watch goes on
                logger.exception("the look at %s failed", self.root)
            time.sleep(self.pause)

    def _look(self) -> Seen:
        # reads only what has changed, and asks whether an active run's process is still there
        runs = list_runs(self.root)
        newest: dict[str, float] = {}
        for run in runs:
            newest[sweep_of(run)] = max(newest.get(sweep_of(run), 0.0), run.created)
        runs.sort(key=lambda run: (-newest[sweep_of(run)], sweep_of(run), run.created, run.name))
        stopping = (run.name for run in runs if run.active and (run.folder / STOP).exists())
        return Seen(
            runs=tuple(runs),
            stopping=frozenset(stopping),
            resuming=frozenset(run.name for run in runs if to_resume(run)),
            trash=tuple(dict.fromkeys(p.name.rpartition("@")[0] for p in trashed(self.root))),
            waiting=self._nobody_works(runs),
        )

    def _nobody_works(self, runs: list[Run]) -> bool:
        """Return whether runs have waited for a while and no queue holds the folder's lock."""
        if any(run.active for run in runs) or all(run.state != "queued" for run in runs):
            self._waiting_since, self._waiting = 0.0, False
            return False
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        # asked rarely: to ask is to hold the lock for a moment, which a starting queue would miss
        if now - self._waiting_since > PATIENCE:
            self._waiting_since, self._waiting = now, not queue_works(self.root)
        return self._waiting

    def _read_on(self) -> bool:
        """Read the new events of followed runs; return whether there were any."""
        with self._lock:
            wanted = {name for names, _ in self._followers.values() for name in names}
        tails = {name: self._tails.get(name) or _Tail() for name in wanted}
        moved = False
        for name, tail in tails.items():
            moved |= _go_on(tail, self.root / name)
        self._tails = tails
        return moved


def sweep_of(run: Run) -> str:
    """Return the sweep a run belongs to, "" for none."""
    return str(run.labels.get("sweep", ""))


def _go_on(tail: _Tail, folder: Path) -> bool:
    found = stamp_if_there(folder / EVENTS)
    inode, size = (found.inode, found.size) if found is not None else (0, 0)
    if inode == tail.inode and size == tail.offset:
        return False
    fresh = inode != tail.inode or size < tail.offset  # a resumed run has rewritten it
    try:
        events = read_events(folder, 0 if fresh else tail.offset)
    except UnreadableFile:  # the list of runs says why
        return False
    if not fresh and not events.entries:
        tail.offset = max(events.offset, tail.offset)
        return False
    tail.entries = (*(() if fresh else tail.entries), *events.entries)
    tail.inode, tail.offset = inode, events.offset
    return True
