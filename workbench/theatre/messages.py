"""Messages between a theatre's module and its host, where that is a Python process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from workbench.progress import Cancelled, paced
from workbench.theatre.asks import Asks, TraceAsks

Send = Callable[[dict[str, Any], list[bytes]], None]
"""Takes a message and its bytes."""


class Messages:
    """Answers one theatre's asks, one after the other, in a thread; those given up are dropped."""

    def __init__(self, asks: Asks | TraceAsks, send: Send) -> None:
        self.asks, self.send = asks, send
        self.open: dict[Any, threading.Event] = {}
        # one thread: the host stays free to hear that an ask is given up
        self.worker = ThreadPoolExecutor(1, "theatre")

    def hear(self, content: dict[str, Any]) -> None:
        """Take a message of the module."""
        number = content.get("id")
        if content.get("kind") == "cancel" and number in self.open:
            self.open[number].set()
        if content.get("kind") == "ask":
            self.open[number] = given_up = threading.Event()
            self.worker.submit(self._answer, number, content.get("ask") or {}, given_up)

    def _answer(self, number: Any, ask: dict[str, Any], given_up: threading.Event) -> None:
        about = {"kind": "progress", "id": number}
        progress = paced(lambda said: self.send(about | said, []), given_up.is_set)
        message = {"kind": "answer", "id": number}
        try:
            if given_up.is_set():
                return
            answer = self.asks.answer(ask, progress)
        except Cancelled:
            return
        except Exception as error:  # nothing else would say so
            self.send(message | {"problem": f"{type(error).__name__}: {error} (a bug)"}, [])
            raise
        finally:
            del self.open[number]
        if answer.problem:
            self.send(message | {"problem": answer.problem, "field": answer.field}, [])
        elif answer.result is not None:
            self.send(message | {"result": answer.result}, [])
        else:
            self.send(message, [answer.data])
