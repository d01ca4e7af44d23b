"""What the form of measurements asks: check, start, follow, cancel, repeat, remove.

It keeps no state: everything is read from the folder of runs, so every visitor sees the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.measurements import fields, jobs
from workbench.measurements.catalogue import measurements
from workbench.measurements.jobs import AT_ONCE, Progress, Request, folder_of, progress_of
from workbench.measurements.shelf import (
    Own,
    bundled_of,
    checkpoint_name,
    measurement_name,
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
MOST: Final = 8
"""Measurements in the list, if not more are running."""


def answer(
    wish: Mapping[str, Any], root: Path | None, folders: Mapping[str, Path]
) -> dict[str, Any]:
    """Do what a form asks for, and return what it shows: all plain data.

    ``what`` is list, check, measure, cancel, again or remove. Of a measurement that is named by its
    form ``kind, checkpoint, settings`` are given, of one in the list its ``key``. The result has
    ``jobs``, and ``said``, ``problems`` (by field), ``news`` and ``shown`` (the path of a finding)
    where there is something to say.

    Raises WorkbenchError: this server starts no processes, or the ask is not one of these.
    """
    if root is None:
        raise WorkbenchError(
            "this server starts no processes, as it does not know who can reach it",
            "`workbench serve`, which listens to this machine alone",
            "open the page there",
        )
    what, found = str(wish.get("what")), {}
    if what in ("check", "measure"):
        found = _asked(wish, root, folders, start=what == "measure")
    elif what in ("cancel", "again", "remove"):
        one = next((j for j in own_measurements(root) if j.key == str(wish.get("key"))), None)
        if one is not None:
            found = {"cancel": _cancel, "again": _again, "remove": _remove}[what](
                one, root, folders
            )
    elif what != "list":
        raise WorkbenchError(
            f"what = {what[:40]!r}", "check, measure, list, ...", "reload the page"
        )
    return {"jobs": rows(own_measurements(root)), **found}


def request_of(
    kind: str, checkpoint: str, typed: Mapping[str, str], folders: Mapping[str, Path]
) -> tuple[Request | None, dict[str, str]]:
    """Return the request that a form means; if anything is wrong, None and the reasons by field."""
    if kind not in measurements():
        return None, {"kind": f"there is no measurement {kind[:60]!r}; choose another"}
    checked = fields.check(kind, dict(typed))
    problems = dict(checked.problems)
    folder = folders.get(checkpoint)
    sha256 = weights_of(folder) if folder is not None else ""
    if folder is None:
        problems["checkpoint"] = f"there is no checkpoint {checkpoint[:60]!r}; choose another"
    elif not sha256:
        problems["checkpoint"] = (
            f"{checkpoint} has no provenance.json that names its weights; choose another"
        )
    if problems or checked.settings is None:
        return None, problems
    own = checkpoint.startswith("runs/")
    named = str(folder.resolve()) if own and folder is not None else checkpoint
    settings = checked.settings.model_dump(mode="json")
    return Request(kind=kind, checkpoint=named, sha256=sha256, settings=settings), {}


def _asked(
    wish: Mapping[str, Any], root: Path, folders: Mapping[str, Path], *, start: bool
) -> dict[str, Any]:
    typed = wish.get("settings")
    typed = typed if isinstance(typed, dict) else {}
    texts = {str(name): str(text) for name, text in typed.items()}
    kind, checkpoint = str(wish.get("kind")), str(wish.get("checkpoint"))
    request, problems = request_of(kind, checkpoint, texts, folders)
    if request is None:
        return {"said": REFUSED if start else NOT_YET, "problems": problems}
    if not start:
        return {"said": _standing(request, root), "problems": {}}
    known = bundled_of(request) or own_of(root, request)
    if known is not None:
        return {
            "news": f"{_title(request)} was measured already and is shown.",
            "shown": path_of(request.kind, known),
            "said": _standing(request, root),
            "problems": {},
        }
    stale = progress_of(folder_of(root, request)).state == "done"
    return {"problems": {}, **_start(request, root, again=stale)}


def path_of(kind: str, record: Path) -> str:
    """Return the path of a finding below the page's address."""
    name = measurement_name(record)
    return f"{kind}/{name if record.name == jobs.RESULT else name.removeprefix(f'{kind}-')}"


def _start(request: Request, root: Path, *, again: bool) -> dict[str, Any]:
    try:
        folder = jobs.start(root, request, again=again)
    except (WorkbenchError, OSError) as error:
        return {"problems": {FORM: f"Nothing was started: {error}"}}
    news = f"{_title(request)} is being measured."
    return {"news": news, "said": STATES["running"], "followed": folder.name}


def _standing(request: Request, root: Path) -> str:
    if bundled_of(request) is not None:
        return BUNDLED
    state = progress_of(folder_of(root, request)).state
    if state == "done" and own_of(root, request) is None:
        state = "new"
    if state == "new" and len(jobs.running(root)) >= AT_ONCE:
        return f"{AT_ONCE} measurements are running, the most at a time: wait, or cancel one."
    return STATES.get(state, NEW)


def _cancel(one: Own, root: Path, folders: Mapping[str, Path]) -> dict[str, Any]:
    ended = jobs.cancel(one.folder)
    return {"news": f"{one.title} is cancelled; nothing is kept."} if ended else {}


def _again(one: Own, root: Path, folders: Mapping[str, Path]) -> dict[str, Any]:
    folder = folders.get(checkpoint_name(one.checkpoint))
    if folder is None:
        return {"news": "This cannot be measured again: its checkpoint is gone."}
    request = Request(
        kind=one.kind,
        checkpoint=one.checkpoint,
        sha256=weights_of(folder),
        settings=one.settings,
    )
    return _start(request, root, again=True)


def _remove(one: Own, root: Path, folders: Mapping[str, Path]) -> dict[str, Any]:
    jobs.remove(one.folder)
    return {}


def _title(request: Request) -> str:
    return title_of(request.kind, request.checkpoint)


def rows(found: list[Own]) -> list[dict[str, Any]]:
    """Return what the list shows: all that run, and the newest others."""
    running = [one for one in found if one.progress.state == "running"]
    others = [one for one in found if one.progress.state != "running"]
    return [_row(one) for one in (running + others)[: max(MOST, len(running))]]


def _row(one: Own) -> dict[str, Any]:
    done = one.progress.state == "done"
    return {
        "key": one.key,
        "title": one.title,
        "words": one.words,
        "state": one.progress.state,
        "share": round(share_of(one.progress), 3),
        "known": bool(one.progress.total),
        "progress": progress_words(one.progress),
        "problem": one.progress.message,
        "shown": path_of(one.kind, one.result) if done else "",
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
