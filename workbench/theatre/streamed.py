"""The newest sleep of a stream of text as a scene, for the theatre and for a file."""

from __future__ import annotations

import xarray as xr

from workbench.errors import WorkbenchError
from workbench.sleep import before_window
from workbench.sleep.session import unlabelled
from workbench.sleep.stream import TextStream
from workbench.theatre.container import encode
from workbench.theatre.page import page_of
from workbench.theatre.recording import of_trace, part_of
from workbench.theatre.scene import is_large, scene_of
from workbench.trace import record


def last_sleep(stream: TextStream) -> xr.DataTree:
    """Return the trace of a stream's newest sleep, read once more from the memory it began with.

    `workbench.theatre` shows it, and every instrument reads it. Raises WorkbenchError: nothing was
    slept on yet, or the model has no fast weights.
    """
    if stream.last is None or not stream.memory.fast_weights:
        raise WorkbenchError(
            "nothing to show" if stream.last is None else "a model without fast weights",
            "a sleep over fast weights",
            "read until the window is full, or sleep now",
        )
    slept, memory = stream.last
    sleep = stream.sleep.with_passes(slept.passes)
    start = before_window(0, memory)
    return record(stream.model, unlabelled(slept.tokens[None].astype(int)), sleep, changed=start)


def sleep_page(stream: TextStream, title: str, *, layer: int | None = None) -> str:
    """Return a stream's newest sleep as the text of an HTML file.

    `layer`: show this layer alone; needed for the S itself where all layers are too large for a
    file, which then has sizes and changes only. Raises WorkbenchError: as `last_sleep`, or there is
    no such layer.
    """
    trace = last_sleep(stream)
    if layer is not None:
        whole, trace = trace, part_of(trace, layer)
        for name in ("readout",):
            trace[name] = whole[name]
    scene = scene_of(of_trace(trace))
    write = stream.text.writer()
    tokens = stream.last[0].tokens if stream.last else ()
    shown = [write(int(token)) for token in tokens]
    scene.header["symbols"] = [piece.replace("\n", "\u21b5") or "\u2026" for piece in shown]
    scene.header["model"] |= {"name": title, "title": f"{title}: the newest sleep"}
    if is_large(trace):
        scene.header["model"]["note"] = "The states are too large for one file: name a layer."
    return page_of([encode(scene)], f"{title}: the newest sleep")
