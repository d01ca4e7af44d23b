"""The record of a page; see `workbench.views.site.pages` for the table of all."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from panel_material_ui.template.base import Page

NAME = "Sleep workbench"


@dataclass(frozen=True)
class PageEntry:
    """One page of the dashboards, found by an entry point of ``sleep_workbench.pages``."""

    link: str
    """Last part of its address, such as ``memory``; ``./`` is the home page."""
    label: str
    """Its name in the navigation."""
    order: int
    """Pages are listed from the smallest to the largest, then by label."""
    view: Callable[[Page], Any] | str
    """Given Panel's page, returns what goes into its main area; or that function's place, as
    ``package.module:function``, imported when the page is first opened."""
    explains_words: bool = False
    """Whether the glossary is at the foot of the page."""
    plotly: bool = True
    """Whether the page draws Plotly figures."""

    def __post_init__(self) -> None:
        if self.link != "./" and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.link):
            raise WorkbenchError(
                f"page link {self.link!r}",
                "small letters, digits, - and _",
                "choose another link",
            )

    @property
    def path(self) -> str:
        """Path below the server's prefix."""
        return "/" if self.link == "./" else f"/{self.link}"

    @property
    def title(self) -> str:
        """Title of the browser's window."""
        return NAME if self.link == "./" else f"{self.label} - {NAME}"

    def load(self) -> Callable[[Page], Any]:
        """Import the page, and return the function that makes its content."""
        return pkgutil.resolve_name(self.view) if isinstance(self.view, str) else self.view
