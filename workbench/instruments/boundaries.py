"""Every place of one reading, and reading on from one: what causes and lenses start from.

A place is ``(window, sleep_pass)``: sleep_pass 0 stands before the window, n after its nth pass.
A window that is read awake has the place before it alone.
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
    boundary,
    read,
)

Place = tuple[int, int]
"""Window and sleep pass: where in a reading something is looked at or changed."""


@torch.no_grad()
def boundaries(model: SleepingModel, batch: Batch, sleep: SleepConfig) -> dict[Place, Boundary]:
    """Read a batch once and keep every place of the reading.

    Parameters
    ----------
    model : SleepingModel
        The network; never changed.
    batch : Batch
        Tokens ``[example, token]``.
    sleep : SleepConfig
        Window, eviction and N, which has to be a number.

    Returns
    -------
    dict of (int, int) to Boundary
        (window, sleep_pass) -> place, in the order of reading; sleep_pass 0 is before the window.
        Under hard eviction S after the last pass is S before the next window.

    Raises
    ------
    WorkbenchError
        N is random or decided by a rule: two readings would not have the same places.
    """
    known_passes(sleep)
    here = before_window(0, model.empty_memory(len(batch)))
    places = {(0, 0): here}
    last = -(-batch.tokens.shape[1] // sleep.window)
    for event in read(model, batch, sleep):
        if not isinstance(event, Wake):
            here = boundary(event)
            places[here.window, here.sleep_pass] = here
    del places[last, 0]  # after everything: nothing is read from there
    return places


def read_on(model: SleepingModel, batch: Batch, sleep: SleepConfig, start: Boundary) -> list[Wake]:
    """Read on from a place, as it was left or with its memory changed; return what it answers.

    Gradients are kept, so that a caller may ask for those of the memory it put in.

    Raises
    ------
    WorkbenchError
        The place holds another number of examples than `batch`, or is none of this reading.
    """
    check_examples(start, batch)
    return [e for e in read(model, batch, sleep, start=start) if isinstance(e, Wake)]


def at(places: Mapping[Place, Boundary], place: Place) -> Boundary:
    """Return one place of a reading.

    Raises
    ------
    WorkbenchError
        The reading has no such place; the error names those it has.
    """
    if place not in places:
        raise WorkbenchError(
            f"window {place[0]}, sleep pass {place[1]}",
            "one of " + ", ".join(f"({w}, {n})" for w, n in places),
            "choose a place of this reading",
        )
    return places[place]


def before_answers(batch: Batch, sleep: SleepConfig) -> Place:
    """Return the last place before anything is answered: that before the first wake window.

    Raises
    ------
    WorkbenchError
        Nothing in the batch is to be answered.
    """
    awake = batch.loss_mask.any(axis=0)
    if not awake.any():
        raise WorkbenchError(
            "a batch without labels", "tokens to be predicted", "check the task's settings"
        )
    return int(awake.argmax()) // sleep.window, 0


def of_examples(place: Boundary, index: Tensor | slice) -> Boundary:
    """Return the place for some examples of its batch, repeated where `index` repeats them."""
    memory = place.memory.examples(index)
    return replace(
        place,
        hidden=None if place.hidden is None else place.hidden[index],
        memory=memory,
        carried=memory if place.sleep_pass == 0 else place.carried.examples(index),
    )


def known_passes(sleep: SleepConfig) -> int:
    """Return N.

    Raises
    ------
    WorkbenchError
        N is random or decided by a rule.
    """
    if not isinstance(sleep.passes, int):
        raise WorkbenchError(
            f"sleep.passes = {sleep.passes.kind!r}",
            "a number of passes, the same in every reading that is compared",
            "fix N with sleep.with_passes(N)",
        )
    return sleep.passes


def check_examples(place: Boundary, batch: Batch) -> None:
    """Check that a place and a batch hold as many examples.

    Raises
    ------
    WorkbenchError
        They do not.
    """
    held = {len(tensor) for tensor in place.memory.tensors().values()} - {len(batch)}
    if held:
        raise WorkbenchError(
            f"a memory of {held.pop()} examples",
            f"{len(batch)} examples, as in the batch",
            "select the same examples of both",
        )
