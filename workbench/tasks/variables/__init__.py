"""Variables: settings, generator and solver, chance lines, typed input, and how it is shown."""

from workbench.tasks.variables.settings import VariablesConfig
from workbench.tasks.variables.task import Variables

__all__ = ["Variables", "VariablesConfig"]
