"""Every boundary of one reading, and reading on from one: what causes and lenses start from.

A boundary has an index ``(window, sleep_pass)``: sleep_pass 0 is before the window, n after its nth
pass. A window that is read awake has only the boundary before it. With predict_then_sleep most
windows are read twice, and "window" numbers the readings, as in a trace: that awake, then that
asleep, whose sleep_pass 0 comes after the wake.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model import Memory
from workbench.sleep import Boundary, SleepingModel, Wake, before_window, boundary_after, read
from workbench.sleep.windows import Reading, readings

BoundaryIndex = tuple[int, int]
"""Window and sleep pass of a boundary."""


def windows_read(batch: Batch, sleep: SleepConfig) -> list[Reading]:
    """Return what the windows of boundary indices are: the readings of a batch, in order.

    With predict_then_sleep those after the last wake are left out: nothing is answered from there.
    """
    rows = readings(batch, sleep)
    awake = [number for number, row in enumerate(rows) if row.awake]
    return rows[: awake[-1] + 1] if awake and sleep.order != "mask" else rows


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
    rows = windows_read(batch, sleep)
    entry = {(row.window, row.awake): number for number, row in enumerate(rows)}
    boundaries = {(0, 0): before_window(0, model.empty_memory(len(batch)))}
    for event in read(model, batch, sleep):
        if isinstance(event, Wake) and event.window.index == rows[-1].window:
            break  # nothing is answered after it
        boundary = boundary_after(event)
        number = entry.get((boundary.window, False))
        if not (boundary.woken or boundary.sleep_pass):
            number = entry.get((boundary.window, True), number)
        if number is not None:
            boundaries[number, boundary.sleep_pass] = boundary
    return boundaries


def read_on(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    start: Boundary,
    *,
    until: int | None = None,
) -> list[Wake]:
    """Read on from a boundary, as it was left or with its memory changed; return what it answers.

    Gradients are kept, so that a caller may ask for those of the memory it put in. `until`: a
    token, after whose window nothing is read; by default the last one that is answered.

    Raises WorkbenchError: the boundary holds another number of examples than `batch`, or this
    reading lacks it.
    """
    check_examples(start, batch)
    wakes = []
    for event in read(model, batch, sleep, start=start):
        if isinstance(event, Wake):
            wakes.append(event)
            later = event.window.more_loss if until is None else event.window.stop <= until
            if not later:
                break  # a sleep may follow, which answers nothing
    return wakes


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
    return _answered(batch, sleep)[0], 0


def last_boundary(batch: Batch, sleep: SleepConfig) -> BoundaryIndex:
    """Return the last boundary at which the memory may be changed.

    In the order "mask" that is `before_answers`. With predict_then_sleep windows are answered all
    along: it is the one before the last wake.

    Raises WorkbenchError: nothing in the batch is to be answered.
    """
    return _answered(batch, sleep)[-1 if sleep.order != "mask" else 0], 0


def _answered(batch: Batch, sleep: SleepConfig) -> list[int]:
    """Return the windows of boundary indices in which something is answered."""
    found = [
        number
        for number, row in enumerate(readings(batch, sleep))
        if row.awake and batch.loss_mask[:, row.start : row.stop].any()
    ]
    if not found:
        raise WorkbenchError(
            "a batch without labels", "tokens to be predicted", "check the task's settings"
        )
    return found


def of_examples(boundary: Boundary, index: Tensor | slice) -> Boundary:
    """Return the boundary for some examples of its batch, repeated where `index` repeats them."""
    memory = boundary.memory.examples(index)
    return replace(
        boundary,
        hidden=None if boundary.hidden is None else boundary.hidden[index],
        memory=memory,
        carried=memory if boundary.sleep_pass == 0 else boundary.carried.examples(index),
    )


def stacked(memory: Memory) -> tuple[Tensor, tuple[int, ...]]:
    """Return S of all layers ``[example, layer, gdn_head, key, value]``, and the layers.

    Raises WorkbenchError: layers have states of different shapes, or there are none.
    """
    layers = tuple(sorted(memory.fast_weights))
    shapes = {tuple(memory.fast_weights[i].shape) for i in layers}
    if len(shapes) != 1:
        raise WorkbenchError(
            f"states of shapes {sorted(shapes)}",
            "fast-weight layers of one shape",
            "take a model whose fast-weight layers are alike",
        )
    return torch.stack([memory.fast_weights[i] for i in layers], dim=1).detach(), layers


def known_passes(sleep: SleepConfig) -> int:
    """Return N.

    Raises WorkbenchError: N is random or decided by a rule.
    """
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
    """Return the windows that are slept on, as boundary indices number them.

    Raises WorkbenchError: there are none.
    """
    asleep = [n for n, row in enumerate(windows_read(batch, sleep)) if not row.awake]
    if not asleep and sleep.passes == 0:
        raise WorkbenchError(
            "N = 0, which sleeps on nothing", "a sleep", "choose N of 1 or more with --passes"
        )
    if not asleep and sleep.order != "mask":
        raise WorkbenchError(
            f"sleep.window = {sleep.window}: nothing is answered after a sleep",
            "a window to sleep on, and one to answer after it",
            "choose a shorter window or a longer text",
        )
    if not asleep:
        raise WorkbenchError(
            f"sleep.window = {sleep.window}: every window carries labels",
            "a window to sleep on",
            "choose a window no longer than the task's context",
        )
    return asleep
