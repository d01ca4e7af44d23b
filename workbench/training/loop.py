"""The training loop: every step a pure function of (configuration, seed, step).

A run is one folder::

    experiment.toml   the configuration
    origin.json       command, commit and versions of the run's first start and of each resume
    events.jsonl      append-only: steps, evaluations
    status.json       running, stopped, finished or failed
    state/            resume points, newest two
    checkpoint/       the finished model
    stop              put there by anyone who wants the run to stop at a resume point

A batch and its random N depend on (seed, step) alone, so that a run resumed from any resume
point ends, on a CPU, with the same weights bit for bit.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.config import Experiment, RandomPasses, TrainingConfig, load_experiment, to_toml
from workbench.errors import WorkbenchError
from workbench.files import remove_leftovers, write_json, write_text
from workbench.identity import identify
from workbench.model import HybridModel
from workbench.sleep import read
from workbench.sleep.passes import resolve
from workbench.tasks import task as make_task
from workbench.tasks.base import Task, batch_generator
from workbench.training.checkpoints import (
    check_backend,
    export_folder,
    read_resume_state,
    save_checkpoint,
    write_resume_state,
)
from workbench.training.evaluation import check_layout, default_passes, evaluate
from workbench.training.graphs import GraphedSteps
from workbench.training.loss import masked_cross_entropy
from workbench.training.optimisers import Optimisers, build_optimisers, learning_rate_scale
from workbench.training.provenance import describe_origin

EVENTS, STATUS, CONFIG, STATES = "events.jsonl", "status.json", "experiment.toml", "state"
ORIGIN, STOP = "origin.json", "stop"
N_STREAM = "train-passes"
EVALUATION_SEED = 20_260_000
"""Evaluations during and after training draw from this seed of the evaluation stream."""
KEPT_STATES = 2
COMPILERS = ("g++", "clang++", "c++", "cl")


@dataclass(frozen=True)
class Progress:
    """What the loop reports after each step.

    Attributes
    ----------
    step, steps : int
        Steps done and to do.
    loss : float
        Mean cross-entropy per predicted token, nats.
    evaluation : dict or None
        N -> metrics, after a step that was followed by an evaluation.
    evaluated : float or None
        Share of the evaluation that ends the run; None before it.
    """

    step: int
    steps: int
    loss: float
    evaluation: dict[str, Any] | None = None
    evaluated: float | None = None


class _Interrupted(Exception):
    """A stop was asked for during the evaluation that ends the run."""


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> str:
    """Train until the last step or until `stop` says so.

    Parameters
    ----------
    experiment : Experiment
        Model, sleep, task and training; ``model.vocabulary = 0`` is taken from the task.
    folder : Path
        The run's folder; it must not hold a run unless `resume`.
    resume : bool
        Go on from the newest resume point (or from the start, if there is none yet).
    stop : callable
        Asked after each step; True saves a resume point and returns. Also asked during the
        evaluation at the end, which a resumed run does again. A file named ``stop`` in the
        folder asks for the same.
    on_progress : callable
        Told after each step.

    Returns
    -------
    str
        "finished" or "stopped".

    Raises
    ------
    WorkbenchError
        The folder holds a run already, or another configuration, or another process trains in
        it; a setting does not fit this machine or the task; or training diverged.
    """
    task = make_task(experiment.task)
    experiment = _with_vocabulary(experiment, task)
    check_layout(
        task.sample(256, batch_generator(experiment.training.seed, 0)), experiment.sleep.window
    )
    check_device(experiment.training.device)
    check_backend(experiment.model.kernel_backend, experiment.training.device)
    check_compiler(experiment.training)
    check_graphs(experiment)
    with _locked(folder):
        remove_leftovers(folder)
        remove_leftovers(folder / STATES)
        _prepare(folder, experiment, resume)
        if _finished(folder):
            return "finished"
        threads = torch.get_num_threads()
        torch.set_num_threads(experiment.training.threads)
        run = _Run(experiment, task, folder)
        request = folder / STOP

        def stopping() -> bool:
            return stop() or request.exists()

        try:
            return run.go(stopping, on_progress)
        except BaseException as error:
            asked = stopping() and not isinstance(error, FloatingPointError)
            if asked and isinstance(error, Exception):
                # Ctrl-C reaches a compiler too, whose failure is then no failure of the run
                _write_status(folder, "stopped", run.step, experiment)
                return "stopped"
            ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            _write_status(folder, ended, run.step, experiment, error=_in_short(error))
            if isinstance(error, FloatingPointError):
                raise WorkbenchError(
                    f"training diverged: {error}",
                    "finite gradients",
                    "lower training.muon_lr and training.adamw_lr, in another folder",
                ) from error
            raise
        finally:
            torch.set_num_threads(threads)
            request.unlink(missing_ok=True)


def _in_short(error: BaseException, most: int = 400) -> str:
    """Return an error in one line; a compiler's can be a hundred pages."""
    line = " ".join(repr(error).split())
    return line if len(line) <= most else f"{line[:most]} ..."


