"""Taking a part of a text out of S again, and what remains of it.

S is a sum over what was written into it (`workbench.instruments.linear`): with keys, write
strengths and decays as they were, the part of S that some tokens wrote follows the same rule as S
itself, from zero and with the values of all other tokens zero ::

    C_i = A_i C_(i-1) + [token i is one of them] b_i k_i v_i^T

`contribution` reads the text again and returns C: S - C holds none of their values. That is exact,
and less than forgetting. Three things stay:

- what the tokens removed: a delta rule takes out of S what their keys held, and it is gone;
- their decays, which made older writes smaller;
- later tokens whose features had seen them (attention, convolutions, the layers below, S itself):
  their keys, values and gates are as they were.

So `forget` also reads the text without them, and measures: ``left`` is how far S - C is from the S
of a text that never had them, as a part of how far S was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import sleep_kernels
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import Memory
from workbench.sleep import Event, Eviction, Session, SleepingModel, WritingModel
from workbench.sleep.stream import Slept, TextStream
from workbench.trace.watched import WatchedModel, writes_of


@dataclass(frozen=True)
class Recall:
    """How well a text is predicted awake with some memory, in pieces of at most a window.

    `log_prob`: of a token, in nats, on average; `right`: share of tokens that are the likeliest;
    both NaN without tokens. `tokens`: how many were predicted, all but the first of each piece.
    """

    log_prob: float
    right: float
    tokens: int


@dataclass(frozen=True)
class Forgotten:
    """What taking a span out of S did.

    `memory`: S - C, without tails and KV. `without`: the memory of the same windows read without
    the span. `removed`: ``|C| / |S|`` by layer. `left`: ``|S - C - S'| / |S - S'|`` by layer, with
    S' that of `without`: 0 is as if never read, 1 as far from it as before. `span`, `rest`: recall
    of the span and of the other tokens slept on, by memory: "before", "after", "never read",
    "nothing" (S = 0).
    """

    memory: Memory
    without: Memory
    removed: dict[int, float]
    left: dict[int, float]
    span: dict[str, Recall]
    rest: dict[str, Recall]


class _Followed(Session):
    """A session that also follows what some of its tokens contribute to S, in float64."""

    def __init__(self, model: SleepingModel, sleep: SleepConfig, start: Memory) -> None:
        self.watched = WatchedModel(model)
        super().__init__(self.watched, sleep)
        self.memory = start
        self.part = {i: s.double() for i, s in start.erase().fast_weights.items()}
        self._meant, self._carried = torch.zeros(0), self.memory.fast_weights

    def read(self, window: Slept, span: np.ndarray) -> None:
        """Read a window; `span`, bool ``[token]``, says which tokens are meant."""
        self._meant = torch.as_tensor(span, device=self.model.device)[None, :, None, None]
        self._carried = self.memory.fast_weights
        sleep = self.sleep.with_passes(window.passes)
        events = self._sleep(window.tokens[None].astype(np.int64), self.memory, sleep)
        self.memory = events[-1].memory if events else self.memory

    def heard(self, event: Event) -> None:
        """Let the part of S follow the rule, by what the newest pass wrote."""
        if isinstance(event, Eviction):
            return
        runs, after = self.watched.take(), event.memory.fast_weights
        for i, state in self.part.items():
            # of several passes awake over a window, the last leaves its S
            run = next((run for run in reversed(runs) if i in run.entered), None)
            if run is None or after[i] is self._carried[i]:
                continue  # not run, or what was written is not kept
            given = writes_of(self.model, run, i, run.entered[i].left)
            assert given is not None
            rule = sleep_kernels.gated_delta_rule
            if not given.corrects:
                rule = sleep_kernels.gated_outer_product
            value = torch.where(self._meant, given.v, 0.0)
            decay = None if given.log_decay is None else given.log_decay.double()
            self.part[i] = rule(
                None, given.k.double(), value.double(), decay, given.beta.double(), state
            ).state
        self._carried = after


@torch.no_grad()
def contribution(
    model: SleepingModel,
    slept: Sequence[Slept],
    sleep: SleepConfig,
    spans: Sequence[np.ndarray],
    *,
    start: Memory | None = None,
    on_window: Callable[[], None] | None = None,
) -> tuple[dict[int, Tensor], Memory]:
    """Read windows again; return what some of their tokens contribute to S, and the memory.

    - slept: the windows, in order, as a `TextStream` keeps them.
    - spans: bool ``[token]`` for each window: the tokens meant.
    - start: the memory before the first window; None is the empty one.
    - on_window: called after each window.

    The first result is C of each fast-weight layer, float64 ``[1, gdn_head, key, value]``, in units
    of S. Contributions of spans that make up the text, and what is left of `start`, add up to S.

    Raises WorkbenchError: the model has no fast weights, or cannot report what is written.
    """
    memory = model.empty_memory(1) if start is None else start
    if not isinstance(model, WritingModel) or not memory.fast_weights:
        raise WorkbenchError(
            "forgetting with a model that has no fast weights, or does not report their writes",
            "fast-weight layers and the method writes",
            "erase the session, or insert fast-weight layers",
        )
    followed = _Followed(model, sleep, memory)
    for window, span in zip(slept, spans, strict=True):
        followed.read(window, span)
        if on_window is not None:
            on_window()
    return dict(followed.part), followed.memory


def forget(
    model: SleepingModel,
    slept: Sequence[Slept],
    sleep: SleepConfig,
    spans: Sequence[np.ndarray],
    *,
    start: Memory | None = None,
    on_window: Callable[[], None] | None = None,
) -> Forgotten:
    """Take out of S what some tokens contribute, and measure; parameters as `contribution`.

    The windows are read three times: for C, without the span, and awake for the recall.
    """
    part, before = contribution(model, slept, sleep, spans, start=start, on_window=on_window)
    others = [Slept(w.tokens[~s], w.passes) for w, s in zip(slept, spans, strict=True)]
    none = [np.zeros(len(window.tokens), dtype=bool) for window in others]
    _, without = contribution(model, others, sleep, none, start=start, on_window=on_window)
    states = {i: s.double() - part[i] for i, s in before.fast_weights.items()}
    kept = {i: s.to(before.fast_weights[i].dtype) for i, s in states.items()}
    after = Memory(fast_weights=kept)
    removed, left = {}, {}
    for i, state in before.fast_weights.items():
        never = without.fast_weights[i]
        removed[i] = _ratio(part[i], state)
        left[i] = _ratio(states[i] - never, state - never)
    bare = {"before": before, "after": after, "never read": without, "nothing": after.erase()}
    told = []
    for wanted in (True, False):
        pieces = [
            p for w, s in zip(slept, spans, strict=True) for p in _runs(w.tokens, s == wanted)
        ]
        told.append({name: recall(model, sleep, memory, pieces) for name, memory in bare.items()})
    return Forgotten(after, without, removed, left, *told)


def forget_text(
    stream: TextStream, text: str, *, on_window: Callable[[], None] | None = None
) -> Forgotten:
    """Take a text that a stream has slept on out of its memory, wherever it occurs.

    Its tokens also leave the window that is not full, and the record of what was slept on starts
    again: of what was read before, nothing more can be taken out. With sliding eviction the kept KV
    goes too. Forks and saved files keep the text.

    Raises WorkbenchError: the text does not occur in what was slept on, or as `contribution`.
    """
    stream.flush()
    sizes = [len(window.tokens) for window in stream.slept]
    tokens = np.concatenate([*(w.tokens for w in stream.slept), stream.pending[0]]).astype(np.int64)
    meant = _places(stream, tokens, text)
    *spans, pending = np.split(meant, np.cumsum(sizes, dtype=np.int64))
    if not meant[: sum(sizes)].any():
        raise WorkbenchError(
            f"a text that was not slept on: {text[:60]!r}",
            "words as they were read since the stream began, was restored without its record, or "
            "last forgot",
            "check the spelling; a text of the window not slept on yet can be kept out as private",
        )
    found = forget(
        stream.model, stream.slept, stream.sleep, spans, start=stream.start, on_window=on_window
    )
    stream.set_memory(found.memory)
    hidden = np.concatenate((np.zeros(sum(sizes), dtype=bool), stream.private))
    stream.newest = tokens[~(meant | hidden)][None, -1:]
    stream.pending, stream.private = stream.pending[:, ~pending], stream.private[~pending]
    return found


@torch.no_grad()
def recall(
    model: SleepingModel, sleep: SleepConfig, memory: Memory, pieces: Sequence[np.ndarray]
) -> Recall:
    """Return how well pieces of text ``[token]`` are predicted awake, each alone with a memory."""
    session = Session(model, sleep)
    session.memory = memory
    scores: list[Tensor] = []
    right = 0
    for piece in pieces:
        for start in range(0, len(piece), sleep.window):
            part = piece[None, start : start + sleep.window].astype(np.int64)
            if part.shape[1] < 2:
                continue
            logits = session.answer(part)[0, :-1].double()
            target = torch.as_tensor(part[0, 1:], device=logits.device)
            scores.append(logits.log_softmax(-1).gather(1, target[:, None])[:, 0])
            right += int((logits.argmax(-1) == target).sum())
    if not scores:
        return Recall(float("nan"), float("nan"), 0)
    every = torch.cat(scores)
    return Recall(float(every.mean()), right / len(every), len(every))


def _places(stream: TextStream, tokens: np.ndarray, text: str) -> np.ndarray:
    """Return which tokens hold a part of some text, bool ``[token]``."""
    write = stream.text.writer()
    pieces = [write(int(token)) for token in tokens]
    stops = np.cumsum([len(piece) for piece in pieces])
    whole, meant, at = "".join(pieces), np.zeros(len(tokens), dtype=bool), -1
    while text and (at := whole.find(text, at + 1)) >= 0:
        first, last = np.searchsorted(stops, [at, at + len(text) - 1], side="right")
        # a character of several tokens is written with its last
        while first and not pieces[first - 1]:
            first -= 1
        meant[first : last + 1] = True
    return meant


def _runs(tokens: np.ndarray, meant: np.ndarray) -> list[np.ndarray]:
    """Return the consecutive tokens that are meant, piece by piece."""
    edges = np.flatnonzero(np.diff(meant)) + 1
    parts = zip(np.split(tokens, edges), np.split(meant, edges), strict=True)
    return [part for part, wanted in parts if len(wanted) and wanted[0]]


def _ratio(part: Tensor, whole: Tensor) -> float:
    """Return the norm of one as a part of the other's; NaN where that is zero."""
    size = float(torch.linalg.vector_norm(whole.double()))
    return float(torch.linalg.vector_norm(part.double())) / size if size else float("nan")
