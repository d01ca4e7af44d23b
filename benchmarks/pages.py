"""How long the dashboards take in a real browser: cold and warm visits, steps, N, own input.

    python3 run.py bench pages [--repeats 7] [--old CHECKOUT] [--sessions 200] [--json FILE]

A separate server in an empty folder, and the system's Chromium ($WORKBENCH_CHROMIUM names another).
Each visit is timed from the navigation: to the first words (the browser's first contentful paint),
and until the page can be used. A cold visit has an empty cache. In Explore a step, a scrub, another
N and own input are timed in the page, from the action to the first frame after what it changes;
the steps also while two runs train. `--old` times another checkout of this repository in the same
way, in turn with this one. `--sessions` opens and closes so many visits and reports the server's
memory (200 take some four minutes a server). Also timed: recording 64 examples with all states, and
a probe map of 2 layers x 5 passes x 4 targets x 5 splits.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported, and for the runs that train

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402
from _measure import LATEST, machine, write  # noqa: E402
from _serving import memory, serving, status, training  # noqa: E402

import workbench  # noqa: E402
from workbench import dims  # noqa: E402
from workbench.instruments.probes import probe_states  # noqa: E402
from workbench.paths import data_folder  # noqa: E402
from workbench.tasks import EVALUATION, batch_generator  # noqa: E402
from workbench.trace import save_trace  # noqa: E402

CHECKPOINT = "depo-n8-any"
ENTRIES = {
    "Home": (("",), "h1"),
    "Explore": (("explore",), ".theatre h1"),
    "Experiment": (("experiment", "lab"), "button:has-text('Start')"),
    "Findings": (("findings", "results"), "h1"),
}
"""Each entry of the navigation: where it may be, and what is there once it can be used."""
PLACE = f"explore?model={CHECKPOINT}&example=5&N=4&window=0&pass=0"
TIMED = """([act, watch]) => new Promise((done, fail) => {
  const find = (selector, root = document) => {
    const found = root.querySelector(selector)
    if (found) return found
    for (const e of root.querySelectorAll("*")) {
      const inside = e.shadowRoot && find(selector, e.shadowRoot)
      if (inside) return inside
    }
  }
  const read = () => { const e = find(watch[0]); return watch[1] ? e.getAttribute(watch[1]) : e.textContent }
  const was = read(), target = act.click && find(act.click), began = performance.now()
  if (target) target.click()
  else document.body.dispatchEvent(new KeyboardEvent("keydown", {key: act.key, bubbles: true, composed: true}))
  const look = () => {
    if (performance.now() - began > 20000) return fail("nothing changed within 20 s")
    if (read() === was) return requestAnimationFrame(look)
    setTimeout(() => done(performance.now() - began))
  }
  requestAnimationFrame(look)
})"""  # noqa: E501
"""Milliseconds from an action to the first frame after a text or attribute has changed."""
SCRUB = """() => new Promise((done) => {
  const frames = []
  let count = 0
  const step = (now) => {
    frames.push(now)
    if (++count > 120) return done(frames.slice(1).map((one, i) => one - frames[i]))
    const key = Math.floor(count / 6) % 2 ? "ArrowLeft" : "ArrowRight"
    document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, composed: true}))
    requestAnimationFrame(step)
  }
  requestAnimationFrame(step)
})"""
"""Milliseconds between frames while every frame goes a step on."""

Rows = dict[str, list[float]]


def visit(browser: Any, url: str, usable: str) -> dict[str, dict[str, float]]:
    """Return milliseconds and kilobytes of a cold visit, and of a warm one after it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = {}
    for cache in ("cold", "warm"):
        page = context.new_page()
        client = context.new_cdp_session(page)
        client.send("Network.enable")
        sizes: list[float] = []
        client.on("Network.loadingFinished", lambda e, s=sizes: s.append(e["encodedDataLength"]))
        client.on(
            "Network.webSocketFrameReceived",
            lambda e, s=sizes: s.append(len(e["response"]["payloadData"])),
        )
        page.goto(url, timeout=180_000, wait_until="commit")
        page.locator(usable).first.wait_for(timeout=180_000)
        shown = page.evaluate("performance.now()")
        page.wait_for_timeout(2500)  # what follows the first picture
        words = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        found[cache] = {"words": words, "usable": shown, "kilobytes": sum(sizes) / 1e3}
        page.close()
    context.close()
    return found


