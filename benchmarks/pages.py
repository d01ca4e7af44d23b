"""How long the screen takes: from a key to what it changes, in a real browser, idle and training.

    python3 run.py bench pages [--repeats 15] [--json FILE]

A separate server in an empty folder, and the system's Chromium ($WORKBENCH_CHROMIUM names
another). The stepper and the memory page go a step on, alone and then while two runs train. Also
timed: recording 64 examples with all states, and a probe map of 2 layers x 5 passes x 4 targets x 5
splits. A step whose page then says something else than it should is an error, not a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported, and for the runs that train

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402
from _measure import LATEST, machine, write  # noqa: E402

import workbench  # noqa: E402
from workbench import dims  # noqa: E402
from workbench.instruments.probes import probe_states  # noqa: E402
from workbench.paths import data_folder  # noqa: E402
from workbench.tasks import EVALUATION, batch_generator  # noqa: E402
from workbench.trace import save_trace  # noqa: E402

CHECKPOINT = "depo-n8-w2-any"
COMMAND = (sys.executable, "-P", "-m", "workbench.cli")
PLACE = ".stop b"
"""Where a page says at which stop it is."""
KEY = """([key, place]) => new Promise((done, fail) => {
  const find = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.matches(place)) return e
      const inside = e.shadowRoot && find(e.shadowRoot)
      if (inside) return inside
    }
  }
  const shown = find(document), was = shown.textContent, began = performance.now()
  const watch = new MutationObserver(() => {
    if (shown.textContent === was) return
    watch.disconnect()
    const told = () => done([performance.now() - began, shown.textContent])
    requestAnimationFrame(() => setTimeout(told))
  })
  watch.observe(shown, {childList: true, characterData: true, subtree: true})
  setTimeout(() => fail("nothing changed within 20 s"), 20000)
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, composed: true}))
})"""
"""Milliseconds from a key to the first frame after the place has changed, and what it says then."""


@contextmanager
def serving(folder: Path, port: int = 5219) -> Iterator[str]:
    """Serve the dashboards from a folder."""
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            [*COMMAND, "serve", "--no-open", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(url, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait()


@contextmanager
def training(folder: Path, count: int) -> Iterator[None]:
    """Train that many models meanwhile, as the lab's queue runs them: a process and a core each."""
    config = str(data_folder() / "configs" / "depo-n8-any.toml")
    runs = []
    for seed in range(count):
        given = ["--set", f"training.seed={seed}", "--out", str(folder / f"run{seed}")]
        with (folder / f"run{seed}.txt").open("wb") as log:
            runs.append(
                subprocess.Popen([*COMMAND, "train", config, *given], stdout=log, stderr=log)
            )
    try:
        deadline = time.monotonic() + 120
        while any(not (folder / f"run{seed}" / "events.jsonl").exists() for seed in range(count)):
            if time.monotonic() > deadline or any(run.poll() is not None for run in runs):
                raise SystemExit("the runs did not start: " + (folder / "run0.txt").read_text())
            time.sleep(0.2)
        time.sleep(5)  # past their first steps
        yield
        if any(run.poll() is not None for run in runs):
            raise SystemExit("a run ended while the pages were timed")
    finally:
        for run in runs:
            run.kill()
            run.wait()


def steps(browser: Any, url: str, repeats: int) -> list[float]:
    """Return milliseconds of each step through a sleep, there and back."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{url}?checkpoint={CHECKPOINT}&N=4&window=0&pass=0", timeout=120_000)
    page.wait_for_selector('[aria-label="Timeline of the sleep"][data-drawn]', timeout=120_000)
    page.wait_for_timeout(10_000)  # what follows the first picture is not the step's
    times = []
    for repeat in range(repeats + 2):
        number = repeat % 8
        pressed = "ArrowRight" if number < 4 else "ArrowLeft"
        stop = number + 1 if number < 4 else 7 - number
        milliseconds, said = page.evaluate(KEY, [pressed, PLACE])
        if stop and f"pass {stop} of 4" not in said:
            raise SystemExit(f"after {pressed} the page says {said!r}, not pass {stop}")
        times.append(milliseconds)
        page.wait_for_timeout(1500)
    page.close()
    return times[2:]


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


def main() -> None:
    """Time, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=15)
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
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        with serving(folder) as url:
            for load in (0, 2):
                with training(folder, load):
                    for path in ("stepper", "memory"):
                        what = f"{path}, a step" + (f", {load} runs training" if load else "")
                        rows[what] = steps(browser, f"{url}/{path}", options.repeats)
        browser.close()
    recorded, probed = recording(5), probing()
    for what, values in rows.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        print(f"{what:<36} {median:6.0f} ms [{low:.0f}, {high:.0f}], at most {max(values):.0f}")
    print(f"recording 64 examples, states: {np.median(recorded['seconds']):.2f} s, "
          f"{recorded['bytes'] / 1e6:.1f} MB")  # fmt: skip
    print(f"probe map: {probed['seconds'][0]:.0f} s")
    write(options.json, {"machine": facts, "checkpoint": CHECKPOINT, "milliseconds": rows,
                         "recording": recorded, "probe_map": probed})  # fmt: skip


if __name__ == "__main__":
    main()
