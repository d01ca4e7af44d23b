"""Rule 110: say what the first cell of each string becomes after `rollout` steps (paper 2).

Layout of an example, one character a token::

    string 0 | string 1 | ... | Q label_0 label_1 ...

With windows of `cells` tokens each string is one window. ``Q`` opens the last window, so that
label i is predicted from the token before it: from ``Q`` for i = 0, from label i - 1 after.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.task_config import TaskConfig
from workbench.tasks.base import ChanceLine, Task, check_room
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted
from workbench.tasks.pictures import Cells, Query, Rows
from workbench.tasks.targets import ProbeTarget

Boundary = Literal["periodic", "zero_background"]

# New cell for the neighbourhood 4 left + 2 centre + right: 0 for 000, 100 and 111, else 1.
RULE_110 = np.array([0, 1, 1, 1, 0, 1, 1, 0], dtype=np.int8)
QUERY_SYMBOL = 2
"""Id of ``Q``; the bits are their own ids."""


class Rule110Config(TaskConfig):
    """Rule 110: the first cell of each string after `rollout` steps.

    Attributes
    ----------
    cells : int
        Bits per string; with L = cells each window is one string.
    strings : int
        Independent strings, one label each.
    rollout : int
        t, steps of the automaton.
    boundary : {"periodic", "zero_background"}
        A ring, or an infinite line of zeros on both sides (never clamped).
    """

    common: ClassVar[tuple[str, ...]] = ("cells", "rollout", "strings")

    name: Literal["rule110"] = "rule110"
    cells: int = Field(24, ge=3, le=64)
    strings: int = Field(4, ge=1, le=100_000)
    rollout: int = Field(32, ge=1, le=4096)
    boundary: Literal["periodic", "zero_background"] = "periodic"


class Rule110(Task):
    """The Rule 110 task; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "rule110"
    title = "Rule 110: a cellular automaton"
    difficulty_name, unit, item = "rollout", "step", "cell"
    vocabulary = ("0", "1", "Q")
    Config = Rule110Config
    config: Rule110Config

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
        layout = Layout(count, context + self.query_tokens, self.config.strings)
        layout.tokens[:, :context].reshape(bits.shape)[...] = bits
        layout.tokens[:, context] = QUERY_SYMBOL
        layout.tokens[:, context + 1 :] = labels
        layout.loss_mask[:, context + 1 :] = layout.valid[...] = True
        layout.answer_of[:, context + 1 :] = np.arange(self.config.strings)
        layout.difficulty[...] = self.config.rollout
        return layout.batch()

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
        guesses = (
            ("uniform guess", "Each label is guessed 0 or 1 with equal odds.", 0.5),
            (
                "constant guess",
                f"Every label is guessed {int(ones > 0.5)}, the commoner bit after "
                f"{counted(config.rollout, 'step')}.",
                max(ones, 1.0 - ones),
            ),
        )
        return {
            name: ChanceLine(
                name, meaning, {config.rollout: right}, right**config.strings,
                {config.rollout: right},
            )
            for name, meaning, right in guesses
        }  # fmt: skip

    def distinct_examples(self) -> float:
        """Return how many examples can be told apart: every string of every window."""
        return 2.0 ** (self.config.cells * self.config.strings)

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return every cell of every string after 0..rollout steps; a query asks for a cell 0."""
        config = self.config
        cells = batch.tokens[:, : self.context_tokens]
        cells = cells.reshape(-1, config.strings, config.cells)
        asked_by = np.full(cells.shape, -1, dtype=np.int64)
        if batch.loss_mask.any():
            asked_by[:, :, 0] = np.arange(config.strings)
        single = config.strings == 1
        items = tuple(
            f"cell {cell}" if single else f"string {string}, cell {cell}"
            for string in range(config.strings)
            for cell in range(config.cells)
        )
        flat = (len(cells), -1)
        kinds = _neighbourhoods(_on_line(cells.astype(np.int8), config))
        kinds = _shown(kinds, config).reshape(flat).astype(np.int64)
        read_at = np.tile(self._last_neighbour().reshape(-1), (len(cells), 1))
        targets = []
        for step, state in enumerate(_developed(cells, config)):
            words = counted(step, "step")
            targets.append(
                ProbeTarget(
                    name=f"after {words}",
                    level=step,
                    labels=state.reshape(flat).astype(np.int64),
                    classes=("0", "1"),
                    items=items,
                    kinds=kinds,
                    asked_by=asked_by.reshape(flat),
                    symbols=np.arange(2),  # the bits are their own ids
                    meaning=f"What is the cell after {words} of Rule 110?",
                    read_at=read_at,
                )
            )
        return targets

    def _last_neighbour(self) -> np.ndarray:
        """Return the place of the last token of each cell's neighbourhood, int64 [string, cell]."""
        width, cell = self.config.cells, np.arange(self.config.cells)
        if self.config.boundary == "zero_background":
            last = np.minimum(cell + 1, width - 1)
        else:
            last = np.max([(cell + step) % width for step in (-1, 0, 1)], axis=0)
        return np.arange(self.config.strings)[:, None] * width + last

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the strings, separated by blanks; the queries are fixed and not typed."""
        items = self.picture(batch, example).items
        return " ".join("".join(map(str, item.rows[0])) for item in items), ""

    def typing_help(self) -> str:
        """Return how many strings of how many bits may be typed."""
        strings = counted(self.config.strings, "string")
        between = ", separated by blanks" if self.config.strings > 1 else ""
        return f"{strings} of {counted(self.config.cells, 'bit')}{between}."

    def picture(self, batch: Batch, example: int) -> Cells:
        """Return each string with what becomes of it."""
        config, symbols = self.config, self.render(batch, example)
        steps, last = counted(config.rollout, "step"), config.rollout
        bits = batch.tokens[example, : self.context_tokens].reshape(-1, config.cells)
        rows = np.stack(list(_developed(bits, config)), axis=1).tolist()
        strings, queries = [], []
        for number, developed in enumerate(rows, start=1):
            name, start = f"string {number}", (number - 1) * config.cells
            strings.append(
                Rows(
                    name,
                    range(start, start + config.cells),
                    tuple(map(tuple, developed)),
                    (last, 0),
                    f"{name} and its {steps}",
                )
            )
            label = range(self.context_tokens + number, self.context_tokens + number + 1)
            answer = "".join(symbols[label.start : label.stop])
            queries.append(Query(name, str(number), answer, last, label, (number - 1,)))
        return Cells(
            tuple(strings),
            tuple(queries),
            tuple(symbols),
            frozenset({self.context_tokens}),
            note="The model reads only the framed first row. The answer is the framed cell below "
            f"it, {steps} later.",
        )

    def summary(self) -> str:
        """Return the cells, the steps and the strings."""
        config = self.config
        steps, strings = counted(config.rollout, "step"), counted(config.strings, "string")
        return f"Rule 110: the first of {config.cells} cells after {steps}, {strings}"

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of typed strings of bits, separated by blanks, commas or lines.

        `text`: exactly `strings` strings of `cells` characters 0 or 1; `queries`: Rule 110 has one
        fixed query per string.
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


def _neighbourhoods(cells: np.ndarray) -> np.ndarray:
    """Return 4 left + 2 centre + right of every cell of a ring, int8 [..., cell]."""
    left, right = np.roll(cells, 1, axis=-1), np.roll(cells, -1, axis=-1)
    return 4 * left + 2 * cells + right


def _margin(config: Rule110Config) -> int:
    """Return how many zeros stand for the background: one step spreads by one cell."""
    return config.rollout + 1 if config.boundary == "zero_background" else 0


def _on_line(cells: np.ndarray, config: Rule110Config) -> np.ndarray:
    """Return cells with the background on both sides that can reach them, [..., cell]."""
    return np.pad(cells, [(0, 0)] * (cells.ndim - 1) + [(_margin(config),) * 2])


def _shown(cells: np.ndarray, config: Rule110Config) -> np.ndarray:
    """Return cells without that background, [..., cell]."""
    return cells[..., _margin(config) : _margin(config) + config.cells]


def _developed(cells: np.ndarray, config: Rule110Config) -> Iterator[np.ndarray]:
    """Yield cells after 0, 1 ... `rollout` steps, int8 [..., cell]."""
    state = _on_line(cells.astype(np.int8), config)
    yield _shown(state, config)
    for _ in range(config.rollout):
        state = RULE_110[_neighbourhoods(state)]
        yield _shown(state, config)


def first_cell(start: np.ndarray, rollout: int, boundary: Boundary) -> np.ndarray:
    """Return cell 0 after `rollout` steps, for 64 strings a word.

    Strings are bit-sliced: bit b of ``start[cell, w]`` is that cell of string ``64 w + b``. One
    step is four bitwise operations on rows, with neither shifts nor carries, and any number of
    cells works alike.

    `start`: uint64 [cell, word], initial cells. `rollout`: steps t >= 0. `boundary`: on the zero
    background cell 0 needs no more than ``rollout // 2`` cells to its left: life takes s steps to
    reach cell -s and as many to come back. To the right nothing grows, as 100 -> 0. Returns uint64
    [word].
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
