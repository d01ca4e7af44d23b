"""Text: corpora, names and their swapping, the task of predicting it, and genealogies."""

from workbench.tasks.text.genealogies import Genealogies, GenealogiesConfig
from workbench.tasks.text.settings import TextConfig
from workbench.tasks.text.task import Text

__all__ = ["Genealogies", "GenealogiesConfig", "Text", "TextConfig"]
