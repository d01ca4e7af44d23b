"""Several processes training one run, each on its share of every batch: accelerate under torchrun.

::

    torchrun --nproc-per-node 2 -m workbench.cli train CONFIG.toml

Every process draws the same batch and the same N and reads every `size`-th sequence; gradients are
averaged so that a step is that of one process on the whole batch, up to the order of additions. The
first process alone writes the run's folder.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta

import numpy as np
import torch
from torch import Tensor, nn

from workbench.batch import Batch
from workbench.config import SleepConfig, TrainingConfig
from workbench.errors import WorkbenchError
from workbench.identity import processes
from workbench.sleep import SleepingModel, read
from workbench.training.loss import masked_cross_entropy

PATIENCE = timedelta(hours=6)
"""How long a process waits for the others, who may be evaluating."""
PARTING = timedelta(seconds=0.5)
"""How long a process leaves its threads alone before it ends the group."""


def device_of(config: TrainingConfig) -> str:
    """Return this process's device: "cuda" is one GPU for each process of a machine."""
    if processes() > 1 and config.device == "cuda":
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return config.device


def check_processes(config: TrainingConfig) -> None:
    """Raise WorkbenchError if these processes cannot train together, or accelerate is missing."""
    size = processes()
    if size == 1:
        return
    if config.batch_size < size:
        raise WorkbenchError(
            f"training.batch_size = {config.batch_size} for {size} processes",
            "a sequence for each",
            "raise the batch size, or use fewer processes",
        )
    if config.cuda_graphs or ":" in config.device:
        wrong = "cuda_graphs = true" if config.cuda_graphs else f"device = {config.device!r}"
        raise WorkbenchError(
            f"training.{wrong} in {size} processes",
            "plain steps on device cpu or cuda",
            "leave it out, or train in one process",
        )
    from importlib.util import find_spec

    if find_spec("accelerate") is None:
        raise WorkbenchError(
            f"{size} processes without the package accelerate",
            "the extra `parallel`",
            "install it with pip install -e '.[parallel]'",
        )


class _ShareOfLoss(nn.Module):
    """The whole read of a batch as one `forward`, which is where gradients are synchronised."""

    def __init__(self, model: nn.Module, rank: int, size: int) -> None:
        super().__init__()
        self.model, self.rank, self.size = model, rank, size

    def forward(self, batch: Batch, sleep: SleepConfig, draws: np.random.Generator) -> Tensor:
        share = batch.examples(slice(self.rank, None, self.size))
        model: SleepingModel = self.model  # type: ignore[assignment]
        mean = masked_cross_entropy(read(model, share, sleep, generator=draws))
        # the mean of these over processes is the mean over all labels of the batch
        return mean * (self.size * float(share.loss_mask.sum()) / float(batch.loss_mask.sum()))


class Team:
    """The processes of one run, seen from one of them."""

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs

        patience = InitProcessGroupKwargs(timeout=PATIENCE)
        self._accelerator = Accelerator(
            cpu=config.device == "cpu", kwargs_handlers=[patience], mixed_precision="no"
        )
        self.rank, self.size = self._accelerator.process_index, self._accelerator.num_processes
        share = _ShareOfLoss(model, self.rank, self.size)
        self._loss = self._accelerator.prepare_model(share)

    def loss(self, batch: Batch, sleep: SleepConfig, draws: np.random.Generator) -> Tensor:
        """Return this process's part; its backward averages the gradients over all."""
        return self._loss(batch, sleep, draws)

    def agree(self, loss: float, stop: bool) -> tuple[float, bool]:
        """Return the loss of the whole batch, and whether any process was asked to stop."""
        device = self._accelerator.device
        both = torch.tensor([loss, float(stop)], dtype=torch.float64, device=device)
        summed = self._accelerator.reduce(both, reduction="sum").tolist()
        return summed[0] / self.size, summed[1] > 0

    def any(self, mine: bool) -> bool:
        """Return whether something is so in any process."""
        return self.agree(0.0, mine)[1]

    def leave(self) -> None:
        """Wait for the others, then part."""
        self._accelerator.wait_for_everyone()
        # gloo's threads may still hold the last of what they sent, and need Python's lock to let go
        # of it; ending the group keeps that lock while it waits for them, for ever
        time.sleep(PARTING.total_seconds())
        self._accelerator.end_training()
