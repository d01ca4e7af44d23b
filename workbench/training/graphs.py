"""A whole training step as one CUDA graph: one launch instead of thousands.

At small windows a step's kernels take microseconds each and the GPU waits for Python. A graph
records them once, for one N and one layout of the batch, and replays them on new tokens; random N
keeps one graph per N. Forward, backward, clipping and both optimisers are inside.

Rates change from step to step while a graph's constants cannot: AdamW takes its rate from a
tensor, and Muon steps at its full rate, of which the schedule's share is then kept
(``w + scale (w' - w)``), which is the same update to the last bit or two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from workbench.batch import Batch
from workbench.config import Experiment
from workbench.model import HybridModel
from workbench.sleep import DeviceBatch, read, to_device
from workbench.training.loss import masked_cross_entropy
from workbench.training.optimisers import Optimisers, learning_rate_scale

WARM_UP = 3
"""Steps run before capture, so that lazy initialisation is not captured."""

Layout = tuple[int, tuple[int, ...], tuple[tuple[bool, bool], ...]]
"""N, the batch's shape, and per window whether anything is predicted and whether all is valid."""


class StaticStep:
    """One training step that reads and writes fixed tensors only.

    The optimisers were built with ``capturable=True``. Every batch to come has the layout of
    `batch`. `passes`: N.
    """

    def __init__(
        self,
        model: HybridModel,
        optimisers: Optimisers,
        experiment: Experiment,
        batch: Batch,
        passes: int,
    ) -> None:
        self.model, self.optimisers, self.experiment = model, optimisers, experiment
        self.layout_of, self.sleep = batch, experiment.sleep.with_passes(passes)
        # copies: on a CPU the tensors would share the caller's arrays
        self.on_device = DeviceBatch(*(tensor.clone() for tensor in to_device(batch, model.device)))
        self.scale = torch.zeros((), device=model.device)
        self.loss = torch.zeros((), device=model.device)
        self.norm = torch.zeros((), device=model.device)

    def load(self, batch: Batch, scale: float) -> None:
        """Copy a batch and the schedule's factor into the tensors that `run` reads."""
        for target, source in zip(
            self.on_device, to_device(batch, torch.device("cpu")), strict=True
        ):
            target.copy_(source)
        self.scale.fill_(scale)

    def run(self) -> None:
        """Do the step: loss, gradients, clipping, updates; leaves `loss` and `norm`."""
        config = self.experiment.training
        kind = self.model.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=config.dtype == "bfloat16"):
            events = read(self.model, self.layout_of, self.sleep, on_device=self.on_device)
            loss = masked_cross_entropy(events)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.optimisers.parameters, config.clip)
        scaled_step(self.optimisers, self.scale)
        self.loss.copy_(loss.detach())
        self.norm.copy_(norm)


def scaled_step(optimisers: Optimisers, scale: Tensor) -> None:
    """Update the weights at `scale` times the configured rates, all of it on the device."""
    config = optimisers.config
    body = [p for group in optimisers.muon.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in body]
    for group in optimisers.muon.param_groups:
        group["lr"] = config.muon_lr
    optimisers.muon.step()
    with torch.no_grad():
        for parameter, old in zip(body, before, strict=True):
            parameter.copy_(torch.lerp(old, parameter, scale))
    for group in optimisers.adamw.param_groups:
        group["lr"].copy_(config.adamw_lr * scale)
    optimisers.adamw.step()
    for optimiser in (optimisers.muon, optimisers.adamw):
        optimiser.zero_grad(set_to_none=True)


class GraphedSteps:
    """Training steps replayed from CUDA graphs, one graph per N and layout."""

    def __init__(self, model: HybridModel, optimisers: Optimisers, experiment: Experiment) -> None:
        self.model, self.optimisers, self.experiment = model, optimisers, experiment
        self._graphs: dict[Layout, tuple[StaticStep, Callable[[], None]]] = {}
        self._pool: Any = None

    def __call__(self, batch: Batch, passes: int, step: int) -> tuple[float, float]:
        """Do step number `step` (0-based) with N = `passes`; return loss and gradient norm.

        Raises FloatingPointError: the gradient is not finite. The graph has updated the weights
        with it: continue from the newest resume point. Raises WorkbenchError: nothing is to be
        predicted.
        """
        key = layout(batch, passes, self.experiment.sleep.window)
        if key not in self._graphs:
            self._graphs[key] = self._capture(batch, passes)
        static, replay = self._graphs[key]
        static.load(batch, learning_rate_scale(step, self.experiment.training))
        replay()
        norm = float(static.norm)
        if not math.isfinite(norm):
            raise FloatingPointError(f"the gradient norm is {norm} at step {step + 1}")
        return float(static.loss), norm

    def _capture(self, batch: Batch, passes: int) -> tuple[StaticStep, Callable[[], None]]:
        static = StaticStep(self.model, self.optimisers, self.experiment, batch, passes)
        kept = _snapshot(self.model, self.optimisers)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                static.run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            static.run()
        self._pool = self._pool or graph.pool()
        _restore(self.model, self.optimisers, kept)  # warm-up took steps of its own
        return static, graph.replay


def layout(batch: Batch, passes: int, window: int) -> Layout:
    """Return what has to be the same for one graph to serve two batches."""
    windows = tuple(
        (bool(batch.loss_mask[:, start + 1 : stop].any()), bool(batch.valid[:, start:stop].all()))
        for start, stop in batch.windows(window)
    )
    return passes, batch.tokens.shape, windows


def _snapshot(model: nn.Module, optimisers: Optimisers) -> list[tuple[Tensor, Tensor]]:
    """Return every tensor a step changes, each with a copy."""
    tensors = [p.data for p in model.parameters()]
    for optimiser in (optimisers.muon, optimisers.adamw):
        for parameter in (p for group in optimiser.param_groups for p in group["params"]):
            tensors += [v for v in optimiser.state[parameter].values() if torch.is_tensor(v)]
    return [(tensor, tensor.clone()) for tensor in tensors]


def _restore(model: nn.Module, optimisers: Optimisers, kept: list[tuple[Tensor, Tensor]]) -> None:
    """Put the copies back in place; state made by the warm-up itself begins at zero."""
    known = {tensor.data_ptr() for tensor, _ in kept}
    for tensor, copy in kept:
        tensor.copy_(copy)
    for optimiser in (optimisers.muon, optimisers.adamw):
        for state in optimiser.state.values():
            for value in state.values():
                if torch.is_tensor(value) and value.data_ptr() not in known:
                    value.zero_()
