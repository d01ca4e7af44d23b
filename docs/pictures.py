"""Make the pictures of README and docs again: ``python docs/pictures.py`` (with the extra `test`).

A real browser walks through the dashboards. `images/tour.webp` is the walk as one animated picture; a
`Frame` of it is what the browser shows, with a caption. Chromium encodes each frame, and a WebP
animation is a list of frames, so no other program is needed.
"""

from __future__ import annotations

import base64
import struct
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import CDPSession, Page

IMAGES: Final = Path(__file__).parent / "images"
SIZE: Final = (1200, 760)
QUALITY: Final = 62
MOST_BYTES: Final = 3_000_000
CAPTION: Final = """(words) => {
  let box = document.getElementById("caption")
  if (!box) {
    box = document.createElement("p")
    box.id = "caption"
    box.style.cssText = "position:fixed;left:50%;bottom:128px;transform:translateX(-50%);margin:0;"
      + "padding:9px 20px;border-radius:9px;background:#1b1f24ee;color:#fff;z-index:99;"
      + "font:600 19px/1.35 Roboto,Arial,sans-serif;max-width:86%;text-align:center"
    document.body.append(box)
  }
  box.hidden = !words
  box.textContent = words
}"""


class Frame(NamedTuple):
    """One picture of the tour, and how long it stays."""

    webp: bytes
    milliseconds: int


class Camera:
    """Takes the frames of one page."""

    def __init__(self, page: Page, devtools: CDPSession) -> None:
        self.page, self.devtools = page, devtools
        self.frames: list[Frame] = []

    def take(self, milliseconds: int, caption: str = "") -> None:
        """Take what the page shows now."""
        self.page.evaluate(CAPTION, caption)
        taken = self.devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        self.frames.append(Frame(base64.b64decode(taken["data"]), milliseconds))

    def walk(self, steps: int, milliseconds: int, caption: str, key: str = "ArrowRight") -> None:
        """Press a key, and take a frame each time."""
        for _ in range(steps):
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(250)
            self.take(milliseconds, caption)


def animation(frames: list[Frame], size: tuple[int, int]) -> bytes:
    """Return a WebP animation that repeats; each frame is a whole still WebP of that size.

    The container is that of Google's specification: RIFF with the chunks VP8X, ANIM and ANMF.
    """

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def three(number: int) -> bytes:
        return struct.pack("<I", number)[:3]

    extent = three(size[0] - 1) + three(size[1] - 1)
    parts = [chunk(b"VP8X", bytes([2, 0, 0, 0]) + extent), chunk(b"ANIM", bytes(4) + bytes(2))]
    for webp, milliseconds in frames:
        head = three(0) + three(0) + extent + three(milliseconds) + bytes([2])
        parts.append(chunk(b"ANMF", head + still(webp)))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def still(webp: bytes) -> bytes:
    """Return the chunks of a still WebP that hold its picture."""
    at, found = 12, b""
    while at < len(webp):
        name, length = webp[at : at + 4], struct.unpack("<I", webp[at + 4 : at + 8])[0]
        stop = at + 8 + length + length % 2
        if name in (b"VP8 ", b"VP8L", b"ALPH"):
            found += webp[at:stop]
        at = stop
    return found
