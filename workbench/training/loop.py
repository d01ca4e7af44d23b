"""The training loop: every step a pure function of (configuration, seed, step).

A run is one folder (`workbench.training.run_folder`). A batch and its random N depend on (seed,
step) alone, so that a run resumed from any resume point ends, on a CPU, with the same weights bit
for bit.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import sleep_kernels
from workbench.batch import Batch
from workbench.config import Experiment, RandomPasses, SleepConfig
from workbench.errors import WorkbenchError
from workbench.files import remove_leftovers
from workbench.identity import is_main, processes
from workbench.model import HybridModel
from workbench.sleep import read
from workbench.sleep.passes import resolve
from workbench.tasks import task as make_task
from workbench.tasks.base import Task, batch_generator, draw, repeated_share
from workbench.training.checkpoints import check_backend, check_device, save_checkpoint
from workbench.training.compiling import check_compiler, compilation_failed
from workbench.training.evaluation import check_layout, default_passes, evaluate
from workbench.training.graphs import GraphedSteps
from workbench.training.loss import masked_cross_entropy
from workbench.training.needs import check_memory, check_threads, out_of_memory
from workbench.training.optimisers import Optimisers, build_optimisers, learning_rate_scale
from workbench.training.parallel import Team, check_processes, device_of
from workbench.training.places import export_folder
from workbench.training.resume import restore_resume_point, resume_points, save_resume_point
from workbench.training.retrofit.steps import (
    check_same_base,
    first_model,
    retrofit_loss,
    sleep_at,
    with_base,
)
from workbench.training.run_files import EVENTS, ORIGIN
from workbench.training.run_folder import (
    CONFIG,
    STATES,
    STOP,
    append,
    beating,
    check_there,
    disk_errors_in_one_line,
    drop_events_after,
    finished,
    locked,
    prepare,
    record_origin,
    write_status,
)
from workbench.training.start import Start, first_weights

N_STREAM = "train-passes"
EVALUATION_SEED = 20_260_000
"""Evaluations during and after training draw from this seed of the evaluation stream."""


@dataclass(frozen=True)
class Progress:
    """What the loop reports after each step.

    `loss`: mean cross-entropy per predicted token, nats. `evaluation`: N -> metrics, if the step
    was followed by an evaluation. `evaluated`: share done of the evaluation that ends the run; None
    before it.
    """

    step: int
    steps: int
    loss: float
    evaluation: dict[str, Any] | None = None
    evaluated: float | None = None


class _Interrupted(Exception):
    """A stop was requested during the evaluation that ends the run."""


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> str:
    """Train until the last step or until `stop` returns True; return "finished" or "stopped".

    `experiment`: ``model.vocabulary = 0`` is taken from the task. `folder`: the run's folder; it
    must not hold a run unless `resume`, which continues from the newest resume point (or from the
    start, if there is none yet). `stop`: asked after each step; True saves a resume point and
    returns. Also asked during the evaluation at the end, which a resumed run repeats. A file named
    ``stop`` in the folder does the same. `on_progress`: called after each step.

    Raises WorkbenchError: the folder holds a run already, or another configuration, or another
    process trains in it; a setting does not fit this machine or the task; or training diverged.
    """
    task = make_task(experiment.task)
    experiment = completed(experiment, task)
    check_start(experiment, task)
    check_processes(experiment.training)
    # what a run started from may be gone once it has a resume point
    start = None if resume_points(folder / STATES) else first_weights(experiment, task)
    if not is_main():
        if finished(folder):
            return "finished"  # the first process returns at once, too: none may wait for it
        return _Run(experiment, task, folder, start).go(stop, on_progress)
    with locked(folder), disk_errors_in_one_line(folder):
        remove_leftovers(folder)
        remove_leftovers(folder / STATES)
        prepare(folder, experiment, resume)
        if finished(folder):
            return "finished"
        threads = torch.get_num_threads()
        torch.set_num_threads(experiment.training.threads)
        request = folder / STOP

        def stopping() -> bool:
            return stop() or request.exists()

        try:
            with beating(folder):
                return _watched(_Run(experiment, task, folder, start), stopping, on_progress)
        finally:
            torch.set_num_threads(threads)
            request.unlink(missing_ok=True)


def _watched(run: _Run, stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> str:
    """Train, and leave a status that says how it ended."""
    try:
        return run.go(stop, on_progress)
    except BaseException as error:
        if not (run.folder / CONFIG).is_file():
            raise  # the folder was removed on purpose: do not make it again
        asked = stop() and not isinstance(error, FloatingPointError)
        if asked and isinstance(error, Exception):
            # Ctrl-C reaches a compiler too, whose failure is then no failure of the run
            write_status(run.folder, "stopped", run.step, run.experiment)
            return "stopped"
        ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with suppress(OSError):  # the disk may be what failed
            write_status(run.folder, ended, run.step, run.experiment, error=_in_short(error))
        if isinstance(error, FloatingPointError):
            raise WorkbenchError(
                f"training diverged: {error}",
                "finite gradients",
                "lower training.muon_lr and training.adamw_lr, in another folder",
            ) from error
        if refused := compilation_failed(error) or out_of_memory(error):
            raise refused from error
        raise


def _in_short(error: BaseException, most: int = 400) -> str:
    """Return an error in one line; a compiler's can be a hundred pages."""
    line = " ".join(repr(error).split())
    return line if len(line) <= most else f"{line[:most]} ..."


