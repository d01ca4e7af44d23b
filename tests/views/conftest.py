"""Views are tested without a browser: construct, set params, look at the panes."""

import contextlib
from collections.abc import Iterator

import pytest
from untrained import untrained_checkpoints


@pytest.fixture(autouse=True)
def fresh_panel() -> Iterator[None]:
    """Reset Panel's process-wide state: left-over threads and caches hang pytest at its exit."""
    yield
    from panel.io.state import state

    state.reset()


@pytest.fixture(scope="session")
def checkpoints():
    return untrained_checkpoints()


class Shelf:
    """Services that know these checkpoints only, and one that is damaged; it starts nothing."""

    runs = None

    def __init__(self, checkpoints):
        self.checkpoints = checkpoints

    def names(self):
        return [*self.checkpoints, "damaged"]

    def folders(self):
        return {}

    def checkpoint(self, name):
        from workbench.errors import WorkbenchError

        if name not in self.checkpoints:
            raise WorkbenchError(f"{name} is damaged", "a checkpoint", "train it again")
        return self.checkpoints[name]


@pytest.fixture(scope="session")
def shelf_of():
    """Return what makes services that know some checkpoints, by name, and no others."""
    return Shelf


@pytest.fixture
def shared(checkpoints):
    return Shelf(checkpoints)


@pytest.fixture(scope="module")
def shelf(checkpoints):
    """The same for every test of a file."""
    return Shelf(checkpoints)


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
def in_session(monkeypatch):
    """Put an outbox into a session whose loop and document are turned by hand."""
    import panel as pn

    monkeypatch.setattr(pn.io, "hold", lambda document: contextlib.nullcontext())

    def put(outbox):
        outbox._loop, outbox._document = Loop(), Document()
        return outbox

    return put
