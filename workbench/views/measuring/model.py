"""The state behind the pane that measures: what was chosen, what is wrong, what is at work.

Knows no Panel. One thread at a time may call it; `workbench.views.measuring.form` sees to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import param

from workbench.errors import WorkbenchError
from workbench.lab import measuring
from workbench.lab.kinds import KINDS
from workbench.lab.measuring import AT_ONCE, Request, folder_of, progress_of
from workbench.views.measuring import words
from workbench.views.measuring.shelf import Own, bundled_of, own_measurements, own_of

FORM: Final = "form"
"""The place for a problem that belongs to no field."""
NEW: Final = "Not measured yet. It goes on by itself if you leave this page."
STATES: Final = {
    "running": "At work: see below.",
    "done": "Measured already; Measure shows it.",
    "failed": "The last attempt failed: see below.",
    "cancelled": "The last attempt was cancelled.",
}
BUNDLED: Final = "Measured already and bundled with the workbench; Measure shows it."
NOT_YET: Final = "Something is not right yet; it is said at its field."
REFUSED: Final = "Nothing was started; the reason is said at its field."


class Measuring(param.Parameterized):
    """What a person asks for, and what came of it.

    Parameters
    ----------
    root : Path
        Folder of the runs, in which measurements lie.
    kinds : tuple of str
        Kinds to choose from.
    checkpoints : callable
        Returns the folders of all checkpoints by name.
    on_done : callable
        Told the file of a measurement that this session asked for, or found at work, once it is
        done; also of one that was measured already and is asked for again.
    """

    checkpoint = param.String("", doc="Name of the checkpoint.")
    kind = param.String("", doc="Name of the kind.")
    typed = param.Dict(default={}, doc="What stands in the fields.")
    problems = param.Dict(default={}, doc="What is wrong, by field.")
    said = param.String("", doc="What there is to say of what is chosen.")
    news = param.String("", doc="What has just happened.")
    refused = param.Integer(0, doc="A change says that a request was refused.")
    filled = param.Integer(0, doc="A change says that the fields were filled anew.")
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
            self.kind, self.typed = kind, words.usual(kind)
        if checkpoint is not None and checkpoint in self.checkpoints():
            self.checkpoint = checkpoint
        self.filled += 1
        self.look()

    def type(self, typed: dict[str, str], checkpoint: str | None = None) -> None:
        """Take what was typed and say at once what is wrong."""
        self.typed = dict(typed)
        if checkpoint is not None:
            self.checkpoint = checkpoint
        self.look()

    def look(self) -> None:
        """Say what is wrong, or where the measurement that is chosen stands."""
        request, self.problems = self.request()
        self.said = NOT_YET if request is None else self._standing(request)

    def request(self) -> tuple[Request | None, dict[str, str]]:
        """Return what is asked for; where anything is wrong, None and the reasons by field."""
        checked = words.check(self.kind, self.typed)
        problems = dict(checked.problems)
        folder = self.checkpoints().get(self.checkpoint)
        sha256 = words.weights_of(folder) if folder is not None else ""
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
        return Request(self.kind, named, sha256, settings), {}

    def measure(self) -> None:
        """Start what is chosen; show it where it was measured before."""
        request, self.problems = self.request()
        if request is None:
            self.said, self.refused = REFUSED, self.refused + 1
            return
        stale = progress_of(folder_of(self.root, request)).state == "done"  # unless it is known
        known = self._known(request)
        if known is not None:
            self._tell(request.kind, request.checkpoint, "was measured already; it is shown")
            self._on_done(known)
            return
        self._start(request, anew=stale)

    def again(self, key: str) -> None:
        """Start anew what failed or was cancelled, or was done, perhaps by an older version."""
        one = self._job(key)
        folder = self.checkpoints().get(words.checkpoint_name(one.checkpoint)) if one else None
        if one is None or folder is None:
            self.news = "That cannot be measured again: its checkpoint is gone."
            return
        request = Request(one.kind, one.checkpoint, words.weights_of(folder), one.settings)
        self._start(request, anew=True)

    def cancel(self, key: str) -> None:
        """End a measurement at once."""
        one = self._job(key)
        if one is not None and measuring.cancel(one.folder):
            self._followed.pop(key, None)
            self._tell(one.kind, one.checkpoint, "is cancelled; nothing of it is kept")
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
            measuring.remove(one.folder)
        self.poll()

    # --- what goes on ------------------------------------------------------------------------

    def find(self) -> None:
        """Find what is at work already: it is followed, and the newest fills the form."""
        self.poll()
        working = [one for one in self.jobs if one.progress.state == "running"]
        self._followed |= {one.key: "running" for one in working}
        here = [
            one for one in working if words.checkpoint_name(one.checkpoint) in self.checkpoints()
        ]
        if here:
            newest = here[0]
            self.kind, self.typed = newest.kind, words.texts(newest.kind, newest.settings)
            self.checkpoint = words.checkpoint_name(newest.checkpoint)
            self.filled += 1
        self.look()

    def poll(self) -> None:
        """Look how far everything is; tell of what has ended."""
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
            self._tell(one.kind, one.checkpoint, "is done; it is shown")
            self._on_done(one.result)
        else:
            self._tell(one.kind, one.checkpoint, f"failed: {one.progress.message}")

    def _start(self, request: Request, *, anew: bool = False) -> None:
        try:
            folder = measuring.start(self.root, request, anew=anew)
        except (WorkbenchError, OSError) as error:
            self.problems = {FORM: f"Nothing was started: {error}"}
            self.refused += 1
            return
        self._followed[folder.name] = "running"
        self._tell(request.kind, request.checkpoint, "is being measured")
        self.poll()
        self.look()

    def _standing(self, request: Request) -> str:
        if bundled_of(request) is not None:
            return BUNDLED
        state = progress_of(folder_of(self.root, request)).state
        if state == "done" and own_of(self.root, request) is None:
            state = "new"
        if state == "new" and self._full():
            return f"{AT_ONCE} measurements are at work, as many as may be: wait, or cancel one."
        return STATES.get(state, NEW)

    def _full(self) -> bool:
        return len(measuring.at_work(self.root)) >= AT_ONCE

    def _known(self, request: Request) -> Path | None:
        return bundled_of(request) or own_of(self.root, request)

    def _job(self, key: str) -> Own | None:
        return next((one for one in self.jobs if one.key == key), None)

    def _tell(self, kind: str, checkpoint: str, what: str) -> None:
        self.news = f"{words.title_of(kind, checkpoint)} {what}."

    def rows(self, most: int = 8) -> list[dict[str, Any]]:
        """Return what a list of measurements shows: all at work, and the newest others."""
        working = [one for one in self.jobs if one.progress.state == "running"]
        others = [one for one in self.jobs if one.progress.state != "running"]
        return [_row(one) for one in (working + others)[: max(most, len(working))]]


def _row(one: Own) -> dict[str, Any]:
    progress = asdict(one.progress)
    return {
        "key": one.key,
        "title": one.title,
        "words": one.words,
        "state": one.progress.state,
        "share": round(words.share_of(one.progress), 3),
        "known": bool(progress["total"]),
        "progress": words.progress_words(one.progress),
        "problem": one.progress.message,
    }


EVERY: Final = tuple(KINDS)
"""All kinds, in the order of forms."""
