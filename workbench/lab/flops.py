"""Floating-point operations of a configuration, counted from the model itself.

Only products are counted (matrix products, attention, the triangular solve of the delta rule), one
multiplication and one addition as two operations: element-wise work takes time but hardly any
operations. The optimisers' own work, which does not grow with the batch, is left out, as usual.

Two counts are wrong and stay so, because recorded sweeps were planned with them: products that the
CPU operator adds in place (``baddbmm_``, unknown to torch's counter) are left out, and its
triangular solve counts as many right sides as there are tokens, not values. For
``data/sweeps/depo-n8.toml`` training counts are 1.5 to 4 % too small (exact without fast weights),
and the steps of matched arms are off by at most 0.4 %; `wider` is one width narrower than the
nearest, which its steps make up for. A test has the whole count by hand.

Exact gradients of decays take a product more than when that sweep was recorded: today's training
counts of rules with decay are 0.2 to 0.5 % larger (2.9 % where one window holds everything), and
the steps of matched arms differ by 0.03 % (0.2 % for `wider`, 2.4 % for the retained cache).
Records keep the costs they were made with.

torch is loaded when something is counted, not by importers that only name arms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from workbench.config import (
    Experiment,
    ModelConfig,
    RandomPasses,
    SleepConfig,
)
from workbench.errors import WorkbenchError
from workbench.task_config import TaskConfig
from workbench.tasks import batch_generator
from workbench.tasks import task as make_task


class Cost(NamedTuple):
    """What one sequence costs, in floating-point operations.

    `training`: forward and backward, the mean over N where N is random. `sleep`: forward of its
    sleeps, at the trained N (or the mean). `wake`: forward of its wake windows, which an answer
    waits for.
    """

    training: float
    sleep: float
    wake: float


def cost(experiment: Experiment) -> Cost:
    """Count one sequence of `experiment`: training, and sleeping and answering at test time.

    Raises WorkbenchError if a rule decides N, so that nothing can be counted beforehand.
    """
    # recomputed activations would count twice: this is the cost of the method, not of saving memory
    sleep = experiment.sleep.model_copy(update={"checkpointing": "none"})
    drawn = [sleep.with_passes(n) for n in _drawn(experiment)]
    counts = [_count(experiment.model, fixed, experiment.task) for fixed in drawn]
    return Cost(*(float(part) for part in np.mean(counts, axis=0)))


def _drawn(experiment: Experiment) -> Iterable[int]:
    passes = experiment.sleep.passes
    if isinstance(passes, int):
        return (passes,)
    if isinstance(passes, RandomPasses):
        return range(passes.low, passes.high + 1)
    raise WorkbenchError(
        f"sleep.passes of kind {passes.kind!r}",
        "an N whose cost is known before the run, fixed or random",
        "fix N to compare by compute",
    )


@cache
def _count(
    config: ModelConfig, sleep: SleepConfig, task_config: TaskConfig
) -> tuple[float, float, float]:
    """Count one sequence at a fixed N: training, asleep, awake."""
    import torch

    from workbench.model import HybridModel
    from workbench.sleep import SleepPass, Wake, read
    from workbench.training.loss import masked_cross_entropy

    task = make_task(task_config)
    size = {"vocabulary": len(task.vocabulary), "kernel_backend": "cpu"}
    # shapes say it all, except whether a kept cache holds padding
    device = "cpu" if sleep.eviction == "sliding" else "meta"
    model = HybridModel(config.model_copy(update=size)).to(device)
    batch = task.sample(1, batch_generator(0, 0))
    with _counting() as total:
        masked_cross_entropy(read(model, batch, sleep)).backward()
        training = total()
    asleep = awake = 0
    with torch.no_grad(), _counting() as total:
        before = 0
        for event in read(model, batch, sleep):
            now = total()
            asleep += now - before if isinstance(event, SleepPass) else 0
            awake += now - before if isinstance(event, Wake) else 0
            before = now
    return training, asleep, awake


@contextmanager
def _counting() -> Any:
    """Give a function that says how many operations have run inside the block."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    known: dict[Any, Callable[..., int]] = {torch.ops.aten.linalg_solve_triangular: _solve}
    # attention in its plain form is made of products that are counted
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=known) as mode:
        yield mode.get_total_flops


def _solve(triangle: Any, right: Any, /, **options: Any) -> int:
    """Count a triangular solve: a multiplication and an addition per entry of the triangle."""
    return int(np.prod(triangle)) * right[-1]
