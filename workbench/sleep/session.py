"""A streaming session: takes tokens as they arrive, sleeps on full windows, answers at any time."""

from __future__ import annotations

import hashlib
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.config import RandomPasses, SleepConfig, UntilAnswersSettle, build
from workbench.errors import WorkbenchError, one_line
from workbench.model.memory import Memory
from workbench.sleep.algorithm import read
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Event, Wake


class Session:
    """One stream (or several in step) read by one model.

    `model`: the network; the session never changes it. `sleep`: window, passes and options; N must
    be fixed or decided by what happens to the memory (the questions are not known while a stream is
    slept on). `batch`: streams read in step. `memory`: what survived the last eviction. `pending`,
    int64 ``[batch, token]``: tokens of the window that is not full yet. `private`, bool
    ``[token]``: which of them a sleep leaves out. `newest`, int64 ``[batch, 0 or 1]``: the last
    token taken that is not private.
    """

    def __init__(self, model: SleepingModel, sleep: SleepConfig, *, batch: int = 1) -> None:
        if isinstance(sleep.passes, RandomPasses | UntilAnswersSettle):
            raise WorkbenchError(
                f"a session with passes {sleep.passes.kind!r}",
                "a fixed N, or a rule that looks at the memory alone",
                "use sleep.with_passes(N)",
            )
        self.model, self.sleep = model, sleep
        self.memory: Memory = model.empty_memory(batch)
        self.pending = np.zeros((batch, 0), dtype=np.int64)
        self.private = np.zeros(0, dtype=bool)
        self.newest = self.pending.copy()

    def push(self, tokens: np.ndarray, *, private: bool = False) -> list[Event]:
        """Take tokens ``[batch, token]``; sleep on each window that becomes full.

        With predict_then_sleep a full window is read awake first, as text in training is. Returns
        the wakes, passes and evictions that took place; empty while the window fills.

        `private`: the tokens count for the window and are seen awake until it ends; its sleep
        leaves them out, so that what survives does not depend on which tokens they are. It does
        depend on how many: they fill the window.
        """
        given = self.checked(tokens)
        waiting = np.concatenate((self.pending, given), axis=1)
        left_out = np.concatenate((self.private, np.full(given.shape[1], private)))
        length = self.sleep.window
        full = waiting.shape[1] - waiting.shape[1] % length
        # windows are read in one go unless something is left out of one
        step = length if left_out[:full].any() else max(full, length)
        events: list[Event] = []
        for start in range(0, full, step):
            part = slice(start, start + step)
            kept = waiting[:, :full][:, part][:, ~left_out[:full][part]]
            memory = events[-1].memory if events else self.memory
            events += self._sleep(kept, memory, self.sleep)
        self._window_ended(events, waiting[:, full:], left_out[full:])
        if given.shape[1] and not private:
            self.newest = given[:, -1:].copy()
        return events

    def sleep_now(self, passes: int | None = None) -> list[Event]:
        """Sleep on the pending tokens as if the window were full; `passes` is N for this sleep."""
        sleep = self.sleep if passes is None else self.sleep.with_passes(passes)
        events = self._sleep(self.pending[:, ~self.private], self.memory, sleep)
        self._window_ended(events, self.pending[:, :0], self.private[:0])
        return events

    def _window_ended(self, events: list[Event], pending: np.ndarray, private: np.ndarray) -> None:
        self.memory = events[-1].memory if events else self.memory
        # a view would keep the tokens slept on
        self.pending, self.private = pending.copy(), private.copy()

    @torch.no_grad()
    def _sleep(self, tokens: np.ndarray, memory: Memory, sleep: SleepConfig) -> list[Event]:
        """Sleep on whole windows, or on a shorter one; nothing in the session is changed."""
        if not tokens.shape[1]:
            return []
        whole = unlabelled(tokens)
        if sleep.order == "predict_then_sleep":
            whole.loss_mask[:] = np.arange(tokens.shape[1]) % sleep.window > 0
        events = []
        for event in read(self.model, whole, sleep, memory=memory):
            self.heard(event)
            events.append(event)
        return events

    def heard(self, event: Event) -> None:
        """Do nothing; called after every pass and eviction, for those who watch."""

    @torch.no_grad()
    def answer(self, tokens: np.ndarray, *, keep: bool = False) -> Tensor:
        """Read the pending tokens and `tokens` awake, in one pass, and return the logits.

        `tokens`: the question, int64 ``[batch, token]``, at least one token. `keep`: False leaves
        the session as it was. True ends the window as training ends one with labels: keeps what the
        wake writes to S, sleeps if the order is predict_then_sleep, and evicts. Returns
        ``[batch, token, symbol]`` for the tokens given; the last position predicts what comes next.
        Raises WorkbenchError: pending tokens and question together are longer than the window, or
        some of those to be kept are private.
        """
        question = self.checked(tokens)
        joined = np.concatenate((self.pending, question), axis=1)
        if not question.shape[1] or joined.shape[1] > self.sleep.window:
            raise WorkbenchError(
                f"a question of {question.shape[1]} tokens after {self.pending.shape[1]} pending",
                f"1 to {self.sleep.window} tokens together (the window)",
                "ask a shorter question, or push tokens until the window is full and slept on",
            )
        if keep and self.private.any():
            raise WorkbenchError(
                "keep = True after private tokens", "keep = False", "push the question instead"
            )
        labelled = unlabelled(joined)
        labelled.loss_mask[:, self.pending.shape[1] :] = True
        wake, *rest = islice(
            read(self.model, labelled, self.sleep, memory=self.memory), None if keep else 1
        )
        assert isinstance(wake, Wake)
        if keep:
            self._window_ended(list(rest), joined[:, :0], self.private)
            self.newest = joined[:, -1:].copy()
        return wake.logits[:, -question.shape[1] :]

    def erase(self) -> None:
        """Overwrite everything the session holds with zeros, then drop it.

        This also zeroes S in events that the caller kept from the last `push`. Intermediate values
        (features, evicted KV, S of earlier passes) were freed before, not overwritten.
        """
        batch = len(self.pending)
        self.memory.overwrite()
        for tokens in (self.pending, self.newest):
            tokens[:] = 0
        self.memory = self.model.empty_memory(batch)
        self.pending, self.private = np.zeros((batch, 0), dtype=np.int64), self.private[:0].copy()
        self.newest = self.pending.copy()

    def save(self, path: str | Path) -> None:
        """Write the session (not the model) to one safetensors file, whole or not at all."""
        self.memory.save(path, self._header())

    def _header(self) -> dict[str, Any]:
        """Return all of the session but its memory, as JSON can hold it."""
        return {
            "pending": self.pending.tolist(),
            "private": self.private.tolist(),
            "newest": self.newest.tolist(),
            "batch": len(self.pending),
            "sleep": self.sleep.model_dump(mode="json"),
            "weights": fingerprint(self.model),
        }

    @classmethod
    def restore(cls, model: SleepingModel, path: str | Path) -> Session:
        """Read what `save` wrote; the session continues bit for bit.

        Raises WorkbenchError: the file is damaged or does not hold a session of this model, or was
        written with other weights.
        """
        memory, extra = Memory.load(path)
        if extra.get("weights") != fingerprint(model):
            raise WorkbenchError(
                f"session {path} was saved with other weights",
                "the model it was saved with",
                "load that checkpoint, or start a new session",
            )
        batch, sleep, pending = (extra.get(name) for name in ("batch", "sleep", "pending"))
        if not isinstance(sleep, dict):
            raise _not_a_session(path, "no settings of its sleep")
        waiting = _pending_of(pending, batch, path)
        session = cls(model, build(SleepConfig, sleep, source=str(path)), batch=len(waiting))
        if waiting.shape[1] >= session.sleep.window:
            raise _not_a_session(path, f"{waiting.shape[1]} pending tokens, a window or more")
        session.pending = session.checked(waiting)
        session.private = _private_of(extra.get("private"), waiting.shape[1], path)
        # earlier versions did not keep it
        newest = extra.get("newest", [[]] * len(waiting))
        session.newest = session.checked(_pending_of(newest, batch, path))
        _check_memory(model, memory, session.memory, len(waiting), path)
        session.memory = memory.to(model.device)
        return session

    def checked(self, tokens: np.ndarray) -> np.ndarray:
        """Return tokens as int64; raise WorkbenchError if they do not fit streams and model."""
        tokens = np.asarray(tokens)
        if tokens.ndim != 2 or len(tokens) != len(self.pending) or tokens.dtype.kind not in "iu":
            raise WorkbenchError(
                f"tokens of shape {tokens.shape} and dtype {tokens.dtype}",
                f"integers [batch, token] with batch = {len(self.pending)}",
                "reshape the tokens, or open a session with that batch",
            )
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.model.vocabulary:
            raise WorkbenchError(
                f"token ids from {tokens.min()} to {tokens.max()}",
                f"ids from 0 to {self.model.vocabulary - 1} (the model's vocabulary)",
                "encode the text with the vocabulary of the model's task",
            )
        return tokens.astype(np.int64)


