"""Any data set of reasoning-gym as a task: its text is slept on, its scorer judges the answer.

Layout of an example::

    <pad> ... text of the item | question <answer> 4 2 <end> <pad> ...
    context                    | query

Training draws three quarters of all items and every other stream the last one: a digest of an
item's text says which, so that no problem is in both, whatever its number. Items come from
reasoning-gym (Apache-2.0, https://github.com/open-thought/reasoning-gym).
"""

from __future__ import annotations

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import ChanceLine, Task, check_room, is_held_out
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted, shortened
from workbench.tasks.pictures import Item as PictureItem
from workbench.tasks.pictures import Query, Sentences
from workbench.tasks.reasoning_gym.settings import ReasoningGymConfig
from workbench.tasks.reasoning_gym.source import NUMBERS, Item, source
from workbench.tasks.reasoning_gym.text import (
    ANSWER,
    END,
    PAD,
    Alphabet,
    frequent_words,
    sentences,
    split_item,
    strange_in,
)
from workbench.tasks.targets import ProbeTarget

HELD_OUT_SHARE = 0.25
MOST_DRAWS = 300
"""Items drawn in a row that do not fit before the settings are refused."""
SURVEY = 200
"""Items that words, named difficulties, chance lines and the share that fits rest on."""
REMEMBERED = 50_000
"""Problems whose entry the scorer finds again."""
OTHER = "it belongs to the other part, of training or of evaluation"
GIVES = "=>"
"""Stands between a typed question and its answer."""


class _Laid(NamedTuple):
    """An item as tokens."""

    context: list[int]
    question: list[int]
    answer: list[int]
    difficulty: int


class _Unfit(NamedTuple):
    """Why an item is left out, and the tokens that it would need, if that is why."""

    why: str
    tokens: int = 0