class _Run:
    """State of one run between steps."""

    def __init__(
        self, experiment: Experiment, task: Task, folder: Path, start: Start | None
    ) -> None:
        self.experiment, self.task, self.folder = experiment, task, folder
        config = experiment.training
        self.model: Any
        self.teacher: Any = None
        if experiment.retrofit is not None:
            self.model, self.teacher, start = first_model(experiment)
        else:
            self.model = HybridModel(experiment.model, seed=config.seed)
            if start is not None:
                self.model.load_state_dict(start.weights)
            self.model.to(device_of(config))
        self.optimisers: Optimisers = build_optimisers(
            self.model, config, capturable=config.cuda_graphs
        )
        self.graphs: GraphedSteps | None = None
        if config.cuda_graphs:
            self.graphs = GraphedSteps(self.model, self.optimisers, experiment)
        self.step, self.seconds = 0, 0.0
        self._restore()
        if config.compile:
            # the cached tables are constants of their arguments; tracing past the cache is right
            warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools")
            self.model.blocks = torch.compile(self.model.blocks, dynamic=False)
        self.team = Team(self.model, config) if processes() > 1 else None
        muon = self.optimisers.muon
        if self.team is not None:  # their processors may differ
            muon.precision = "float32" if self.team.any(muon.precision == "float32") else "bfloat16"
        kernels = sleep_kernels.choose_backend(experiment.model.kernel_backend, self.model.device)
        self.origin: dict[str, Any] = {}
        if is_main():
            if experiment.retrofit is not None and start is not None:
                check_same_base(folder, start)
            self.origin = record_origin(
                folder / ORIGIN,
                self.step,
                kernels,
                processes(),
                muon.precision,
                None if start is None else start.origin,
            )

    def go(self, stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> str:
        config = self.experiment.training
        loss, stopping = float("nan"), False  # of a run that was resumed after its last step
        if is_main():
            write_status(self.folder, "running", self.step, self.experiment)
        while self.step < config.steps:
            began = time.perf_counter()
            loss, norm = self._train_step()
            self.seconds += time.perf_counter() - began
            stopping = stop()
            if self.team is not None:
                loss, stopping = self.team.agree(loss, stopping)
            if is_main():
                self._report(loss, norm, stopping, on_progress)
            if stopping and self.step < config.steps:
                if is_main():
                    write_status(self.folder, "stopped", self.step, self.experiment)
                return "stopped"

        def report(share: float) -> None:
            on_progress(Progress(self.step, config.steps, loss, evaluated=share))
            if stop() and not stopping:
                raise _Interrupted

        if is_main():
            self._save()
            self._export(report)
            write_status(self.folder, "finished", self.step, self.experiment)
        if self.team is not None:
            self.team.leave()
        return "finished"

    def _report(
        self, loss: float, norm: float, stopping: bool, on_progress: Callable[[Progress], None]
    ) -> None:
        """Log, evaluate and save, each when it is due."""
        config = self.experiment.training
        evaluation = None
        # the first, too: who watches sees at once that it trains
        if self.step % config.log_every == 0 or self.step in (1, config.steps):
            event: dict[str, Any] = {"kind": "step", "step": self.step, "loss": loss}
            event |= {"gradient_norm": norm, "seconds": round(self.seconds, 3)}
            event["rate"] = learning_rate_scale(self.step - 1, config)
            append(self.folder, event)
        if config.eval_every and self.step % config.eval_every == 0:
            evaluation = self._evaluate(latency=False)
            event = {"kind": "evaluation", "step": self.step, "passes": evaluation}
            append(self.folder, event)
        on_progress(Progress(self.step, config.steps, loss, evaluation))
        if stopping or self.step % config.checkpoint_every == 0:
            self._save()

    def _train_step(self) -> tuple[float, float]:
        config, sleep = self.experiment.training, sleep_at(self.experiment, self.step)
        batch = draw(self.task, config.batch_size, config.seed, self.step)
        check_layout(batch, sleep.window)  # labels lie elsewhere where names differ in length
        draws = batch_generator(config.seed, self.step, N_STREAM)
        if self.graphs is not None:
            passes = resolve(sleep, draws)
            assert isinstance(passes, int)  # check_graphs refuses rules
            loss_norm = self.graphs(batch, passes, self.step)
            self.step += 1
            return loss_norm
        total, size = 0.0, len(batch) // config.accumulate
        for first in range(0, len(batch), size):
            part = batch.examples(slice(first, first + size)) if size < len(batch) else batch
            share = part.loss_mask.sum() / batch.loss_mask.sum()
            # each part draws the same N
            draws = batch_generator(config.seed, self.step, N_STREAM)
            with torch.autocast(
                self.model.device.type, torch.bfloat16, enabled=config.dtype == "bfloat16"
            ):
                loss = self._loss(part, sleep, draws) * share
            loss.backward()
            total += float(loss.detach())
        norm = self.optimisers.step(self.step)
        self.step += 1
        return total, norm

    def _loss(self, batch: Batch, sleep: SleepConfig, draws: np.random.Generator) -> Tensor:
        retrofit = self.experiment.retrofit
        if retrofit is not None:
            return retrofit_loss(self.model, self.teacher, batch, sleep, retrofit, draws)
        if self.team is not None:
            return self.team.loss(batch, sleep, draws)
        return masked_cross_entropy(read(self.model, batch, sleep, generator=draws))

    def _evaluate(
        self, *, latency: bool, report: Callable[[float], None] = lambda share: None
    ) -> dict[str, Any]:
        config, sleep = self.experiment.training, self.experiment.sleep
        passes = config.eval_passes or default_passes(sleep)
        if latency:  # the evaluation that ends the run
            passes = config.final_passes or passes
        done = 0

        def count(examples: int) -> None:
            nonlocal done
            done += examples
            report(done / (len(passes) * config.eval_count))

        blocks = self.model.__dict__.pop("blocks", None)  # evaluate what a user loads: eager
        try:
            return evaluate(
                self.model,
                self.task,
                sleep,
                passes=passes,
                count=config.eval_count,
                seed=EVALUATION_SEED,
                latency=latency,
                on_progress=count,
            )
        finally:
            if blocks is not None:
                self.model.blocks = blocks

    def _save(self) -> None:
        check_there(self.folder)
        states = self.folder / STATES
        save_resume_point(states, self.model, self.optimisers, self.step, self.seconds)

    def _restore(self) -> None:
        points = resume_points(self.folder / STATES)
        if points:
            self.step, self.seconds = restore_resume_point(
                points[-1], self.model, self.optimisers, self.experiment.training.steps
            )
        if is_main():
            drop_events_after(self.folder / EVENTS, self.step)

    def _export(self, report: Callable[[float], None]) -> None:
        config = self.experiment.training
        tokens = self.task.context_tokens + self.task.query_tokens
        metrics = {
            "task": self.task.name,
            "difficulty": self.task.difficulty_name,
            "count": config.eval_count,
            "seed": EVALUATION_SEED,
            "repeated": repeated_share(self.task, config.sequences),
            "passes": self._evaluate(latency=True, report=report),
        }
        provenance = {
            **self.origin,
            "seed": config.seed,
            "budget": {
                "parameters": sum(p.numel() for p in self.optimisers.parameters),
                "steps": config.steps,
                "tokens": config.steps * config.batch_size * tokens,
                "seconds": round(self.seconds, 1),
            },
            "metrics": metrics,
        }
        name = self.folder.resolve().name
        save_checkpoint(export_folder(self.folder), name, self.model, self.experiment, provenance)


def check_start(experiment: Experiment, task: Task, examples: int = 256) -> None:
    """Raise WorkbenchError if a setting does not fit the task, some examples or this machine."""
    training = experiment.training
    check_device(training.device)
    check_threads(training)
    check_memory(experiment, task)
    check_layout(task.room(draw(task, examples, training.seed, 0)), experiment.sleep.window)
    check_backend(experiment.model.kernel_backend, training.device)
    check_compiler(training)
    check_graphs(experiment)


def completed(experiment: Experiment, task: Task) -> Experiment:
    """Return an experiment with what follows from the task, or from the base of a retrofit."""
    if experiment.retrofit is None:
        return with_vocabulary(experiment, task)
    return with_base(experiment, task)


def with_vocabulary(experiment: Experiment, task: Task) -> Experiment:
    """Return an experiment whose model has a symbol for each of the task's."""
    symbols = len(task.vocabulary)
    given = experiment.model.vocabulary
    if given not in (0, symbols):
        raise WorkbenchError(
            f"model.vocabulary = {given}",
            f"{symbols}, the vocabulary of {task.name}",
            "leave it out and it is taken from the task",
        )
    model = experiment.model.model_copy(update={"vocabulary": symbols})
    return experiment.model_copy(update={"model": model})


def check_graphs(experiment: Experiment) -> None:
    """Check that a CUDA graph can hold the training step, if one is wanted.

    Raises WorkbenchError: there is no CUDA device, or the step depends on what it computes.
    """
    training, sleep = experiment.training, experiment.sleep
    if not training.cuda_graphs:
        return
    if not training.device.startswith("cuda"):
        raise WorkbenchError(
            f"training.cuda_graphs = true on device {training.device!r}",
            "a CUDA device",
            "add --set training.device=cuda, or leave cuda_graphs out",
        )
    if not isinstance(sleep.passes, int | RandomPasses):
        raise WorkbenchError(
            f"training.cuda_graphs = true with sleep.passes of kind {sleep.passes.kind!r}",
            "a fixed or random N, known before the step",
            "fix N, or leave cuda_graphs out",
        )
    if sleep.eviction == "sliding":
        raise WorkbenchError(
            "training.cuda_graphs = true with sliding eviction",
            "hard eviction: whether a kept cache holds padding is asked of the device",
            "set sleep.eviction = 'hard', or leave cuda_graphs out",
        )
