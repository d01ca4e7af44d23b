"""Every boundary of one reading, and reading on from one: what causes and lenses start from.

A boundary has an index ``(window, sleep_pass)``: sleep_pass 0 is before the window, n after its nth
pass. A window that is read awake has only the boundary before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import (
    Boundary,
    SleepingModel,
    Wake,
    before_window,
    boundary_after,
    read,
)

BoundaryIndex = tuple[int, int]
"""Window and sleep pass of a boundary."""


@torch.no_grad()
def read_boundaries(
    model: SleepingModel, batch: Batch, sleep: SleepConfig
) -> dict[BoundaryIndex, Boundary]:
    """Read a batch once and keep every boundary of the reading.

    Result: in the order of reading; sleep_pass 0 is before the window. Under hard eviction S after
    the last pass is S before the next window.

    Raises WorkbenchError: N is random or decided by a rule: two readings would not have the same
    boundaries.
    """
    known_passes(sleep)
    boundaries = {(0, 0): before_window(0, model.empty_memory(len(batch)))}
    last = len(batch.windows(sleep.window))
    for event in read(model, batch, sleep):
        if not isinstance(event, Wake):
            boundary = boundary_after(event)
            boundaries[boundary.window, boundary.sleep_pass] = boundary
    del boundaries[last, 0]  # after everything: nothing is read from there
    return boundaries


def read_on(model: SleepingModel, batch: Batch, sleep: SleepConfig, start: Boundary) -> list[Wake]:
    """Read on from a boundary, as it was left or with its memory changed; return what it answers.

    Gradients are kept, so that a caller may ask for those of the memory it put in.

    Raises WorkbenchError: the boundary holds another number of examples than `batch`, or this
    reading lacks it.
    """
    check_examples(start, batch)
    return [e for e in read(model, batch, sleep, start=start) if isinstance(e, Wake)]


def at(boundaries: Mapping[BoundaryIndex, Boundary], boundary: BoundaryIndex) -> Boundary:
    """Return one boundary of a reading.

    Raises WorkbenchError: the reading has no such boundary; the error names those it has.
    """
    if boundary not in boundaries:
        raise WorkbenchError(
            f"window {boundary[0]}, sleep pass {boundary[1]}",
            "one of " + ", ".join(f"({w}, {n})" for w, n in boundaries),
            "choose a boundary of this reading",
        )
    return boundaries[boundary]


def before_answers(batch: Batch, sleep: SleepConfig) -> BoundaryIndex:
    """Return the last boundary before anything is answered: that before the first wake window.

    Raises WorkbenchError: nothing in the batch is to be answered.
    """
    for window, (start, stop) in enumerate(batch.windows(sleep.window)):
        if batch.loss_mask[:, start:stop].any():
            return window, 0
    raise WorkbenchError(
        "a batch without labels", "tokens to be predicted", "check the task's settings"
    )


def of_examples(boundary: Boundary, index: Tensor | slice) -> Boundary:
    """Return the boundary for some examples of its batch, repeated where `index` repeats them."""
    memory = boundary.memory.examples(index)
    return replace(
        boundary,
        hidden=None if boundary.hidden is None else boundary.hidden[index],
        memory=memory,
        carried=memory if boundary.sleep_pass == 0 else boundary.carried.examples(index),
    )


def known_passes(sleep: SleepConfig) -> int:
    """Return N.

    Raises WorkbenchError: N is random or decided by a rule; or windows are read awake and then
    slept on, so that pass 0 of one could be before the wake or after it.
    """
    if sleep.order != "mask":
        raise WorkbenchError(
            f"sleep.order = {sleep.order!r}",
            "the order 'mask', in which a window is either read awake or slept on",
            "record a trace, which has both of a window, or set sleep.order = 'mask'",
        )
    if not isinstance(sleep.passes, int):
        raise WorkbenchError(
            f"sleep.passes = {sleep.passes.kind!r}",
            "a number of passes, the same in every reading that is compared",
            "fix N with sleep.with_passes(N)",
        )
    return sleep.passes


def check_examples(boundary: Boundary, batch: Batch) -> None:
    """Check that a boundary and a batch hold as many examples.

    Raises WorkbenchError otherwise.
    """
    held = {len(tensor) for tensor in boundary.memory.tensors().values()} - {len(batch)}
    if held:
        raise WorkbenchError(
            f"a memory of {held.pop()} examples",
            f"{len(batch)} examples, as in the batch",
            "select the same examples of both",
        )


def slept_on(batch: Batch, sleep: SleepConfig) -> list[int]:
    """Return the indices of the windows without labels.

    Raises WorkbenchError: every window carries labels.
    """
    asleep = [
        window
        for window, (start, stop) in enumerate(batch.windows(sleep.window))
        if not batch.loss_mask[:, start:stop].any()
    ]
    if not asleep:
        raise WorkbenchError(
            f"sleep.window = {sleep.window}: every window carries labels",
            "a window to sleep on",
            "choose a window no longer than the task's context",
        )
    return asleep
