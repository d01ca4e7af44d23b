"""What every task offers, and random generators that are a pure function of seed and step."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Self, TypeVar

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.limits import refuse_beyond_memory
from workbench.task_config import TaskConfig
from workbench.tasks.phrases import shortened
from workbench.tasks.pictures import Picture
from workbench.tasks.targets import ProbeTarget

TRAIN: Final = "train"
"""Stream of the training batches; one step is one batch."""

EVALUATION: Final = "evaluation"
"""Stream of the evaluation batches: examples drawn apart from those of training."""

FEW: Final = 0.01
"""Share of repeated evaluation examples above which a person is warned."""

HELD_OUT: Final = "held out"
"""The part of a task's structures that its training never draws."""


Name = TypeVar("Name", str, int)

TOKEN_BYTES: Final = 18
"""Bytes of a token in a `Batch`: its id, its answer and two masks."""


@dataclass(frozen=True)
class ChanceLine:
    """Score of a strategy that ignores what the context says about the answer."""

    name: str
    """Short label for a legend."""
    meaning: str
    """The strategy in one sentence."""
    accuracy: dict[int, float]
    """Difficulty -> expected share of queries answered right."""
    exact: float | None
    """Expected share of examples with every query right, or None if not defined."""
    first: dict[int, float] | None = None
    """As `accuracy`, for the first query of an example, which no earlier answer precedes. None
    if not defined."""
    reads_answers: bool = False
    """Whether the strategy reads the answers to earlier queries of the same example."""
    reads_context: bool = False
    """Whether the strategy reads a part of the context, which `Task.best_guess` must not."""

    def as_record(self) -> dict[str, Any]:
        """Return the scores as records keep them: JSON, with difficulties as text."""
        return {
            "accuracy": {str(level): value for level, value in self.accuracy.items()},
            "exact": self.exact,
            "first": self.first and {str(level): value for level, value in self.first.items()},
        }


@dataclass(frozen=True)
class Measure:
    """What runs of a task are judged by, of each of its `Task.groups`, in place of right answers.

    Bits are reported per unit; less is better.
    """

    name: str
    """"bits per character"."""


