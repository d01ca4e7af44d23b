"""What all answers of this server have in common. Knows no page."""

from __future__ import annotations

import gzip
import http.client
import logging
import re
from typing import Any, Final

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler

from workbench.errors import WorkbenchError, one_line

logger = logging.getLogger(__name__)

SMALL: Final = 1_000
"""Bytes of an answer below which compressing it gains nothing."""
HTML: Final = "text/html; charset=utf-8"


class PlainHandler(RequestHandler):
    """Answers HEAD as GET, another method with 405, and whatever is wrong in one line."""

    def set_default_headers(self) -> None:
        """Let no browser guess a media type."""
        self.set_header("X-Content-Type-Options", "nosniff")

    def head(self, *arguments: Any, **values: Any) -> Any:
        """Answer as to GET; Tornado leaves the content out."""
        return self.get(*arguments, **values)

    def send(self, content: str | bytes, media_type: str) -> None:
        """Finish with content that the browser asks for again, but fetches only if it changed."""
        # names of files may hold what is not UTF-8
        data = content.encode(errors="replace") if isinstance(content, str) else content
        self.set_header("Content-Type", media_type)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Vary", "Accept-Encoding, Cookie")
        if len(data) >= SMALL and takes_gzip(self.request):
            self.set_header("Content-Encoding", "gzip")
            data = gzip.compress(data, 5, mtime=0)
        self.finish(data)

    def write_error(self, status_code: int, **values: Any) -> None:
        """Say what is wrong in one line; `reason` or the error's own message explains it."""
        if status_code == 405:
            self.set_header("Allow", ", ".join(self._methods()))
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        error = (values.get("exc_info") or (None, None))[1]
        said = (error.log_message if isinstance(error, HTTPError) else "") or ""
        line = f"{status_code} {http.client.responses.get(status_code, 'Unknown')}"
        self.finish(f"{line}: {said}\n" if said else f"{line}\n")

    def _methods(self) -> list[str]:
        """Return the methods that are answered."""
        missing = RequestHandler._unimplemented_method
        known = [n for n in self.SUPPORTED_METHODS if getattr(type(self), n.lower()) is not missing]
        return [name for name in known if name != "HEAD" or "GET" in known]


def described(error: BaseException, what: str) -> str:
    """Return an error in a line; a bug goes to the log as well, under the name `what`."""
    if isinstance(error, WorkbenchError):
        return one_line(error)
    logger.error(what, exc_info=error)
    return f"{type(error).__name__}: {error} (a bug; the terminal has the details)"


def takes_gzip(request: HTTPServerRequest) -> bool:
    """Whether a browser takes gzip."""
    for part in request.headers.get("Accept-Encoding", "").split(","):
        name, _, rest = part.strip().partition(";")
        if name.strip().lower() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q=0(\.0*)?\s*", rest)
    return False
