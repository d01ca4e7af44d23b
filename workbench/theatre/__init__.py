"""The theatre: one example's sleep as a scene, and the hosts that show it.

    a model, or a trace -> `recording` -> `scene` -> `container` (bytes) -> static/theatre.js

Hosts here are a notebook cell (`notebook`) and one HTML file (`page`); the dashboards have theirs
in `workbench.views.explore`, over HTTP, and `workbench.views.parts.theatre`, in Panel. Imports the
floor of measurements and below; knows no Panel.

The front door calls this module: ``workbench.theatre("depo-n8-any")`` is `notebook.show`.
"""

import sys
from types import ModuleType
from typing import Any

from workbench.errors import WorkbenchError


class _Callable(ModuleType):
    """A room with the name of a function of the front door; importing either gives this module."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        try:
            from workbench.theatre.notebook import show
        except ModuleNotFoundError as error:
            if error.name not in ("anywidget", "traitlets"):
                raise
            raise WorkbenchError(
                f"no {error.name}",
                "the extra notebooks, which draws in a cell",
                "pip install 'sleep-workbench[notebooks]', or `workbench export` for a file",
            ) from None

        return show(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
