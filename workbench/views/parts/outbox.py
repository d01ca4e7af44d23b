"""Changes to a session's objects, made by the one thread that may change its document.

Panel runs callbacks in a pool of threads and lets them set parameters, but now and then such a
change is lost: while the session's own thread holds the document, and before the page has reported
that it is ready. So callbacks here compute in the pool and hand over what is to be set.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn

from workbench.views.parts.notices import show_error

Changes = list[tuple[Any, dict[str, Any]]]
"""Objects and the parameters to be set on them."""


class Outbox:
    """Made while a session's page is being built, in that session's thread.

    Outside a session, and while the page is being built, changes are made at once.
    """

    def __init__(self) -> None:
        document = pn.state.curdoc
        served = document is not None and document.session_context is not None
        self._document = document if served else None
        self._loop = asyncio.get_running_loop() if served else None
        self._home = threading.get_ident()
        self._lock = threading.Lock()
        self._ready = False
        self._waiting: list[Callable[[], None]] = []
        if served:
            pn.state.onload(self._open)

    def set(self, changes: Changes, *, then: Callable[[], None] | None = None) -> None:
        """Set the parameters that differ, in one message, then call `then`; calls keep order."""
        todo = partial(self._apply, changes, then)
        with self._lock:
            building = not self._ready and threading.get_ident() == self._home
            at_once = self._loop is None or building
            if not at_once and self._ready:
                self._post(todo)
            elif not at_once:
                self._waiting.append(todo)
        if at_once:
            todo()

    def _open(self) -> None:
        """Send what came before the page was ready."""
        with self._lock:
            self._ready = True
            for todo in self._waiting:
                self._post(todo)
            self._waiting.clear()

    def _post(self, todo: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._next_tick, todo)

    def _next_tick(self, todo: Callable[[], None]) -> None:
        # once the session has ended, nobody is looking
        if self._document is not None and self._document.session_context is not None:
            self._document.add_next_tick_callback(partial(_reported, todo))

    def _apply(self, changes: Changes, then: Callable[[], None] | None) -> None:
        with pn.io.hold(self._document):
            for target, values in changes:
                different = {n: v for n, v in values.items() if getattr(target, n) != v}
                target.param.update(**different)
            if then is not None:
                then()


def _reported(todo: Callable[[], None]) -> None:
    """Do it, and show an error: Panel's handler never sees those of the document's callbacks."""
    try:
        todo()
    except Exception as error:
        show_error(error)
