"""Scripts, styles and pictures at addresses that change with their content: kept for good.

Files are read and compressed once. Only what was asked for by `asset` or `asset_text` is served.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from workbench.files import read_bytes, stamp
from workbench.views.site.plain import PlainHandler, takes_gzip

TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""Media types by a name's ending."""
MOST_BYTES: Final = 16 * 2**20


@dataclass(frozen=True)
class Asset:
    """Something that is served for good."""

    content: bytes = field(repr=False)

    @cached_property
    def compressed(self) -> bytes:
        """The content as sent to browsers that take gzip."""
        return gzip.compress(self.content, 9, mtime=0)


_assets: dict[str, Asset] = {}
_lock = threading.Lock()


def asset(path: Path) -> str:
    """Return the address below the prefix of a file's content as it is now."""
    return _of_file(path, stamp(path))


def asset_text(name: str, text: str) -> str:
    """Return the address of a text, such as a style sheet that is put together."""
    return _register(name, text.encode())


def plotly() -> str:
    """Return the address of the installed Plotly's script, which sets ``window.Plotly``."""
    import plotly

    return asset(Path(plotly.__file__).parent / "package_data" / "plotly.min.js")


@cache
def _of_file(path: Path, state: object) -> str:
    return _register(path.name, read_bytes(path, limit=MOST_BYTES))


def _register(name: str, content: bytes) -> str:
    stem, ending = Path(name).stem, Path(name).suffix
    if ending not in TYPES:
        raise ValueError(f"no media type for {name}; add it to TYPES")
    digest = hashlib.sha256(content).hexdigest()[:16]
    full = f"{stem}.{digest}{ending}"
    with _lock:
        _assets.setdefault(full, Asset(content))
    return f"assets/{full}"


def prepare() -> None:
    """Compress what is known so far, and Plotly's script, so that no visitor waits for it."""
    plotly()
    for one in list(_assets.values()):
        _ = one.compressed


class AssetHandler(PlainHandler):
    """Answers with an asset."""

    def get(self, name: str) -> None:
        """Send it, compressed where the browser takes that."""
        found = _assets.get(name)
        if found is None:
            self.send_error(404)
            return
        self.set_header("Content-Type", TYPES[Path(name).suffix])
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if takes_gzip(self.request):
            self.set_header("Content-Encoding", "gzip")
            self.finish(found.compressed)
        else:
            self.finish(found.content)