def fingerprint(model: SleepingModel) -> str:
    """Return a SHA-256 over a model's weights, by name and in order."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():  # type: ignore[attr-defined]
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _pending_of(pending: object, batch: object, path: str | Path) -> np.ndarray:
    """Return the pending tokens of a session's header, int64 ``[batch, token]``."""
    if (
        type(batch) is not int
        or not isinstance(pending, list)
        or len(pending) != batch
        or not batch
    ):
        raise _not_a_session(path, "pending tokens that do not match its batch")
    rows: list[list[Any]] = [row if isinstance(row, list) else [None] for row in pending]
    if len({len(row) for row in rows}) > 1 or {type(t) for row in rows for t in row} - {int}:
        raise _not_a_session(path, "pending tokens that are not integers [batch, token]")
    if any(abs(token) >= 2**63 for row in rows for token in row):
        raise _not_a_session(path, "pending tokens outside the vocabulary")
    return np.array(rows, dtype=np.int64).reshape(batch, -1)


def _private_of(private: object, tokens: int, path: str | Path) -> np.ndarray:
    """Return which pending tokens are private; none where an earlier version wrote the file."""
    found = [False] * tokens if private is None else private
    if not isinstance(found, list) or len(found) != tokens or {type(x) for x in found} - {bool}:
        raise _not_a_session(path, "marks of private tokens that do not match the pending ones")
    return np.array(found, dtype=bool)


