"""Changes wait for the page, and keep their order."""

import contextlib
import threading

import panel as pn
import param
import pytest

from workbench.views.parts.outbox import Outbox


class Pane(param.Parameterized):
    value = param.Integer(0)


class Document:
    """A session's document: keeps what it is to call next, until the session ends."""

    def __init__(self):
        self.session_context = object()
        self.callbacks = []

    def hold(self, policy=None): ...

    def unhold(self): ...

    def add_next_tick_callback(self, callback):
        self.callbacks.append(callback)

    def tick(self):
        for callback in self.callbacks:
            callback()
        self.callbacks.clear()


class Loop:
    """An event loop that runs what it is given when it turns."""

    def __init__(self):
        self.todo = []

    def call_soon_threadsafe(self, function, *arguments):
        self.todo.append((function, arguments))

    def turn(self):
        for function, arguments in self.todo:
            function(*arguments)
        self.todo.clear()


@pytest.fixture
def served(monkeypatch):
    """An outbox of a session whose loop and document are turned by hand."""
    monkeypatch.setattr(pn.io, "hold", lambda document: contextlib.nullcontext())
    outbox = Outbox()
    outbox._loop, outbox._document = Loop(), Document()
    return outbox


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def test_without_a_session_changes_are_made_at_once():
    outbox, pane, seen = Outbox(), Pane(), []
    pane.param.watch(lambda event: seen.append(event.new), "value")
    outbox.set([(pane, {"value": 3})], then=lambda: seen.append("then"))
    outbox.set([(pane, {"value": 3})])
    pane.value = 4
    assert seen == [3, "then", 4]


def test_changes_from_the_pool_wait_until_the_page_is_ready(served):
    pane, order = Pane(), []
    loop, document = served._loop, served._document
    pane.param.watch(lambda event: order.append(event.new), "value")
    served.set([(pane, {"value": 1})])
    assert order == [1], "the page is being built, in its own thread"
    in_thread(served.set, [(pane, {"value": 2})])
    in_thread(served.set, [(pane, {"value": 3})])
    assert order == [1] and not loop.todo
    served._open()
    in_thread(served.set, [(pane, {"value": 4})])
    assert order == [1] and len(loop.todo) == 3, "only the session's own loop touches the document"
    loop.turn()
    assert order == [1] and len(document.callbacks) == 3
    document.tick()
    assert order == [1, 2, 3, 4]


def test_once_the_session_has_ended_nothing_is_set(served):
    pane = Pane()
    served._open()
    served.set([(pane, {"value": 2})])
    served._document.session_context = None
    served._loop.turn()
    served._document.tick()
    assert pane.value == 0


def test_a_change_that_fails_is_reported_and_the_next_one_is_made(served, caplog):
    """What a document calls is not covered by Panel's own error handler."""
    pane = Pane()
    served._open()
    served.set([(pane, {"value": "no number"})])
    served.set([(pane, {"value": 5})])
    served._loop.turn()
    served._document.tick()
    assert "error in a callback" in caplog.text and "must be an integer" in caplog.text
    assert pane.value == 5