def _finished(folder: Path) -> bool:
    status = folder / STATUS
    return status.exists() and json.loads(status.read_text(encoding="utf-8"))["state"] == "finished"


class _Run:
    """State of one run between steps."""

    def __init__(self, experiment: Experiment, task: Task, folder: Path) -> None:
        self.experiment, self.task, self.folder = experiment, task, folder
        config = experiment.training
        self.model = HybridModel(experiment.model, seed=config.seed).to(config.device)
        self.optimisers: Optimisers = build_optimisers(
            self.model, config, capturable=config.cuda_graphs
        )
        self.graphs: GraphedSteps | None = None
        if config.cuda_graphs:
            self.graphs = GraphedSteps(self.model, self.optimisers, experiment)
        self.step, self.seconds = 0, 0.0
        self._restore()
        self.origin = _record_origin(folder / ORIGIN, self.step)
        if config.compile:
            # the cached tables are constants of their arguments; tracing past the cache is right
            warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools")
            self.model.blocks = torch.compile(self.model.blocks, dynamic=False)  # type: ignore[method-assign]

    def go(self, stop: Callable[[], bool], on_progress: Callable[[Progress], None]) -> str:
        config = self.experiment.training
        loss, stopping = float("nan"), False  # of a run that was resumed after its last step
        _write_status(self.folder, "running", self.step, self.experiment)
        with (self.folder / EVENTS).open("a", encoding="utf-8") as events:
            while self.step < config.steps:
                began = time.perf_counter()
                loss, norm = self._train_step()
                self.seconds += time.perf_counter() - began
                event: dict[str, Any] = {"kind": "step", "step": self.step, "loss": loss}
                event |= {"gradient_norm": norm, "seconds": round(self.seconds, 3)}
                event["rate"] = learning_rate_scale(self.step - 1, config)
                stopping = stop()
                if self.step % config.log_every == 0 or self.step == config.steps:
                    _append(events, event)
                evaluation = None
                if config.eval_every and self.step % config.eval_every == 0:
                    evaluation = self._evaluate(latency=False)
                    _append(events, {"kind": "evaluation", "step": self.step, "passes": evaluation})
                on_progress(Progress(self.step, config.steps, loss, evaluation))
                if stopping or self.step % config.checkpoint_every == 0:
                    self._save()
                if stopping and self.step < config.steps:
                    _write_status(self.folder, "stopped", self.step, self.experiment)
                    return "stopped"
        self._save()

        def look(share: float) -> None:
            on_progress(Progress(self.step, config.steps, loss, evaluated=share))
            if stop() and not stopping:
                raise _Interrupted

        self._export(look)
        _write_status(self.folder, "finished", self.step, self.experiment)
        return "finished"

    def _train_step(self) -> tuple[float, float]:
        config, sleep = self.experiment.training, self.experiment.sleep
        batch = self.task.sample(config.batch_size, batch_generator(config.seed, self.step))
        check_layout(batch, sleep.window)  # labels lie elsewhere where names differ in length
        draws = batch_generator(config.seed, self.step, N_STREAM)
        if self.graphs is not None:
            passes = resolve(sleep, draws)
            assert isinstance(passes, int)  # check_graphs refuses rules
            loss_norm = self.graphs(batch, passes, self.step)
            self.step += 1
            return loss_norm
        kind = torch.device(config.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=config.dtype == "bfloat16"):
            loss = masked_cross_entropy(read(self.model, batch, sleep, generator=draws))
        loss.backward()
        norm = self.optimisers.step(self.step)
        self.step += 1
        return float(loss.detach()), norm

    def _evaluate(
        self, *, latency: bool, look: Callable[[float], None] = lambda share: None
    ) -> dict[str, Any]:
        config, sleep = self.experiment.training, self.experiment.sleep
        passes = config.eval_passes or default_passes(sleep)
        if latency:  # the evaluation that ends the run
            passes = config.final_passes or passes
        done = 0

        def told(examples: int) -> None:
            nonlocal done
            done += examples
            look(done / (len(passes) * config.eval_count))

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
                on_progress=told,
            )
        finally:
            if blocks is not None:
                self.model.blocks = blocks  # type: ignore[method-assign]

    def _save(self) -> None:
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        tensors |= {f"optimiser.{n}": t for n, t in self.optimisers.tensors().items()}
        states = self.folder / STATES
        header = {"step": self.step, "seconds": self.seconds}
        write_resume_state(states / f"step-{self.step:09d}.safetensors", tensors, header)
        for old in sorted(states.glob("step-*.safetensors"))[:-KEPT_STATES]:
            old.unlink()

    def _restore(self) -> None:
        states = sorted((self.folder / STATES).glob("step-*.safetensors"))
        if states:
            tensors, header = read_resume_state(states[-1])
            parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "optimiser": {}}
            for name, tensor in tensors.items():
                owner, _, rest = name.partition(".")
                parts[owner][rest] = tensor
            self.model.load_state_dict(parts["model"])
            self.optimisers.load(parts["optimiser"])
            self.step, self.seconds = int(header["step"]), float(header["seconds"])
        _drop_events_after(self.folder / EVENTS, self.step)

    def _export(self, look: Callable[[float], None]) -> None:
        config = self.experiment.training
        tokens = self.task.context_tokens + self.task.query_tokens
        metrics = {
            "task": self.task.name,
            "difficulty": self.task.difficulty_name,
            "count": config.eval_count,
            "seed": EVALUATION_SEED,
            "passes": self._evaluate(latency=True, look=look),
        }
        provenance = {
            **self.origin,
            "seed": config.seed,
            "budget": {
                "parameters": sum(p.numel() for p in self.model.parameters()),
                "steps": config.steps,
                "tokens": config.steps * config.batch_size * tokens,
                "seconds": round(self.seconds, 1),
            },
            "metrics": metrics,
        }
        name = self.folder.resolve().name
        save_checkpoint(export_folder(self.folder), name, self.model, self.experiment, provenance)


