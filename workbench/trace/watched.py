"""A model that records what enters its fast-weight layers, block by block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from workbench.model.fast_weights import Writes
from workbench.model.memory import Memory
from workbench.sleep import SleepingModel


@dataclass(frozen=True)
class Entered:
    """What a block received, and the S it left."""

    hidden: Tensor
    """``[batch, token, channel]``."""
    memory: Memory
    """As the block received it, with the convolution tail of the pass."""
    valid: Tensor | None
    """bool ``[batch, token]``."""
    left: Tensor
    """S of the layer afterwards."""


@dataclass
class WatchedPass:
    """One pass over the blocks."""

    entered: dict[int, Entered] = field(default_factory=dict)
    """By fast-weight layer; a layer outside the loop does not run in every pass."""
    residual: dict[int, Tensor] = field(default_factory=dict)
    """Features after each block, ``[batch, token, channel]``; empty unless they are kept."""
    newest: int = -1
    """The block run last."""


class WatchedModel:
    """A `SleepingModel` around another that runs one block at a time and records it.

    Results are bit for bit those of the other: the same blocks in the same order, and none whose
    output is not read.

    `model`: the network; never changed. `residual`: also keep the features after each block.
    """

    def __init__(self, model: SleepingModel, *, residual: bool = False) -> None:
        self._model, self._residual = model, residual
        self._passes: list[WatchedPass] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def take(self) -> list[WatchedPass]:
        """Return the passes run since the last call, and forget them."""
        passes, self._passes = self._passes, []
        return passes

    def blocks(
        self,
        hidden: Tensor,
        memory: Memory,
        *,
        first: int = 0,
        last: int | None = None,
        output: bool = True,
        **options: Any,
    ) -> tuple[Tensor | None, Memory]:
        """Run a range of blocks once; as `SleepingModel.blocks`."""
        end: int = self._model.depth if last is None else last
        if not output:
            kept = range(first, end) if options.get("keep_kv", True) else memory.fast_weights
            end = max((i for i in kept if first <= i < end), default=first - 1) + 1
        result: Tensor | None = hidden
        for i in range(first, end):
            entering, given = result, memory
            assert entering is not None
            wanted = output or i < end - 1
            result, memory = self._model.blocks(
                entering, given, first=i, last=i + 1, output=wanted, **options
            )
            # a pass goes up the stack: a block that is not higher than the last begins a new pass
            if not self._passes or i <= self._passes[-1].newest:
                self._passes.append(WatchedPass())
            this = self._passes[-1]
            this.newest = i
            if i in memory.fast_weights:
                left = memory.fast_weights[i]
                this.entered[i] = Entered(entering, given, options.get("valid"), left)
            if self._residual and result is not None:
                this.residual[i] = result
        return (result if output else None), memory


def writes_of(model: Any, watched: WatchedPass, layer: int, kept: Tensor) -> Writes | None:
    """Return what a pass wrote into a layer; None where it did not run the layer.

    `model`: the model that ran the pass. `watched`: the pass. `layer`: the layer. `kept`: S after
    the pass. If this is not what the layer left (a sleep that keeps only the writes of its last
    pass), beta and log_decay are zero: nothing was written.
    """
    if layer not in watched.entered:
        return None
    seen = watched.entered[layer]
    writes: Writes = model.writes(layer, seen.hidden, seen.memory, valid=seen.valid)
    if kept is seen.left:
        return writes
    return writes._replace(
        beta=torch.zeros_like(writes.beta), log_decay=torch.zeros_like(writes.beta)
    )
