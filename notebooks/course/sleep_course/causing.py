"""Changing the memory and reading on: pairs of contexts, what the answers become, records of it.

Called by notebook 8; its exercises are in `sleep_course.exercises.causing`. The instruments
themselves are `workbench.instruments.interventions` and its neighbours: nothing is done twice here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr

from sleep_course.boundary import by_difficulty
from workbench import dims
from workbench.instruments.boundaries import read_boundaries, read_on
from workbench.instruments.controls import PATCH, UNRELATED
from workbench.instruments.patching.context_swaps import (
    logits_at,
    questions,
    swap_context,
)
from workbench.model import Memory
from workbench.sleep import Wake, read, wake_now
from workbench.tasks import batch_generator


class Pairs:
    """The same questions after two contexts, read once each, with every boundary kept.

    The checkpoint's model sleeps on its first window alone, as `depo-n8-any` does. `recipient` has
    `count` examples as drawn, `swapped` as many donors' contexts before the recipients' questions;
    `own` and `donors` every boundary of the two readings by (window, sleep_pass); `asked` where the
    two contexts have different answers.
    """

    def __init__(self, checkpoint: Any, *, count: int = 64, passes: int = 4) -> None:
        self.model, task = checkpoint.model, checkpoint.task
        self.passes, self.sleep = passes, checkpoint.sleep.with_passes(passes)
        self.recipient, donor = (
            task.sample(count, batch_generator(s, 0, "notebook")) for s in (1, 2)
        )
        self.swapped = swap_context(task, self.recipient, donor)
        self.own, self.donors = (
            read_boundaries(self.model, batch, self.sleep)
            for batch in (self.recipient, self.swapped)
        )
        self.asked = questions(self.recipient, self.swapped, self.sleep.window)

    def differences(self, memory: Memory) -> np.ndarray:
        """Wake with a memory; return the logit of the donor's answer minus that of the own one.

        In nats, ``[question]``, of the questions that the two contexts answer differently.
        """
        logits = self._logits(memory)
        rows = np.arange(len(logits))
        kept = self.asked.asked
        return logits[rows, self.asked.donor[kept]] - logits[rows, self.asked.recipient[kept]]

    def became_donors(self, memory: Memory) -> float:
        """Wake with a memory; return the share of answers that are now the donor's."""
        return float((self._logits(memory).argmax(-1) == self.asked.donor[self.asked.asked]).mean())

    def stayed(self, memory: Memory) -> float:
        """Wake with a memory; return the share of answers that are still the recipient's."""
        best = self._logits(memory).argmax(-1)
        return float((best == self.asked.recipient[self.asked.asked]).mean())

    @torch.no_grad()
    def _logits(self, memory: Memory) -> np.ndarray:
        wakes = wake_now(self.model, self.recipient, self.sleep, memory, after=0)
        return logits_at(wakes, self.asked)[self.asked.asked]


def state_of(memory: Memory) -> np.ndarray:
    """Return S of the only layer that has one, ``[example, gdn_head, key, value]``."""
    (state,) = memory.fast_weights.values()
    return state.numpy()


def with_state(memory: Memory, state: np.ndarray) -> Memory:
    """Return the memory with another S in its only layer of fast weights."""
    (index,) = memory.fast_weights
    return memory.replace(fast_weights={index: torch.as_tensor(state, dtype=torch.float32)})


@torch.no_grad()
def exactness(checkpoint: Any, *, count: int = 64, eviction: str = "hard") -> float:
    """Return how far a whole patch at the last boundary is from the donor's own reading.

    The donors are read as they are, from the first token to the last. Then they are read with the
    memory taken out of *another* sequence, which has the donor's context and other questions.
    Returns the largest difference of a logit, over all tokens read awake and all symbols.
    """
    model, task = checkpoint.model, checkpoint.task
    sleep = checkpoint.sleep.with_passes(4).model_copy(update={"eviction": eviction})
    recipient, donor = (task.sample(count, batch_generator(s, 0, "notebook")) for s in (1, 2))
    swapped = swap_context(task, recipient, donor)
    whole = [e.logits for e in read(model, swapped, sleep) if isinstance(e, Wake)]
    own, given = (read_boundaries(model, batch, sleep)[1, 0] for batch in (recipient, donor))
    state = own.memory.replace(fast_weights=given.memory.fast_weights)
    patched = read_on(model, swapped, sleep, own.with_memory(state))
    return max(float((a - b.logits).abs().max()) for a, b in zip(whole, patched, strict=True))


@torch.no_grad()
def accuracy_by_hops(found: Pairs, memory: Memory) -> dict[int, float]:
    """Wake the recipients with a memory; return the share of answers right, by hops."""
    wakes = wake_now(found.model, found.recipient, found.sleep, memory, after=0)
    return by_difficulty(wakes, found.recipient)


@torch.no_grad()
def read_on_with(
    found: Pairs, read_on_from: Callable[..., float], one_pass: Callable[..., Any]
) -> np.ndarray:
    """Put the donors' S in after each pass and let the learner's function read on.

    ``read_on_from(h, S, done, n, one_pass, answer)`` is as in the exercise. Returns the share of
    answers that became the donor's, ``[sleep_pass = 1..N]``.
    """
    shares, n = [], found.passes
    for done in range(1, n + 1):
        boundary = found.own[0, done]
        given = found.donors[0, done].memory.replace(conv_tails={}, kv={})
        shares.append(read_on_from(boundary.hidden, given, done, n, one_pass, found.became_donors))
    return np.array(shares)


def last_place(measurement: xr.Dataset) -> xr.Dataset:
    """Return what a measurement says of the last pass of its first window."""
    return measurement.isel({dims.WINDOW: 0, dims.SLEEP_PASS: -1})


def beyond_unrelated(measurement: xr.Dataset, component: str) -> dict[str, np.ndarray]:
    """Return what a patch after the last pass does that an unrelated donor does not.

    Of one component of a measurement as ``patches-depo-n8-any-heads``, direction "noise", over
    difficulty: how far the patch goes from what the unrelated donor does (0) to the donor's end
    (1), and both shares of answers that became the donor's.
    """
    here = last_place(measurement).sel({dims.COMPONENT: component, dims.DIRECTION: "noise"})
    patch, other = (here.sel({dims.CONTROL: kind}) for kind in (PATCH, UNRELATED))
    return {
        "(patch - unrelated) / (1 - unrelated)": here["beyond"].values,
        "became the donor's, patch": patch["became_donor"].values,
        "became the donor's, unrelated donor": other["became_donor"].values,
    }
