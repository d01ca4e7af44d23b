"""Requests for work: JSON in, frames out, worked out by a few threads.

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
import struct
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from workbench.errors import WorkbenchError
from workbench.files import parse_json
from workbench.progress import Cancelled, Report, paced
from workbench.views.site.plain import PlainHandler, described, takes_gzip

if TYPE_CHECKING:
    from workbench.theatre.asks import Answer

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
        frames: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(found: list[bytes] | None) -> None:
            try:
                loop.call_soon_threadsafe(frames.put_nowait, found)
            except RuntimeError:  # the loop has ended, and the server with it
                self.gone.set()

        if submit(self._work, ask, put) is None:
            await self._send([frame("r", {"problem": BUSY, "field": ""})], last=True)
            return
        while (found := await frames.get()) is not None:
            await self._send(found)
        await self._send([], last=True)

    def _work(self, ask: dict[str, Any], put: Callable[[list[bytes] | None], None]) -> None:
        """Work out an answer, in a thread; `put` takes its frames, then None."""
        try:
            if not self.gone.is_set():
                tell = paced(lambda said: put([frame("p", said)]), self.gone.is_set)
                put(frames_of(self.answer(ask, tell)))
        except Cancelled:
            pass
        except Exception as error:
            said = described(error, "a question could not be answered")
            put([frame("r", {"problem": said, "field": ""})])
        finally:
            put(None)

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


def submit(work: Callable[..., T], *given: Any) -> Future[T] | None:
    """Let a thread work; None where too much waits already."""
    if not _waiting.acquire(blocking=False):
        return None
    future = WORKERS.submit(work, *given)
    future.add_done_callback(lambda done: _waiting.release())
    return future


async def in_thread(work: Callable[..., T], *given: Any) -> T:
    """Return what `work` returns, worked out by the same threads; refused where too much waits."""
    if (future := submit(work, *given)) is None:
        raise HTTPError(503, BUSY)
    return await asyncio.wrap_future(future)


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
