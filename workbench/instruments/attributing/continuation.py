"""The rest of the computation from a boundary, as a plain function of what crosses it.

What an attribution method is given. A looped module must never be handed to one (only its last
call would count, see `workbench.instruments.attributing.checks`); these functions run the model's
own reading from a boundary on, and a method sees one input and one number for each example.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import (
    BoundaryIndex,
    at,
    before_answers,
    check_examples,
    known_passes,
    of_examples,
    read_on,
    stacked,
    windows_read,
)
from workbench.model.arrays import to_numpy
from workbench.sleep import Boundary, SleepingModel, before_window, split_windows

STATE_AXES = (dims.LAYER, dims.GDN_HEAD, dims.KEY, dims.VALUE)


@dataclass(frozen=True)
class Target:
    """One logit difference for each example: the answer's logit minus that of another symbol.

    - at: int64 ``[example]``: token, by its position in the sequence, that is predicted.
    - answer, against: int64 ``[example]``: the right symbol, and the one it is compared with.
    """

    at: Tensor
    answer: Tensor
    against: Tensor

    def of(self, logits: Tensor, example: Tensor) -> Tensor:
        """Return the difference in ``logits [case, symbol]`` of the examples `example`."""
        case = torch.arange(len(example), device=example.device)
        return logits[case, self.answer[example]] - logits[case, self.against[example]]

    def for_each(self, examples: int) -> Target:
        """Return the target of one example, asked of as many."""
        return Target(*(tensor.expand(examples) for tensor in (self.at, self.answer, self.against)))


@dataclass(frozen=True)
class Rest:
    """The rest of a computation, a function of one input.

    - run: ``run(input, example) -> Tensor [case]``: the target for any cases, ``input [case, ...]``
      of the examples whose numbers are ``example [case]``, in any order and number.
    - input: what crosses the boundary in the reading itself, ``[example, *axes]``.
    - baselines: what it can be compared with, each ``[example, *axes]``.
    - axes: axis names of the input after the example.
    - meaning: what the input is, and what is held fixed.
    """

    run: Any
    input: Tensor
    baselines: dict[str, Tensor]
    axes: tuple[str, ...]
    coords: dict[str, np.ndarray]
    meaning: str

    def of_one(self, example: int) -> Rest:
        """Return the rest for one example; baselines stay those over all of them."""
        one = slice(example, example + 1)
        return replace(
            self,
            run=lambda given, number: self.run(given, number + example),
            input=self.input[one],
            baselines={name: there[one].clone() for name, there in self.baselines.items()},
        )


def answer_target(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    start: Boundary,
    *,
    query: int | np.ndarray,
    against: np.ndarray | None = None,
) -> Target:
    """Return the logit difference of one query's answer, at its first token.

    - query: the query of every example, or one for each, int64 ``[example]``.
    - against: symbol that the answer is compared with, int64 ``[example]``: the donor's answer,
      say. None is the strongest other symbol in the undisturbed reading, and stays that one.

    Raises WorkbenchError: an example has no such query, or nothing predicts its answer from `start`
    on.
    """
    rows = np.arange(len(batch))
    number = np.broadcast_to(query, rows.shape)
    inside = (number >= 0) & (number < batch.difficulty.shape[1])
    if not inside.all() or (batch.difficulty[rows, number % batch.difficulty.shape[1]] < 0).any():
        raise WorkbenchError(
            f"query {query}",
            f"a query from 0 to {batch.difficulty.shape[1] - 1} that every example has",
            "choose another query, or leave examples out",
        )
    first = (batch.answer_of == number[:, None]).argmax(axis=1)
    span = batch.windows(sleep.window)[start.window]
    begin = span[1] if start.woken or start.sleep_pass else span[0]  # read awake already
    if np.isin(first, batch.begins(sleep.window)).any() or (first < begin).any():
        raise WorkbenchError(
            f"query {query}, whose answer no window from {start.window} on predicts",
            "an answer after the boundary, each preceded by a token of its window",
            "begin earlier, or choose another query",
        )
    position = torch.as_tensor(first, device=model.device)
    answer = torch.as_tensor(batch.tokens[rows, first], device=model.device)
    if against is not None:
        return Target(position, answer, torch.as_tensor(against, device=model.device))
    with torch.no_grad():
        logits = _logits(model, batch, sleep, start, position)
    others = logits.scatter(1, answer[:, None], -torch.inf)
    return Target(position, answer, others.argmax(1))


def rest_of_state(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, start: Boundary, target: Target
) -> Rest:
    """Return the rest as a function of S at a boundary: ``[example, layer, gdn_head, key, value]``.

    Baselines: "zero", "mean" (over the examples), and after a pass "before the sleep", the state
    carried into the window.
    """
    check_examples(start, batch)
    state, layers = stacked(start.memory)

    def run(given: Tensor, example: Tensor) -> Tensor:
        here = of_examples(start, example)
        changed = {layer: given[:, n] for n, layer in enumerate(layers)}
        here = here.with_memory(here.memory.replace(fast_weights=changed))
        cases = batch.examples(to_numpy(example))
        return target.of(_logits(model, cases, sleep, here, target.at[example]), example)

    baselines = _zero_and_mean(state, 0)
    if start.sleep_pass:
        baselines["before the sleep"] = stacked(start.carried)[0]
    return Rest(
        run,
        state,
        baselines,
        STATE_AXES,
        {dims.LAYER: np.array(layers)},
        f"S at window {start.window}, sleep pass {start.sleep_pass}; everything else held fixed",
    )


def rest_of_changes(
    model: SleepingModel,
    batch: Batch,
    sleep: SleepConfig,
    boundaries: Mapping[BoundaryIndex, Boundary],
    window: int,
    target: Target,
) -> Rest:
    """Return the rest as a function of what each pass of one sleep changed in S.

    The input is ``[example, sleep_pass = 1..N, layer, gdn_head, key, value]``; its sum and the
    state before the sleep make the state after it. Changes are held as recorded: what an earlier
    one did to a later one belongs to the later one. One baseline, "before the sleep": none.
    """
    passes = known_passes(sleep)
    states = [stacked(at(boundaries, (window, n)).memory)[0] for n in range(passes + 1)]
    changes = torch.stack([b - a for a, b in pairwise(states)], dim=1)
    end = rest_of_state(model, batch, sleep, at(boundaries, (window, passes)), target)
    return Rest(
        lambda given, example: end.run(states[0][example] + given.sum(1), example),
        changes,
        {"before the sleep": torch.zeros_like(changes)},
        (dims.SLEEP_PASS, *STATE_AXES),
        {dims.SLEEP_PASS: np.arange(1, passes + 1), **end.coords},
        f"what each pass over window {window} changed in S, held as it was in the reading",
    )


def rest_of_embeddings(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, target: Target
) -> Rest:
    """Return the whole computation as a function of the context's embeddings.

    The input is ``[example, token, channel]``, of all tokens before the first wake window; the
    passes that read them and all that follows run again. With predict_then_sleep they are those
    before the window that answers (of the examples, the last; an example's own window and what
    follows it stay as they are). Baselines: "zero"; "mean" over examples and tokens; "another
    example", the context of the example before. Coordinate ``window (token)``.
    """
    windows = split_windows(
        batch, sleep.window, mask_padding=sleep.mask_padding, device=model.device
    )
    with torch.no_grad():
        embedded = torch.cat([model.embed(w.tokens) for w in windows], dim=1)
    begins = context_of(batch, sleep, target.at)
    context = int(begins.max())
    if not context:
        raise WorkbenchError(
            "an answer in the first window that is read awake, with nothing before it",
            "a context that is slept on",
            "ask about a later window, or choose a window no longer than the context",
        )
    positions = np.broadcast_to(np.arange(batch.tokens.shape[1]), batch.tokens.shape)
    placed = replace(batch, tokens=positions.copy())
    plain = sleep.model_copy(update={"checkpointing": "none"})

    before = torch.arange(context, device=embedded.device) < begins[:, None]  # [example, token]

    def run(given: Tensor, example: Tensor) -> Tensor:
        if not before.all():
            own = embedded[example, :context]
            given = torch.where(before[example][..., None], given, own)
        reader = GivenEmbeddings(model, torch.cat((given, embedded[example, context:]), dim=1))
        start = before_window(0, model.empty_memory(len(example)))
        cases, reading = placed.examples(to_numpy(example)), cast(SleepingModel, reader)
        return target.of(_logits(reading, cases, plain, start, target.at[example]), example)

    inputs = embedded[:, :context]
    return Rest(
        run,
        inputs,
        {**_zero_and_mean(inputs, (0, 1)), "another example": inputs.roll(1, 0)},
        (dims.TOKEN, dims.CHANNEL),
        {dims.TOKEN: np.arange(context), dims.WINDOW: np.arange(context) // sleep.window},
        "embeddings of the context; the sleep runs again from them",
    )


def context_of(batch: Batch, sleep: SleepConfig, at: Tensor) -> Tensor:
    """Return where the window begins that the context of each answer ends at, int64 [example].

    `at`: tokens of the answers ``[example]``. In the order "mask" that is the first wake window.
    """
    if sleep.order == "mask":
        row = windows_read(batch, sleep)[before_answers(batch, sleep)[0]]
        return torch.full_like(at, row.start)
    spans = batch.windows(sleep.window)
    starts = torch.tensor([start for start, _ in spans], device=at.device)
    return starts[torch.searchsorted(starts, at.contiguous(), right=True) - 1]


class GivenEmbeddings:
    """A model that reads embeddings it is given: its tokens are positions in them.

    - embedded: ``[batch, token, channel]``; the batch read has position t as its token t.
    """

    def __init__(self, model: SleepingModel, embedded: Tensor) -> None:
        self._model, self._embedded = model, embedded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return the embeddings at ``tokens [batch, token]``.

        Where isolated queries are read, a sequence of the batch is one of them.
        """
        given = self._embedded.repeat_interleave(len(tokens) // len(self._embedded), 0)
        return given.gather(1, tokens[..., None].expand(-1, -1, given.shape[-1]))


def _logits(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, start: Boundary, position: Tensor
) -> Tensor:
    """Return the logits ``[example, symbol]`` predicting the token at `position` ``[example]``."""
    found = None
    for wake in read_on(model, batch, sleep, start, until=int(position.max())):
        width = wake.logits.shape[1]
        before = (position - 1 - wake.window.start).clamp(0, width - 1)
        rows = torch.arange(len(position), device=position.device)
        inside = (position > wake.window.start) & (position < wake.window.stop)
        logits = wake.logits[rows, before]
        found = logits if found is None else torch.where(inside[:, None], logits, found)
    assert found is not None
    return found


def _zero_and_mean(inputs: Tensor, over: int | tuple[int, ...]) -> dict[str, Tensor]:
    mean = inputs.mean(over, keepdim=True).expand_as(inputs).clone()
    return {"zero": torch.zeros_like(inputs), "mean": mean}
