"""What a person does to runs: stop, resume, kill, delete, restore; and the result in words.

A run that cannot be changed does not hold up the others: its reason joins the words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.lab.processes import ask_to_stop, kill
from workbench.lab.queue import Slots, ensure_queue, withdraw
from workbench.lab.runs import RESUME, Run, read_run, requeue, set_state, write_note
from workbench.lab.trash import restore, trash
from workbench.training.run_folder import STOP

KILLED = "killed by hand; it resumes from its newest resume point"


@dataclass(frozen=True)
class Outcome:
    """The runs to which it happened, the others with their reasons, and both in words."""

    done: tuple[str, ...]
    refused: dict[str, str]
    words: str


def stop_runs(runs: Iterable[Run]) -> Outcome:
    """Withdraw queued runs; ask active ones to stop at a resume point."""

    def one(run: Run) -> str:
        if withdraw(run):
            return "withdrawn from the queue"
        if not run.active:
            raise WorkbenchError(f"it is {run.state}", "a run that is queued or at work", "")
        ask_to_stop(run.folder)
        (run.folder / RESUME).unlink(missing_ok=True)
        return "asked to stop at a resume point"

    return _each(runs, one)


def resume_runs(runs: Iterable[Run], root: Path, slots: Slots) -> Outcome:
    """Queue runs that stopped, died or failed again, and make sure that a queue is running.

    One that is still stopping is queued by the queue as soon as it has stopped.
    """

    def one(run: Run) -> str:
        if run.active and (run.folder / STOP).exists():
            (run.folder / RESUME).touch()
            return "queued to go on after stopping"
        if run.active or run.state in ("queued", "finished"):
            raise WorkbenchError(f"it is {run.state}", "a run that stopped, died or failed", "")
        requeue(run)
        return "queued to go on"

    outcome = _each(runs, one)
    if outcome.done:
        ensure_queue(root, slots)
    return outcome


def kill_runs(runs: Iterable[Run]) -> Outcome:
    """End the processes of runs at once; work since their newest resume point is lost."""

    def one(run: Run) -> str:
        if not run.active:
            raise WorkbenchError(f"it is {run.state}", "a run at work", "")
        if not kill(run.status):
            raise WorkbenchError("its process is only just starting", "a process", "try again")
        now = read_run(run.folder)
        if now is not None and now.state == "died":
            set_state(run.folder, "died", step=now.step, steps=now.steps, error=KILLED)
        return "killed"

    return _each(runs, one)


def delete_runs(runs: Iterable[Run]) -> Outcome:
    """Move runs to the trash; queued ones are withdrawn first."""

    def one(run: Run) -> str:
        withdraw(run)
        trash(run)
        return "moved to the trash"

    return _each(runs, one)


def note_runs(runs: Iterable[Run], text: str) -> Outcome:
    """Keep a note with each of the runs; an empty one removes what was there."""

    def one(run: Run) -> str:
        write_note(run.folder, text)
        return "noted" if text.strip() else "left without a note"

    return _each(runs, one)


def restore_runs(root: Path, names: Iterable[str]) -> Outcome:
    """Bring deleted runs back, the newest of each name."""
    done: list[str] = []
    refused: dict[str, str] = {}
    for name in names:
        try:
            restore(root, name)
            done.append(name)
        except WorkbenchError as error:
            refused[name] = str(error)
    return Outcome(tuple(done), refused, _words({"restored": done}, refused))


def _each(runs: Iterable[Run], one: Callable[[Run], str]) -> Outcome:
    done: dict[str, list[str]] = {}
    refused: dict[str, str] = {}
    for run in runs:
        try:
            # as it is now: what was shown may be half a second old
            now = read_run(run.folder)
            if now is None:
                raise WorkbenchError("its folder is gone", "a run", "")
            done.setdefault(one(now), []).append(run.name)
        except WorkbenchError as error:
            refused[run.name] = error.given
        except OSError as error:
            refused[run.name] = str(error)
    names = tuple(name for found in done.values() for name in found)
    return Outcome(names, refused, _words(done, refused))


def _words(done: dict[str, list[str]], refused: dict[str, str]) -> str:
    parts = [f"{_count(names)} {what}" for what, names in done.items() if names]
    reasons: dict[str, list[str]] = {}
    for name, reason in refused.items():
        reasons.setdefault(reason, []).append(name)
    parts += [f"{_count(names)} left alone: {reason}" for reason, names in reasons.items()]
    return "; ".join(parts) + "." if parts else "Nothing was chosen."


def _count(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} runs"
