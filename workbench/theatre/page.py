"""The theatre as one HTML file that needs no server and asks nothing of any other host."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from workbench.files import read_text
from workbench.theatre.files import module_text

TEMPLATE: Final = Path(__file__).with_name("static") / "page.html"
"""Has the places ``{{title}}``, ``{{module}}``, ``{{scenes}}`` and ``{{story}}``."""


def page_of(scenes: Sequence[bytes], title: str, *, story: Sequence[Any] = ()) -> str:
    """Return the file's text: the front end's module and some containers, the first one shown.

    `story` is that of `story_data`; the file then opens at its first scene.
    """
    values = {
        "title": escape(title),
        "module": b64encode(module_text().encode()).decode(),
        "scenes": b64encode(b"".join(scenes)).decode(),
        "story": json.dumps(list(story)).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], read_text(TEMPLATE))
