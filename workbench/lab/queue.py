"""The queue: starts requested runs while slots are free, oldest request first.

Its truth is in the run folders (``queued``, ``starting``, ``running``), so that it may be killed at
any moment: runs go on in their own processes, and the next queue counts them. One queue at a time
works on a folder of runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.identity import GPU, VISIBLE, identify
from workbench.lab.gpus import device, free, refusal
from workbench.lab.processes import pause, spawn, start
from workbench.lab.runs import (
    Run,
    configuration,
    last_words,
    list_runs,
    read_run,
    requeue,
    set_state,
    to_resume,
    transition,
)
from workbench.training.run_folder import STOP, hold

LOCK, LOG = ".queue.lock", ".queue.log"


@dataclass(frozen=True)
class Slots:
    """What runs may use at a time: CPU threads (`training.threads`), and GPUs, one run each.

    GPUs are numbered among those that this process sees.
    """

    cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Need:
    """What one run uses."""

    cores: int
    gpu: bool
    device: str = "cpu"


def need(run: Run) -> Need:
    """Return what a run uses; an unreadable configuration uses one core, and then fails."""
    try:
        training = configuration(run.folder).training
    except WorkbenchError:
        return Need(1, False)
    return Need(training.threads, training.device.startswith("cuda"), training.device)


def next_run(runs: list[Run], slots: Slots) -> tuple[Run, int | None] | None:
    """Return the oldest queued run if it fits into the free slots, with its GPU; else None.

    A run that asks for more cores than there are gets all of them, alone. The oldest is waited for,
    so that small runs do not pass a large one for ever.
    """
    active = [run for run in runs if run.active]
    cores = slots.cores - sum(min(need(run).cores, slots.cores) for run in active)
    gpus = free(slots.gpus, active, os.environ.get(VISIBLE))
    waiting = (run for run in runs if run.state == "queued")
    for run in sorted(waiting, key=lambda run: (run.status.get("queued_at", 0.0), run.name)):
        wanted = need(run)
        if cores < max(min(wanted.cores, slots.cores), 1) or (wanted.gpu and not gpus):
            return None
        return run, (gpus[0] if wanted.gpu else None)
    return None


def fail_unschedulable(
    runs: list[Run],
    gpus: Sequence[int],
    none: str = "this queue has none; start it with --gpus 0",
) -> set[str]:
    """Fail queued runs that ask for a GPU that none of `gpus` can be; return their names.

    `none` is the reason where there are no GPUs.
    """
    refused = set()
    for run in runs:
        if run.state == "queued" and (said := refusal(need(run).device, gpus, none)):
            set_state(run.folder, "failed", step=run.step, steps=run.steps, error=said)
            refused.add(run.name)
    return refused


def launch(run: Run, gpus: Sequence[int] = ()) -> subprocess.Popen[bytes] | None:
    """Start a queued run; its own process writes the states that follow.

    Return None if it is no longer queued (withdrawn, deleted, or started by another), or if it asks
    for a GPU and all of `gpus` are taken. It sees only the GPU it is given. Raises WorkbenchError
    if this process does not see one of `gpus`.
    """
    inherited = os.environ.get(VISIBLE)
    wanted = need(run).gpu
    named = {gpu: device(gpu, inherited) for gpu in gpus}
    environment = {GPU: ""}  # this process may have been given one; the run is not
    given: dict[str, Any] = {"gpu": None, "cuda": None}
    try:
        with transition(run.folder) as now:
            if now.state != "queued":
                return None
            if wanted:
                left = free(gpus, list_runs(run.folder.parent), inherited)
                if not left:
                    return None
                given = {"gpu": left[0], "cuda": named[left[0]]}
                environment = {VISIBLE: named[left[0]], GPU: str(left[0])}
            set_state(run.folder, "starting", **{**identify(), "launcher": True, **given})
    except WorkbenchError:
        return None
    return start(run.folder, environment)


def mark_failed(name: str, root: Path) -> None:
    """Record that a run's process ended before it could identify itself."""
    run = read_run(root / name)
    if run is not None and run.state == "starting" and run.status.get("launcher"):
        said = last_words(run.folder)
        set_state(run.folder, "failed", step=run.step, steps=run.steps, error=said)


def work(
    root: Path,
    slots: Slots,
    *,
    names: set[str] | None = None,
    stop: Callable[[], bool] = lambda: False,
    on_poll: Callable[[list[Run]], None] = lambda runs: None,
    idle_timeout: float = 0.0,
) -> None:
    """Start queued runs under `root` as slots become free, until none is queued or at work.

    `slots` are for all runs together. `names` are the runs to wait for (None: all); queued runs are
    started either way. If `stop` returns True the work ends, and active runs go on. `on_poll` is
    called with all runs after every look at the folder. `idle_timeout` is how many seconds to wait
    for new requests after the last run has ended. Raises WorkbenchError if another queue works on
    this folder, it cannot be written to, or this process does not see one of the GPUs.
    """
    for gpu in slots.gpus:
        device(gpu, os.environ.get(VISIBLE))
    with only_queue(root):
        children: dict[str, subprocess.Popen[bytes]] = {}
        idle_since = time.monotonic()
        while not stop():
            for name in [name for name, child in children.items() if child.poll() is not None]:
                del children[name]
                mark_failed(name, root)
            on_poll(list_runs(root))  # which may queue again what died
            for run in list_runs(root, to_resume):
                if not run.active:
                    requeue(run)
            fail_unschedulable(list_runs(root), slots.gpus)
            runs = list_runs(root)
            while (chosen := next_run(runs, slots)) is not None:
                given = () if chosen[1] is None else (chosen[1],)
                if (child := launch(chosen[0], given)) is not None:
                    children[chosen[0].name] = child
                runs = list_runs(root)
            busy = [r for r in runs if r.active or r.state == "queued" or to_resume(r)]
            if names is not None:
                busy = [r for r in busy if r.name in names]
            if busy:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since >= idle_timeout:
                return
            pause()


def only_queue(root: Path) -> AbstractContextManager[None]:
    """Hold the folder's queue lock."""
    taken = (f"another queue works on {root}", "one queue a folder", "wait for it, or use --runs")
    unwritable = (f"{root} cannot hold runs", "a folder that can be written", "use --runs")
    return hold(root / LOCK, taken=taken, unwritable=unwritable)


def queue_works(root: Path) -> bool:
    """Return whether a queue works on the folder now."""
    from filelock import FileLock, Timeout

    if not (root / LOCK).exists():
        return False
    lock = FileLock(root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    lock.release()
    return False


def ensure_queue(root: Path, slots: Slots) -> None:
    """Start a queue in its own process unless one works on the folder already."""
    if queue_works(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "workbench.cli", "queue", "--runs", str(root)]
    command += ["--cores", str(slots.cores)]
    if slots.gpus:
        command += ["--gpus", ",".join(map(str, slots.gpus))]
    spawn(command, root / LOG)


def withdraw(run: Run) -> bool:
    """Take a queued run out of the queue; return whether it was in it."""
    if run.state != "queued":
        return False
    with transition(run.folder) as now:
        if now.state != "queued":
            return False
        (run.folder / STOP).unlink(missing_ok=True)
        set_state(run.folder, "stopped", step=now.step, steps=now.steps)
    return True