def theatre(browser: Any, url: str, repeats: int) -> Rows:
    """Return milliseconds of what a reader does in Explore."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}/{PLACE}", timeout=180_000)
    page.locator(".theatre h1").wait_for(timeout=180_000)
    page.wait_for_timeout(5000)  # the other N are fetched meanwhile
    boundary = [".theatre", "data-boundary"]
    rows: Rows = {"a step": [], "another N": [], "own input": []}

    def timed(act: dict[str, str], watch: list[str]) -> float:
        found = page.evaluate(TIMED, [act, watch])
        page.wait_for_timeout(400)
        return float(found)

    for repeat in range(repeats):
        key = "ArrowRight" if repeat % 8 < 4 else "ArrowLeft"
        rows["a step"].append(timed({"key": key}, boundary))
    rows["a frame of a scrub"] = page.evaluate(SCRUB)
    page.wait_for_timeout(500)
    for repeat in range(repeats):
        name = {"key": str(1 + (repeat + 2) % 4)}
        rows["another N"].append(timed(name, [".passes [aria-pressed=true]", ""]))
    page.get_by_text("Your own text").click()
    for repeat in range(repeats):
        ring = [(n + repeat) % 8 for n in range(8)]
        text = " ".join(f"{a}>{b}" for a, b in zip(ring, [*ring[3:], *ring[:3]], strict=True))
        if repeat % 2:
            text = " ".join(f"{a}>{b}" for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
        page.get_by_label("Text that the model reads").fill(text)
        page.get_by_role("textbox", name="Questions").fill("")
        rows["own input"].append(timed({"click": ".own .primary"}, [".windows", ""]))
        page.get_by_text("Your own text").click()
    page.close()
    return rows


def sessions(url: str, pid: int, count: int) -> list[float]:
    """Return the server's memory in MB before, then after every tenth of so many visits.

    A visit opens every entry, asks for a scene of its own, and asks Experiment what is new.
    """
    ask = {"what": "scene", "name": CHECKPOINT, "N": 4}
    places = [
        next(p for p in where if status(f"{url}/{p}") == 200) for where, _ in ENTRIES.values()
    ]

    def fetch(path: str, asked: dict[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
        data = None if asked is None else json.dumps(asked).encode()
        request = urllib.request.Request(f"{url}/{path}", data, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            body: bytes = answer.read()
            zipped = answer.headers.get("Content-Encoding") == "gzip"
            return gzip.decompress(body) if zipped else body

    def visit_all(number: int) -> None:
        for place in places:
            fetch(place)
        fetch("explore/ask", {**ask, "example": number % 16, "seed": number // 16})
        for kind in ("look", "curves"):
            fetch("experiment/ask", {"kind": kind, "client": str(number)})

    for number in range(20):
        visit_all(number)  # caches fill
    found = [memory(pid)["rss_mb"]]
    for number in range(count):
        visit_all(number)
        if (number + 1) % max(1, count // 10) == 0:
            found.append(memory(pid)["rss_mb"])
    return [*found, memory(pid)["rss_mb"]]


def recording(repeats: int) -> dict[str, Any]:
    """Return seconds of recording 64 examples at N = 4 with all states, and bytes on disk."""
    loaded = workbench.load("depo-n8-any")
    batch = loaded.task.sample(64, batch_generator(0, 0, EVALUATION))
    sleep = loaded.sleep.with_passes(4)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(repeats):
            began = time.perf_counter()
            trace = workbench.record(loaded.model, batch, sleep, task=loaded.task, keep=("states",))
            path = save_trace(trace, Path(folder) / f"{repeat}.zarr.zip")
            seconds.append(time.perf_counter() - began)
        return {"seconds": seconds, "bytes": path.stat().st_size}


def probing() -> dict[str, Any]:
    """Return seconds of a probe map over two layers (the same one twice), with control tasks."""
    from workbench.instruments.probing.features import fast_weights

    loaded = workbench.load("depo-n8-any")
    batch = loaded.task.sample(1500, batch_generator(0, 0, EVALUATION))
    states = fast_weights(loaded.model, batch, loaded.sleep.with_passes(4))
    both = xr.concat([states, states.assign_coords({dims.LAYER: [9]})], dim=dims.LAYER)
    targets = loaded.task.probe_targets(batch)
    began = time.perf_counter()
    found = probe_states(both, targets, np.arange(len(batch)), seeds=range(5), workers=2)
    seconds = time.perf_counter() - began
    sizes = {name: int(found.sizes[name]) for name in (dims.LAYER, dims.SLEEP_PASS, dims.TARGET)}
    return {"seconds": [seconds], "examples": len(batch), "splits": 5, **sizes}


def browsed(browser: Any, servers: dict[str, tuple[str, int]], repeats: int) -> dict[str, Rows]:
    """Return the milliseconds and kilobytes of every page, of each server in turn."""
    found: dict[str, Rows] = {side: {} for side in servers}
    for _ in range(repeats):
        for side, (url, _) in servers.items():
            for name, (where, usable) in ENTRIES.items():
                place = next(p for p in where if status(f"{url}/{p}") == 200)
                for cache, values in visit(browser, f"{url}/{place}", usable).items():
                    for what, value in values.items():
                        found[side].setdefault(f"{name}, {cache}: {what}", []).append(value)
    url, _ = servers["after"]  # the page before answers keys another way
    found["after"] |= {f"Explore: {what}": v for what, v in theatre(browser, url, repeats).items()}
    return found


def main() -> None:
    """Time, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--old", type=Path, help="another checkout, timed as well")
    parser.add_argument("--sessions", type=int, default=0, help="visits for the server's memory")
    parser.add_argument("--pages-only", action="store_true", help="no training, traces and probes")
    parser.add_argument("--json", type=Path, default=LATEST / "pages-cpu.json")
    options = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("playwright is not installed; pip install -e '.[dev]'") from None
    chromium = shutil.which(os.environ.get("WORKBENCH_CHROMIUM") or "chromium")
    if chromium is None:
        raise SystemExit("no Chromium on PATH; install it or set WORKBENCH_CHROMIUM")
    facts = machine("torch", "panel", "bokeh")
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    record: dict[str, Any] = {"machine": facts, "checkpoint": CHECKPOINT}
    checkouts = {"after": None} | ({"before": options.old} if options.old else {})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        servers = {
            side: stack.enter_context(serving(folder / side, 5219 + number, checkout))
            for number, (side, checkout) in enumerate(checkouts.items())
        }
        record["pages"] = browsed(browser, servers, options.repeats)
        if not options.pages_only:
            url = servers["after"][0]
            with training(folder, 2, data_folder() / "configs" / "depo-n8-any.toml"):
                loaded = theatre(browser, url, options.repeats)
            record["pages"]["after"] |= {f"Explore, 2 runs training: {w}": v
                                         for w, v in loaded.items()}  # fmt: skip
        browser.close()
        if options.sessions:
            with ThreadPoolExecutor(1) as pool:  # the browser has this thread's event loop
                record["memory_mb"] = {
                    side: pool.submit(sessions, url, pid, options.sessions).result()
                    for side, (url, pid) in servers.items()
                }
    for side, rows in record["pages"].items():
        for what, values in rows.items():
            low, median, high = np.percentile(values, [25, 50, 75])
            print(f"{side:<7} {what:<44} {median:8.1f} [{low:.1f}, {high:.1f}]")
    for side, values in record.get("memory_mb", {}).items():
        print(f"{side:<7} memory, MB: " + ", ".join(f"{value:.0f}" for value in values))
    if not options.pages_only:
        record |= {"recording": recording(5), "probe_map": probing()}
    write(options.json, record)


if __name__ == "__main__":
    main()
