"""What the script of the page asks for: parts, figures, data, and measurements on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.errors import WorkbenchError, one_line
from workbench.figures.theme import Theme
from workbench.progress import Report
from workbench.views.findings import measuring, parts
from workbench.views.site.answering import Answering, in_thread
from workbench.views.site.plain import HTML, PlainHandler
from workbench.views.site.services import services

Answer = tuple[str, str, str]
"""Content, media type, and the name of a file that it is saved under, or ""."""


class Finding(PlainHandler):
    """Answers a GET from a thread, with what `make` returns of a path and a query."""

    def initialize(self, make: Callable[[str, dict[str, str]], Answer]) -> None:
        """Take what answers."""
        self.make = make

    async def get(self) -> None:
        """Answer; what is wrong is one line, with status 400, or 503 where too much waits."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        try:
            content, kind, name = await in_thread(self.make, query.pop("at", ""), query)
        except WorkbenchError as error:
            self.set_status(400)
            content, kind, name = one_line(error), "text/plain; charset=utf-8", ""
        if name:
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        self.send(content, kind)


def part(at: str, query: dict[str, str]) -> Answer:
    """Return what stands below a finding."""
    return parts.part_html(at, query, services().runs), HTML, ""


def figure(at: str, query: dict[str, str]) -> Answer:
    """Return a figure of a finding."""
    number, theme = query.pop("number", "0"), query.pop("theme", "light")
    shown: Theme = "dark" if theme == "dark" else "light"
    place = int(number) if number.isdecimal() and len(number) < 4 else -1
    return parts.figure_json(at, place, shown, query, services().runs), "application/json", ""


def data(at: str, query: dict[str, str]) -> Answer:
    """Return the numbers of a finding as a file."""
    name, text = parts.csv_file(at, query.pop("what", ""), query, services().runs)
    return text, "text/csv; charset=utf-8", name


def ask(wish: dict[str, Any], progress: Report) -> dict[str, Any]:
    """Answer what the form of measurements asks."""
    return measuring.answer(wish, services().runs, services().folders())


def routes() -> list[Any]:
    """Return the routes, below the prefix."""
    gets = [
        (rf"/findings/{name}", Finding, {"make": make})
        for name, make in {"part": part, "figure": figure, "data": data}.items()
    ]
    return [*gets, (r"/findings/ask", Answering, {"answer": ask})]
