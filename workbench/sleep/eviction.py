"""What crosses a window's boundary."""

from __future__ import annotations

from workbench.config import SleepConfig
from workbench.model.memory import Memory


def evict(memory: Memory, sleep: SleepConfig) -> Memory:
    """Return what survives the boundary.

    Hard eviction keeps S alone; sliding eviction keeps S and the KV of the newest L - 1 tokens.
    Convolution tails cross only with ``conv_state="carry"``.
    """
    tails = memory.conv_tails if sleep.conv_state == "carry" else {}
    if sleep.eviction == "hard":
        return memory.replace(kv={}, conv_tails=tails)
    kept = {i: cache.newest(sleep.window - 1) for i, cache in memory.kv.items()}
    return memory.replace(kv=kept, conv_tails=tails)
