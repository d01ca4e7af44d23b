"""The record of a page, and the table of all pages."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from workbench.errors import WorkbenchError
from workbench.registry import registered

NAME: Final = "Sleep workbench"
GROUP: Final = "sleep_workbench.pages"
"""Entry points of pages."""

T = TypeVar("T")


@dataclass(frozen=True)
class Visit:
    """What a browser asks a page for."""

    query: Mapping[str, str] = field(default_factory=dict)
    """Names and values of the address; of a name that is given twice, the last value."""
    rest: str = ""
    """Path below the page's link, such as ``depo-n8/equal-tokens``."""
    prefix: str = ""
    """Path of all pages, "" or such as ``/workbench``."""
    theme: str = "auto"
    """What was chosen: light, dark or auto."""

    def address(self, path: str = "") -> str:
        """Return the address of something below the prefix: a page, an asset, a route."""
        return f"{self.prefix}/{path.removeprefix('./')}"


@dataclass(frozen=True)
class Document:
    """What a page consists of; `workbench.views.site.shell` puts it into the whole page."""

    title: str
    """Title of the window, in front of the workbench's name; "" for that name alone."""
    body: str
    """HTML of the main area."""
    scripts: tuple[str, ...] = ()
    """ES modules, as `workbench.views.site.assets` returns them."""
    styles: tuple[str, ...] = ()
    """Style sheets, likewise."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """JSON for the scripts, in the element with the id ``data``."""
    fetches: tuple[str, ...] = ()
    """Addresses below the prefix that the scripts ask for at once: the browser need not wait."""
    status: int = 200


@dataclass(frozen=True)
class PageEntry:
    """One page of the dashboards, found by an entry point of ``sleep_workbench.pages``.

    Functions are given themselves or by their place, ``package.module:function``, imported when
    first needed.
    """

    link: str
    """Last part of its address, such as ``memory``; ``./`` is the home page."""
    label: str
    """Its name in the navigation."""
    order: int
    """Pages are listed from the smallest to the largest, then by label."""
    document: Callable[[Visit], Document | None] | str
    """Given a visit, returns the page, or None if there is none at its `rest`; called in a
    thread."""
    routes: Callable[[], list[Any]] | str | None = None
    """Returns Tornado's routes of what the page's scripts ask for, with patterns below the prefix
    such as ``/findings/figure``."""
    old: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Links that the page had, or that others had which it replaces: they redirect here, with their
    query and what is given here for each."""

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

    def load(self) -> Callable[..., Any]:
        """Import the page, and return the function that makes its content."""
        return imported(self.document)


def imported(function: T | str) -> Any:
    """Return a function that is given itself or by its place."""
    return pkgutil.resolve_name(function) if isinstance(function, str) else function


def pages() -> tuple[PageEntry, ...]:
    """Return every page, including those of other packages, in the order of the navigation.

    Raises WorkbenchError where a page cannot be imported, or two have the same link.
    """
    found = registered(GROUP, PageEntry).values()
    listed = sorted(found, key=lambda page: (page.order, page.label))
    links = [page.link for page in listed]
    if twice := {link for link in links if links.count(link) > 1}:
        raise WorkbenchError(
            f"two pages with the link {min(twice)!r}", "one of each", "uninstall one of them"
        )
    return tuple(listed)
