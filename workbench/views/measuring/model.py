"""The state behind the pane that measures: what was chosen, what is wrong, what is running.

Knows no Panel. Only one thread at a time may call it, as `workbench.views.measuring.form` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import param

from workbench.errors import WorkbenchError
from workbench.measurements import fields, jobs
from workbench.measurements.jobs import AT_ONCE, Progress, Request, folder_of, progress_of
from workbench.measurements.shelf import (
    Own,
    bundled_of,
    checkpoint_name,
    own_measurements,
    own_of,
    title_of,
    weights_of,
)
from workbench.progress import time_words

HALF: Final = 0.5
"""Steps a second below which a rate is given by the minute."""
FORM: Final = "form"
"""Where a problem is shown that belongs to no field."""
NEW: Final = "Not measured yet. It continues if you leave this page."
STATES: Final = {
    "running": "Running: see below.",
    "done": "Measured already; Measure shows it.",
    "failed": "The last attempt failed: see below.",
    "cancelled": "The last attempt was cancelled.",
}
BUNDLED: Final = "Measured already and bundled with the workbench; Measure shows it."
NOT_YET: Final = "Some fields need attention (marked below)."
REFUSED: Final = "Nothing was started: some fields need attention (marked below)."


class Measuring(param.Parameterized):
    """What a person asks for, and what came of it.

    - root: folder of the runs, in which measurements lie.
    - kinds: names of the measurements to choose from.
    - checkpoints: returns the folders of all checkpoints by name.
    - on_done: takes the record of a measurement that is done and that this session started or
      found running; also of one that is asked for again.
    """

    checkpoint = param.String("", doc="Name of the checkpoint.")
    kind = param.String("", doc="Name of the kind.")
    typed = param.Dict(default={}, doc="What the fields hold.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    said = param.String("", doc="How far the chosen measurement is.")
    news = param.String("", doc="What has just happened.")
    refused = param.Integer(0, doc="A change means that a request was refused.")
    filled = param.Integer(0, doc="A change means that the fields were filled again.")
    jobs = param.List(default=[], doc="Measurements of these kinds on this machine, newest first.")

    def __init__(
        self,
        root: Path,
        kinds: tuple[str, ...],
        checkpoints: Callable[[], dict[str, Path]],
        on_done: Callable[[Path], None],
        **values: Any,
    ) -> None:
        super().__init__(**values)
        self.root, self.kinds, self.checkpoints, self._on_done = root, kinds, checkpoints, on_done
        self._followed: dict[str, str] = {}  # key -> state when last looked at
        names = list(checkpoints())
        self.checkpoint = self.checkpoint if self.checkpoint in names else next(iter(names), "")
        self.choose(kind=self.kind if self.kind in kinds else kinds[0])

    # --- what the user does ------------------------------------------------------------------

    def choose(self, *, kind: str | None = None, checkpoint: str | None = None) -> None:
        """Take another kind, whose fields are filled as usual, or another checkpoint."""
        if kind is not None and kind in self.kinds:
            self.kind, self.typed = kind, fields.defaults(kind)
        if checkpoint is not None and checkpoint in self.checkpoints():
            self.checkpoint = checkpoint
        self.filled += 1
        self.look()

    def type(self, typed: dict[str, str], checkpoint: str | None = None) -> None:
        """Take what was typed and report at once what is wrong."""
        self.typed = dict(typed)
        if checkpoint is not None:
            self.checkpoint = checkpoint
        self.look()

    def look(self) -> None:
        """Say what is wrong, or how far the chosen measurement is."""
        request, self.problems = self.request()
        self.said = NOT_YET if request is None else self._standing(request)

    def request(self) -> tuple[Request | None, dict[str, str]]:
        """Return the chosen request; if anything is wrong, None and the reasons by field."""
        checked = fields.check(self.kind, self.typed)
        problems = dict(checked.problems)
        folder = self.checkpoints().get(self.checkpoint)
        sha256 = weights_of(folder) if folder is not None else ""
        if folder is None:
            problems["checkpoint"] = f"there is no checkpoint {self.checkpoint!r}; choose another"
        elif not sha256:
            problems["checkpoint"] = (
                f"{self.checkpoint} has no provenance.json that names its weights; choose another"
            )
        if problems or checked.settings is None:
            return None, problems
        own = self.checkpoint.startswith("runs/")
        named = str(folder.resolve()) if own and folder is not None else self.checkpoint
        settings = checked.settings.model_dump(mode="json")
        return Request(kind=self.kind, checkpoint=named, sha256=sha256, settings=settings), {}

    def measure(self) -> None:
        """Start what is chosen; if it was measured before, show it."""
        request, self.problems = self.request()
        if request is None:
            self.said, self.refused = REFUSED, self.refused + 1
            return
        stale = progress_of(folder_of(self.root, request)).state == "done"  # unless it is known
        known = bundled_of(request) or own_of(self.root, request)
        if known is not None:
            self._report(request.kind, request.checkpoint, "was measured already and is shown")
            self._on_done(known)
            return
        self._start(request, again=stale)

    def again(self, key: str) -> None:
        """Start again what failed, was cancelled, or was done, perhaps by an older version."""
        one = self._job(key)
        folder = self.checkpoints().get(checkpoint_name(one.checkpoint)) if one else None
        if one is None or folder is None:
            self.news = "This cannot be measured again: its checkpoint is gone."
            return
        request = Request(
            kind=one.kind,
            checkpoint=one.checkpoint,
            sha256=weights_of(folder),
            settings=one.settings,
        )
        self._start(request, again=True)

    def cancel(self, key: str) -> None:
        """End a measurement at once."""
        one = self._job(key)
        if one is not None and jobs.cancel(one.folder):
            self._followed.pop(key, None)
            self._report(one.kind, one.checkpoint, "is cancelled; nothing is kept")
        self.poll()

    def show(self, key: str) -> None:
        """Show one that is done."""
        one = self._job(key)
        if one is not None and one.progress.state == "done":
            self._on_done(one.result)

    def remove(self, key: str) -> None:
        """Forget one that failed or was cancelled."""
        one = self._job(key)
        if one is not None:
            jobs.remove(one.folder)
        self.poll()

    # --- progress ----------------------------------------------------------------------------

    def find(self) -> None:
        """Find what is running already and follow it; the newest fills the form."""
        self.poll()
        running = [one for one in self.jobs if one.progress.state == "running"]
        self._followed |= {one.key: "running" for one in running}
        here = [one for one in running if checkpoint_name(one.checkpoint) in self.checkpoints()]
        if here:
            newest = here[0]
            self.kind, self.typed = newest.kind, fields.texts(newest.kind, newest.settings)
            self.checkpoint = checkpoint_name(newest.checkpoint)
            self.filled += 1
        self.look()

    def poll(self) -> None:
        """Check how far everything is; report what has ended."""
        before = {one.key: one.progress.state for one in self.jobs}
        found = own_measurements(self.root, kinds=self.kinds)
        if found != self.jobs:
            self.jobs = found
        now = {one.key: one.progress.state for one in found}
        if before != now and not self.problems.keys() - {FORM}:
            self.look()
        for one in found:
            if one.key in self._followed and one.progress.state in ("done", "failed"):
                del self._followed[one.key]
                self._ended(one)

    def _ended(self, one: Own) -> None:
        if one.progress.state == "done":
            self._report(one.kind, one.checkpoint, "is done and is shown")
            self._on_done(one.result)
        else:
            self._report(one.kind, one.checkpoint, f"failed: {one.progress.message}")

    def _start(self, request: Request, *, again: bool = False) -> None:
        try:
            folder = jobs.start(self.root, request, again=again)
        except (WorkbenchError, OSError) as error:
            self.problems = {FORM: f"Nothing was started: {error}"}
            self.refused += 1
            return
        self._followed[folder.name] = "running"
        self._report(request.kind, request.checkpoint, "is being measured")
        self.poll()
        self.look()

    def _standing(self, request: Request) -> str:
        if bundled_of(request) is not None:
            return BUNDLED
        state = progress_of(folder_of(self.root, request)).state
        if state == "done" and own_of(self.root, request) is None:
            state = "new"
        if state == "new" and len(jobs.running(self.root)) >= AT_ONCE:
            return f"{AT_ONCE} measurements are running, the most at a time: wait, or cancel one."
        return STATES.get(state, NEW)

    def _job(self, key: str) -> Own | None:
        return next((one for one in self.jobs if one.key == key), None)

    def _report(self, kind: str, checkpoint: str, what: str) -> None:
        self.news = f"{title_of(kind, checkpoint)} {what}."

    def rows(self, most: int = 8) -> list[dict[str, Any]]:
        """Return what a list of measurements shows: all that run, and the newest others."""
        running = [one for one in self.jobs if one.progress.state == "running"]
        others = [one for one in self.jobs if one.progress.state != "running"]
        return [_row(one) for one in (running + others)[: max(most, len(running))]]


def _row(one: Own) -> dict[str, Any]:
    progress = asdict(one.progress)
    return {
        "key": one.key,
        "title": one.title,
        "words": one.words,
        "state": one.progress.state,
        "share": round(share_of(one.progress), 3),
        "known": bool(progress["total"]),
        "progress": progress_words(one.progress),
        "problem": one.progress.message,
    }


def progress_words(progress: Progress) -> str:
    """Return how far it is: share, rate and time left, if known."""
    if progress.state == "done":
        return f"done in {time_words(progress.seconds)}"
    if progress.state != "running":
        return ""
    if not progress.total or not progress.done:
        what = "first step" if progress.working else "starting"
        return f"{what}, {time_words(progress.seconds)} so far"
    parts = [f"{100 * share_of(progress):.0f} %", _rate(progress)]
    if progress.remaining == 0:
        parts.append("finishing")
    elif progress.remaining is not None:
        parts.append(f"about {time_words(progress.remaining)} left")
    return ", ".join(parts)


def share_of(progress: Progress) -> float:
    """Return which share is done, 0 to 1."""
    return min(progress.done / progress.total, 1.0) if progress.total else 0.0


def _rate(progress: Progress) -> str:
    """Return the mean rate of its work, by the second or by the minute."""
    steps = progress.total > 1  # else shares of the work are counted
    done, unit = (progress.done, "steps") if steps else (100 * progress.done, "%")
    rate, time = done / max(progress.working, 1e-3), "s"
    if rate < HALF:
        rate, time = 60 * rate, "min"
    return f"{rate:.1f} {unit}/{time}"
