"""The theatre: one example's sleep as a scene, and the hosts that show it.

    a model, or a trace -> `recording` -> `scene` -> `container` (bytes) -> static/theatre.js

Hosts here are a notebook cell (`notebook`) and one HTML file (`page`); the dashboards have theirs
in `workbench.views.explore`. Imports the floor of measurements and below; knows no Panel.

The front door calls this module: ``workbench.theatre("depo-n8-any")`` is `notebook.show`.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A room with the name of a function of the front door; importing either gives this module."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        from workbench.theatre.notebook import show

        return show(*arguments, **keywords)


sys.modules[__name__].__class__ = _Callable
