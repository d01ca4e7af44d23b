"""The page Explore: hands the theatre its first scene, answers its asks, keeps the address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param
from panel.custom import JSComponent

from workbench.errors import WorkbenchError
from workbench.theatre.asks import Asks, catalogue_of
from workbench.theatre.files import MODULE, module_text
from workbench.views.parts.notices import show_error, warn
from workbench.views.parts.outbox import Outbox
from workbench.views.parts.serial_queue import SerialQueue
from workbench.views.site.assets import served
from workbench.views.site.services import services

WHOLE: Final = ("seed", "example", "N")
"""Names in the address that are whole numbers of an ask."""


class Theatre(JSComponent):
    """The theatre in a page; see ``explore.js``."""

    scene = param.Bytes(b"", doc="One container or more.")
    catalogue = param.List([], doc="The models to choose from.")
    live = param.Boolean(True, doc="Whether asks are answered.")
    settings = param.Dict({}, doc="Theme and height.")
    place = param.Dict({}, doc="Where the reader is, as in the address.")
    module = param.String("", doc="Address of the front end's module; empty: it is `source`.")
    source = param.String("", doc="Its text, where this server has no address for it.")

    _esm = Path(__file__).with_name("explore.js")

    def __init__(self, on_ask: Any, **values: Any) -> None:
        super().__init__(sizing_mode="stretch_width", margin=0, **values)
        self._on_ask = on_ask

    def _handle_msg(self, data: dict[str, Any]) -> None:
        self._on_ask(data)


class Explore(pn.viewable.Viewer):
    """One session's theatre. `asks` are shared by all sessions of the process."""

    def __init__(
        self, address: Mapping[str, str], *, dark: bool = False, shared: Any = None
    ) -> None:
        super().__init__()
        self.services = shared or services()
        self.asks = self.services.asks if shared is None else Asks(self.services.checkpoint)
        self.location: Any = None
        self.own: dict[str, str] = {}  # the input that is shown, where it was typed
        self.problems: list[str] = []
        self._outbox, self._queue = Outbox(), SerialQueue(show_error)
        ask = self._first(address)
        module = served(MODULE)
        self.theatre = Theatre(
            self._asked,
            scene=self._scene(ask),
            catalogue=catalogue_of(self.services.folders(), getattr(self.services, "traces", None)),
            settings={"theme": "dark" if dark else "light"},
            place=dict(address),
            module=module,
            source="" if module else module_text(),
        )
        self.theatre.param.watch(lambda event: self._moved(event.new), "place")

    @classmethod
    def in_page(cls, page: Any) -> Self:
        """Return a view that follows the page's address and theme."""
        location = pn.state.location
        address = dict(parse_qsl(location.search.lstrip("?"))) if location else {}
        view = cls(address, dark=page.dark_theme)
        view.location = location
        page.param.watch(lambda event: view.paint(event.new), "dark_theme")
        if view.problems:
            pn.state.onload(partial(warn, ". ".join(view.problems) + "."))
        return view

    def __panel__(self) -> Any:
        return self.theatre

    def paint(self, dark: bool) -> None:
        """Draw for a dark or a light page."""
        settings = self.theatre.settings | {"theme": "dark" if dark else "light"}
        self._outbox.set([(self.theatre, {"settings": settings})])

    def _first(self, address: Mapping[str, str]) -> dict[str, Any]:
        """Return the ask that an address means; what is not a number is left out and reported."""
        names = self.services.names()
        if not names:
            raise WorkbenchError(
                "no model to explore",
                "at least one folder in data/checkpoints",
                "train one with `workbench train`, or set WORKBENCH_DATA",
            )
        named = address.get("model") or address.get("checkpoint") or names[0]
        ask: dict[str, Any] = {"what": "scene", "name": named}
        ask |= {name: address[name] for name in ("input", "queries") if address.get(name)}
        for name in WHOLE:
            text = address.get(name, "")
            if text.isdecimal() and len(text) < 12:
                ask[name] = int(text)
            elif text and not (name in ("seed", "example") and "input" in ask):
                self.problems.append(f"{name} = {text[:40]} in the address is left out")
        return ask

    def _scene(self, ask: dict[str, Any]) -> bytes:
        """Return the first scene; what is wrong in the address is reported and left out."""
        plain = {"what": "scene", "name": self.services.names()[0]}
        wanted = dict(ask)
        for _ in range(len(ask) + 1):
            answer = self.asks.answer(wanted)
            if not answer.problem:
                self.own = own_of(wanted)
                return answer.data
            self.problems.append(f"{answer.problem}. It is left out")
            if wanted == plain:
                break
            gone = {"input": ("input", "queries")}.get(answer.field, (answer.field,))
            rest = {name: value for name, value in wanted.items() if name not in gone}
            wanted = plain if len(rest) == len(wanted) else rest
        raise WorkbenchError(answer.problem, "a model that can be shown", "see the message")

    def _asked(self, message: Any) -> None:
        """Answer in turn; of several asks of one kind (and scene) that wait, the newest alone."""
        if isinstance(message, dict) and message.get("kind") == "cancel":
            return  # a newer ask of its kind follows, and takes its place in the queue
        ask = message.get("ask") if isinstance(message, dict) else None
        kind = [ask.get("what"), ask.get("digest")] if isinstance(ask, dict) else []
        self._queue.take(partial(self._answer, message, ask), key=f"ask {kind!r:.120}")

    def _answer(self, message: dict[str, Any], ask: Any) -> None:
        answer = self.asks.answer(ask)
        reply: dict[str, Any] = {"kind": "answer", "id": message.get("id")}
        if answer.problem:
            reply |= {"problem": answer.problem, "field": answer.field}
        elif answer.result is not None:
            reply["result"] = answer.result
        else:
            reply["buffers"] = [answer.data]
            self.own = own_of(ask) if ask["what"] == "scene" else self.own
        self._outbox.set([], then=partial(self.theatre._send_msg, reply))

    def _moved(self, place: Mapping[str, Any]) -> None:
        """Keep the place in the address."""
        if self.location is None or self._outbox.applying:
            return
        known = {n: str(v) for n, v in place.items() if v not in ("", None)}
        if self.own:
            known = {n: v for n, v in known.items() if n not in ("seed", "example")} | self.own
        self._outbox.set([(self.location, {"search": f"?{urlencode(known)}"})])


def own_of(ask: Mapping[str, Any]) -> dict[str, str]:
    """Return the names and texts of an ask's own input."""
    return {name: ask[name] for name in ("input", "queries") if ask.get(name)}
