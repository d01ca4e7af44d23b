"""Where the pages have gone that Explore replaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LENSES: Final = {"memory": "memory", "interventions": "cause", "attribution": "credit"}
"""The lens that shows what an old page showed."""


def moved(link: str, query: Mapping[str, str]) -> dict[str, str]:
    """Return the query of Explore for an old page's: the place is named as before."""
    lens = {"lens": LENSES[link]} if link in LENSES else {}
    return dict(query) | lens
