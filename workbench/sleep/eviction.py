"""What crosses a window's boundary."""

from __future__ import annotations

from workbench.config import SleepConfig
from workbench.model.memory import Memory


def kept_before(start: int, sleep: SleepConfig) -> int:
    """Return how many tokens before a window that begins at `start` its attention can see."""
    return min(start, sleep.window - 1) if sleep.eviction == "sliding" else 0


def cached_tokens(span: tuple[int, int], sleep_pass: int, sleep: SleepConfig) -> range:
    """Return the tokens whose keys and values attention can see at a boundary.

    Within a pass that is the window itself (tokens `span`, rebuilt by every pass), preceded with
    sliding eviction by what was kept of earlier windows; at pass 0 only what was kept.
    """
    start, stop = span
    return range(start - kept_before(start, sleep), stop if sleep_pass else start)


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
