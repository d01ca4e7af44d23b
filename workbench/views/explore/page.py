"""The page Explore: the theatre's place in a plain page, its first scene, and its asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from workbench.progress import Report
from workbench.theatre.files import MODULE, WEB
from workbench.views.site.answering import Answering, frame, in_thread
from workbench.views.site.assets import asset, plotly
from workbench.views.site.entry import Document, Visit
from workbench.views.site.plain import PlainHandler
from workbench.views.site.services import services

NAMES: Final = ("model", "checkpoint", "seed", "example", "input", "queries", "N")
"""Names in the address that say which sleep is shown; the others say where in it the reader is."""
WHOLE: Final = ("seed", "example", "N")
"""Those that are whole numbers."""
BODY: Final = """
<ul class="failure" id="problems" role="alert" hidden></ul>
<div id="theatre" class="waiting"><div class="page">
<p class="lead">One sleep of a model on one screen: the text, what the KV cache forgets, the memory
S and the answers, pass by pass.</p>
<p class="note">The sleep is on its way.</p>
<noscript><p class="failure">The theatre needs JavaScript.</p></noscript>
</div></div>
"""


def document(visit: Visit) -> Document | None:
    """Return the page; what it shows comes later."""
    from workbench.theatre.asks import catalogue_of

    if visit.rest:
        return None
    named = {name: visit.query[name] for name in NAMES if visit.query.get(name)}
    first = f"explore/first?{urlencode(named)}"
    shared = services()
    data = {
        "module": visit.address(asset(MODULE)),
        "ask": visit.address("explore/ask"),
        "first": visit.address(first),
        "catalogue": catalogue_of(shared.folders(), shared.traces),
        "settings": {"plotly": visit.address(plotly())},
    }
    return Document("Explore", BODY, (asset(MODULE), asset(WEB)), data=data, fetches=(first,))


def routes() -> list[tuple[Any, ...]]:
    """Return where the first scene is, and where asks go."""
    return [
        (r"/explore/first", First),
        (r"/explore/ask", Answering, {"answer": answer}),
    ]


def answer(ask: dict[str, Any], progress: Report) -> Any:
    """Answer an ask."""
    return services().asks.answer(ask, progress)


class First(PlainHandler):
    """Sends the scene that an address names, with what is wrong in the address."""

    async def get(self) -> None:
        """Send frames: the problems and the input that is shown, then the scene."""
        query = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        self.send(await in_thread(first, query), "application/octet-stream")


def first(address: Mapping[str, str]) -> bytes:
    """Return the frames of the scene that an address names.

    What is wrong in the address is left out, and reported in a line each.
    """
    shared = services()
    names = shared.names()
    if not names:
        none = "no model to explore; train one with `workbench train`, or set WORKBENCH_DATA"
        return frame("r", {"problem": none, "field": "model"})
    wanted, problems = ask_of(address, names[0])
    plain = {"what": "scene", "name": names[0]}
    for _ in range(len(wanted) + 1):
        found = shared.asks.answer(wanted)
        if not found.problem:
            own = {name: wanted[name] for name in ("input", "queries") if wanted.get(name)}
            said = {"problems": problems, "own": own, "ask": wanted}
            return frame("j", said) + frame("b", found.data)
        if wanted == plain:
            break
        problems.append(f"{found.problem}. It is left out.")
        wanted = without(wanted, found.field, plain)
    return frame("r", {"problem": found.problem, "field": found.field})


def without(ask: dict[str, Any], field: str, plain: dict[str, Any]) -> dict[str, Any]:
    """Return an ask without the field that is wrong; `plain`, where it is not known which is."""
    gone = {"input": ("input", "queries"), "model": ("name",)}.get(field, (field,))
    rest = {name: value for name, value in ask.items() if name not in gone}
    return plain | rest if len(rest) < len(ask) else plain


def ask_of(address: Mapping[str, str], usual: str) -> tuple[dict[str, Any], list[str]]:
    """Return the ask that an address means, and a line for each value that is no number."""
    problems = []
    named = address.get("model") or address.get("checkpoint") or usual
    ask: dict[str, Any] = {"what": "scene", "name": named}
    ask |= {name: address[name] for name in ("input", "queries") if address.get(name)}
    for name in WHOLE:
        text = address.get(name, "")
        if text.isdecimal() and len(text) < 12:
            ask[name] = int(text)
        elif text and not (name in ("seed", "example") and "input" in ask):
            problems.append(f"{name} = {text[:40]} is not a whole number. It is left out.")
    return ask, problems
