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
    kept = {}
    if sleep.eviction == "sliding":
        kept = {i: cache.newest(sleep.window - 1) for i, cache in memory.kv.items()}
    # copied: a view of the newest tokens would keep the evicted ones in its storage
    survives = Memory(conv_tails=tails, kv=kept).clone()
    return survives.replace(fast_weights=memory.fast_weights)
