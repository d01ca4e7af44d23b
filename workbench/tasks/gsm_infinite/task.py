"""Word problems after GSM-Infinite (arXiv 2502.05252; paper section 2).

Layout of an example::

    PAD ... What is the X ? The A equals 3 . The X equals 2 more than the A .  |  Answer 5
    context, padded on the left                                                 |  queries

With ``question = "last"`` the question follows the context: ``What is the X ? 5 PAD ...``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import ChanceLine, Task, check_room, python_random
from workbench.tasks.gsm_infinite.chance import PROBLEMS, chance_lines
from workbench.tasks.gsm_infinite.problems import (
    Definition,
    Problem,
    Quantities,
    add_noise,
    draw_problem,
    operations_of,
    order_sentences,
    shape_of,
)
from workbench.tasks.gsm_infinite.reading import Solution, Story, read_story
from workbench.tasks.gsm_infinite.settings import LARGEST, GsmInfiniteConfig
from workbench.tasks.gsm_infinite.tokens import FileTokens, WordTokens
from workbench.tasks.gsm_infinite.wording import Wording, as_text, as_words
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted, shortened
from workbench.tasks.pictures import Query, Sentence, Sentences
from workbench.tasks.targets import ProbeTarget

SLACK = 8
"""Tokens that the order of sentences may cost, where a tokenizer splits them."""
MOST_DRAWS = 2000
"""Problems drawn in a row that do not fit before the settings are refused."""


class _Question(NamedTuple):
    quantity: str
    value: int
    difficulty: int


class GsmInfinite(Task):
    """Word problems; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "gsm_infinite"
    title = "GSM-Infinite: word problems"
    difficulty_name, unit, item = "operations", "operation", "quantity"
    query_form = "What is the number of ... ?"
    Config = GsmInfiniteConfig
    config: GsmInfiniteConfig

    def __init__(self, config: GsmInfiniteConfig) -> None:
        self.config = config
        if config.difficulty == "depth":
            self.difficulty_name, self.unit = "depth", "step"
        self._quantities, self._wording = Quantities(config), Wording(config)
        self._tokens = WordTokens(self._wording)
        if config.tokenizer != "words":
            self._tokens = FileTokens(self._wording, config.tokenizer)
        self.vocabulary = self._tokens.vocabulary
        lowest = config.min_operations if config.questions == 1 else 1
        lowest = 1 if config.difficulty == "depth" else lowest
        self.difficulties = tuple(range(lowest, config.max_operations + 1))
        self.context_tokens = config.length
        self._largest = (config.modulus or LARGEST + 1) - 1
        asked, answer = self._tokens.longest(self._largest)
        asked = len(self._tokens.answer_mark) if config.question == "first" else asked
        self._slot = asked + answer
        self.query_tokens = config.questions * self._slot
        self.holds_out = config.held_out is not None

    def problems(self, count: int, generator: np.random.Generator) -> Iterator[Problem]:
        """Draw problems as `sample` does, with the role of every sentence; noise included."""
        random = python_random(generator)
        config, quantities = self.config, self._quantities
        least = 0 if config.tokenizer == "words" else SLACK
        for _ in range(count):
            room = None  # left by the last problem of this part
            for _ in range(MOST_DRAWS):
                problem = draw_problem(config, quantities, random)
                shape = repr(shape_of(problem, quantities)) if self.of_part else ""
                if self.left_out(shape, config.held_out or 0):
                    continue
                room = config.length - len(self._tokens.encode(self._context(problem)))
                if room >= least:
                    break
            else:
                if room is None:
                    raise WorkbenchError(
                        f"task.held_out = {config.held_out} with op up to {config.max_operations}",
                        "graphs enough for both parts",
                        "raise max_operations, or change held_out",
                    )
                raise WorkbenchError(
                    f"task.length = {config.length} with op up to {config.max_operations}",
                    "a context that holds a problem",
                    "raise length, or lower max_operations",
                )
            if config.noise != "none":
                self._fill(problem, room, random)
            order_sentences(problem, config, random)
            if config.noise != "none" and config.tokenizer != "words":
                self._shorten(problem)
            if config.questions > 1:
                self._ask_more(problem, random)
            yield problem

    def _fill(self, problem: Problem, room: int, random: Random) -> None:
        """Add noise until the next sentence would not fit into `room` tokens."""

        def fits(definition: Definition) -> bool:
            nonlocal room
            room -= len(self._tokens.encode(self._wording.sentence(definition)))
            return room >= 0

        add_noise(problem, self.config, self._quantities, random, fits)

    def _shorten(self, problem: Problem) -> None:
        """Remove the last noise while sentences together take more tokens than one by one."""
        while len(self._tokens.encode(self._context(problem))) > self.config.length:
            noise = [d for d in problem.definitions if d.role == "noise"]
            problem.definitions.remove(noise[-1])

    def _ask_more(self, problem: Problem, random: Random) -> None:
        """Ask about further quantities of the problem, none twice and none of larger op."""
        others = [d.quantity for d in problem.definitions if d.quantity != problem.questions[0]]
        random.shuffle(others)
        for quantity in others:
            if len(problem.questions) == self.config.questions:
                return
            if operations_of(problem, quantity, self._quantities) <= self.config.max_operations:
                problem.questions.append(quantity)

    def _context(self, problem: Problem) -> list[int]:
        """Return the words of a problem's context, as ids of `Wording`."""
        wording, words = self._wording, []
        if self.config.question == "first":
            words += wording.question(problem.questions[0])
        unknown = problem.questions[0] if problem.given is not None else None
        for definition in problem.definitions:
            if definition.quantity == unknown:
                words += wording.unknown(unknown)
            else:
                words += wording.sentence(definition)
        if problem.given is not None:
            words += wording.given(problem.given, problem.values[problem.given])
        return words

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw problems; tokens [example, token = length + questions * slot]."""
        check_room(self, count)
        contexts, asked = [], []
        for problem in self.problems(count, generator):
            contexts.append(self._tokens.encode(self._context(problem)))
            asked.append([self._asked(problem, quantity) for quantity in problem.questions])
        return self._batch(contexts, asked)

    def _asked(self, problem: Problem, quantity: int) -> _Question:
        """Return a question of a problem, with its answer and its difficulty."""
        start = quantity if problem.given is None else problem.given
        if self.config.difficulty == "depth":
            level = problem.depths[start]
        else:
            level = operations_of(problem, start, self._quantities)
        return _Question(self._wording.names[quantity], problem.values[quantity], level)

    def _batch(self, contexts: list[list[int]], asked: list[list[_Question]]) -> Batch:
        """Lay out contexts and questions."""
        config, tokens = self.config, self._tokens
        length = self.context_tokens + self.query_tokens
        layout = Layout(len(contexts), length, config.questions)
        for row, (context, questions) in enumerate(zip(contexts, asked, strict=True)):
            layout.put(row, self.context_tokens - len(context), context)
            for number, (name, value, level) in enumerate(questions):
                words = tokens.answer_mark
                if config.question == "last":
                    words = tokens.question(self._wording.encode(f"What is the {name} ?"))
                first = self.context_tokens + number * self._slot
                layout.ask(row, number, first, words, tokens.answer(value), level)
        return layout.batch(self._slot if config.questions > 1 else 0)

    def _words(self, batch: Batch, example: int) -> tuple[list[str], list[int]]:
        """Return the words of an example that carry no label, and their tokens."""
        keep = batch.valid[example] & ~batch.loss_mask[example]
        starts = [0]
        if self.config.question == "last":  # else queries are marks alone
            starts += range(self.context_tokens, batch.tokens.shape[1], self._slot)
        words, places = [], []
        for start in starts:
            stop = start + self._slot if start else self.context_tokens
            here = start + np.flatnonzero(keep[start:stop])
            found, at = self._tokens.words(batch.tokens[example, here].tolist())
            words += found
            places += here[at].tolist()
        return words, places

    def _story(self, batch: Batch, example: int) -> tuple[Story, Solution]:
        """Return an example as read back from its tokens, with its solution."""
        words, places = self._words(batch, example)
        story = self._read(words, places)
        return story, self._solved(story)

    def _read(self, words: list[str], places: list[int] | None = None) -> Story:
        """Return what words say; `places`: the token of each, 0, 1, 2 ... if left out."""
        return read_story(words, self.config.theme, places=places, digits=self._wording.digits)

    def _solved(self, story: Story) -> Solution:
        return Solution(story, self.config.theme, self.config.modulus)

    def solve(self, batch: Batch) -> np.ndarray:
        """Work out every answer from the sentences and the questions, read word by word.

        Raises WorkbenchError: the sentences do not say what is asked for.
        """
        tokens = batch.tokens.copy()
        for example in range(len(batch)):
            story, solution = self._story(batch, example)
            for number, (quantity, _) in enumerate(story.questions):
                here = np.flatnonzero(batch.answer_of[example] == number)
                answer = self._tokens.answer(solution.value(quantity))
                if len(here) != len(answer):
                    raise WorkbenchError(
                        f"the answer takes {len(answer)} tokens",
                        f"{len(here)} tokens, as the loss mask has it",
                        "lay the example out again with parse",
                    )
                tokens[example, here] = answer
        return tokens

    def chance(self) -> dict[str, ChanceLine]:
        """Return uniform guess, commonest answer and shortcut, measured on fixed problems."""
        return _chance(self.config)

    def measured(self) -> Iterator[tuple[int, str, int, Solution]]:
        """Yield difficulty, quantity, answer and solution of the questions that lines rest on."""
        generator = np.random.default_rng(0)
        for problem in self.problems(PROBLEMS, generator):
            words = [self._wording.vocabulary[symbol] for symbol in self._context(problem)]
            solution = self._solved(self._read(words))
            for quantity in problem.questions:
                asked = self._asked(problem, quantity)
                yield asked.difficulty, asked.quantity, asked.value, solution

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return the value of every quantity, by depth."""
        items = self._wording.names[: self._quantities.instances]
        index = {name: number for number, name in enumerate(items)}
        shape = (len(batch), len(items))
        depth, value = np.zeros(shape, dtype=np.int64), np.full(shape, -1)
        read_at, asked_by = np.full(shape, -1), np.full(shape, -1)
        for example in range(len(batch)):
            story, solution = self._story(batch, example)
            for sentence in solution.by_subject.values():
                here = index[sentence.subject]
                depth[example, here] = solution.depth(sentence.subject)
                value[example, here] = solution.value(sentence.subject)
                read_at[example, here] = sentence.tokens[-1]
            for number, (quantity, _) in enumerate(story.questions):
                if quantity in index:
                    asked_by[example, index[quantity]] = number
        numbers = range(self._largest + 1)
        symbols = np.array([self._tokens.answer(n)[0] for n in numbers])
        classes = tuple(map(str, numbers))
        whole = ProbeTarget(
            "", 0, value, classes, tuple(items), None, asked_by, symbols, "", read_at
        )
        return [
            whole.where(
                depth == level,
                name=f"depth {level}",
                level=level,
                meaning=f"What is the value of a quantity that takes {counted(level, 'step')}?",
            )
            for level in range(1, self.config.max_operations + 1)
            if (depth == level).any()
        ]

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the sentences, and the questions, as a person would write them."""
        words, _ = self._words(batch, example)
        cuts = [0, *(n + 1 for n, word in enumerate(words) if word in ".?")]
        parts = [words[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
        said = [as_text(part) for part in parts if part[-1] == "."]
        return " ".join(said), " ".join(as_text(part) for part in parts if part[-1] == "?")

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of a typed problem.

        `text`: sentences, as in `typing_help`; `queries`: questions ``What is the ...?``, which
        may stand in `text` too. Where neither asks anything, the question is about the last
        sentence, or about the quantity that is not known.
        """
        if queries and text.strip() and text.strip()[-1] not in ".?":
            raise WorkbenchError(
                f"the last sentence, {shortened(text.strip().rsplit('. ', 1)[-1])!r}, without a "
                "full stop",
                "whole sentences",
                "end it with a full stop",
            )
        words = as_words(f"{text} {queries or ''}", digits=self._wording.digits)
        if unknown := [word for word in words if word not in self._wording.ids]:
            number = re.fullmatch(r"-?\d+", unknown[0]) is not None
            what = f"the {'amount' if number else 'word'} {shortened(unknown[0])!r}"
            raise WorkbenchError(
                f"{what} in {_sentence_with(words, unknown[0])}",
                f"an amount of at most {self._largest:,}, and none below 0"
                if number
                else "a word of this task's vocabulary",
                "change it" if number else "use the words of the example",
            )
        story = self._read(words)
        if not story.sentences:
            raise WorkbenchError(
                "a problem without sentences", "sentences that give quantities", self.typing_help()
            )
        if len(story.questions) > self.config.questions:
            raise WorkbenchError(
                f"{len(story.questions)} questions",
                f"at most {self.config.questions}",
                "leave some out, or use a task with more questions",
            )
        solution = self._solved(story)
        for sentence in story.sentences:
            solution.value(sentence.subject)  # an error in any sentence is reported
        quantities = [quantity for quantity, _ in story.questions]
        quantities = quantities or [solution.unknown or story.sentences[-1].subject]
        asked = []
        for quantity in quantities:
            value = solution.value(quantity)
            start = quantity if not solution.unknown else solution.facts[0].subject
            level = getattr(solution, self.config.difficulty)(start)
            asked.append(_Question(quantity, value, level))
        said = [w for s in story.sentences for w in words[s.tokens.start : s.tokens.stop]]
        if self.config.question == "first":
            said = [*f"What is the {quantities[0]} ?".split(), *said]
        context = self._tokens.encode([self._wording.ids[word] for word in said])
        if len(context) > self.context_tokens:
            raise WorkbenchError(
                f"{len(context)} {'words' if self.config.tokenizer == 'words' else 'tokens'}",
                f"at most {self.context_tokens}",
                "remove sentences, or use a longer context",
            )
        return self._batch([context], [asked])

    def typing_help(self) -> str:
        """Return what may be typed, with a short problem."""
        first, second = self._wording.names[:2]
        return (
            f"Sentences such as: The {first} equals 3. The {second} equals 2 more than the "
            f"{first}. What is the {second}?"
        )

    def picture(self, batch: Batch, example: int) -> Sentences:
        """Return the sentences, the questions, and those that lead to each answer."""
        story, solution = self._story(batch, example)
        order = {s: number for number, s in enumerate(story.sentences)}
        place = {name: order[sentence] for name, sentence in solution.by_subject.items()}
        symbols = self.render(batch, example)
        queries = []
        for number, (quantity, tokens) in enumerate(story.questions):
            last = solution.facts[0].subject if solution.unknown == quantity else quantity
            path = tuple(place[n] for n in solution.ancestors(last) if n in place)
            path += tuple(order[fact] for fact in solution.facts if solution.unknown == quantity)
            here = np.flatnonzero(batch.answer_of[example] == number)
            answer = self.spell([symbols[token] for token in here])
            level = int(batch.difficulty[example, number])
            if self.config.question == "first" and len(here):
                before = len(self._tokens.answer_mark)
                tokens = range(int(here[0]) - before, int(here[-1]) + 1)
            elif len(here):
                tokens = range(tokens.start, int(here[-1]) + 1)
            direct = () if quantity in place else solution.sources(quantity)
            parents = tuple(place[name] for name in direct)
            queries.append(Query(f"the {quantity}", quantity, answer, level, tokens, path, parents))
        items = tuple(
            Sentence(
                self._tokens.said([symbols[token] for token in s.tokens]),
                s.tokens,
                s.subject,
                str(solution.value(s.subject)),
                solution.depth(s.subject),
                tuple(place[name] for name in solution.sources(s.subject)),
            )
            for s in story.sentences
        )
        marks = {n for n, valid in enumerate(batch.valid[example]) if not valid}
        if self.config.question == "first":
            after = self.context_tokens + len(self._tokens.answer_mark)
            marks |= set(range(self.context_tokens, min(after, len(symbols))))
        needed = {number for query in queries for number in query.path}
        return Sentences(
            items,
            tuple(queries),
            tuple(symbols),
            frozenset(marks),
            label=f"A problem of {counted(len(items), 'sentence')}",
            note=f"{len(needed)} of {counted(len(items), 'sentence')} lead to an answer.",
        )

    def unlike_training(self, batch: Batch, example: int) -> str:
        """Return whether a question has another difficulty than all that training draws."""
        asked = {int(level) for level in batch.difficulty[example] if level >= 0}
        if not (other := sorted(asked - set(self.difficulties))):
            return ""
        low, high = self.difficulties[0], self.difficulties[-1]
        never = ", ".join(map(str, other))
        return f"Trained with {self.difficulty_name} {low} to {high}; never asked at {never}."

    def spell(self, symbols: Sequence[str]) -> str:
        """Return the number that the symbols of an answer spell."""
        plain = self.config.tokenizer == "words"
        said = "".join(symbols) if plain else self._tokens.said(symbols)
        return said.removesuffix(".")

    def summary(self) -> str:
        """Return the task with its settings in a line."""
        config = self.config
        noise = "" if config.noise == "none" else f", {config.noise} noise"
        return (
            f"Word problems of {config.min_operations} to {config.max_operations} operations, "
            f"{config.length} tokens{noise}"
        )


def _sentence_with(words: list[str], word: str) -> str:
    """Return the sentence that a word stands in, for a message."""
    here = words.index(word)
    begin = max((n + 1 for n in range(here) if words[n] in ".?"), default=0)
    end = next((n for n in range(here, len(words)) if words[n] in ".?"), len(words) - 1)
    return repr(shortened(as_text(words[begin : end + 1])))


@lru_cache(maxsize=16)
def _chance(config: GsmInfiniteConfig) -> dict[str, ChanceLine]:
    task = GsmInfinite(config)
    return chance_lines(task.measured(), task.difficulties, config.modulus)
