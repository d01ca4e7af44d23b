"""The theatre as one HTML file that needs no server and asks nothing of any other host."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from workbench.files import read_text
from workbench.theatre.files import module_text

TEMPLATE: Final = Path(__file__).with_name("static") / "page.html"
"""Has the places ``{{title}}``, ``{{module}}`` and ``{{scenes}}``."""


def page_of(scenes: Sequence[bytes], title: str) -> str:
    """Return the file's text: the front end's module and some containers, the first one shown."""
    values = {
        "title": escape(title),
        "module": b64encode(module_text().encode()).decode(),
        "scenes": b64encode(b"".join(scenes)).decode(),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], read_text(TEMPLATE))
