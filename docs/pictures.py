"""Make the pictures of README again: ``python docs/pictures.py``, with the extra `test`.

A real browser walks through the dashboards. ``images/tour.webp`` is that walk as one animated
picture, with captions; ``images/explore.webp`` is one frame of it. Chromium encodes each frame, and
a WebP animation is a list of frames, so no other program is needed.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import CDPSession, Page, sync_playwright

IMAGES: Final = Path(__file__).parent / "images"
SIZE: Final = (1280, 880)
QUALITY: Final = 60
MOST_BYTES: Final = 3_000_000
PORT_SECONDS: Final = 120
"""Seconds that the server may take to answer."""
CAPTION: Final = """(words) => {
  let box = document.getElementById("caption")
  if (!box) {
    box = document.createElement("p")
    box.id = "caption"
    box.style.cssText = "position:fixed;right:70px;top:7px;margin:0;"
      + "padding:7px 18px;border-radius:9px;background:#1b1f24f0;color:#fff;z-index:99;"
      + "font:600 19px/1.35 Roboto,Arial,sans-serif;width:max-content"
    document.body.append(box)
  }
  box.hidden = !words
  box.textContent = words
}"""
MODEL: Final = "model=depo-n8-any&seed=0&example=5&N=4"


class Frame(NamedTuple):
    """One picture of the tour, and how long it stays."""

    webp: bytes
    milliseconds: int


class Camera:
    """Takes the frames of one page."""

    def __init__(self, page: Page, devtools: CDPSession, server: str) -> None:
        self.page, self.devtools, self.server = page, devtools, server
        self.frames: list[Frame] = []

    def take(self, milliseconds: int, caption: str) -> Frame:
        """Take what the page shows now, with a caption."""
        self.page.evaluate(CAPTION, caption)
        taken = self.devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
        self.frames.append(Frame(base64.b64decode(taken["data"]), milliseconds))
        return self.frames[-1]

    def open(self, path: str, words: str) -> None:
        """Go to a page, and wait for some words on it."""
        self.page.goto(f"{self.server}/{path}")
        self.page.get_by_text(words).first.wait_for()
        self.page.wait_for_timeout(700)

    def reach(self, boundary: int) -> None:
        """Wait until the theatre is at a boundary."""
        self.page.locator(f'.theatre[data-boundary="{boundary}"]').wait_for()

    def press(self, name: str) -> None:
        """Press a button by its name."""
        self.page.get_by_role("button", name=name).first.click()


def home(camera: Camera) -> None:
    """Let the first picture play."""
    camera.open("", "Language models that sleep")
    camera.press("Pause (space)")
    camera.page.keyboard.press("Home")
    camera.reach(0)
    camera.take(3600, "A model is about to read eight arrows of a ring.")
    camera.page.keyboard.press("Space")
    words = [f"Asleep, it goes over the text: pass {n} of 4. S is rewritten." for n in range(1, 5)]
    words += ["The text is forgotten. Only S is left."]
    words += ["Awake, it answers from S alone: all eight right."] * 3
    for boundary, caption in enumerate(words, 1):
        camera.reach(boundary)
        camera.page.wait_for_timeout(220)
        if boundary <= 4:
            camera.take(420, caption)  # what the text says flies into S
            camera.page.wait_for_timeout(600)
        if boundary <= 6:
            camera.take(1800, caption)
    camera.take(2200, words[-1])


def story(camera: Camera) -> None:
    """Make a prediction and see it come true; hide the answers, as a teacher does."""
    camera.press("More passes")
    camera.page.wait_for_timeout(900)
    camera.take(5900, "The story, in six scenes: predict first.")
    camera.press("6, 7 and 8")
    for boundary in (2, 3, 4):
        camera.reach(boundary)
        camera.page.wait_for_timeout(700)
        camera.take(1800, "Then watch what happens.")
    camera.press("Teacher mode")
    camera.press("One pass back")
    camera.page.wait_for_timeout(500)
    camera.press("Is it only compute?")
    camera.page.wait_for_timeout(1500)
    camera.take(4200, "Teacher mode: large type, answers hidden until you ask.")


def explore(camera: Camera) -> None:
    """Show one sleep, its linked panels and the lenses."""
    camera.open(f"explore?{MODEL}&window=0&pass=3", "7 of 8")
    still = camera.take(4800, "Explore: any model, any N, your own text.")
    (IMAGES / "explore.webp").write_bytes(still.webp)
    camera.page.locator('[data-token="3"]').hover()
    camera.page.wait_for_timeout(400)
    camera.take(4800, "Point at a token: what it wrote lights up in S.")
    camera.page.mouse.move(5, 5)
    camera.page.keyboard.press("1")
    camera.page.wait_for_timeout(700)
    camera.take(3100, "N = 1: one pass, and the long chains stay wrong.")
    lens = "window=0&pass=4&lens=cause&action=patch&part=head&donor=4&head=0&query=4"
    camera.open(f"explore?{MODEL}&{lens}", "What becomes of the answers")
    camera.take(6400, "Cause: head 0 of another ring goes into S. The answers follow.")
    camera.open(f"explore?{MODEL}&window=0&pass=4&lens=credit&query=4", "Credit")
    camera.page.wait_for_timeout(4000)
    camera.take(5900, "Credit: what one answer is owed to.")
    camera.open("explore?model=variables-any&N=4&window=0&pass=4", "right.")
    camera.take(4200, "Other tasks play in the same way.")


def rest(camera: Camera) -> None:
    """Show Experiment and Findings."""
    camera.open("experiment", "Experiment")
    camera.page.wait_for_timeout(4000)
    camera.take(5900, "Experiment: train small models, and see the answer form.")
    camera.open("findings", "Findings")
    camera.page.wait_for_timeout(1500)
    camera.take(5600, "Findings: what experiments say, question by question.")
    camera.open("findings/depo-n8/equal-flops", "N = 4")
    camera.page.wait_for_timeout(2500)
    camera.take(6400, "Each with its figure, how sure it is, and its command.")


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


def serving(folder: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """Start the dashboards in an empty folder; return address and process once they answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-P",
        "-m",
        "workbench.cli",
        "serve",
        "--no-open",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=folder)
    for _ in range(PORT_SECONDS):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return address, process
        except OSError:
            time.sleep(1)
    process.terminate()
    sys.exit("the server does not answer")


PARTS: Final[tuple[Callable[[Camera], None], ...]] = (home, story, explore, rest)


def main() -> None:
    """Walk, and write the pictures."""
    chromium = shutil.which(os.environ.get("WORKBENCH_CHROMIUM", "chromium"))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        address, process = serving(Path(folder))
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            width, height = SIZE
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="light"
            )
            page = context.new_page()
            page.set_default_timeout(120_000)
            camera = Camera(page, context.new_cdp_session(page), address)
            for part in PARTS:
                part(camera)
            browser.close()
        finally:
            process.terminate()
            process.wait()
    data = animation(camera.frames, SIZE)
    if len(data) > MOST_BYTES:
        sys.exit(f"{len(data):,} bytes; at most {MOST_BYTES:,}: lower QUALITY or take fewer frames")
    (IMAGES / "tour.webp").write_bytes(data)
    seconds = sum(frame.milliseconds for frame in camera.frames) / 1000
    print(f"tour.webp: {len(camera.frames)} frames, {seconds:.0f} s, {len(data) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
