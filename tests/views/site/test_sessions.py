"""Sessions that have ended leave nothing behind, and few without a websocket are kept."""

from __future__ import annotations

import gc
import weakref
from contextvars import ContextVar

import pytest
from served import Served, alive
from waiting import until

from workbench.once_cache import OnceCache
from workbench.views.parts import theatre
from workbench.views.site import entry, pages, sessions

pytestmark = pytest.mark.process

PAGE = entry.PageEntry("panel", "Panel", 9, view=theatre.page)
"""A page of Panel's, as other packages may bring it."""


@pytest.fixture
def served(monkeypatch):
    listed = (*entry.pages(), PAGE)
    monkeypatch.setattr(entry, "pages", lambda: listed)
    server = Served()
    yield server
    server.stop()


def test_nothing_is_left_of_sessions_that_have_ended(served):
    path = PAGE.path

    def use(unopened):
        """Open the page once, and ask for it so many times more; return once all are gone."""
        for _ in range(unopened):
            assert served.get(path)[0] == 200
        with served.session(path) as opened:
            assert "This page cannot be shown" not in str(opened.document.to_json())
            documents = [weakref.ref(session.document) for session in served.sessions()]
        assert len(documents) == unopened + 1
        served.expire()
        until(lambda: gc.collect() >= 0 and not any(d() for d in documents), every=0.3)
        return alive()

    before = use(0)  # has what is made once and kept: modules, models, traces
    after = use(1)
    # no growth with their number: one session of any page has more than 20 of these
    assert (after - before).total() < 20, after - before
    assert after["registered"] == before["registered"], "in panel.state._views"


def test_pages_that_no_browser_opens_are_bounded(served, monkeypatch):
    monkeypatch.setattr(sessions, "UNUSED", 3)
    for _ in range(sessions.UNUSED + 4):
        assert served.get(PAGE.path)[0] == 200
    until(lambda: len(served.sessions()) <= sessions.UNUSED)
    assert len(served.sessions()) == sessions.UNUSED, "the newest are kept, as they have time left"


def test_what_is_kept_is_made_outside_the_session_that_asks():
    """An event loop or task started there would keep the context, and with it the document."""
    document = ContextVar("document", default=None)
    document.set("a session's")
    assert OnceCache(1).get("key", document.get) is None and document.get() == "a session's"


def test_outside_a_session_nothing_waits_for_its_end():
    before = list(sessions._contexts)
    pages.build(PAGE)
    assert sessions._contexts == before
