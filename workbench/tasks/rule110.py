"""Rule 110: say what the first cell of each string becomes after `rollout` steps (paper 2).

Layout of an example, one character a token::

    string 0 | string 1 | ... | Q label_0 label_1 ...

With windows of `cells` tokens each string is one window. ``Q`` opens the last window, so that
label i is predicted from the token before it: from ``Q`` for i = 0, from label i - 1 after.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

from workbench.batch import Batch
from workbench.config import Rule110Config
from workbench.errors import WorkbenchError
from workbench.tasks.base import ChanceLine, check_room, symbols
from workbench.tasks.phrases import counted
from workbench.tasks.targets import RULE_110, ProbeTarget, cell_targets

Boundary = Literal["periodic", "zero_background"]

QUERY_SYMBOL = 2
"""Id of ``Q``; the bits are their own ids."""


class Rule110:
    """The Rule 110 task; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "rule110"
    difficulty_name = "rollout"
    vocabulary = ("0", "1", "Q")

    def __init__(self, config: Rule110Config) -> None:
        self.config = config
        self.difficulties = (config.rollout,)
        self.context_tokens = config.strings * config.cells
        self.query_tokens = 1 + config.strings

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw uniform strings; tokens [example, token = strings * cells + 1 + strings]."""
        check_room(self, count)
        config = self.config
        words = -(-count * config.strings // 64)  # 64 strings share a word, one bit each
        raw = generator.bytes(8 * words * config.cells)
        start = np.frombuffer(raw, dtype=np.uint64).reshape(config.cells, words)
        label = first_cell(start, config.rollout, config.boundary)
        bits = _unpack(start)[:, : count * config.strings]  # (cell, example x string)
        labels = _unpack(label[None])[0, : count * config.strings]
        return self._batch(
            bits.reshape(config.cells, count, config.strings).transpose(1, 2, 0),
            labels.reshape(count, config.strings),
        )

    def _batch(self, bits: np.ndarray, labels: np.ndarray) -> Batch:
        """Lay out bits [example, string, cell] and labels [example, string]."""
        count, context = len(bits), self.context_tokens
        shape = (count, context + self.query_tokens)
        tokens = np.empty(shape, dtype=np.int64)
        tokens[:, :context].reshape(bits.shape)[...] = bits
        tokens[:, context] = QUERY_SYMBOL
        tokens[:, context + 1 :] = labels
        loss_mask = np.zeros(shape, dtype=bool)
        loss_mask[:, context + 1 :] = True
        answer_of = np.full(shape, -1, dtype=np.int64)
        answer_of[:, context + 1 :] = np.arange(self.config.strings)
        return Batch(
            tokens=tokens,
            loss_mask=loss_mask,
            valid=np.ones(shape, dtype=bool),
            answer_of=answer_of,
            difficulty=np.full((count, self.config.strings), self.config.rollout, dtype=np.int64),
        )

    def solve(self, batch: Batch) -> np.ndarray:
        """Work out the labels by looking every neighbourhood up in the rule's table.

        Deliberately plain: one number per cell, and on the zero background the whole light cone
        of `rollout` cells on both sides.
        """
        config, context = self.config, self.context_tokens
        tokens = batch.tokens.copy()
        cells = tokens[:, :context].reshape(-1, config.strings, config.cells).astype(np.int8)
        if config.boundary == "zero_background":
            cells = np.pad(cells, ((0, 0), (0, 0), (config.rollout, config.rollout)))
        first = config.rollout if config.boundary == "zero_background" else 0
        for _ in range(config.rollout):
            left, right = np.roll(cells, 1, axis=-1), np.roll(cells, -1, axis=-1)
            cells = RULE_110[4 * left + 2 * cells + right]
        tokens[:, context + 1 :] = cells[..., first]
        return tokens

    def render(self, batch: Batch, example: int) -> list[str]:
        """Return the symbol of each token."""
        return symbols(self.vocabulary, batch.tokens[example])

    def text(self, batch: Batch, example: int) -> str:
        """Return the strings, one a line, each with its label: ``0110 -> 1``."""
        context, cells = self.context_tokens, self.config.cells
        letters = self.render(batch, example)
        return "\n".join(
            "".join(letters[i * cells : (i + 1) * cells]) + " -> " + letters[context + 1 + i]
            for i in range(self.config.strings)
        )

    def chance(self) -> dict[str, ChanceLine]:
        """Return "uniform guess" and "constant guess" (the commoner bit, always)."""
        config = self.config
        ones = share_of_ones(config.cells, config.rollout, config.boundary)
        best = max(ones, 1.0 - ones)
        lines = (
            ChanceLine(
                "uniform guess",
                "Each label is guessed 0 or 1 with equal odds.",
                {config.rollout: 0.5},
                0.5**config.strings,
                {config.rollout: 0.5},
            ),
            ChanceLine(
                "constant guess",
                f"Every label is guessed {int(ones > 0.5)}, the commoner bit after "
                f"{counted(config.rollout, 'step')}.",
                {config.rollout: best},
                best**config.strings,
                {config.rollout: best},
            ),
        )
        return {line.name: line for line in lines}

    def distinct_examples(self) -> float:
        """Return how many examples can be told apart: every string of every window."""
        return 2.0 ** (self.config.cells * self.config.strings)

    def best_guess(self, batch: Batch) -> np.ndarray:
        """Return the chance of "constant guess" for each query, [example, query]."""
        best = max(line.accuracy[self.config.rollout] for line in self.chance().values())
        return np.where(batch.difficulty < 0, np.nan, best)

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return every cell of every string after 0..rollout steps; a query asks for a cell 0."""
        config = self.config
        cells = batch.tokens[:, : self.context_tokens]
        cells = cells.reshape(-1, config.strings, config.cells)
        asked_by = np.full(cells.shape, -1, dtype=np.int64)
        if batch.loss_mask.any():
            asked_by[:, :, 0] = np.arange(config.strings)
        return cell_targets(
            cells,
            config.rollout,
            background=config.boundary == "zero_background",
            asked_by=asked_by.reshape(len(cells), -1),
        )

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of typed strings of bits, separated by blanks, commas or lines.

        Parameters
        ----------
        text : str
            Exactly `strings` strings of `cells` characters 0 or 1.
        queries : None
            Rule 110 has one fixed query per string.
        """
        config = self.config
        if queries is not None and queries.strip():
            raise WorkbenchError(
                f"queries {queries.strip()!r}",
                "none: Rule 110 asks for the first cell of every string",
                "leave the queries empty",
            )
        strings = text.replace(",", " ").split()
        if len(strings) != config.strings:
            raise WorkbenchError(
                counted(len(strings), "string"),
                f"{counted(config.strings, 'string')} of {config.cells} bits",
                "separate the strings by blanks or new lines",
            )
        for number, string in enumerate(strings, start=1):
            if wrong := sorted(set(string) - {"0", "1"}):
                raise WorkbenchError(
                    f"string {number} contains {wrong[0]!r}", "only 0 and 1", "remove it"
                )
            if len(string) != config.cells:
                raise WorkbenchError(
                    f"string {number} has {len(string)} bits",
                    f"{config.cells} bits",
                    "add or remove bits",
                )
        bits = np.array([[[int(bit) for bit in string] for string in strings]])
        batch = self._batch(bits, np.zeros((1, config.strings), dtype=np.int64))
        batch.tokens[...] = self.solve(batch)
        return batch


def first_cell(start: np.ndarray, rollout: int, boundary: Boundary) -> np.ndarray:
    """Return cell 0 after `rollout` steps, for 64 strings a word.

    Strings are bit-sliced: bit b of ``start[cell, w]`` is that cell of string ``64 w + b``. One
    step is four bitwise operations on rows, with neither shifts nor carries, and any number of
    cells works alike.

    Parameters
    ----------
    start : uint64 [cell, word]
        Initial cells.
    rollout : int
        Steps t >= 0.
    boundary : {"periodic", "zero_background"}
        On the zero background cell 0 needs no more than ``rollout // 2`` cells to its left: life
        takes s steps to reach cell -s and as many to come back. To the right nothing grows,
        as 100 -> 0.

    Returns
    -------
    uint64 [word]
    """
    cells, words = start.shape
    if boundary == "periodic":
        # Two halo rows, refreshed before each step: the last cell above, the first cell below.
        origin, kept = 1, cells
    else:
        origin, kept = rollout // 2 + 1, min(cells, rollout + 1)
    state = np.zeros((origin + kept + 1, words), dtype=np.uint64)
    state[origin : origin + kept] = start[:kept]
    some, every = np.empty_like(state), np.empty_like(state)
    for left in range(rollout - 1, -1, -1):  # steps left after this one
        if boundary == "periodic":
            state[0], state[-1] = state[-2], state[1]
            first, last = 0, cells - 1
        else:  # what can be alive by now and can still reach cell 0
            first, last = -min(rollout - left, left), min(kept - 1, left)
        rows = last - first + 1
        above = origin + first - 1
        west, centre, east = (state[above + i : above + i + rows] for i in range(3))
        # new = (centre or east) and not (west and centre and east); as the second implies the
        # first, "and not" is "xor".
        np.bitwise_or(centre, east, out=some[:rows])
        np.bitwise_and(west, centre, out=every[:rows])
        np.bitwise_and(every[:rows], east, out=every[:rows])
        np.bitwise_xor(some[:rows], every[:rows], out=centre)
    return state[origin].copy()


def _unpack(words: np.ndarray) -> np.ndarray:
    """Return the bits, uint8 [..., 64 word + bit], of uint64 [..., word]."""
    flat = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(flat, axis=-1, bitorder="little")


@lru_cache(maxsize=256)
def share_of_ones(cells: int, rollout: int, boundary: Boundary) -> float:
    """Return P(first cell = 1 after `rollout` steps) for uniform initial strings.

    Exact, by enumeration of all strings in cell 0's light cone, up to 2**30 string-steps (24 cells
    and 64 steps). Beyond that a fixed-seed estimate from 2**16 strings, or up to 2**20 where
    that is cheap, with a standard error of at most 0.002.
    """
    # Cells -rollout..rollout decide; where they do not meet again the ring's size is irrelevant.
    free = min(cells, 2 * rollout + 1 if boundary == "periodic" else rollout + 1)
    rows = free + (rollout // 2 if boundary == "zero_background" else 0)
    chunk = 2 ** max(6, 15 - rows.bit_length())  # words; a state stays within the CPU's cache
    if 2**free * rollout <= 2**30:
        words = -(-(2**free) // 64)  # fewer than 64 strings repeat within the one word
        starts = (_every_string(free, word, min(chunk, words)) for word in range(0, words, chunk))
    else:
        words = 2 ** min(14, max(10, 28 - (rows * rollout).bit_length()))
        generator = np.random.Generator(np.random.Philox(key=110))
        starts = (
            np.frombuffer(generator.bytes(8 * chunk * free), np.uint64).reshape(free, chunk)
            for _ in range(0, words, chunk)
        )
    ones = sum(int(_unpack(first_cell(start, rollout, boundary)).sum()) for start in starts)
    return ones / (64 * words)


def _every_string(cells: int, first: int, words: int) -> np.ndarray:
    """Return strings ``64 first .. 64 (first + words) - 1`` in binary, uint64 [cell, word].

    String 64 w + b is bit b of word w, so the lowest six cells count along the bits of a word and
    look the same in every word; the others are all zeros or all ones, by the word's number.
    """
    bit = np.arange(64) >> np.arange(6)[:, None] & 1
    low = np.packbits(bit.astype(np.uint8), axis=-1, bitorder="little").view(np.uint64)
    number = np.arange(first, first + words) >> np.arange(max(cells - 6, 0))[:, None] & 1
    high = np.where(number, np.uint64(2**64 - 1), np.uint64(0))
    return np.concatenate([np.repeat(low[:cells], words, axis=1), high])
