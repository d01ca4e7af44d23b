"""Text in a stream: tokens as text arrives, a sleep when the window is full or when asked for.

The memory of a stream does not grow with the text. What does is a record of the tokens slept on
(four bytes each), from which a part can be taken out of S again
(`workbench.instruments.forgetting`).
"""

from __future__ import annotations

import copy
import operator
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.model.memory import Memory
from workbench.sleep.contract import SleepingModel
from workbench.sleep.events import Event, Eviction, SleepPass
from workbench.sleep.generation import generate
from workbench.sleep.session import Session

SEAM: Final = re.compile(r"(?<=\S)(?= )")
"""Where no tokenizer in use joins what is left and right: between a word and a space."""
LONGEST: Final = 4096
"""Most characters that are held back for a seam."""


class TextCodec(Protocol):
    """Text to tokens and back, such as the `Text` of a pretrained model."""

    def encode(self, text: str, *, special: bool = False) -> np.ndarray:
        """Return int64 ``[token]``; `special` adds what stands around a whole text."""

    def writer(self) -> Callable[[int], str]:
        """Return a function that takes one token after the other and returns what is new."""


@dataclass(frozen=True)
class Slept:
    """A window that was slept on: its tokens, int32 ``[token]``, and the passes that took."""

    tokens: np.ndarray
    passes: int


@dataclass(frozen=True)
class Budget:
    """What sleep has cost: windows, passes, tokens slept on (each once), seconds."""

    windows: int = 0
    passes: int = 0
    tokens: int = 0
    seconds: float = 0.0


