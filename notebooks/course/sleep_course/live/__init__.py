"""Training in the background while a notebook is read: separate processes, and a view.

A cell that waits keeps the kernel from hearing a button. So `experiment` returns at once: the
runs are those of the lab (`workbench.lab.runs`), a thread of the kernel works on their queue, and
after each look at their folders it patches the figures in place. Every run has a fixed number of
steps, and all of them end with the kernel, whether it is shut down, restarted or killed by a test.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import psutil

from sleep_course.live.plan import at_most, planned, ring, token_passes
from sleep_course.live.view import View, report, words_of
from workbench.config import Experiment
from workbench.errors import WorkbenchError
from workbench.lab import results
from workbench.lab.actions import stop_runs
from workbench.lab.queue import Slots, work
from workbench.lab.runs import Run, list_runs
from workbench.lab.supervise import request_all
from workbench.lab.sweeps import PlannedRun

__all__ = ["Live", "experiment", "ring"]
logger = logging.getLogger(__name__)

MISSING = "All-NaN slice encountered|Mean of empty slice|Degrees of freedom <= 0"
"""Warnings about values that are not known yet. xarray silences them while it computes, by changing
the filters of the whole process, which fails when two threads compute at once."""


def experiment(
    base: Experiment,
    passes: Sequence[int] = (1, 2, 4),
    *,
    steps: int,
    seed: int = 0,
    cores: int = 2,
    root: Path | None = None,
) -> Live:
    """Start training `base` once for each N, and return while the runs go on.

    An earlier live experiment of this kernel is ended first: two would halve each other's speed.
    `base` gives model, task and optimiser; N (`passes`, the most expensive first), `steps`, `seed`
    (weights and batches, the same for all runs) and how often to evaluate are set here.
    ``$WORKBENCH_LIVE_STEPS`` limits the steps. `cores` runs train at a time, a CPU thread each.
    The folder `root` is kept; None takes a temporary one, removed with the kernel.

    Raises
    ------
    WorkbenchError
        `steps` or an N is below 1, or the variable does not hold a number.
    """
    if not passes or min(passes) < 1 or steps < 1:
        raise WorkbenchError(
            f"passes = {tuple(passes)}, steps = {steps}", "each 1 or more", "give others"
        )
    steps = at_most(steps)
    plans = [planned(base, n, steps, seed) for n in sorted(set(passes), reverse=True)]
    for earlier in list(Live.at_work):
        earlier.close()
    warnings.filterwarnings("ignore", MISSING, RuntimeWarning)
    return Live(plans, root, cores)


class Live:
    """Runs that train now, started in the order of `plans`; made by `experiment`.

    `problem` says why the runs are no longer watched; it is empty while all is well.
    """

    at_work: ClassVar[list[Live]] = []
    """Live experiments of this process that have not been closed."""

    def __init__(self, plans: list[PlannedRun], root: Path | None, cores: int) -> None:
        self._temporary = root is None
        self.root = Path(tempfile.mkdtemp(prefix="workbench-live-")) if root is None else root
        self.plans, self.problem = plans, ""
        self._work_of = {plan.name: token_passes(plan.experiment) for plan in plans}
        self._asked, self._closing = threading.Event(), threading.Event()
        self._view: View | None = None
        self._began: tuple[float, float, int] | None = None
        self._started, self._ended = time.monotonic(), 0.0
        request_all(plans, self.root)
        self._thread = threading.Thread(
            target=self._work, args=(cores,), name="live runs", daemon=True
        )
        self.at_work.append(self)
        atexit.register(self.close)
        self._thread.start()

    @property
    def runs(self) -> list[Run]:
        """The runs as their folders describe them now, N ascending."""
        runs = list_runs(self.root, lambda run: run.name in self._work_of)
        return sorted(runs, key=lambda run: run.labels.get("passes", 0))

    @property
    def done(self) -> bool:
        """Whether all runs have ended."""
        return not self._thread.is_alive()

    def widget(self) -> Any:
        """Return what to show as the last line of a cell: a Stop button, progress, two figures."""
        if self._view is None:
            self._view = View(self.stop)
            self._show()
        return self._view.box

    def stop(self) -> None:
        """Ask all runs to stop; returns at once, and the view shows when they have."""
        self._asked.set()
        if self._view is not None and not self.done:
            self._view.stopping()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all runs have ended, at most `seconds`; say whether they have."""
        self._thread.join(seconds)
        return self.done

    def dataset(self) -> Any:
        """Return the results so far (`workbench.lab.results.dataset`)."""
        return results.dataset(results.entries_of(self.runs))

    def report(self) -> str:
        """Return in words how far each run is and what it can do, a line each."""
        return report(self.runs)

    def close(self) -> None:
        """End the runs at once and forget them; called by itself when the kernel ends."""
        self._closing.set()
        self._thread.join(3)
        mine = [child for child in psutil.Process().children() if self._owns(child)]
        for child in mine:
            child.kill()
        psutil.wait_procs(mine, timeout=2)
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)
        if self in self.at_work:
            self.at_work.remove(self)
        atexit.unregister(self.close)

    def _owns(self, child: psutil.Process) -> bool:
        try:
            return any(part.startswith(str(self.root)) for part in child.cmdline())
        except psutil.Error:
            return False

    def _work(self, cores: int) -> None:
        """Start one run after the other and look at them, until all have ended."""
        try:
            work(self.root, Slots(cores=cores), stop=self._closing.is_set, on_poll=self._look)
        except (OSError, WorkbenchError) as error:
            self.problem = f"The runs are no longer watched: {error}."
        self._ended = time.monotonic()
        self._tell()

    def _look(self, runs: list[Run]) -> None:
        """Pass a request to stop on before more runs are started, and show what has changed."""
        if self._asked.is_set():
            stop_runs(run for run in runs if run.active or run.state == "queued")
        self._tell()

    def _tell(self) -> None:
        if self._view is None or self._closing.is_set():
            return
        try:
            self._show()
        except Exception as error:  # a picture that fails must not leave the runs without a watch
            logger.exception("no picture of the live runs")
            self.problem = f"No picture ({type(error).__name__}: {error}); the runs go on."

    def _show(self) -> None:
        assert self._view is not None
        runs = self.runs
        ended = all(not run.active and run.state != "queued" for run in runs)
        share, words = self._progress(runs)
        if ended:
            words = words_of(
                runs, self._asked.is_set(), (self._ended or time.monotonic()) - self._started
            )
        self._view.update(runs, share, self.problem or words, ended)

    def _progress(self, runs: list[Run]) -> tuple[float, str]:
        """Return the share of all passes over tokens that is done; rate and time left in words."""
        now, total = time.monotonic(), sum(self._work_of.values())
        done = sum(self._work_of[run.name] * run.step / max(run.steps, 1) for run in runs) / total
        steps = sum(run.step for run in runs)
        if not steps:
            return 0.0, "The first runs are starting (each loads torch)."
        if self._began is None:
            self._began = now, done, steps
        since, share, before = self._began
        if done - share < 0.01:
            return done, "Training; the time left is estimated in a moment."
        left = (1 - done) * (now - since) / (done - share)
        rate = (steps - before) / (now - since)
        return done, f"{rate:.0f} steps a second, about {left:.0f} s left."
