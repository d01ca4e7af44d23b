"""What was worked out is kept: made once, whoever asks, and the oldest goes first."""

import threading
from contextvars import ContextVar

import pytest

from workbench.once_cache import OnceCache


def test_a_value_is_made_once_however_many_threads_ask():
    kept, made, barrier = OnceCache(4), [], threading.Barrier(6)

    def make():
        made.append(1)
        return object()

    found = []

    def ask():
        barrier.wait()
        found.append(kept.get("a", make))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1] and len(set(map(id, found))) == 1


def test_the_one_that_nobody_asked_for_the_longest_goes():
    kept, made = OnceCache(2), []

    def ask(key):
        return kept.get(key, lambda: made.append(key) or key)

    for key in ("a", "b", "a", "c", "a", "b"):
        assert ask(key) == key
    assert made == ["a", "b", "c", "b"] and len(kept) == 2


def test_what_failed_is_tried_again():
    kept = OnceCache(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 / 0)
    assert kept.get("a", lambda: None) is None
    assert kept.get("a", lambda: 1 / 0) is None, "None is a value like any other"


def test_one_value_may_need_another():
    kept = OnceCache(2)
    assert kept.get("a", lambda: kept.get("b", lambda: 1) + 1) == 2


def test_known_values_are_returned_without_making_them_and_count_as_asked_for():
    kept = OnceCache(2)
    assert kept.known("a") is None and len(kept) == 0
    kept.get("a", lambda: 1)
    kept.get("b", lambda: 2)
    assert kept.known("a") == 1
    kept.get("c", lambda: 3)
    assert kept.known("b") is None and kept.known("a") == 1
    with pytest.raises(ZeroDivisionError):
        kept.get("d", lambda: 1 / 0)
    assert kept.known("d") is None


def test_what_is_kept_is_made_outside_the_session_that_asks():
    """An event loop or task started there would keep the context, and with it the document."""
    document = ContextVar("document", default=None)
    document.set("a session's")
    assert OnceCache(1).get("key", document.get) is None and document.get() == "a session's"
