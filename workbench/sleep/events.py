"""What `read` yields: one event after every pass, eviction and wake."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from workbench.model.memory import Memory
from workbench.sleep.windows import Window


@dataclass(frozen=True)
class SleepPass:
    """A sleep pass has run.

    Attributes
    ----------
    window : Window
        The window being slept on.
    sleep_pass : int
        1..N.
    last : bool
        Whether the sleep ends with this pass.
    hidden : Tensor or None
        Features after the pass, ``[batch, token, channel]``; None after the last pass, where
        they would be thrown away, unless every output was asked for.
    memory : Memory
        S, convolution tails and KV cache after the pass.
    """

    window: Window
    sleep_pass: int
    last: bool
    hidden: Tensor | None
    memory: Memory


@dataclass(frozen=True)
class Wake:
    """A window that carries labels has been read, in one pass.

    Attributes
    ----------
    window : Window
        The window read awake.
    logits : Tensor
        ``[batch, token, symbol]``; position t predicts token t + 1 of the same window.
    memory : Memory
        The wake pass writes to S too.
    """

    window: Window
    logits: Tensor
    memory: Memory


@dataclass(frozen=True)
class Eviction:
    """The window's KV cache has been evicted; `memory` is all that crosses the boundary."""

    window: Window
    memory: Memory


Event = SleepPass | Wake | Eviction