class ReasoningGym(Task):
    """A data set of reasoning-gym; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "reasoning_gym"
    title = "reasoning-gym: a hundred kinds of problems"
    difficulty_name, unit, item = "answer length", "token", "answer"
    query_form = f"question {GIVES} answer"
    holds_out = True
    judged = True
    Config = ReasoningGymConfig
    config: ReasoningGymConfig

    def __init__(self, config: ReasoningGymConfig) -> None:
        self.config = config
        words: tuple[str, ...] = ()
        if config.tokens == "words":
            words = _survey_words(config.dataset, config.options, config.level)
        self._alphabet = Alphabet(words)
        self.vocabulary = self._alphabet.symbols
        self.context_tokens = config.context_length
        self.query_tokens = config.question_length + config.answer_length + 2
        if config.difficulty:
            self.difficulty_name = self.unit = config.difficulty
            self.difficulties = _survey_levels(config)
        else:
            self.difficulties = tuple(range(1, config.answer_length + 1))
        self._known: OrderedDict[bytes, dict[str, Any]] = OrderedDict()

    def _laid(self, item: Item) -> _Laid | _Unfit:
        """Return an item as tokens, or why it is left out."""
        texts = (*split_item(item.question, self.config.split), item.answer)
        parts = []
        for text, (what, limit) in zip(texts, self._limits(), strict=True):
            tokens = self._alphabet.encode(text)
            if tokens is None:
                return _Unfit(f"no token stands for the character {strange_in(text)!r}")
            if len(tokens) > limit:
                return _Unfit(f"task.{what}_length = {limit} is too short", len(tokens))
            parts.append(tokens)
        context, question, answer = parts
        level, named = len(answer), self.config.difficulty
        if named:
            level = item.numbers.get(named, -1)
            if level not in self.difficulties:
                return _Unfit(f"its {named} is not in the survey of {SURVEY} items")
        return _Laid(context, question, answer, level)

    def _limits(self) -> list[tuple[str, int]]:
        """Return the parts of an item, and the tokens that each may have."""
        config = self.config
        lengths = (config.context_length, config.question_length, config.answer_length)
        return list(zip(("context", "question", "answer"), lengths, strict=True))

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw items until `count` fit; tokens [example, token]."""
        check_room(self, count)
        rows = []
        for _ in range(count):
            unfit: list[_Unfit] = []
            for number in generator.integers(0, NUMBERS, MOST_DRAWS).tolist():
                laid = self._drawn(number)
                if isinstance(laid, _Laid):
                    rows.append(laid)
                    break
                unfit.append(laid)
            else:
                raise WorkbenchError(
                    f"none of {MOST_DRAWS} items of {self.config.dataset} fits: {_said(unfit)}",
                    "settings that some items fit",
                    "change task.context_length, question_length, answer_length, split or options",
                )
        return self._batch(rows)

    def _drawn(self, number: int) -> _Laid | _Unfit:
        """Return an item by its number, as tokens, or why it is left out."""
        try:
            item = self._source.item(number)
        except LookupError as error:
            return _Unfit(f"the data set fails with {shortened(str(error))}")
        if self.left_out(item.question, HELD_OUT_SHARE):
            return _Unfit(OTHER)
        laid = self._laid(item)
        if isinstance(laid, _Laid):
            # what the scorer needs to judge its answer
            self._known[_key(laid.context, laid.question)] = item.entry
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return laid

    @property
    def _source(self) -> Any:
        """Return the data set, which is made when it is first needed."""
        return source(*_source_of(self.config))

    def _batch(self, rows: list[_Laid]) -> Batch:
        """Lay out items."""
        layout = Layout(len(rows), self.context_tokens + self.query_tokens, 1)
        mark, end = self._alphabet.ids[ANSWER], self._alphabet.ids[END]
        for row, (context, question, answer, level) in enumerate(rows):
            first = layout.put(row, self.context_tokens - len(context), context)
            layout.ask(row, 0, first, [*question, mark], [*answer, end], level)
        return layout.batch()

    def _texts(self, batch: Batch, example: int) -> tuple[str, str, str]:
        """Return the context, the question and the answer of an example."""
        decode, tokens = self._alphabet.decode, batch.tokens[example]
        here = batch.loss_mask[example]
        question = tokens[self.context_tokens :][~here[self.context_tokens :]]
        return decode(tokens[: self.context_tokens]), decode(question), decode(tokens[here])

    def _entry(self, batch: Batch, example: int) -> dict[str, Any] | None:
        """Return what the data set knows of an example; None if this task did not draw it."""
        row = batch.tokens[example]
        keep = batch.valid[example] & ~batch.loss_mask[example]
        context = row[: self.context_tokens][keep[: self.context_tokens]].tolist()
        asked = row[self.context_tokens :][keep[self.context_tokens :]].tolist()
        return self._known.get(_key(context, [t for t in asked if t > 2]))

    def solve(self, batch: Batch) -> np.ndarray:
        """Put in the answers that the data set gives; it says nothing about other problems.

        Raises WorkbenchError: a problem was not drawn by this task in this process.
        """
        tokens = batch.tokens.copy()
        for example in range(len(batch)):
            entry = self._entry(batch, example)
            if entry is None:
                raise WorkbenchError(
                    f"a problem that {self.config.dataset} did not draw",
                    "problems of the data set, whose answers it gives",
                    "draw the problem with this task",
                )
            answer = self._alphabet.encode(entry["answer"]) or []
            tokens[example, batch.loss_mask[example]] = [*answer, self._alphabet.ids[END]]
        return tokens

    def room(self, batch: Batch) -> Batch:
        """Return the batch with labels wherever an answer of any length could stand."""
        mask, last = batch.loss_mask.copy(), batch.tokens.shape[1]
        for example in range(len(batch)):
            first = int(mask[example].argmax())
            mask[example, first : min(last, first + self.config.answer_length + 1)] = True
        return Batch(
            batch.tokens, mask, batch.valid | mask, np.where(mask, 0, -1), batch.difficulty
        )

    def judge(self, batch: Batch, answers: np.ndarray) -> np.ndarray:
        """Return bool [example, query]: does the data set's scorer give full marks."""
        right = np.zeros((len(batch), 1), dtype=bool)
        end = self._alphabet.ids[END]
        for example in range(len(batch)):
            first = int(batch.loss_mask[example].argmax())
            said = answers[example, first : first + self.config.answer_length + 1].tolist()
            if end not in said:
                continue
            text = self._alphabet.decode(said[: said.index(end)])
            given = self._texts(batch, example)[2]
            entry = self._entry(batch, example)
            scored = entry is not None and self._source.score(text, entry) >= 1
            right[example, 0] = text == given or scored
        return right

    def chance(self) -> dict[str, ChanceLine]:
        """Return the commonest answer of each difficulty, measured on a fixed survey."""
        return _chance(self.config)

    def drawing_note(self) -> str:
        """Return how many items of a survey do not fit and are drawn again."""
        laid = [self._laid(item) for item in _survey(*_source_of(self.config))]
        unfit = [one for one in laid if isinstance(one, _Unfit)]
        if not unfit:
            return ""
        share = 100 * len(unfit) / len(laid)
        return f"{share:.0f} % of the items of {self.config.dataset} do not fit: {_said(unfit)}"

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return the token with which the answer begins, by difficulty."""
        first = batch.loss_mask.argmax(axis=1)
        if not batch.loss_mask.any():
            return []
        labels = np.take_along_axis(batch.tokens, first[:, None], axis=1)
        whole = ProbeTarget(
            "", 0, labels, self.vocabulary, ("answer",), None, np.zeros_like(labels),
            np.arange(len(self.vocabulary)), "With which token does the answer begin?",
        )  # fmt: skip
        return [
            whole.where(
                batch.difficulty == level, name=f"{self.difficulty_name} {level}", level=level
            )
            for level in self.difficulties
            if (batch.difficulty == level).any()
        ]

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of a typed problem, which comes with its answer: question => answer.

        Without `queries` the text alone is checked, and the answer is empty.
        """
        question, sign, answer = (queries or "").rpartition(GIVES)
        question, answer = question.strip(), answer.strip()
        if queries is not None and (not sign or not answer):
            raise WorkbenchError(
                "a question without its answer, which this task cannot work out",
                f"the question, {GIVES} and the answer",
                f"write for example: What is 3 + 4? {GIVES} 7",
            )
        if not text.strip():
            raise WorkbenchError("an empty context", "a text to sleep on", self.typing_help())
        parts = []
        texts = (text.strip(), question, answer)
        for part, (what, limit) in zip(texts, self._limits(), strict=True):
            tokens = self._alphabet.encode(part)
            if tokens is None:
                raise WorkbenchError(
                    f"the character {strange_in(part)!r} in the {what}",
                    "characters that this task has tokens for",
                    "use another one",
                )
            if len(tokens) > limit:
                raise WorkbenchError(
                    f"the {what} has {len(tokens)} tokens", f"at most {limit}", "shorten it"
                )
            parts.append(tokens)
        # typed problems have no metadata; the answer's length is the only difficulty they have
        level = len(parts[2]) or self.difficulties[0]
        level = self.difficulties[0] if self.config.difficulty else level
        return self._batch([_Laid(parts[0], parts[1], parts[2], level)])

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the context, and the question with its answer."""
        context, question, answer = self._texts(batch, example)
        return context, f"{question} {GIVES} {answer}".strip()

    def typing_help(self) -> str:
        """Return what may be typed."""
        return (
            f"Any text of at most {self.context_tokens} tokens; then a question and its answer: "
            f"What is 3 + 4? {GIVES} 7"
        )

    def text(self, batch: Batch, example: int) -> str:
        """Return one example: context, then the question with its answer."""
        return "\n".join(self.typed(batch, example))

    def picture(self, batch: Batch, example: int) -> Sentences:
        """Return the sentences of the context, and the question."""
        context, question, answer = self._texts(batch, example)
        symbols = self.render(batch, example)
        begin = self.context_tokens - int(batch.valid[example, : self.context_tokens].sum())
        ends = np.cumsum([len(symbol) for symbol in symbols[begin : self.context_tokens]])
        items = []
        for a, b in sentences(context):
            start, stop = np.searchsorted(ends, (a, b - 1), side="right").tolist()
            items.append(PictureItem(context[a:b].strip(), range(begin + start, begin + stop + 1)))
        last = self.context_tokens + int(batch.valid[example, self.context_tokens :].sum())
        query = Query(
            shortened(question.rstrip(".?")) or "the answer",
            question,
            answer,
            int(batch.difficulty[example, 0]),
            range(self.context_tokens, last),
            (),
        )
        marks = frozenset(n for n, s in enumerate(symbols) if s in (PAD, ANSWER, END))
        return Sentences(
            tuple(items),
            (query,) if last > self.context_tokens else (),
            tuple(symbols),
            marks,
            label=f"An item of {self.config.dataset}: {counted(len(items), 'sentence')}",
        )

    def spell(self, symbols: Sequence[str]) -> str:
        """Return the answer that symbols spell."""
        return "".join(symbol for symbol in symbols if symbol not in (PAD, ANSWER, END))

    def summary(self) -> str:
        """Return the task with its settings in a line."""
        config = self.config
        settings = ", ".join(filter(None, [config.options, config.tokens]))
        return f"{config.dataset} of reasoning-gym ({settings})"


def _said(unfit: list[_Unfit]) -> str:
    """Return the commonest reason; that an item belongs to the other part counts last."""
    counts = Counter(one.why for one in unfit)
    why = max(counts, key=lambda why: (why != OTHER, counts[why]))
    needed = sorted(one.tokens for one in unfit if one.why == why and one.tokens)
    return f"{why} for {needed[0]} to {needed[-1]} tokens" if needed else why


def _key(context: Sequence[int], question: Sequence[int]) -> bytes:
    """Return a digest of what an example asks."""
    said = np.array([*context, 0, *question], dtype=np.int64).tobytes()
    return hashlib.blake2b(said, digest_size=16).digest()


def _source_of(config: ReasoningGymConfig) -> tuple[str, str, int | None]:
    return config.dataset, config.options, config.level


@lru_cache(maxsize=4)
def _survey(dataset: str, options: str, level: int | None) -> tuple[Item, ...]:
    """Return a fixed sample of the items that training may draw."""
    found = []
    made = source(dataset, options, level)
    for number in np.random.default_rng(0).integers(0, NUMBERS, 2 * SURVEY).tolist():
        try:
            item = made.item(number)
        except LookupError:
            continue
        if not is_held_out(item.question, HELD_OUT_SHARE):
            found.append(item)
        if len(found) == SURVEY:
            break
    return tuple(found)


@lru_cache(maxsize=4)
def _survey_words(dataset: str, options: str, level: int | None) -> tuple[str, ...]:
    """Return the words of the survey."""
    texts: Iterator[str] = (
        text for item in _survey(dataset, options, level) for text in (item.question, item.answer)
    )
    return frequent_words(texts)


@lru_cache(maxsize=16)
def _survey_levels(config: ReasoningGymConfig) -> tuple[int, ...]:
    """Return the difficulties of the survey."""
    survey = _survey(*_source_of(config))
    levels = {
        item.numbers[config.difficulty] for item in survey if config.difficulty in item.numbers
    }
    if not levels:
        known = sorted({name for item in survey for name in item.numbers})
        raise WorkbenchError(
            f"task.difficulty = {config.difficulty!r} for {config.dataset}",
            f"a number that its items have: {', '.join(known) or 'there are none'}",
            "choose one of these, or leave it empty",
        )
    return tuple(sorted(levels))


@lru_cache(maxsize=16)
def _chance(config: ReasoningGymConfig) -> dict[str, ChanceLine]:
    """Measure the line on the survey."""
    task = ReasoningGym(config)
    answers: dict[int, Counter[tuple[int, ...]]] = {level: Counter() for level in task.difficulties}
    for item in _survey(*_source_of(config)):
        laid = task._laid(item)
        if isinstance(laid, _Laid):
            answers[laid.difficulty][tuple(laid.answer)] += 1
    shares = {
        level: max(counts.values(), default=0) / max(1, counts.total())
        for level, counts in answers.items()
    }
    drawn = sum(counts.total() for counts in answers.values())
    exact = sum(shares[level] * answers[level].total() for level in shares) / max(1, drawn)
    line = ChanceLine(
        "commonest answer",
        f"The commonest answer of the same difficulty, measured on {SURVEY} items.",
        shares,
        exact,
        shares,
    )
    return {line.name: line}
