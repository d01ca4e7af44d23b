"""Requests for work: frames as they come, progress, what is refused, and visitors who leave."""

import asyncio
import http.client
import json
import struct
import threading
import zlib

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from waiting import LIMIT, until

from workbench.errors import WorkbenchError
from workbench.progress import Cancelled
from workbench.theatre.asks import Answer
from workbench.views.findings.routes import Finding
from workbench.views.site import answering
from workbench.views.site.plain import HTML

seen = {}


def answer(ask, progress):
    """Do what the ask says."""
    what = ask["what"]
    if what == "wait":
        seen["began"].set()
        try:
            while True:
                progress(1, 2, "examples")
        except Cancelled:
            seen["cancelled"].set()
            raise
    if what == "progress":
        for done in range(1, 4):
            progress(done, 4, "examples")
    if what == "error":
        raise WorkbenchError("a\nb", "c", "d")
    if what == "bug":
        raise RuntimeError("oops")
    return {
        "json": {"x": [1]},
        "data": Answer(result={"y": 2}),
        "problem": Answer(problem="no", field="N"),
    }.get(what, Answer(data=b"\x00container"))


@pytest.fixture(scope="module")
def port():
    sockets = bind_sockets(0, "127.0.0.1")
    started, loops = threading.Event(), []

    def run():
        async def serve():
            part = {"make": lambda at, query: (at, HTML, "")}
            asks = ("/ask", answering.Answering, {"answer": answer})
            server = HTTPServer(Application([asks, ("/part", Finding, part)]))
            server.add_sockets(sockets)
            loops.append((asyncio.get_running_loop(), stop := asyncio.Event()))
            started.set()
            await stop.wait()
            server.stop()
            await server.close_all_connections()

        asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(LIMIT)
    yield sockets[0].getsockname()[1]
    loop, stop = loops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(LIMIT)


def send(port, body, method="POST", path="/ask", **headers):
    """Return a connection that has sent an ask."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    given = {"Content-Type": "application/json"} | {
        n.replace("_", "-"): v for n, v in headers.items()
    }
    connection.request(method, path, body, given)
    return connection


def ask(port, body, **given):
    """Return status and text of an answer, or the frames of one."""
    connection = send(port, body if isinstance(body, (str, bytes)) else json.dumps(body), **given)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    if response.headers["Content-Encoding"] == "gzip":
        data = zlib.decompress(data, 31)
    if response.status != 200:
        return response.status, data.decode()
    frames = []
    while data:
        length, kind = struct.unpack("<IB", data[:5])
        content, data = data[5 : 5 + length], data[5 + length :]
        assert len(content) == length
        frames.append((chr(kind), content if chr(kind) == "b" else json.loads(content)))
    return frames


BUG = "RuntimeError: oops (a bug; the terminal has the details)"


@pytest.mark.parametrize("headers", [{}, {"Accept_Encoding": "gzip"}])
@pytest.mark.parametrize(
    ("what", "frames"),
    [
        ("scene", [("b", b"\x00container"), ("r", {})]),
        ("json", [("j", {"x": [1]}), ("r", {})]),
        ("data", [("j", {"y": 2}), ("r", {})]),
        ("problem", [("r", {"problem": "no", "field": "N"})]),
        ("error", [("r", {"problem": "a b; expected c; d", "field": ""})]),
        ("bug", [("r", {"problem": BUG, "field": ""})]),
    ],
)
def test_an_answer_is_frames(port, what, frames, headers):
    assert ask(port, {"what": what}, **headers) == frames


def test_progress_comes_first_and_says_how_long(port, monkeypatch):
    monkeypatch.setattr("workbench.progress.EVERY", 0)
    *progress, data, end = ask(port, {"what": "progress"})
    assert [kind for kind, _ in progress] == ["p"] * 3 and (data[0], end) == ("b", ("r", {}))
    said = progress[1][1]
    assert (said["done"], said["total"], said["unit"]) == (2, 4, "examples")
    assert said["seconds_left"] == pytest.approx(2 / said["rate"])


@pytest.mark.parametrize(
    ("body", "given", "status", "words"),
    [
        ("{", {}, 400, "the ask"),
        ("[]", {}, 400, "not a JSON object"),
        ("{}", {"Content_Type": "text/plain"}, 415, "application/json"),
        (b"x" * (answering.LARGEST + 1), {}, 413, "at most"),
        ("", {"method": "GET"}, 405, "Method Not Allowed"),
        ("{}", {"Content_Length": "9" * 5_000}, 413, "at most"),
        ('{"a": ' + "9" * 5_000 + "}", {}, 400, "5000 digits"),
        ("[" * 100_000, {}, 400, "nested too deeply"),
        (r'{"a": "\ud800"}', {}, 400, "surrogates"),
    ],
)
def test_what_is_no_ask_is_refused_in_a_line(port, body, given, status, words):
    code, text = ask(port, body, **given)
    assert code == status and words in text and text.count("\n") == 1


def test_a_visitor_who_leaves_is_not_worked_for(port):
    seen.update(began=threading.Event(), cancelled=threading.Event())
    connection = send(port, '{"what": "wait"}')
    assert seen["began"].wait(LIMIT)
    connection.close()
    assert seen["cancelled"].wait(LIMIT)
    until(lambda: answering._waiting._value == answering.MOST)


def test_more_asks_than_the_server_takes_are_refused(port, monkeypatch):
    monkeypatch.setattr(answering, "_waiting", threading.BoundedSemaphore(1))
    seen.update(began=threading.Event(), cancelled=threading.Event())
    connection = send(port, '{"what": "wait"}')
    assert seen["began"].wait(LIMIT)
    assert ask(port, {"what": "scene"}) == [("r", {"problem": answering.BUSY, "field": ""})]
    code, text = ask(port, "", method="GET", path="/part?at=x")
    assert code == 503 and answering.BUSY in text and text.count("\n") == 1
    connection.close()
    assert seen["cancelled"].wait(LIMIT)
