"""Depo: settings, generator and solver, chance lines, typed input, and how it is shown."""

from workbench.tasks.depo.chance import EARLIER
from workbench.tasks.depo.settings import DepoConfig
from workbench.tasks.depo.task import Depo

__all__ = ["EARLIER", "Depo", "DepoConfig"]
