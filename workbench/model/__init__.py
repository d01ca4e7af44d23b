"""The network: a hybrid of attention and fast weights, and its memory; knows no task.

Imports torch, `sleep_kernels`, `workbench.config` and the errors; nothing above.
"""

from workbench.model.hybrid import HybridModel
from workbench.model.memory import KVCache, Memory

__all__ = ["HybridModel", "KVCache", "Memory"]
