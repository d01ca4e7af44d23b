"""Tasks of one session: in order, one at a time, and without threads that wait."""

import threading

import pytest

from workbench.views.parts.serial_queue import SerialQueue


def test_tasks_are_done_in_order():
    turns, done = SerialQueue(None), []
    turns.take(lambda: (done.append(1), turns.take(lambda: done.append(2)), done.append(3)))
    assert done == [1, 3, 2], "a task taken meanwhile comes next, not in between"


def test_nobody_waits_and_nothing_is_lost():
    """The other threads go at once: one session cannot hold all threads of the server."""
    turns, done, started, go = SerialQueue(None), [], threading.Event(), threading.Event()

    def slow():
        started.set()
        assert go.wait(10)
        done.append("slow")

    first = threading.Thread(target=turns.take, args=(slow,))
    first.start()
    assert started.wait(10)
    for value in range(100):  # a slider that is dragged: these calls return although slow works
        turns.take(lambda value=value: done.append(value), key="passes")
    turns.take(lambda: done.append("step"))
    assert done == []
    go.set()
    first.join()
    assert done == ["slow", 99, "step"], "of one key's values the last one counts"


def test_errors_are_raised_or_reported():
    reported, done = [], []
    turns = SerialQueue(reported.append)

    def outer():
        turns.take(inner)
        raise KeyError("outer")

    def inner():
        turns.take(lambda: done.append("still done"))
        raise ValueError("inner")

    with pytest.raises(KeyError, match="outer"):
        turns.take(outer)
    assert [str(error) for error in reported] == ["inner"] and done == ["still done"]
    turns.take(lambda: done.append("free again"))
    assert done[-1] == "free again"


def test_an_interrupt_frees_the_turn():
    turns, done = SerialQueue(None), []

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        turns.take(interrupted)
    turns.take(lambda: done.append(1))
    assert done == [1]


def test_many_threads():
    turns, count = SerialQueue(None), [0]

    def add():
        count[0] += 1

    def work():
        for _ in range(200):
            turns.take(lambda: add())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == [800]
