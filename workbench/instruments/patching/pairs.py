"""One recipient and one donor: what a single change of the memory does to every answer, at once.

What `workbench.instruments.interventions` measures over many examples, for one of them and with
everything that a person wants to see: the answers themselves, the logits that decide them, and S
before and after. The readings are made once; a change then only reads on from its boundary.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from workbench import dims
from workbench.batch import Batch, concatenate
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.attributing.continuation import stacked
from workbench.instruments.boundaries import (
    BoundaryIndex,
    at,
    before_answers,
    known_passes,
    of_examples,
    read_boundaries,
    read_on,
)
from workbench.instruments.controls import CHANGED, DONOR, INTACT, PATCH, RANDOM, UNRELATED
from workbench.instruments.interventions import DIRECTIONS, Part, Reading, ablated, resolved
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
from workbench.sleep import Boundary, SleepingModel, Wake
from workbench.tasks.base import Task
from workbench.trace.answers import answer_scores, said_tokens

PATCHED = (INTACT, PATCH, UNRELATED, RANDOM, DONOR)
"""Memories that a patch is read on with, as axes name them."""
ERASED = (INTACT, CHANGED, RANDOM)
"""The same of a part that is erased or scaled."""

_OWN, _OTHER, _UNRELATED = range(3)
"""Examples of the reading of a pair: three contexts before the recipient's questions."""


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

    Result: as `boundaries`, of three examples: recipient, donor, unrelated. Good up to the first
    answer: the last one's answers are not those of its context.

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

    - model, task, sleep: the network, the task of the batch, and a fixed N.
    - batch: examples ``[example, token]``, among them the pair.
    - recipient, donor, unrelated: three different examples; the third gives the control its memory.
    - boundary: where S is changed, not after the first answer.
    - reading: `read_pair` of the same three, where it is known already.

    Result: over (direction = "noise", "denoise"; control = `PATCHED`; query): ``logit_diff``, the
    answer of the memory given minus that of the reading's own context, nats, at the token
    where the two first differ; ``became_donor`` and ``stayed``, 1 where the likeliest symbol
    there is the given memory's answer, or the reading's own, else 0: the measures of
    `patch_effects`, NaN where the answers do not differ. ``correct``, whether the whole
    answer is right in the reading's own context.
    ``said (direction, control, token)``, the tokens with the likeliest ones where the model
    predicts; ``own, other (direction, token)``, the right ones in both contexts;
    ``fast_weight (direction, control, layer, gdn_head, key, value)``, S at the boundary;
    ``error (direction)``, nats: the largest difference of any logit between the reading
    patched and the same reading with all of the donor's memory before the first answer.

    Raises WorkbenchError: the pair does not fit (`swap_context`) or has the same answers, examples
    are not three different ones, or a boundary or part is not there.

    "noise" puts the donor's part into the recipient's reading: an effect says that the part is
    needed. "denoise" puts the recipient's part into the donor's: an effect says it is enough.
    """
    if reading is None:
        reading = read_pair(
            model, task, batch, sleep, recipient=recipient, donor=donor, unrelated=unrelated
        )
    one, giving = (batch.examples(_one(i)) for i in (recipient, donor))
    swapped = swap_context(task, one, giving)
    last = _up_to(batch, sleep, boundary)
    measured = questions(one, swapped, sleep.window)
    roles = (
        (one, swapped, _OWN, _OTHER, measured),
        (swapped, one, _OTHER, _OWN, measured.exchanged()),
    )
    found = [
        _patched(model, sleep, reading, last, boundary, part, pair, (own, other, asked), seed)
        for *pair, own, other, asked in roles
    ]
    return xr.concat(
        found, dim=xr.IndexVariable(dims.DIRECTION, list(DIRECTIONS[::-1])), join="exact"
    ).assign_attrs(
        compared="the same reading with parts of S of another context, and of controls",
        recipient=recipient,
        donor=donor,
        unrelated=unrelated,
        component=part.name,
        window=boundary[0],
        sleep_pass=boundary[1],
        n_sleep=known_passes(sleep),
        seed=seed,
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
    - reading: `boundaries` of the batch, where they are known already.
    - model, batch, sleep, boundary, part, seed: as in `patch_pair`.

    Result: over (control = `ERASED`; query): ``logit_diff``, the right answer's logit minus the
    largest other one, nats, at the answer's first token; ``correct``. ``said (control, token)``,
    ``own (token)`` and ``fast_weight (control, layer, ...)`` as in `patch_pair`.
    """
    known_passes(sleep)
    reading = read_boundaries(model, batch, sleep) if reading is None else reading
    _up_to(batch, sleep, boundary)
    here = at(reading, boundary)
    changed = ablated(here.memory, _there(part, reading, boundary), method).examples(_one(example))
    intact = of_examples(here, _one(example))
    memories = [intact.memory, changed, parts.moved_at_random(intact.memory, changed, seed=seed)]
    many = concatenate([batch.examples(slice(example, example + 1))] * len(memories))
    wakes = read_on(model, many, sleep, _together(intact, memories))
    scores = answer_scores(wakes, many).rename({dims.EXAMPLE: dims.CONTROL})
    found = xr.Dataset(
        {
            "logit_diff": scores["logit_diff"],
            "correct": scores["correct"],
            "said": ((dims.CONTROL, dims.TOKEN), said_tokens(wakes, many)),
            "own": (dims.TOKEN, many.tokens[0]),
            "fast_weight": _states(memories),
        }
    )
    return found.assign_coords({dims.CONTROL: list(ERASED)}).assign_attrs(
        compared="one reading with part of S erased or scaled, with it left alone, and moved",
        example=example,
        component=part.name,
        procedure=method if isinstance(method, str) else f"x {method:g}",
        window=boundary[0],
        sleep_pass=boundary[1],
        n_sleep=known_passes(sleep),
        seed=seed,
    )


