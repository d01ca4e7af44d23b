"""Data sets of the package reasoning-gym as a task: settings, source of items, text, task."""

from workbench.tasks.reasoning_gym.settings import ReasoningGymConfig
from workbench.tasks.reasoning_gym.task import ReasoningGym

__all__ = ["ReasoningGym", "ReasoningGymConfig"]
