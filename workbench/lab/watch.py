"""A watch on the run store: one polling thread per process, however many sessions there are.

It stats the folders a few times a second and reads only what has changed; the events of runs that
are followed are read on from the last byte. Pages compare a version. Without watchers it sleeps.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.files import UnreadableFile, stamp_if_there
from workbench.lab.queue import queue_works
from workbench.lab.runs import (
    NOTE,
    Run,
    actual_state,
    last_words,
    read_events,
    read_run,
    to_resume,
)
from workbench.lab.trash import trashed
from workbench.training.run_files import EVENTS, LABELS, STATUS
from workbench.training.run_folder import CONFIG, STOP

logger = logging.getLogger(__name__)

PAUSE = 0.25
"""Seconds between two looks."""
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
class _Known:
    """What is remembered of a run's folder."""

    signature: tuple[Any, ...]
    created: float
    run: Run
    stopping: bool


@dataclass
class _Tail:
    """The events of a run that is followed, up to a byte of its file."""

    inode: int = 0
    offset: int = 0
    version: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)
    frozen: EventList = ()


class Watch:
    """Runs under the folder `root`, as they are now; it looks every `pause` seconds."""

    def __init__(self, root: Path, pause: float = PAUSE) -> None:
        self.root, self.pause = root, pause
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._wanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._followers: dict[Hashable, frozenset[str]] = {}
        self._known: dict[str, _Known] = {}
        self._tails: dict[str, _Tail] = {}
        self._seen = Seen()
        self._waiting_since = 0.0
        self._waiting = False

    @property
    def seen(self) -> Seen:
        """What the last look found."""
        return self._seen

    def open(self, key: Hashable) -> None:
        """Begin to look for the session `key`; the first look is done when this returns."""
        with self._lock:
            self._followers.setdefault(key, frozenset())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
        self.look()
        self._wanted.set()

    def follow(self, key: Hashable, names: Iterable[str]) -> None:
        """Set whose events a session needs; they are there when this returns."""
        with self._lock:
            if key not in self._followers:
                return
            self._followers[key] = frozenset(names)
        with self._looking:
            self._read_on()

    def close(self, key: Hashable) -> None:
        """Stop looking for a session."""
        with self._lock:
            self._followers.pop(key, None)
            if not self._followers:
                self._wanted.clear()

    def events_of(self, names: Iterable[str]) -> dict[str, EventList]:
        """Return the events of runs that are followed."""
        found = {}
        for name in names:
            tail = self._tails.get(name)
            if tail is not None:
                found[name] = tail.frozen
        return found

    def versions(self, names: Iterable[str]) -> tuple[tuple[str, int], ...]:
        """Return for each run a number that changes when its events do."""
        tails = self._tails
        return tuple((n, tails[n].version if n in tails else -1) for n in names)

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
            try:
                self.look()
            except Exception:  # a folder may hold anything; the watch goes on
                logger.exception("the look at %s failed", self.root)
            time.sleep(self.pause)

    def _look(self) -> Seen:
        known: dict[str, _Known] = {}
        if self.root.is_dir():
            with os.scandir(self.root) as entries:
                folders = [Path(e.path) for e in entries if not e.name.startswith(".")]
            for folder in folders:
                found = self._look_at(folder)
                if found is not None:
                    known[folder.name] = found
        self._known = known
        newest: dict[str, float] = {}
        for one in known.values():
            sweep = sweep_of(one.run)
            newest[sweep] = max(newest.get(sweep, 0.0), one.created)
        ordered = sorted(
            known.values(),
            key=lambda one: (
                -newest[sweep_of(one.run)],
                sweep_of(one.run),
                one.created,
                one.run.name,
            ),
        )
        return Seen(
            runs=tuple(one.run for one in ordered),
            stopping=frozenset(one.run.name for one in ordered if one.stopping),
            resuming=frozenset(one.run.name for one in ordered if to_resume(one.run)),
            trash=tuple(dict.fromkeys(p.name.rpartition("@")[0] for p in trashed(self.root))),
            waiting=self._nobody_works([one.run for one in ordered]),
        )

    def _look_at(self, folder: Path) -> _Known | None:
        files = (STATUS, CONFIG, EVENTS, LABELS, NOTE)
        signature = tuple(stamp_if_there(folder / name) for name in files)
        status, config = signature[:2]
        if status is None and config is None:
            return None
        asked = (folder / STOP).exists()
        before = self._known.get(folder.name)
        if before is not None and before.signature == signature:
            run = before.run
            if run.active:  # nothing was written: is its process still there?
                state = actual_state(run.status, run.changed, folder)
                if state != run.state:
                    said = last_words(folder) if state == "died" else None
                    run = replace(run, state=state, problem=said)
        else:
            found = read_run(folder)
            if found is None:
                return None
            run = found
        created = config.mtime_ns / 1e9 if config is not None else 0.0
        return _Known(signature, created, run, asked and run.active)

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
            wanted = set().union(*self._followers.values()) if self._followers else set()
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
    tail.entries = [*([] if fresh else tail.entries), *events.entries]
    tail.inode, tail.offset, tail.frozen = inode, events.offset, tuple(tail.entries)
    tail.version += 1
    return True
