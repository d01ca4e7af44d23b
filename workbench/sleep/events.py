"""What `read` yields, and the boundaries from which a reading can resume."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from workbench.model.memory import Memory
from workbench.sleep.windows import Window


@dataclass(frozen=True)
class SleepPass:
    """A sleep pass has run."""

    window: Window
    """The window being slept on."""
    sleep_pass: int
    """1..N."""
    last: bool
    """Whether the sleep ends with this pass."""
    hidden: Tensor | None
    """Features after the pass, ``[batch, token, channel]``. None after the last pass, where
    nothing reads them, unless every output was requested."""
    memory: Memory
    """S, convolution tails and KV cache after the pass."""
    carried: Memory
    """The memory that the first pass over the window began with."""


@dataclass(frozen=True)
class Wake:
    """A window that carries labels has been read, in one pass."""

    window: Window
    """The window read awake."""
    logits: Tensor
    """``[batch, token, symbol]``; position t predicts token t + 1 of the same window."""
    memory: Memory
    """The wake pass writes to S too, unless ``sleep.wake_writes`` is False. If a sleep over the
    window follows, the KV cache is as it was before the window."""


@dataclass(frozen=True)
class Eviction:
    """The window's KV cache has been evicted; `memory` is all that crosses the boundary."""

    window: Window
    memory: Memory


Event = SleepPass | Wake | Eviction


@dataclass(frozen=True)
class Boundary:
    """A position in a reading, before a window or after a pass, with all that crosses it.

    That is enough to read on from there.
    """

    window: int
    """Index of the window."""
    sleep_pass: int
    """Passes of this window that have been run. 0 is before the window, which may be read awake."""
    hidden: Tensor | None
    """Features that the next pass takes in, ``[batch, token, channel]``; None before a window,
    and after the last pass of a sleep."""
    memory: Memory
    """S, convolution tails and KV cache at this boundary."""
    carried: Memory
    """The memory that the first pass begins with; the same as `memory` if `sleep_pass` is 0."""
    woken: bool = False
    """Whether this is after the wake pass over the window and before its first sleep pass."""

    def with_memory(self, memory: Memory) -> Boundary:
        """Return the same boundary with another memory: a patch.

        Before the first pass, that memory is also the one it begins with.
        """
        carried = memory if self.sleep_pass == 0 else self.carried
        return replace(self, memory=memory, carried=carried)


def before_window(index: int, memory: Memory) -> Boundary:
    """Return the boundary before window `index`, entered with `memory`."""
    return Boundary(index, 0, None, memory, memory)


def boundary_after(event: Event) -> Boundary:
    """Return the boundary after an event; after an eviction, the one before the next window."""
    index, memory = event.window.index, event.memory
    if isinstance(event, SleepPass):
        return Boundary(index, event.sleep_pass, event.hidden, memory, event.carried)
    if isinstance(event, Wake):
        return Boundary(index, 0, None, memory, memory, woken=True)
    return before_window(index + 1, memory)
