"""Writing on: a session predicts token after token, and sleeps whenever its window is full."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.model.arrays import to_numpy
from workbench.model.memory import KVCache, Memory
from workbench.sleep.one_pass import reset_conv_tails
from workbench.sleep.session import Session


class Generated(NamedTuple):
    """A token of each stream, and what it was drawn from."""

    tokens: np.ndarray
    """int64 ``[batch]``."""
    logits: Tensor
    """``[batch, symbol]``."""


def generate(
    session: Session,
    prompt: np.ndarray,
    count: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    stop: Sequence[int] = (),
    generator: np.random.Generator | None = None,
) -> Iterator[Generated]:
    """Read a prompt, then predict up to `count` tokens, each read in one pass awake.

    The session takes the prompt and every token, as `Session.push` does: the memory is that of
    reading the same text at once. After a sleep the window is empty: its first token is predicted
    from the token before, read once more, awake, with the memory that the sleep left. That reading
    is not kept; no training asks a model for it.

    Parameters
    ----------
    session : Session
        The streams. Tokens that are pending count as the beginning of the prompt.
    prompt : int64 [batch, token]
        May be empty if tokens are pending.
    count : int
        Most tokens to predict.
    temperature : float
        Divides the logits; 0 takes the likeliest token.
    top_k : int or None
        Draw from so many of the likeliest tokens; None draws from all.
    stop : sequence of int
        Tokens that end a stream; the generation ends when every stream has. Empty ends none.
    generator : numpy Generator or None
        Draws the tokens; needed unless the temperature is 0.

    Yields
    ------
    Generated
        The next token of each stream, with its logits.

    Raises
    ------
    WorkbenchError
        Nothing to predict from, or a setting outside its range; before anything is read.
    """
    prompt = session.checked(prompt)
    symbols = session.model.vocabulary
    for given, fits, expected in (
        (
            "an empty prompt and no pending tokens",
            prompt.shape[1] + session.newest.shape[1] > 0,
            "a token to predict from",
        ),
        (f"count = {count}", count >= 1, "at least 1 token"),
        (f"temperature = {temperature}", 0 <= temperature < math.inf, "0 (the likeliest) or more"),
        (f"top_k = {top_k}", top_k is None or 1 <= top_k <= symbols, f"1 to {symbols} symbols"),
        (
            f"temperature = {temperature} without a generator",
            generator is not None or temperature == 0,
            "a generator to draw from, or temperature = 0",
        ),
    ):
        if not fits:
            raise WorkbenchError(given, expected, "change it")
    drawing = partial(choose, temperature=temperature, top_k=top_k, generator=generator)
    return _generate(session, prompt, count, drawing, np.array(stop, dtype=np.int64))


@torch.no_grad()
def _generate(
    session: Session,
    prompt: np.ndarray,
    count: int,
    drawing: Callable[[Tensor], np.ndarray],
    stop: np.ndarray,
) -> Iterator[Generated]:
    session.push(prompt)
    pending = session.pending
    read_on = partial(_read_awake, session)
    logits, caches = read_on(pending, _entered(session)) if pending.size else _after_sleep(session)
    written = np.zeros((len(prompt), 0), dtype=np.int64)
    ended = np.zeros(len(prompt), dtype=bool)
    while True:
        token = drawing(logits)[:, None]
        written = np.concatenate((written, token), axis=1)
        session.push(token)
        yield Generated(token[:, 0], logits)
        if len(stop) and written.shape[1] >= len(stop):
            ended |= (written[:, -len(stop) :] == stop).all(axis=1)
        if written.shape[1] == count or ended.all():
            return
        slept = not session.pending.shape[1]
        logits, caches = _after_sleep(session) if slept else read_on(token, caches)


def _after_sleep(session: Session) -> tuple[Tensor, list[Memory]]:
    """Read the newest token awake with the memory that a sleep left.

    What eviction kept of it (its KV, its place in a convolution's tail) is taken out for that.
    Returns the logits after it, and the memory of each pass as it was before it.
    """
    entered = _entered(session)
    kept = entered[0]
    kv = {
        i: KVCache(c.keys[:, :, :-1], c.values[:, :, :-1], c.valid[:, :-1])
        for i, c in kept.kv.items()
    }
    tails = {i: F.pad(t[:, :-1], (0, 0, 1, 0)) for i, t in kept.conv_tails.items()}
    before = [kept.replace(kv=kv, conv_tails=tails)] * len(entered)
    logits, _ = _read_awake(session, session.newest, before)
    return logits, entered


def _entered(session: Session) -> list[Memory]:
    """Return the memory of each wake pass as a window begins."""
    return [reset_conv_tails(session.memory, session.sleep)] * session.sleep.wake_passes


def _read_awake(
    session: Session, tokens: np.ndarray, caches: list[Memory]
) -> tuple[Tensor, list[Memory]]:
    """Read further tokens of a window awake, as `wake` reads a whole one.

    Each wake pass goes on from its own S, tails and KV. Returns the logits at the last token,
    ``[batch, symbol]``, and the memory of each pass after it.
    """
    model, sleep = session.model, session.sleep
    begin, end = sleep.loop or (0, model.depth)
    hidden = model.embed(torch.as_tensor(tokens, device=model.device))
    left = []
    for number, memory in enumerate(caches, 1):
        features, after = model.blocks(
            hidden,
            memory,
            first=0 if number == 1 else begin,
            last=model.depth if number == len(caches) else end,
            window=sleep.window if sleep.eviction == "sliding" else None,
        )
        assert features is not None
        hidden = model.normalise(features) if sleep.final_norm == "inside" else features
        left.append(after)
    return model.logits(hidden[:, -1:], normalise=sleep.final_norm == "outside")[:, 0], left


def choose(
    logits: Tensor,
    *,
    temperature: float,
    top_k: int | None = None,
    generator: np.random.Generator | None = None,
) -> np.ndarray:
    """Draw a token of each stream from its logits ``[batch, symbol]``: int64 ``[batch]``."""
    scores = to_numpy(logits.double())
    if not np.isfinite(scores).all():
        raise WorkbenchError(
            "logits that are NaN or infinite", "finite logits", "check the model's weights"
        )
    if temperature == 0:
        return scores.argmax(axis=-1)
    assert generator is not None
    if top_k is not None:
        least = np.sort(scores, axis=-1)[:, -top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    with np.errstate(over="ignore"):  # at a tiny temperature all but the likeliest weigh nothing
        weights = np.exp((scores - scores.max(axis=-1, keepdims=True)) / temperature)
    upto = weights.cumsum(axis=-1)
    drawn = generator.random((len(upto), 1)) * upto[:, -1:]
    # rounding may draw the whole sum, which is past the last token that has any weight
    return np.minimum((upto <= drawn).sum(axis=-1), (upto < upto[:, -1:]).sum(axis=-1))
