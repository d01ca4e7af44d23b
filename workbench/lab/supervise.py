"""Bringing a sweep to its end: missing runs are requested, watched, restarted, recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.config import to_toml
from workbench.errors import WorkbenchError
from workbench.lab.actions import KILLED
from workbench.lab.processes import ask_to_stop, pause
from workbench.lab.queue import queue_works, withdraw
from workbench.lab.record import add_to_record, recorded
from workbench.lab.runs import Run, list_runs, read_run, request, requeue
from workbench.lab.sweeps import PlannedRun, Sweep
from workbench.training.run_folder import CONFIG

DEATHS = 3
"""A run whose process dies so often without getting further is not started again in this call."""

ENDED_BADLY = ("failed", "died", "damaged")

Stop = Callable[[], bool]
OnProgress = Callable[[dict[str, float], list[str]], None]
Work = Callable[..., None]


@dataclass(frozen=True)
class Outcome:
    """How many runs are in each state, and why each that failed, died or is damaged did so.

    Runs recorded before count as finished.
    """

    counts: dict[str, int]
    failed: dict[str, str]


def missing(sweep: Sweep, root: Path, record: Path | None = None) -> list[PlannedRun]:
    """Return the runs of a sweep that are neither finished under `root` nor recorded.

    Raises WorkbenchError if a folder of such a name holds a run of another configuration.
    """
    done = recorded(record)
    to_do = []
    for plan in sweep.runs:
        if plan.labels["identity"] in done:
            continue
        run = read_run(root / plan.name) if (root / plan.name).is_dir() else None
        if run is not None and run.labels.get("identity") != plan.labels["identity"]:
            raise WorkbenchError(
                f"{run.folder} holds a run of another configuration",
                f"that of {sweep.path}",
                "delete that run, or name another folder with --runs",
            )
        if run is None or run.state != "finished":
            to_do.append(plan)
    return to_do


def request_all(to_do: list[PlannedRun], root: Path) -> None:
    """Queue new runs, and those that stopped, died or failed."""
    for plan in to_do:
        folder = root / plan.name
        run = read_run(folder) if (folder / CONFIG).exists() else None
        if run is None:
            steps = plan.experiment.training.steps
            request(folder, to_toml(plan.experiment), plan.labels, steps)
        elif run.state in ("stopped", "died", "failed"):
            requeue(run)


def finish(
    sweep: Sweep,
    to_do: list[PlannedRun],
    root: Path,
    work: Work,
    *,
    stop: Stop = lambda: False,
    record: Path | None = None,
    on_progress: OnProgress = lambda shares, at_work: None,
) -> Outcome:
    """Request the runs of `to_do` and have `work` done until every one has ended; return how.

    ``work(names=, stop=, on_poll=)`` is the queue of this machine or of a cluster: it starts queued
    runs, calls `on_poll` with all runs again and again, and returns when none of `names` is queued
    or at work, or when `stop` returns True. `stop` withdraws queued runs, stops active ones at a
    resume point, and returns. Finished runs are added to the file `record` as they end.
    `on_progress` gets the share done of each run, and the names of the active ones. Raises
    WorkbenchError if another queue works on the folder, or the record cannot be written.
    """
    names = {plan.name for plan in to_do}
    deaths: dict[str, tuple[int, int]] = {}
    kept: set[str] = set()
    # a record that cannot be written fails before anything runs
    _keep(record, sweep, list_runs(root), kept, last=True)

    def note(runs: list[Run], last: bool = False) -> None:
        mine = [run for run in runs if run.name in names]
        on_progress(
            {run.name: _share(run) for run in mine}, [run.name for run in mine if run.active]
        )
        _keep(record, sweep, runs, kept, last)

    def restart(runs: list[Run]) -> bool:
        """Queue again the runs that died, but none that a person killed; return if any was."""
        again = False
        for run in runs:
            by_hand = run.status.get("error") == KILLED
            if run.name in names and run.state == "died" and not by_hand and not stop():
                furthest, count = deaths.get(run.name, (-1, 0))
                count = 1 if run.step > furthest else count + 1
                deaths[run.name] = (max(furthest, run.step), count)
                if count < DEATHS:
                    requeue(run)
                    again = True
        return again

    def on_poll(runs: list[Run]) -> None:
        note(runs)
        restart(runs)

    if queue_works(root):
        raise WorkbenchError(
            f"another queue works on {root}",
            "one queue a folder",
            "wait for it, or name another folder with --runs",
        )
    request_all(to_do, root)
    work(names=names, stop=stop, on_poll=on_poll)
    while restart(list_runs(root)):  # the last one may die after it was looked at
        work(names=names, stop=stop, on_poll=on_poll)
    if stop():
        halt(names, root)
        while any(run.active for run in list_runs(root) if run.name in names):
            pause()  # until they have reached their resume points
    note(list_runs(root), last=True)
    runs = [run for run in list_runs(root) if run.name in names]
    counts = dict(Counter(run.state for run in runs))
    before = len(sweep.runs) - len(to_do)
    if before:
        counts["finished"] = counts.get("finished", 0) + before
    failed = {r.name: r.problem or r.state for r in runs if r.state in ENDED_BADLY}
    return Outcome(counts, failed)


def _keep(record: Path | None, sweep: Sweep, runs: list[Run], kept: set[str], last: bool) -> None:
    """Add the sweep's finished runs to its record, including those that ended before."""
    names = {plan.name for plan in sweep.runs} - kept
    fresh = [run for run in runs if run.name in names and run.state == "finished"]
    if record is None or not (fresh or last):
        return
    try:
        add_to_record(record, sweep, fresh)
    except OSError as error:
        if not last:
            return  # runs go on, and what they leave is added at the next chance
        raise WorkbenchError(
            f"the record {record} cannot be written ({error})",
            "a file in a folder with room",
            "name another with --record; what has finished is in the run folders",
        ) from None
    kept.update(run.name for run in fresh)


def halt(names: set[str], root: Path) -> None:
    """Withdraw those runs that are queued and ask active ones to stop."""
    for run in list_runs(root):
        if run.name in names and not withdraw(run) and run.active:
            ask_to_stop(run.folder)


def _share(run: Run) -> float:
    if run.state == "finished":
        return 1.0
    return min(run.step / run.steps, 0.99) if run.steps else 0.0