def _record_origin(path: Path, step: int) -> dict[str, Any]:
    """Add this start of the run to `path`; return the first start, with the resumes after it."""
    starts = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    starts.append({"from_step": step, **describe_origin()})
    write_json(path, starts)
    first = {name: value for name, value in starts[0].items() if name != "from_step"}
    resumes = [{k: v for k, v in start.items() if k != "command"} for start in starts[1:]]
    return first | ({"resumed": resumes} if resumes else {})


def run_status(folder: Path) -> dict[str, Any]:
    """Return what a run's ``status.json`` says.

    Raises
    ------
    WorkbenchError
        There is no run in `folder`.
    """
    try:
        return json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise WorkbenchError(
            f"no run in {folder}", f"a folder with {STATUS}", "start one with `workbench train`"
        ) from None


def _with_vocabulary(experiment: Experiment, task: Task) -> Experiment:
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


def check_compiler(config: TrainingConfig) -> None:
    """Check that there is a C++ compiler where the blocks are to be compiled for the CPU.

    Raises
    ------
    WorkbenchError
        There is none.
    """
    if config.compile and config.device == "cpu" and find_compiler() is None:
        raise WorkbenchError(
            "training.compile = true without a C++ compiler",
            f"one of {', '.join(COMPILERS)} on the PATH",
            "install one, or add --set training.compile=false",
        )


