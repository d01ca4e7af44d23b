"""A server of the dashboards in this process."""

from __future__ import annotations

import asyncio
import re
import socket
import threading

from waiting import LIMIT

from workbench.views.site import server


class Served:
    """The server, on a thread with its own event loop."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        assert self._ready.wait(LIMIT)

    async def _run(self) -> None:
        self.loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        found, self.port = server.listen(0, "127.0.0.1")
        self.address = f"127.0.0.1:{self.port}"
        self._ready.set()
        await self._stopped.wait()
        found.stop()
        await found.close_all_connections()

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self.thread.join(LIMIT)

    def send(self, path: str, *headers: str, version: str = "1.1") -> tuple[int, str]:
        """Send a request as it is given; without a Host header unless one is given."""
        return self._sent(path, *headers, version=version)[:2]

    def _sent(self, path: str, *headers: str, version: str = "1.1") -> tuple[int, str, str]:
        lines = [f"GET {path} HTTP/{version}", *headers, "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as client:
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


def _whole(answer: bytes) -> bool:
    """Whether an answer has arrived; a connection that asked for a websocket is not closed."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])
