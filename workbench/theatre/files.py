"""The front end's modules."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from workbench.files import read_text

MODULE: Final = Path(__file__).with_name("static") / "theatre.js"
"""An ES module whose default export has ``render({model, el})``; built from ``frontend/``."""

WEB: Final = MODULE.with_name("web.js")
"""An ES module that shows the theatre on a plain page, over HTTP; built with it."""


@cache
def module_text() -> str:
    """Return the module's source."""
    return read_text(MODULE)
