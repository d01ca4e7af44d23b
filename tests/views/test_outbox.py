"""Changes wait for the page, keep their order, and say who made them."""

import threading

import param

from workbench.views.outbox import Outbox


class Pane(param.Parameterized):
    value = param.Integer(0)


class Loop:
    """Runs what it is given at once, and notes it."""

    def __init__(self):
        self.calls = 0

    def call_soon_threadsafe(self, function, todo):
        self.calls += 1
        todo()


def in_thread(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def test_without_a_session_changes_are_made_at_once():
    outbox, pane, seen = Outbox(), Pane(), []
    pane.param.watch(lambda event: seen.append((event.new, outbox.applying)), "value")
    outbox.set([(pane, {"value": 3})], then=lambda: seen.append("then"))
    outbox.set([(pane, {"value": 3})])
    pane.value = 4
    assert seen == [(3, True), "then", (4, False)]


def test_changes_from_the_pool_wait_until_the_page_is_ready():
    outbox, pane, order = Outbox(), Pane(), []
    outbox._loop = loop = Loop()
    pane.param.watch(lambda event: order.append(event.new), "value")
    outbox.set([(pane, {"value": 1})])
    assert order == [1], "the page is being built, in its own thread"
    in_thread(outbox.set, [(pane, {"value": 2})])
    in_thread(outbox.set, [(pane, {"value": 3})])
    assert order == [1] and loop.calls == 0
    outbox._open()
    in_thread(outbox.set, [(pane, {"value": 4})])
    assert order == [1, 2, 3, 4] and loop.calls == 3
