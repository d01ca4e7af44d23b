"""Sweeps of runs that take a second, and what trains them: threads in the place of processes."""

import os
import textwrap
import threading
from functools import partial

import pytest
from tiny import tiny_toml

TRAINING = {
    "steps": 9, "eval_every": 3, "eval_count": 12, "checkpoint_every": 2,
    "muon_lr": 0.005, "adamw_lr": 0.005,
}  # fmt: skip

SWEEP = """
title = "Tiny"
base = "base.toml"
seeds = {seeds}

[budget]
steps = {steps}

[[arms]]
arm = "sleep"
passes = {passes}
"""


@pytest.fixture(scope="session")
def write_sweep():
    """Return a writer of sweep files of runs that take a second, next to their base configuration.

    ``write_sweep(folder, seeds=[0], passes=[1], steps=6, checkpoint_every=2)``, where the last is
    any setting of training; or ``write_sweep(folder, text)``.
    """

    def write(folder, text=None, *, name="tiny", seeds=(0, 1), passes=(1, 2), steps=6, **settings):
        base = tiny_toml(
            sleep={"passes": 1}, task={"predict_ans": False}, training=TRAINING | settings
        )
        (folder / "base.toml").write_text(base)
        path = folder / f"{name}.toml"
        plain = SWEEP.format(seeds=list(seeds), passes=list(passes), steps=steps)
        path.write_text(plain if text is None else textwrap.dedent(text))
        return path

    return write


@pytest.fixture
def tiny_sweep(write_sweep, tmp_path):
    """Return `write_sweep` for the test's own folder."""
    return partial(write_sweep, tmp_path)


@pytest.fixture
def quick_cost(monkeypatch):
    """Do not count FLOPs, where they are not the subject: three windows asleep and two awake."""
    from workbench.lab.flops import Cost

    def cost(experiment):
        model, sleep = experiment.model, experiment.sleep
        rule = sleep.passes
        passes = rule if isinstance(rule, int) else (rule.low + rule.high) / 2
        blocks = float(len(model.layers) * model.width)
        asleep, awake = 3 * passes * blocks, 2 * sleep.wake_passes * blocks
        return Cost(asleep + awake, asleep, awake)

    for module in ("arms", "sweeps"):
        monkeypatch.setattr(f"workbench.lab.{module}.cost", cost)


@pytest.fixture
def requested(tiny_sweep, tmp_path):
    """Return a maker of queued runs: takes what `tiny_sweep` takes, gives their root and sweep."""
    from workbench.lab.supervise import request_all
    from workbench.lab.sweeps import load_sweep

    def make(**options):
        sweep = load_sweep(tiny_sweep(**options))
        root = tmp_path / "runs"
        request_all(sweep.runs, root)
        return root, sweep

    return make


@pytest.fixture
def quick_looks(monkeypatch):
    """Look at the runs without long pauses; runs do not step back for other processes."""
    monkeypatch.setattr("workbench.lab.processes.PAUSE", 0.02)
    monkeypatch.setattr("workbench.lab.processes.step_back", lambda pid: None)


@pytest.fixture
def in_threads(quick_looks, monkeypatch):
    """Train in threads of this process what a queue would start processes for.

    Return a list of functions that are called with a run's folder and its progress after each step.
    """
    from workbench.config import load_experiment
    from workbench.lab.runs import claim
    from workbench.training.loop import train

    on_step, threads = [], []

    class Training(threading.Thread):
        """A run at work, with what `launch` returns of a process."""

        pid = os.getpid()

        def __init__(self, folder, environment):
            super().__init__(daemon=True)
            self.folder = folder
            (folder / "stop").unlink(missing_ok=True)
            threads.append(self)
            self.start()

        def run(self):
            def told(progress):
                for function in on_step:
                    function(self.folder, progress)

            claim(self.folder)
            experiment = load_experiment(self.folder / "experiment.toml")
            train(experiment, self.folder, resume=True, on_progress=told)

        def poll(self):
            return None if self.is_alive() else 0

    monkeypatch.setattr("workbench.lab.queue.start", Training)
    yield on_step
    for thread in threads:
        if thread.is_alive():
            (thread.folder / "stop").touch()
        thread.join()
