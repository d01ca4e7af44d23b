"""A server of the dashboards in this process, and what its sessions leave in memory."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import panel as pn
from waiting import LIMIT, until

from workbench.views.site import server


class Served:
    """The server, on a thread with its own event loop."""

    def __init__(self) -> None:
        self.server = server.listen(0, "127.0.0.1")
        self.address = f"127.0.0.1:{self.server.port}"
        self.loop = self.server.io_loop
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop.asyncio_loop)
        self.server.start()
        self.loop.start()

    def stop(self) -> None:
        """End it."""
        self.call(self._stop())
        self.loop.add_callback(self.loop.stop)
        self.thread.join(LIMIT)

    async def _stop(self) -> None:
        self.server.stop()

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop.asyncio_loop).result(LIMIT)

    def send(self, path: str, *headers: str, version: str = "1.1") -> tuple[int, str]:
        """Send a request as it is given; without a Host header unless one is given."""
        return self._sent(path, *headers, version=version)[:2]

    def _sent(self, path: str, *headers: str, version: str = "1.1") -> tuple[int, str, str]:
        lines = [f"GET {path} HTTP/{version}", *headers, "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=LIMIT) as client:
            client.sendall("\r\n".join(lines).encode("latin-1"))
            answer = b""
            while not _whole(answer) and (part := client.recv(65536)):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode("utf-8", "replace"), f"{head.decode()}\r\n"

    def get(self, path: str, *headers: str) -> tuple[int, str]:
        """Return status and text of a page, asked for under the server's address."""
        return self.send(path, f"Host: {self.address}", *headers)

    def answer(self, path: str, *headers: str) -> tuple[int, str, str]:
        """Return status, text and head of an answer."""
        return self._sent(path, f"Host: {self.address}", *headers)

    @contextmanager
    def session(self, path: str) -> Iterator[Any]:
        """Open a page as a browser does, with its websocket, until it has been loaded."""
        from bokeh.client import pull_session
        from bokeh.document.events import MessageSentEvent
        from bokeh.events import DocumentReady
        from tornado.ioloop import IOLoop

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        given = {"url": f"http://{self.address}{path}", "io_loop": IOLoop.current()}
        pulled = pull_session(**given)
        try:
            event = MessageSentEvent(pulled.document, "bokeh_event", DocumentReady())
            pulled.document.callbacks.trigger_on_change(event)
            pulled.force_roundtrip()
            loaded = pn.state._loaded
            until(
                lambda: all(loaded.get(s.document) for s in self.sessions() if s.connection_count)
            )
            yield pulled
        finally:
            pulled.close()
            loop.close()
            asyncio.set_event_loop(None)

    def sessions(self) -> list[Any]:
        """Return the sessions of all pages."""
        contexts = self.server._tornado.applications.values()
        return [session for context in contexts for session in context.sessions]

    def expire(self) -> None:
        """End all sessions without a websocket, as the server does every now and then."""
        until(lambda: not any(session.connection_count for session in self.sessions()))
        self.call(self._expire())
        until(lambda: not self.sessions())

    async def _expire(self) -> None:
        for context in self.server._tornado.applications.values():
            for session in context.sessions:
                if not session.expiration_requested:
                    session.request_expiration()
            await context._cleanup_sessions(0)


def _whole(answer: bytes) -> bool:
    """Whether an answer has arrived; a connection that asked for a websocket is not closed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def alive() -> Counter[str]:
    """Count what a session is made of, in the whole process."""
    import torch
    from bokeh.document import Document
    from bokeh.model import Model

    gc.collect()
    kinds = {"documents": Document, "models": Model, "views": pn.viewable.Viewable,
             "viewers": pn.viewable.Viewer, "tensors": torch.Tensor}  # fmt: skip
    found: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some modules warn when they are asked for their class
        for made, number in Counter(map(type, gc.get_objects())).items():
            if name := next((name for name, kind in kinds.items() if issubclass(made, kind)), None):
                found[name] += number
    found["registered"] = len(pn.state._views)
    found["watchers"] = len(pn.state.param.watchers.get("busy", {}).get("value", []))
    return found
