"""GSM-Infinite: settings, themes, generator, reader and solver, chance lines, how it is shown."""

from workbench.tasks.gsm_infinite.settings import GsmInfiniteConfig
from workbench.tasks.gsm_infinite.task import GsmInfinite

__all__ = ["GsmInfinite", "GsmInfiniteConfig"]
