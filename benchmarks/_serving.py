"""Servers for benchmarks: this checkout's, or that of another commit, each in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-P", "-m", "workbench.cli")


def of_checkout(checkout: Path, folder: Path) -> dict[str, str]:
    """Return the environment in which Python finds another checkout's packages.

    Its entry points are written into `folder`, as an installer would.
    """
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = folder / "sleep_workbench-0.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sleep-workbench\nVersion: 0.0.0\n")
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    paths = [folder, checkout, checkout / "kernels"]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}


@contextmanager
def serving(
    folder: Path, port: int = 5219, checkout: Path | None = None
) -> Iterator[tuple[str, int]]:
    """Serve the dashboards from a folder; gives their address and the process's number."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = of_checkout(checkout, folder / "package") if checkout else dict(os.environ)
    url = f"http://127.0.0.1:{port}"
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            [*COMMAND, "serve", "--no-open", "--port", str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
            env=environment,
        )
        try:
            for _ in range(1200):
                if server.poll() is not None:
                    raise SystemExit((folder / "server.txt").read_text())
                if status(url) is not None:
                    break
                time.sleep(0.1)
            time.sleep(8)  # what is imported and compressed after the start
            yield url, server.pid
        finally:
            server.terminate()
            server.wait()


@contextmanager
def training(folder: Path, count: int, config: Path) -> Iterator[None]:
    """Train that many models meanwhile, as the lab's queue runs them: a process and a core each."""
    runs = []
    for seed in range(count):
        given = ["--set", f"training.seed={seed}", "--out", str(folder / f"run{seed}")]
        with (folder / f"run{seed}.txt").open("wb") as log:
            command = [*COMMAND, "train", str(config), *given]
            runs.append(subprocess.Popen(command, stdout=log, stderr=log))
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


def status(url: str) -> int | None:
    """Return the status of an address, None where nothing answers or it leads elsewhere."""
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return None if answer.url.rstrip("/") != url.rstrip("/") else int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def memory(pid: int) -> dict[str, Any]:
    """Return what a process holds, in MB."""
    import psutil

    return {"rss_mb": psutil.Process(pid).memory_info().rss / 1e6}
