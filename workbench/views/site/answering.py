"""Requests for work: JSON in, frames out, worked out by a few threads. Knows no Panel.

The answer is a stream of frames, so that a page hears how far a long one is. A frame is a uint32
(little-endian) with the length of its content, a byte for its kind, and the content:

- ``p``: JSON, how far the work is: {done, total, unit, rate, seconds_left}
- ``b``: a container of `workbench.theatre.container`
- ``j``: JSON, a result
- ``r``: JSON, the last frame: {}, or {problem, field} if something is wrong
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from workbench.errors import WorkbenchError
from workbench.files import parse_json
from workbench.progress import Cancelled, Report, paced
from workbench.views.site.plain import PlainHandler, takes_gzip

if TYPE_CHECKING:
    from workbench.theatre.asks import Answer

logger = logging.getLogger(__name__)

THREADS: Final = 4
"""Threads that work for all visitors."""
MOST: Final = 32
"""Asks that are worked on or wait, at most; more are refused."""
LARGEST: Final = 256 * 2**10
"""Bytes of the largest ask."""
BUSY: Final = "the server is busy with other questions; ask again in a moment"

T = TypeVar("T")
Work = Callable[[dict[str, Any], Report], "Answer | Mapping[str, Any]"]

WORKERS: Final = ThreadPoolExecutor(THREADS, "answer")
_waiting = threading.BoundedSemaphore(MOST)


@stream_request_body
class Answering(PlainHandler):
    """Answers asks with `answer`, which is given an ask and something to report progress to.

    `answer` runs in a thread. A visitor who has gone is not worked for: a waiting ask is dropped,
    and one at work ends with its next report.
    """

    def initialize(self, answer: Work) -> None:
        """Take what answers."""
        self.answer = answer
        self.body = bytearray()
        self.gone = threading.Event()

    def prepare(self) -> None:
        """Refuse what is not JSON, which other sites could send, and what is too large."""
        if self.request.method != "POST":
            raise HTTPError(405)
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise HTTPError(415, "expected Content-Type: application/json")
        length = self.request.headers.get("Content-Length", "")
        # int() refuses thousands of digits
        if not length.isdecimal() or len(length) > 9 or int(length) > LARGEST:
            raise HTTPError(413, f"expected at most {LARGEST} bytes of JSON")

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the ask."""
        self.body += chunk

    def on_connection_close(self) -> None:
        """Note that nobody waits any more."""
        self.gone.set()

    async def post(self) -> None:
        """Answer."""
        try:
            ask = parse_json(bytes(self.body), what="the ask")
        except WorkbenchError as error:
            raise HTTPError(400, str(error).replace("%", "%%")) from None
        if not isinstance(ask, dict):
            raise HTTPError(400, "the ask is not a JSON object")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self._pack = zlib.compressobj(5, wbits=31) if takes_gzip(self.request) else None
        if self._pack:
            self.set_header("Content-Encoding", "gzip")
        if not _waiting.acquire(blocking=False):
            await self._send([frame("r", {"problem": BUSY, "field": ""})], last=True)
            return
        frames: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
        work = _Work(self.answer, ask, self.gone, asyncio.get_running_loop(), frames)
        # in an empty context, as values are kept that would hold a session's document otherwise
        future = WORKERS.submit(Context().run, work.run)
        future.add_done_callback(lambda done: _waiting.release())
        while (found := await frames.get()) is not None:
            await self._send(found)
        await self._send([], last=True)

    async def _send(self, frames: list[bytes], *, last: bool = False) -> None:
        if self.gone.is_set():
            return
        data = b"".join(frames)
        if self._pack:
            data = self._pack.compress(data) + self._pack.flush(
                zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH
            )
        try:
            self.write(data)
            await self.flush()
        except StreamClosedError:
            self.gone.set()


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    """Return what `work` returns, worked out by the same threads; refused where too much waits."""
    if not _waiting.acquire(blocking=False):
        raise HTTPError(503, BUSY)
    future = WORKERS.submit(Context().run, work, *given)
    future.add_done_callback(lambda done: _waiting.release())
    return await asyncio.wrap_future(future)


class _Work:
    """One ask at work, in a thread; its frames go to the event loop."""

    def __init__(
        self,
        answer: Work,
        ask: dict[str, Any],
        gone: threading.Event,
        loop: asyncio.AbstractEventLoop,
        frames: asyncio.Queue[list[bytes] | None],
    ) -> None:
        self.answer, self.ask, self.gone = answer, ask, gone
        self.loop, self.frames = loop, frames

    def run(self) -> None:
        try:
            if not self.gone.is_set():
                tell = paced(lambda said: self._put([frame("p", said)]), self.gone.is_set)
                self._put(frames_of(self.answer(self.ask, tell)))
        except Cancelled:
            pass
        except WorkbenchError as error:
            self._put([frame("r", {"problem": " ".join(str(error).split()), "field": ""})])
        except Exception as error:
            logger.exception("a question could not be answered")
            said = f"{type(error).__name__}: {error} (a bug; the terminal has the details)"
            self._put([frame("r", {"problem": said, "field": ""})])
        finally:
            self._put(None)

    def _put(self, frames: list[bytes] | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.frames.put_nowait, frames)
        except RuntimeError:  # the loop has ended, and the server with it
            self.gone.set()


def frame(kind: str, content: bytes | Mapping[str, Any]) -> bytes:
    """Return one frame."""
    if not isinstance(content, bytes):
        content = json.dumps(dict(content), separators=(",", ":"), allow_nan=False).encode()
    return struct.pack("<IB", len(content), ord(kind)) + content


def frames_of(found: Answer | Mapping[str, Any]) -> list[bytes]:
    """Return the frames of an answer: its container or result, then that it is whole."""
    if isinstance(found, Mapping):
        return [frame("j", found), frame("r", {})]
    if found.problem:
        return [frame("r", {"problem": found.problem, "field": found.field})]
    content = frame("b", found.data) if found.result is None else frame("j", found.result)
    return [content, frame("r", {})]