def check_graphs(experiment: Experiment) -> None:
    """Check that a CUDA graph can hold the training step, where one is asked for.

    Raises
    ------
    WorkbenchError
        There is no CUDA device, or the step is decided by what it computes.
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


def find_compiler() -> str | None:
    """Return the name of the C++ compiler that torch.compile would use, None without one.

    Where ``$CXX`` is set, torch takes that one and looks no further.
    """
    named = os.environ.get("CXX")
    return next((c for c in ((named,) if named else COMPILERS) if shutil.which(c)), None)


def check_device(device: str) -> None:
    """Check that `device` is one torch knows and this machine has.

    Raises
    ------
    WorkbenchError
        It is neither.
    """
    try:
        known = torch.device(device)
    except RuntimeError:
        known = torch.device("meta")
    here = known.type == "cuda" and (known.index or 0) < torch.cuda.device_count()
    if known.type != "cpu" and not here:
        raise WorkbenchError(f"device {device!r}", "a device of this machine", "use device cpu")


def _prepare(folder: Path, experiment: Experiment, resume: bool) -> None:
    path = folder / CONFIG
    if not path.exists():
        others = sorted(p.name for p in folder.iterdir() if p.name != ".lock")
        if others:
            raise WorkbenchError(
                f"{folder} holds other files ({', '.join(others[:3])})",
                "an empty folder, or that of a run",
                "name another folder with --out",
            )
        write_text(path, to_toml(experiment))
        return
    if not resume:
        raise WorkbenchError(
            f"{folder} holds a run already",
            "an empty folder, or --resume",
            "add --resume to go on with it, or name another folder with --out",
        )
    before = load_experiment(path)
    if before != experiment:
        changed = _differences(before.model_dump(), experiment.model_dump())
        raise WorkbenchError(
            f"{folder} was started with another configuration ({', '.join(changed)})",
            "the same configuration",
            "resume with that one, or name another folder with --out",
        )


def _differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    changed = []
    for name in sorted({*old, *new}):
        left, right = old.get(name), new.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            changed += _differences(left, right, f"{prefix}{name}.")
        elif left != right:
            changed.append(f"{prefix}{name}: {left} -> {right}")
    return changed


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise WorkbenchError(
            f"another process trains in {folder}",
            "a folder of its own",
            "wait for it, or use --out",
        ) from None
    except OSError as error:
        raise WorkbenchError(
            f"{folder} cannot hold a run ({error})", "a folder that can be written", "use --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _write_status(
    folder: Path, state: str, step: int, experiment: Experiment, error: str | None = None
) -> None:
    status = {"state": state, "step": step, "steps": experiment.training.steps, **identify()}
    write_json(folder / STATUS, status | ({"error": error} if error else {}))


def _append(events: Any, event: dict[str, Any]) -> None:
    events.write(json.dumps(event) + "\n")
    events.flush()


def _drop_events_after(path: Path, step: int) -> None:
    """Remove events that a killed process wrote after its last resume point, and a torn line."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event["step"] <= step:
            kept.append(json.dumps(event))
    write_text(path, "".join(f"{line}\n" for line in kept))
