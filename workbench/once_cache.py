"""A cache that makes each value once, however many threads ask."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made = False
        self.value: Any = None


class OnceCache:
    """The last `room` values asked for, by key; the one not asked for the longest goes first."""

    def __init__(self, room: int) -> None:
        self.room = room
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def __len__(self) -> int:
        """Return how many are kept, or are being made."""
        return len(self._slots)

    def known(self, key: Hashable) -> Any:
        """Return the value of a key if it has been made, else None; it counts as asked for."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None or not slot.made:
                return None
            self._slots[key] = self._slots.pop(key)  # the newest is last
            return slot.value

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made by the first thread that asks; the others wait for it.

        If `make` raises, the thread that called it gets the error, and the next one tries again.
        """
        with self._lock:
            slot = self._slots.pop(key, None) or _Slot()
            self._slots[key] = slot  # the newest is last
            while len(self._slots) > self.room:
                self._slots.pop(next(iter(self._slots)))
        with slot.lock:  # one for each key, so that other values can be made meanwhile
            if not slot.made:
                # in an empty context: an event loop started by `make` would keep this one, and so
                # the document of the session that asked first
                slot.value, slot.made = Context().run(make), True
            value: T = slot.value
            return value
