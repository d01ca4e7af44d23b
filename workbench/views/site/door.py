"""What the server refuses before it looks for any page or file.

There is no authentication: anyone who reaches the server may start processes. It listens to this
machine alone, but a browser on this machine also shows pages from elsewhere, and these can send it
requests. So it answers only under its own addresses (a foreign name that resolves to 127.0.0.1 is
not one of them), and other sites may link to its pages but not load them into theirs.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Collection, Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import RequestHandler

LONGEST: Final = 1_000
"""Longest path that is read, in characters."""
CONTROL: Final = "".join(map(chr, [*range(32), 127]))
"""Characters that no path contains; a system call given a NUL raises a ValueError."""


def _with_port(host: str) -> str:
    """Return a host with its port, which browsers leave out where it is 80."""
    return host if re.search(r":\d+$", host) else f"{host}:80"


def refusal(request: HTTPServerRequest, hosts: Collection[str]) -> tuple[int, str] | None:
    """Return the status and reason that refuse a request; None where it is answered.

    `hosts` are the addresses of the server, each ``name:port``.
    """
    named = request.headers.get_list("Host")
    if len(named) != 1 or _with_port(named[0].lower()) not in hosts:
        given = repr(named[0][:100]) if len(named) == 1 else f"{len(named)} Host headers"
        return (
            403,
            f"{given}; expected an address of this server; open {' or '.join(sorted(hosts))}",
        )
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not (
        request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest") == "document"
    ):
        return 403, "pages of other sites may link to this server, but not load from it"
    if len(request.path) > LONGEST:
        return 414, f"the path has {len(request.path)} characters; at most {LONGEST} are read"
    for part, text, unwanted in (("path", request.path, CONTROL), ("query", request.query, "\0")):
        try:
            plain = unquote_to_bytes(text).decode()
        except UnicodeDecodeError:
            return 400, f"the {part} is not UTF-8"
        if any(character in unwanted for character in plain):
            return 400, f"the {part} contains a control character"
    return None


class Refused(RequestHandler):
    """Answers a refused request in one line, whatever the method."""

    def initialize(self, status: int, reason: str) -> None:
        """Take the answer."""
        self.status, self.reason = status, reason

    def prepare(self) -> None:
        """Answer."""
        self.set_status(self.status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.status} {http.client.responses[self.status]}: {self.reason}\n")


class _Refusals(Matcher):
    """Matches requests that are refused."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self.hosts = frozenset(hosts)

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return what `Refused` answers; None where the request passes."""
        found = refusal(request, self.hosts)
        if found is None:
            return None
        return {"target_kwargs": {"status": found[0], "reason": found[1]}}


def guard(application: Any, hosts: Iterable[str]) -> None:
    """Put the refusals before every route of a Tornado application."""
    application.default_router.rules.insert(0, Rule(_Refusals(hosts), Refused))