class TextStream(Session):
    """A session that takes text.

    `text`: the model's tokenizer. `budget`: what its sleeps have cost. `slept`: every window since
    `start`, the memory with which this record begins. `last`: the newest sleep, and the memory
    with which it began. `on_pass`: called with the number of every pass of a sleep, and with 0
    after it. `held`: text held back until a word ends. `note`: anything that JSON can hold, saved
    with the stream.
    """

    def __init__(self, model: SleepingModel, text: TextCodec, sleep: SleepConfig) -> None:
        super().__init__(model, sleep)
        self.text = text
        self.on_pass: Callable[[int], None] | None = None
        self._begin()

    def _begin(self) -> None:
        self.budget, self.start = Budget(), self.memory
        self.slept: list[Slept] = []
        self.last: tuple[Slept, Memory] | None = None
        self.held, self._held_private, self._context = "", False, ""
        self.note: Any = None
        self._passes = 0
        self.push(self.text.encode("", special=True)[None])

    def feed(self, text: str, *, private: bool = False) -> None:
        """Take text that goes on where the last ended; sleep on each window that becomes full.

        The end of the text is held back until it cannot change the tokens before it: the tokens
        are those of the whole text, unless it has no space in `LONGEST` characters. `private`:
        the text can be seen until its window ends, and is left out of the sleep. It takes room in
        the window all the same: where windows end depends on its length.
        """
        if private != self._held_private:
            self.flush()
        self.held, self._held_private = self.held + text, private
        seams = [found.start() for found in SEAM.finditer(self.held)]
        end = seams[-1] if seams else 0
        if len(self.held) - end > LONGEST:
            end = len(self.held)
        self._take(end)

    def flush(self) -> None:
        """Take what was held back."""
        self._take(len(self.held))

    def _take(self, end: int) -> None:
        text, self.held = self.held[:end], self.held[end:]
        if text:
            self.push(self._encoded(text)[None], private=self._held_private)

    def _encoded(self, text: str) -> np.ndarray:
        """Return the tokens of a text after its left context: some tokenizers mark a beginning."""
        found = self.text.encode(self._context + text)
        before = self.text.encode(self._context) if self._context else found[:0]
        if not np.array_equal(found[: len(before)], before):
            found, before = self.text.encode(text), before[:0]
        if not self._held_private:  # the tokens that follow must not depend on a private text
            seams = [seam.start() for seam in SEAM.finditer(text)]
            self._context = text[seams[-1] :] if seams else text[-LONGEST:]
        return found[len(before) :]

    def push(self, tokens: np.ndarray, *, private: bool = False) -> list[Event]:
        """Take tokens, as `Session.push`; the events returned are those of the newest sleep."""
        tokens = self.checked(tokens)
        events: list[Event] = []
        while tokens.shape[1]:
            room = self.sleep.window - self.pending.shape[1]
            events = super().push(tokens[:, :room], private=private) or events
            tokens = tokens[:, room:]
        return events

    def sleep_now(self, passes: int | None = None) -> list[Event]:
        """Sleep on everything taken so far, held-back text included."""
        self.flush()
        return super().sleep_now(passes)

    def write(
        self,
        count: int,
        *,
        temperature: float = 0.0,
        top_k: int | None = None,
        stop: Sequence[int] = (),
        generator: np.random.Generator | None = None,
    ) -> Iterator[str]:
        """Continue the text, and yield it piece by piece; the session takes it.

        One pass awake for each token over the KV cache of the window; options as `generate`. A
        single `stop` token is taken, and not yielded.
        """
        self.flush()
        self._context = ""
        made = generate(
            self, self.pending[:, :0], count, temperature=temperature, top_k=top_k, stop=stop,
            generator=generator,
        )  # fmt: skip
        return self._written(made, [int(t) for t in stop])

    def _written(self, made: Iterator[Any], stop: list[int]) -> Iterator[str]:
        writer = self.text.writer()
        for one in made:
            token = int(one.tokens[0])
            if [token] != stop:
                yield writer(token)

    def _sleep(self, tokens: np.ndarray, memory: Memory, sleep: SleepConfig) -> list[Event]:
        began, self._passes = time.perf_counter(), 0
        events = super()._sleep(tokens, memory, sleep)
        if events:
            done = Slept(tokens[0].astype(np.int32), self._passes)
            self.slept.append(done)
            self.last = done, memory
            cost, spent = self.budget, time.perf_counter() - began
            self.budget = Budget(
                cost.windows + 1,
                cost.passes + self._passes,
                cost.tokens + tokens.shape[1],
                cost.seconds + spent,
            )
        return events

    def heard(self, event: Event) -> None:
        """Count the passes of a sleep, and report them."""
        if isinstance(event, SleepPass):
            self._passes = event.sleep_pass
        if self.on_pass is not None and isinstance(event, SleepPass | Eviction):
            self.on_pass(event.sleep_pass if isinstance(event, SleepPass) else 0)

    def set_memory(self, memory: Memory) -> None:
        """Go on with another memory; the record of what was slept on starts again."""
        self.memory = self.start = memory
        self.slept, self.last, self._context = [], None, ""

    def fork(self) -> TextStream:
        """Return a second stream that goes on from here; neither notices what the other does."""
        other = copy.copy(self)
        other.memory = self.memory.clone()
        other.start = self.start.clone()  # erasing overwrites in place
        other.last = self.last and (self.last[0], self.last[1].clone())
        other.pending, other.newest = self.pending.copy(), self.newest.copy()
        other.slept = [replace(one, tokens=one.tokens.copy()) for one in self.slept]
        return other

    def erase(self) -> None:
        """Overwrite memory and tokens with zeros, drop the text, then begin again.

        Forks and saved files keep theirs. Text held back and `note` are strings of Python: they are
        dropped, not overwritten.
        """
        for memory in (self.start, self.last[1] if self.last else self.start):
            memory.overwrite()
        for one in self.slept:
            one.tokens[:] = 0
        super().erase()
        self._begin()

    def _header(self) -> dict[str, Any]:
        recorded = not any(tensor.any() for tensor in self.start.tensors().values())
        slept = [[one.passes, *one.tokens.tolist()] for one in self.slept] if recorded else None
        held = [self.held, self._held_private, self._context]
        record = {"text": held, "slept": slept, "budget": asdict(self.budget), "note": self.note}
        return super()._header() | record

    @classmethod
    def reopen(cls, model: SleepingModel, text: TextCodec, path: str | Path) -> TextStream:
        """Read what `save` wrote; the stream continues bit for bit.

        Its record of what was slept on is in the file unless it began with a memory that was not
        empty; then it starts again. Raises WorkbenchError as `Session.restore`.
        """
        session = Session.restore(model, path)
        _, extra = Memory.load(path)
        stream = cls(model, text, session.sleep)
        for name in ("memory", "pending", "private", "newest"):
            setattr(stream, name, getattr(session, name))
        try:
            held: Any = extra["text"]
            stream.held, stream._held_private, stream._context = held
            if [type(part) for part in held] != [str, bool, str]:
                raise TypeError
            stream.note = extra["note"]
            stream.budget = Budget(**extra["budget"])  # type: ignore[arg-type]
            slept: Any = extra["slept"]
            if slept is None:
                stream.set_memory(session.memory)
            else:
                stream.slept = [
                    Slept(stream.checked(np.array([t]))[0].astype(np.int32), operator.index(n))
                    for n, *t in slept
                ]
        except (KeyError, TypeError, ValueError, OverflowError, WorkbenchError):
            raise WorkbenchError(
                f"{path} holds no stream of text", "what a stream saved", "name another file"
            ) from None
        return stream
