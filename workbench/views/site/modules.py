"""Serves the front end's module, compressed, at an address that browsers may cache for good."""

from __future__ import annotations

import gzip
from functools import cache
from typing import Any

from tornado.web import RequestHandler

from workbench.theatre.files import module_name, module_text

_served: list[str] = []


class ModuleHandler(RequestHandler):
    """Answers with the module; its name changes whenever its text does."""

    def get(self) -> None:
        """Send it, compressed where the browser takes that."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(compressed())
        else:
            self.finish(module_text())


@cache
def compressed() -> bytes:
    """Return the module, compressed."""
    return gzip.compress(module_text().encode(), 9, mtime=0)


def route(prefix: str = "") -> tuple[str, Any]:
    """Return the route of the module for a server of this process; pages then ask for it there."""
    address = f"{prefix}/theatre/{module_name()}"
    _served[:] = [address]
    return (rf"/theatre/{module_name()}", ModuleHandler)


def served() -> str:
    """Return the module's address, or "" where this process serves none."""
    return _served[0] if _served else ""
