"""The front-end module that every host loads."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from workbench.files import read_text

MODULE: Final = Path(__file__).with_name("static") / "theatre.js"
"""An ES module whose default export has ``render({model, el})``; built from ``frontend/``."""


@cache
def module_text() -> str:
    """Return the module's source."""
    return read_text(MODULE)
