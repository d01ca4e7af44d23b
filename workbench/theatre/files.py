"""The front-end module that every host loads, and its address."""

from __future__ import annotations

import hashlib
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


@cache
def module_name() -> str:
    """Return a file name that changes with the module, so that it can be cached for good."""
    return f"theatre.{hashlib.sha256(module_text().encode()).hexdigest()[:16]}.js"