class Task(ABC):
    """A generator of problems with an exact solver, and how to show them; knows no model.

    A task is one file: this class derived, with its settings, and an entry point in the group
    ``sleep_workbench.tasks`` that names it. Command line, configuration, forms and pages follow.
    """

    name: str
    """The task's entry point, and ``task.name`` in a configuration."""
    title: str
    """What the lab's form calls it: "Depo: k-hop retrieval"."""
    difficulty_name: str
    unit: str
    """The difficulty axis in the field's words, "hops" or "rollout", and one unit of it, "hop"."""
    item: str = "item"
    """What a probe asks about: "node", "cell"."""
    query_form: str = ""
    """How a query is typed, "hops:node"; empty where the task fixes its queries."""
    holds_out: bool = False
    """Whether training never draws some of the structures; then `part` chooses."""
    determined: bool = True
    """Whether the context decides the answers, so that `solve` finds them."""
    judged: bool = False
    """Whether other answers than the given one may be right. Evaluation then lets the model write
    its whole answer, token after token, and asks `judge`."""
    measure: Measure | None = None
    """What its runs are shown by, where that is not the share of right answers."""
    Config: type[TaskConfig]
    """Class of its settings, derived from `workbench.config.TaskConfig`; the first line of its
    docstring says in the lab what the task is."""
    config: Any
    """The settings it was made with."""
    of_part: str = ""
    """The part of its structures that it draws from (`part`); empty for all of them."""
    vocabulary: tuple[str, ...]
    """Text of each symbol, indexed by its id."""
    difficulties: tuple[int, ...]
    """Every difficulty that a query can have, ascending."""
    section_tokens: int = 0
    """Tokens of each section by which `groups` are measured too; 0: of a window."""
    context_tokens: int
    query_tokens: int
    """Tokens before and after the last sleep; their sum is the length of every example."""

    @abstractmethod
    def __init__(self, config: Any) -> None: ...

    @abstractmethod
    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw `count` independent examples; all randomness comes from `generator`."""

    @abstractmethod
    def solve(self, batch: Batch) -> np.ndarray:
        """Return tokens, int64 [example, token], with every predicted token worked out again.

        Reads only tokens outside the loss mask, and shares no code with `sample`.
        """

    @abstractmethod
    def chance(self) -> dict[str, ChanceLine]:
        """Return the scores of strategies that know the format and do not read the context."""

    @abstractmethod
    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return what can be asked about every item of each example, easiest first.

        Worked out from the context alone; the batch may end before its queries.
        """

    @abstractmethod
    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the one-example batch that a person typed, answers filled in.

        Raises WorkbenchError: anything about the text does not fit this task's settings.
        """

    @abstractmethod
    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the context and the queries of one example as `parse` reads them."""

    @abstractmethod
    def typing_help(self) -> str:
        """Return what may be typed, with an example of a size that the settings have."""

    @abstractmethod
    def picture(self, batch: Batch, example: int) -> Picture:
        """Return what one example looks like, as data; the batch may end before its queries."""

    @abstractmethod
    def summary(self) -> str:
        """Return the task with its settings in a line, for the cards of the home page."""

    def text(self, batch: Batch, example: int) -> str:
        """Return one example as a person would write it: context, then queries and answers."""
        asked = (f"{q.label} = {q.answer}" for q in self.picture(batch, example).queries)
        return f"{self.typed(batch, example)[0]}\n{', '.join(asked)}"

    def render(self, batch: Batch, example: int) -> list[str]:
        """Return the symbol of each token of one example."""
        return [self.vocabulary[token] for token in batch.tokens[example].tolist()]

    def spell(self, symbols: Sequence[str]) -> str:
        """Return the answer that the symbols of its tokens spell."""
        return "".join(symbols)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text: symbols of the vocabulary, separated by spaces.

        Raises WorkbenchError: something in the text is not a symbol.
        """
        ids = {symbol: token for token, symbol in enumerate(self.vocabulary)}
        if unknown := [word for word in text.split() if word not in ids]:
            raise WorkbenchError(
                f"{shortened(unknown[0])!r} in a text for {self.name}",
                f"symbols separated by spaces: {shortened(' '.join(self.vocabulary))}",
                "write it in the symbols of the model's task",
            )
        return [ids[word] for word in text.split()]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, as `encode` reads it."""
        return " ".join(self.vocabulary[token] for token in tokens)

    def best_guess(self, batch: Batch) -> np.ndarray:
        """Return how likely the best guess is right, float64 [example, query].

        The guess knows the format and each example's own size, but reads neither its context nor
        earlier answers. NaN where an example has no such query.
        """
        lines = [
            line
            for line in self.chance().values()
            if not (line.reads_answers or line.reads_context)
        ]
        right = np.full(batch.difficulty.shape, np.nan)
        for level in self.difficulties:
            right[batch.difficulty == level] = max(line.accuracy[level] for line in lines)
        return right

    def groups(self, batch: Batch) -> dict[str, np.ndarray]:
        """Return kinds of predicted tokens, bool [example, token], by name.

        A task that has some is also measured in bits per token, in all and of each kind.
        """
        return {}

    def units(self, batch: Batch) -> np.ndarray | None:
        """Return how many units of the task's measure each token is, int64 [example, token].

        None: one each. Bits per character of a task with a tokenizer are counted so.
        """
        return None

    def sources(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return what each example of `sample` is taken from, int64 [example].

        Examples of one source are not independent. Here each example is its own source.
        """
        return np.arange(count)

    def unlike_training(self, batch: Batch, example: int) -> str:
        """Return a sentence on what sets an example apart from all that training draws; or ""."""
        return ""

    def part(self, name: str) -> Self:
        """Return the task over the structures of one part: `TRAIN`, or else those held out.

        A task that holds nothing out is returned as it is, and so is a part.
        """
        if not self.holds_out or self.of_part:
            return self
        part = copy(self)
        part.of_part = name
        return part

    def left_out(self, structure: str, share: float) -> bool:
        """Return whether a structure is not in this part, where `share` of all are held out."""
        return bool(self.of_part) and is_held_out(structure, share) == (self.of_part == TRAIN)

    def room(self, batch: Batch) -> Batch:
        """Return the batch with labels wherever an answer of any length could stand."""
        return batch

    def judge(self, batch: Batch, answers: np.ndarray) -> np.ndarray:
        """Return bool [example, query]: which of a model's own answers are right.

        `answers`: int64 [example, token], with the model's tokens where `room` has labels.
        """
        queries = np.arange(batch.difficulty.shape[1])
        wrong = (answers != batch.tokens)[:, :, None] & (batch.answer_of[:, :, None] == queries)
        return ~wrong.any(axis=1) & (batch.difficulty >= 0)

    def drawing_note(self) -> str:
        """Return a sentence on what drawing leaves out; or ""."""
        return ""

    def distinct_examples(self) -> float:
        """Return how many examples can be told apart; infinite where that is never few."""
        return math.inf


def draw(task: Task, count: int, seed: int, step: int, stream: str = TRAIN) -> Batch:
    """Return `count` examples as one batch: a pure function of seed, step and stream.

    Where a task holds structures out (`Task.part`), the training stream draws from the others
    alone, and every other stream from those held out. See `batch_generator`.
    """
    drawn = task.part(TRAIN if stream == TRAIN else HELD_OUT)
    return drawn.sample(count, batch_generator(seed, step, stream))


def repeated_share(task: Task, drawn: int) -> float:
    """Return the share of evaluation examples that training is expected to draw as well.

    Where a task has few distinct examples, a good score may be memory of training. 0 where the
    task holds structures out.

    `drawn`: sequences that training draws: steps times batch size.
    """
    if task.holds_out:
        return 0.0
    return -math.expm1(drawn * math.log1p(-1 / max(task.distinct_examples(), 2.0)))


def few_examples_note(task: Task, drawn: int) -> str:
    """Return a warning where more than `FEW` of the evaluation examples repeat training; else "".

    `drawn`: sequences that training draws: steps times batch size.
    """
    share = repeated_share(task, drawn)
    if share <= FEW:
        return ""
    return (
        f"this setting of {task.name} has few distinct examples: about {100 * share:.0f} % of the "
        f"evaluation's are drawn in training too"
    )


def batch_generator(seed: int, step: int, stream: str = TRAIN) -> np.random.Generator:
    """Return the generator of one batch: the same (seed, step, stream), the same batch.

    Philox is counter-based: the key is (seed, hash of the stream's name) and the upper half of the
    counter is the step. So streams never overlap, each step owns 2**128 blocks, and any step can be
    drawn without drawing those before it (a resumed run continues exactly).

    `seed`: 0 <= seed < 2**64. `step`: optimiser step, or index of an evaluation batch. `stream`:
    what the numbers are for: `TRAIN`, `EVALUATION`, or another name.
    """
    for name, value in (("seed", seed), ("step", step)):
        if not 0 <= value < 2**64:
            raise WorkbenchError(
                f"{name} = {value}", "0 <= value < 2**64", f"choose another {name}"
            )
    key = np.array([seed, hashed(stream)], dtype=np.uint64)
    counter = np.array([0, 0, step, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def hashed(text: str) -> int:
    """Return a number below 2**64 that depends on all of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def is_held_out(structure: str, share: float) -> bool:
    """Return whether a structure is one of the `share` held out: a fixed property of it."""
    return hashed(structure) * 2.0**-64 < share


def python_random(generator: np.random.Generator) -> Random:
    """Return a generator of Python's, which is quicker at single numbers, seeded by NumPy's."""
    return Random(generator.integers(0, 2**63, dtype=np.uint64).item())


def log_orders(count: int, chosen: int) -> float:
    """Return the logarithm of how many ways there are to draw things one after the other."""
    return math.lgamma(count + 1) - math.lgamma(count - chosen + 1)


def parents_first(
    names: Iterable[Name], parents: Callable[[Name, list[Name]], Sequence[Name]]
) -> list[Name]:
    """Return names and all that they build on, each after its parents and else in order.

    `parents` is asked once about each, with the path that led to it, and may raise.
    """
    found: dict[Name, None] = {}
    path: list[Name] = []

    def visit(name: Name) -> None:
        if name not in found:
            below = parents(name, path)
            path.append(name)
            for parent in below:
                visit(parent)
            path.pop()
            found[name] = None

    for name in names:
        visit(name)
    return list(found)


def check_room(task: Task, count: int) -> None:
    """Check that a batch of `count` examples fits into memory; `Task.sample` begins with it.

    Raises WorkbenchError: its tokens and their labels alone need more than there is.
    """
    tokens = task.context_tokens + task.query_tokens
    refuse_beyond_memory(
        count * tokens * TOKEN_BYTES,
        f"a batch of {count:,} examples of {tokens:,} tokens of {task.name}",
        "ask for fewer examples, or for smaller ones in the task's settings",
    )
