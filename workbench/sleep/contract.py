"""What a model needs in order to sleep."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from workbench.model.fast_weights import Writes
from workbench.model.memory import Memory


class SleepingModel(Protocol):
    """What Algorithm 1 asks of a model; a pretrained backbone can offer the same.

    Three properties (`depth`, `device`, `vocabulary`) and five methods (`empty_memory`, `embed`,
    `blocks`, `normalise`, `logits`). `blocks` returns a new memory: new tensors for what it
    changed, the same ones for the rest. With ``keep_kv=False`` it leaves the KV cache as it was.
    """

    @property
    def depth(self) -> int:
        """Number of blocks."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def vocabulary(self) -> int:
        """Number of symbols."""

    def empty_memory(self, batch: int) -> Memory:
        """Return the memory before the first window."""

    def embed(self, tokens: Tensor) -> Tensor:
        """Map ``[batch, token]`` to ``[batch, token, channel]``."""

    def blocks(
        self,
        hidden: Tensor,
        memory: Memory,
        *,
        first: int = 0,
        last: int | None = None,
        valid: Tensor | None = None,
        window: int | None = None,
        output: bool = True,
        keep_kv: bool = True,
    ) -> tuple[Tensor | None, Memory]:
        """Run a range of blocks once; as `HybridModel.blocks`."""

    def normalise(self, hidden: Tensor) -> Tensor:
        """Apply the final norm."""

    def logits(self, hidden: Tensor, *, normalise: bool = True) -> Tensor:
        """Map ``[batch, token, channel]`` to ``[batch, token, symbol]``."""


@runtime_checkable
class WritingModel(Protocol):
    """A model that also reports what its tokens write into memory.

    Other models sleep as well, and their states can be recorded, but not their writes.
    """

    def writes(
        self, layer: int, hidden: Tensor, memory: Memory, *, valid: Tensor | None = None
    ) -> Writes:
        """Return the inputs of a layer's update rule; as `HybridModel.writes`.

        Together with S before the tokens they give S after them:
        ``S' = a S + b k v^T``, where ``v`` is ``v - (a S)^T k`` if the rule corrects.
        """
