"""The sleep workbench: language models that sleep, stepped through, seen and trained.

Front door; everything else is imported from its room::

    checkpoint = workbench.load("depo-n8-any")
    task = workbench.task("depo", nodes=8, max_hops=4, names="single", queries=8)
    for event in workbench.read(checkpoint.model, batch, checkpoint.sleep.with_passes(4)):
        ...
    trace = workbench.record(checkpoint.model, batch, checkpoint.sleep.with_passes(4))
    workbench.theatre(checkpoint)  # plays a sleep in a notebook cell

Names are imported when first used: ``import workbench`` alone loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.sleep import read
    from workbench.tasks import task
    from workbench.theatre.notebook import show as theatre
    from workbench.trace import record
    from workbench.training.checkpoints import load

__all__ = ["load", "read", "record", "task", "theatre"]
__version__ = "0.1.0"

_ROOMS = {
    "load": ("workbench.training.checkpoints", "load"),
    "task": ("workbench.tasks", "task"),
    "read": ("workbench.sleep", "read"),
    "record": ("workbench.trace", "record"),
    "theatre": ("workbench.theatre", ""),  # a room that can be called
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    module, attribute = _ROOMS[name]
    room = import_module(module)
    return getattr(room, attribute) if attribute else room


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