def _check_memory(
    model: SleepingModel, found: Memory, empty: Memory, batch: int, path: str | Path
) -> None:
    """Check that a model can read on with a memory: by its shapes, then by reading a token."""
    if found.fast_weights.keys() != empty.fast_weights.keys():
        layers = ", ".join(map(str, found.fast_weights)) or "none"
        raise _not_a_session(path, f"fast weights of layers {layers}")
    for i, expected in empty.fast_weights.items():
        state = found.fast_weights[i]
        if state.shape != expected.shape or state.dtype != expected.dtype:
            given = f"{list(state.shape)} {state.dtype}"
            raise _not_a_session(path, f"fast weights {given} in layer {i}")
    for i, tail in found.conv_tails.items():
        if (
            i not in empty.fast_weights
            or tail.shape[:1] != (batch,)
            or not tail.is_floating_point()
        ):
            raise _not_a_session(path, f"a convolution tail {list(tail.shape)} in layer {i}")
    for i, cache in found.kv.items():
        keys, values, valid = cache.keys, cache.values, cache.valid
        fits = i in range(model.depth) and i not in empty.fast_weights and keys.is_floating_point()
        same = keys.shape == values.shape and keys.dtype == values.dtype and keys.ndim == 4
        if not fits or not same or valid.shape != (batch, keys.shape[2]) or len(keys) != batch:
            raise _not_a_session(path, f"a KV cache {list(keys.shape)} {keys.dtype} in layer {i}")
        if valid.dtype != torch.bool:
            raise _not_a_session(path, f"a mask of {valid.dtype} in layer {i}")
    token = torch.zeros(batch, 1, dtype=torch.int64, device=model.device)
    try:
        with torch.no_grad():
            model.blocks(model.embed(token), found.to(model.device))
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
        line = one_line(error, 120)
        raise _not_a_session(path, f"a memory the model cannot read ({line})") from None


def _not_a_session(path: str | Path, given: str) -> WorkbenchError:
    return WorkbenchError(
        f"{path} has {given}", "a session of this model", "save the session again"
    )


def unlabelled(tokens: np.ndarray) -> Batch:
    """Return the batch of tokens ``[batch, token]`` that are only read."""
    none = np.zeros(tokens.shape, dtype=bool)
    return Batch(
        tokens=tokens,
        loss_mask=none,
        valid=~none,
        answer_of=np.full(tokens.shape, -1, dtype=np.int64),
        difficulty=np.zeros((len(tokens), 0), dtype=np.int64),
    )
