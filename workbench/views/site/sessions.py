"""A session's end: what it leaves behind is removed, so that its memory is freed.

A session is a browser tab, or an HTML page that was sent and never opened its websocket. Once it
has ended, nothing that lives as long as the process may refer to it. Objects that did, and the
function that releases each (Panel 1.9.4, param 2.4.2, Bokeh 3.9.2):

- ``panel.state._views`` holds every root with its document. Panel removes all of them but that of
  the notifications, which it adds to the page without a callback for the session's end: `forget`.
- Panel's clean-up of its list of busy events is a task that the process starts once, in the context
  of the session with the first such event, and so with its document: `start_cleanup`.

Until then, each of them holds the page, its panes, its document and the model's tensors.
"""

from __future__ import annotations

import weakref
from contextvars import Context
from typing import Any, Final

import panel as pn

LIFETIME: Final[dict[str, Any]] = {
    "unused_session_lifetime_milliseconds": 30_000,
    "check_unused_sessions_milliseconds": 1_000,
}
"""How long the server keeps a session without a websocket; a busy browser takes some seconds.

One that comes later makes another session, whose page asks Panel's CDN for its style sheets."""
UNUSED: Final = 8
"""Most sessions without a websocket that are kept; any program can ask for more pages."""

_contexts: list[weakref.ref[Any]] = []  # of the sessions, the oldest first


def begin() -> None:
    """While a page is being built, prepare the current session for its end."""
    document = pn.state.curdoc
    if document is not None and document.session_context is not None:
        document.on_session_destroyed(forget)
        _contexts.append(weakref.ref(document.session_context))
        drop_unused()
        start_cleanup()


def forget(context: Any) -> None:
    """Remove what ``panel.state._views`` still holds of a session that has ended."""
    views = pn.state._views
    for key, (_, _, document, _) in list(views.items()):
        if document is context._document:
            views.pop(key, None)


def start_cleanup() -> None:
    """Start Panel's clean-up of busy events outside of any session's context."""
    Context().run(pn.state._schedule_busy_cleanup)


def drop_unused() -> None:
    """Let the server discard all but the newest sessions that have no websocket."""
    sessions = []
    for reference in list(_contexts):
        context = reference()
        if context is None or context.destroyed and context.session is not None:
            _contexts.remove(reference)
        elif context.session is not None and context.session.connection_count == 0:
            sessions.append(context.session)
    for session in sessions[: 1 - UNUSED]:  # the page being built will be one more
        session.request_expiration()
