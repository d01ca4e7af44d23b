"""What the script of the page asks for: parts, figures, data, and measurements on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from workbench.errors import WorkbenchError
from workbench.figures.theme import Theme
from workbench.progress import Report
from workbench.views.findings import measuring, parts
from workbench.views.parts.html import failure_html
from workbench.views.site.answering import Answering
from workbench.views.site.plain import HTML, PlainHandler
from workbench.views.site.services import services

JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
_POOL: Final = ThreadPoolExecutor(2, "findings")


class Finding(PlainHandler):
    """Answers a GET from a thread; `what` is part, figure or data."""

    def initialize(self, what: str) -> None:
        """Take what is asked for."""
        self.what = what

    async def get(self) -> None:
        """Answer; what is wrong is one line with status 400, or stands in the part itself."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        at = query.pop("at", "")
        make: Callable[[], tuple[str, str]] = {
            "part": lambda: (parts.part_html(at, query, services().runs), HTML),
            "figure": lambda: (self._figure(at, query), JSON),
            "data": lambda: self._data(at, query),
        }[self.what]
        loop = asyncio.get_running_loop()
        try:
            content, kind = await loop.run_in_executor(_POOL, make)
        except WorkbenchError as error:
            content, kind = " ".join(str(error).split()), "text/plain; charset=utf-8"
            if self.what == "part":
                content, kind = failure_html(error), HTML
            else:
                self.set_status(400)
        self.send(content, kind)

    def _figure(self, at: str, query: dict[str, str]) -> str:
        number, theme = query.pop("number", "0"), query.pop("theme", "light")
        shown: Theme = "dark" if theme == "dark" else "light"
        place = int(number) if number.isdecimal() and len(number) < 4 else -1
        return parts.figure_json(at, place, shown, query, services().runs)

    def _data(self, at: str, query: dict[str, str]) -> tuple[str, str]:
        name, text = parts.csv_file(at, query.pop("what", ""), query, services().runs)
        self.set_header("Content-Disposition", f'attachment; filename="{name}"')
        return text, CSV


def ask(wish: dict[str, Any], progress: Report) -> dict[str, Any]:
    """Answer what the form of measurements asks."""
    return measuring.answer(wish, services().runs, services().folders())


def routes() -> list[Any]:
    """Return the routes, below the prefix."""
    gets = [(rf"/findings/{what}", Finding, {"what": what}) for what in ("part", "figure", "data")]
    return [*gets, (r"/findings/ask", Answering, {"answer": ask})]