def _patched(
    model: SleepingModel,
    sleep: SleepConfig,
    reading: Reading,
    last: BoundaryIndex,
    boundary: BoundaryIndex,
    part: Part,
    pair: list[Batch],
    ids: tuple[int, int, Questions],
    seed: int,
) -> xr.Dataset:
    """Return what one way of the exchange does; ``pair`` is the reading patched and the other."""
    own, other, asked = ids
    batch = pair[0]
    here = of_examples(at(reading, boundary), _one(own))
    theirs = {i: of_examples(at(reading, boundary), _one(i)).memory for i in (other, _UNRELATED)}
    component = _there(part, reading, boundary)
    takes = {i: _of_one(component, reading, boundary, i) for i in (own, other, _UNRELATED)}
    given = {
        i: parts.patch(here.memory, memory, takes[own], of_donor=takes[i])
        for i, memory in theirs.items()
    }
    random = parts.moved_at_random(here.memory, given[other], seed=seed)
    ends = [
        read_on(model, batch, sleep, of_examples(at(reading, last), _one(i))) for i in (own, other)
    ]
    # alone, as the ends are: of equal memories the logits are then equal to the last bit
    patched = read_on(model, batch, sleep, here.with_memory(given[other]))
    both = [given[_UNRELATED], random]
    beside = read_on(model, concatenate([batch] * 2), sleep, _together(here, both))
    read = [(ends[0], 1), (patched, 1), (beside, 2), (ends[1], 1)]
    said, logits = [], []
    for wakes, count in read:
        many = concatenate([batch] * count)
        said.append(said_tokens(wakes, many))
        logits.append(logits_at(wakes, _times(asked, count)))
    tokens, every = np.concatenate(said), np.concatenate(logits)
    symbols = np.stack((asked.donor, asked.recipient), axis=-1)
    theirs_and_own = np.take_along_axis(every, np.repeat(symbols, len(every), 0), axis=-1)
    difference = np.where(asked.asked, theirs_and_own[..., 0] - theirs_and_own[..., 1], np.nan)
    likeliest = np.nan_to_num(every).argmax(axis=-1)[..., None]  # NaN where nothing is asked
    became, stayed = np.moveaxis(
        np.where(asked.asked[..., None], likeliest == symbols, np.nan), -1, 0
    )
    axes = (dims.CONTROL, dims.QUERY)
    return xr.Dataset(
        {
            "logit_diff": (axes, difference, {"units": "nat"}),
            "became_donor": (axes, became),
            "stayed": (axes, stayed),
            "correct": (axes, _whole(tokens, batch)),
            "said": ((dims.CONTROL, dims.TOKEN), tokens),
            "own": (dims.TOKEN, pair[0].tokens[0]),
            "other": (dims.TOKEN, pair[1].tokens[0]),
            "fast_weight": _states([here.memory, given[other], *both, theirs[other]]),
            "error": ((), _largest_difference(patched, ends[1]), {"units": "nat"}),
        },
        coords={dims.CONTROL: list(PATCHED)},
    )


def _up_to(batch: Batch, sleep: SleepConfig, boundary: BoundaryIndex) -> BoundaryIndex:
    """Return the last boundary before anything is answered; `boundary` must not be after it."""
    last = before_answers(batch, sleep)
    if boundary > last:
        raise WorkbenchError(
            f"window {boundary[0]}, sleep pass {boundary[1]}",
            f"a boundary up to ({last[0]}, {last[1]}), before the first answer",
            "change the memory before anything is answered",
        )
    return last


def _there(part: Part, reading: Reading, boundary: BoundaryIndex) -> parts.Component:
    component = resolved(part, reading, boundary)
    if component is None:
        raise WorkbenchError(
            f"{part.name}, at window {boundary[0]}, sleep pass {boundary[1]}",
            "a pass that has run by then",
            "step on, or choose an earlier pass",
        )
    return component


def _of_one(
    component: parts.Component, reading: Reading, boundary: BoundaryIndex, example: int
) -> parts.Component:
    """Return the part of one example, fixed: a pass's change is not a function of S alone."""
    taken = component.take(at(reading, boundary).memory)
    return parts.given(component.name, {i: part[_one(example)] for i, part in taken.items()})


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


def _whole(said: np.ndarray, batch: Batch) -> np.ndarray:
    """Return bool ``[control, query]``: whether every token of an answer is the right one."""
    queries = np.arange(batch.difficulty.shape[1])
    of_query = batch.answer_of[0] == queries[:, None]  # (query, token)
    wrong = said != batch.tokens[0]  # (control, token)
    there = of_query.any(axis=1) & (batch.difficulty[0] >= 0)
    return ~(wrong[:, None] & of_query).any(axis=2) & there


def _states(memories: list[Memory]) -> xr.DataArray:
    stacks = [stacked(memory) for memory in memories]
    values = to_numpy(torch.cat([state for state, _ in stacks]).float())
    axes = (dims.CONTROL, dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)
    return xr.DataArray(values, dims=axes, coords={dims.LAYER: list(stacks[0][1])})


def _largest_difference(one: list[Wake], other: list[Wake]) -> float:
    pairs = zip(one, other, strict=True)
    return max(float((a.logits - b.logits).abs().max()) for a, b in pairs)
