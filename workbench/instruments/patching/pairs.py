"""One recipient and one donor: what a single change of the memory does to every answer, at once.

What `workbench.instruments.interventions` measures over many examples, for one of them, with the
answers themselves, the logits that decide them, and S before and after. The readings are made once;
a change then only reads on from its boundary.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch, concatenate
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import (
    BoundaryIndex,
    at,
    before_answers,
    known_passes,
    last_boundary,
    of_examples,
    read_boundaries,
    read_on,
    stacked,
)
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM, UNRELATED
from workbench.instruments.interventions import (
    DIRECTIONS,
    OUTCOMES,
    Part,
    Reading,
    ablated,
    check_before,
    component_of,
    exchanged,
    outcomes_of,
)
from workbench.instruments.patching import components as parts
from workbench.instruments.patching.context_swaps import (
    Questions,
    logits_at,
    questions,
    swap_context,
    with_context,
)
from workbench.model import Memory
from workbench.model.arrays import to_numpy
from workbench.sleep import Boundary, SleepingModel
from workbench.tasks.base import Task
from workbench.trace.answers import answer_scores, said_tokens
from workbench.training.loss import query_correct

PATCHED = (INTACT, PATCH, UNRELATED, RANDOM, DONOR)
"""Memories that a patch is read on with, as axes name them."""
ERASED = (INTACT, CHANGED, RANDOM)
"""The same of a part that is erased or scaled."""


@torch.no_grad()
def read_pair(
    model: SleepingModel,
    task: Task,
    batch: Batch,
    sleep: SleepConfig,
    *,
    recipient: int,
    donor: int,
    unrelated: int,
) -> Reading:
    """Read the contexts of a pair and of its control, each before the recipient's questions.

    A question's first tokens may lie in a window that is slept on: a donor whose own questions
    followed would hold those in S, and would not be the reading that a patch is compared with.

    Result: as `read_boundaries`, of three examples: recipient, donor, unrelated. Good up to the
    first answer: the third keeps the recipient's answers, which are not those of its context.

    Raises WorkbenchError: as `patch_pair`.
    """
    known_passes(sleep)
    if len({recipient, donor, unrelated}) < 3:
        raise WorkbenchError(
            f"examples {recipient}, {donor} and {unrelated}",
            "a recipient, a donor and an unrelated third one, all different",
            "choose another donor",
        )
    one, giving, third = (batch.examples(_one(i)) for i in (recipient, donor, unrelated))
    contexts = [one, swap_context(task, one, giving), with_context(task, one, third)]
    return read_boundaries(model, concatenate(contexts), sleep)


@torch.no_grad()
def patch_pair(
    model: SleepingModel,
    task: Task,
    batch: Batch,
    sleep: SleepConfig,
    *,
    recipient: int,
    donor: int,
    unrelated: int,
    boundary: BoundaryIndex,
    part: Part,
    seed: int = 0,
    reading: Reading | None = None,
) -> xr.Dataset:
    """Exchange a part of S between two examples, both ways, and read on.

    - recipient, donor, unrelated: three different examples; the third gives the control its memory.
    - boundary: where S is changed, not after the first answer.
    - reading: `read_pair` of the same three, if it is known already.

    Result: over (direction as in `patch_effects`, control = `PATCHED`, query): ``logit_diff``, the
    answer of the memory given minus that of the reading's own context, nats, at the token
    where the two first differ; ``became_donor`` and ``stayed``, 1 where the likeliest symbol
    there is the given memory's answer, or the reading's own, else 0: the measures of
    `patch_effects`, NaN where the answers do not differ. ``correct``, whether the whole
    answer is right in the reading's own context.
    ``answered (query)``, whether the donor's context answers it at all.
    ``said (direction, control, token)``, the tokens with the likeliest ones where the model
    predicts; ``own, other (direction, token)``, the right ones in both contexts;
    ``fast_weight (direction, control, layer, gdn_head, key, value)``, S at the boundary;
    ``error (direction)``, nats: the largest difference of any logit between the reading
    patched and the same reading with all of the donor's memory before the first answer.

    Raises WorkbenchError: the pair does not fit (`swap_context`) or has the same answers, examples
    are not three different ones, or a boundary or part is not there.
    """
    if reading is None:
        reading = read_pair(
            model, task, batch, sleep, recipient=recipient, donor=donor, unrelated=unrelated
        )
    last = before_answers(batch, sleep)
    check_before(boundary, last)
    at(reading, boundary)
    own, other, third = (
        {index: of_examples(there, _one(i)) for index, there in reading.items()} for i in range(3)
    )
    one, giving = (batch.examples(_one(i)) for i in (recipient, donor))
    swapped = swap_context(task, one, giving)
    asked = questions(one, swapped, sleep.window)
    way = partial(_patched, model, sleep, last, boundary, part, seed)
    noise = way(one, swapped, asked, own, other, third)
    denoise = way(swapped, one, asked.exchanged(), other, own, third)
    ways = xr.IndexVariable(dims.DIRECTION, list(DIRECTIONS[::-1]))
    both = xr.concat([noise, denoise], dim=ways, join="exact")
    return both.assign(answered=(dims.QUERY, swapped.difficulty[0] >= 0)).assign_attrs(
        compared="the same reading with parts of S of another context, and of controls",
        recipient=recipient,
        donor=donor,
        unrelated=unrelated,
        **_about(part, boundary, sleep, seed),
    )


@torch.no_grad()
def change_one(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    *,
    example: int,
    boundary: BoundaryIndex,
    part: Part,
    method: str | float,
    seed: int = 0,
    reading: Reading | None = None,
) -> xr.Dataset:
    """Erase or scale a part of one example's S, and read on.

    - example: which of the batch's examples; the others are what "mean" is the mean of.
    - method: "zero", "mean", or a factor that the part is scaled by.
    - reading: `read_boundaries` of the batch, if it is known already.

    Result: over (control = `ERASED`; query): ``logit_diff``, the right answer's logit minus the
    largest other one, nats, at the answer's first token; ``correct``. ``said (control, token)``,
    ``own (token)`` and ``fast_weight (control, layer, ...)`` as in `patch_pair`.
    """
    known_passes(sleep)
    reading = read_boundaries(model, batch, sleep) if reading is None else reading
    check_before(boundary, last_boundary(batch, sleep))
    here = at(reading, boundary)
    changed = ablated(here.memory, component_of(part, reading, boundary), method)
    changed = changed.examples(_one(example))
    intact = of_examples(here, _one(example))
    memories = [intact.memory, changed, parts.moved_at_random(intact.memory, changed, seed=seed)]
    many = concatenate([batch.examples(_one(example))] * len(memories))
    wakes = read_on(model, many, sleep, _together(intact, memories))
    scores = answer_scores(wakes, many).rename({dims.EXAMPLE: dims.CONTROL})
    found = scores[["logit_diff", "correct"]].assign(
        said=((dims.CONTROL, dims.TOKEN), said_tokens(wakes, many)),
        own=(dims.TOKEN, many.tokens[0]),
        fast_weight=_states(memories),
    )
    return found.assign_coords({dims.CONTROL: list(ERASED)}).assign_attrs(
        compared="one reading with part of S erased or scaled, with it left alone, and moved",
        example=example,
        procedure=method if isinstance(method, str) else f"x {method:g}",
        **_about(part, boundary, sleep, seed),
    )


def _about(part: Part, boundary: BoundaryIndex, sleep: SleepConfig, seed: int) -> dict[str, Any]:
    names = ("component", "window", "sleep_pass", "n_sleep", "seed")
    return dict(zip(names, (part.name, *boundary, known_passes(sleep), seed), strict=True))


def _patched(
    model: SleepingModel,
    sleep: SleepConfig,
    last: BoundaryIndex,
    boundary: BoundaryIndex,
    part: Part,
    seed: int,
    batch: Batch,
    other: Batch,
    asked: Questions,
    reading: Reading,
    donor: Reading,
    unrelated: Reading,
) -> xr.Dataset:
    """Return what one way of the exchange does to the reading of `batch`."""
    here = reading[boundary]
    patch, control = (exchanged(part, boundary, reading, given) for given in (donor, unrelated))
    both = [control, parts.moved_at_random(here.memory, patch, seed=seed)]
    ends = [read_on(model, batch, sleep, there[last]) for there in (reading, donor)]
    # alone, as the ends are: of equal memories the logits are then equal to the last bit
    patched = read_on(model, batch, sleep, here.with_memory(patch))
    controls = read_on(model, concatenate([batch] * 2), sleep, _together(here, both))
    said, logits = [], []
    for wakes, count in ((ends[0], 1), (patched, 1), (controls, 2), (ends[1], 1)):
        said.append(said_tokens(wakes, concatenate([batch] * count)))
        logits.append(logits_at(wakes, _times(asked, count)))
    tokens, every = np.concatenate(said), np.concatenate(logits)
    many = concatenate([batch] * len(tokens))
    pairs = zip(patched, ends[1], strict=True)
    differences = [float((a.logits - b.logits).abs().max()) for a, b in pairs]
    logit_diff, *became = outcomes_of(every, _times(asked, len(every)))
    axes, text = (dims.CONTROL, dims.QUERY), (dims.CONTROL, dims.TOKEN)
    return xr.Dataset(
        {
            "logit_diff": (axes, logit_diff, {"units": "nat"}),
            **{n: (axes, a.astype(float)) for n, a in zip(OUTCOMES[1:], became, strict=True)},
            "correct": (axes, query_correct(tokens == many.tokens, many)),
            "said": (text, tokens),
            "own": (dims.TOKEN, batch.tokens[0]),
            "other": (dims.TOKEN, other.tokens[0]),
            "fast_weight": _states([here.memory, patch, *both, donor[boundary].memory]),
            "error": ((), max(differences), {"units": "nat"}),
        },
        coords={dims.CONTROL: list(PATCHED)},
    )


def _one(example: int) -> slice:
    return slice(example, example + 1)


def _together(boundary: Boundary, memories: list[Memory]) -> Boundary:
    """Return one example's boundary several times, with a memory of each."""
    many = of_examples(boundary, torch.zeros(len(memories), dtype=torch.long))
    layers = memories[0].fast_weights
    states = {i: torch.cat([memory.fast_weights[i] for memory in memories]) for i in layers}
    return many.with_memory(many.memory.replace(fast_weights=states))


def _times(asked: Questions, count: int) -> Questions:
    arrays = (asked.at, asked.recipient, asked.donor)
    return Questions(*(np.repeat(array, count, axis=0) for array in arrays))


def _states(memories: list[Memory]) -> xr.DataArray:
    stacks = [stacked(memory) for memory in memories]
    values = to_numpy(torch.cat([state for state, _ in stacks]).float())
    axes = (dims.CONTROL, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    return xr.DataArray(values, dims=axes, coords={dims.LAYER: list(stacks[0][1])})
