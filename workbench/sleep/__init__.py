"""Algorithm 1 as a generator, eviction, how many passes, the streaming session, generation.

Imports the model's floor and below; knows no task. Any object with the methods of
`workbench.sleep.contract.SleepingModel` can be read.
"""

from workbench.sleep.algorithm import read
from workbench.sleep.contract import SleepingModel, WritingModel
from workbench.sleep.events import (
    Boundary,
    Event,
    Eviction,
    SleepPass,
    Wake,
    before_window,
    boundary_after,
)
from workbench.sleep.generation import Generated, generate
from workbench.sleep.passes import (
    PassReport,
    PassRule,
    capped,
    until_answers_settle,
    until_memory_settles,
)
from workbench.sleep.session import Session
from workbench.sleep.waking import wake_now
from workbench.sleep.windows import DeviceBatch, Window, split_windows, to_device

__all__ = [
    "Boundary",
    "Event",
    "Eviction",
    "Generated",
    "PassReport",
    "PassRule",
    "DeviceBatch",
    "Session",
    "SleepPass",
    "SleepingModel",
    "Wake",
    "Window",
    "WritingModel",
    "before_window",
    "boundary_after",
    "capped",
    "generate",
    "split_windows",
    "to_device",
    "read",
    "until_answers_settle",
    "until_memory_settles",
    "wake_now",
]
