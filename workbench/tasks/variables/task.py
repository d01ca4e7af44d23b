"""Variables: values that follow from each other, in symbols or in short sentences.

A variable is given (``a 3 =``), or follows from one parent (``b a +1``) or two (``c a b``), modulo
a small number. Sentences come in any order, so that a value at depth 4 takes four steps to work
out. Layout of an example, where every variable is asked alone (`Batch.isolated`)::

    b a +1 a 3 = ... | b 4 | a 3 | ...
    context          | queries: a name, and its value

With ``question = "first"`` the context begins with ``b ?`` and one query ``? 4`` ends the example.
A context of several parts is padded on the left of each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import lru_cache
from random import Random

import numpy as np

from workbench.batch import Batch
from workbench.errors import WorkbenchError
from workbench.tasks.base import (
    ChanceLine,
    Task,
    check_room,
    log_orders,
    parents_first,
    python_random,
)
from workbench.tasks.layout import Layout
from workbench.tasks.phrases import counted, shortened
from workbench.tasks.pictures import Item, Query, Sentences
from workbench.tasks.pictures import Sentence as Quantity
from workbench.tasks.targets import ProbeTarget
from workbench.tasks.variables.chance import PROBLEMS, chance_lines
from workbench.tasks.variables.settings import LETTERS, PEOPLE, PLAIN, VariablesConfig
from workbench.tasks.variables.tokens import word_tokens
from workbench.tasks.variables.wording import (
    ASIDE,
    ASK,
    FORMS,
    GIVEN,
    QUESTIONS,
    SUM,
    Sentence,
    filled,
    grammar,
    longest,
    spelt,
    understood,
)  # fmt: skip

PAD = "PAD"


class Variables(Task):
    """The task Variables; see `workbench.tasks.base.Task` for the methods' contract."""

    name = "variables"
    title = "Variables: values that follow from each other"
    difficulty_name, unit, item = "depth", "step", "variable"
    query_form = "name"
    Config = VariablesConfig
    config: VariablesConfig

    def __init__(self, config: VariablesConfig) -> None:
        self.config = config
        self.names = (LETTERS if config.form == "symbols" else PEOPLE)[: config.names]
        self._numbers = tuple(map(str, range(config.modulus)))
        self._before_number: tuple[str, ...] = ()
        self._query = 2  # tokens
        if config.tokenizer == PLAIN:
            self.vocabulary = (PAD, ASK, *grammar(config.form), *self.names, *self._numbers)
            self._ids = {symbol: number for number, symbol in enumerate(self.vocabulary)}
        else:
            self._take_tokens(config)
        self.difficulties = tuple(range(1, config.max_depth + 1))
        self._part = -(-(config.variables + config.asides) // config.parts)  # sentences of a part
        self.part_tokens = self._longest_part()
        self.context_tokens = config.parts * self.part_tokens
        self._queries = {"alone": config.variables, "first": 1, "both": config.variables + 1}
        self.query_tokens = self._query * self._queries[config.question]

    def _take_tokens(self, config: VariablesConfig) -> None:
        """Take vocabulary and names from the tokenizer that the settings name."""
        words = (ASK, *grammar(config.form))
        found = word_tokens(config.tokenizer, PAD, words, PEOPLE, self._numbers)
        if len(found.names) < config.names:
            raise WorkbenchError(
                f"task.names = {config.names} with tokenizer {config.tokenizer!r}",
                f"at most {len(found.names)}, which are single tokens: {', '.join(found.names)}",
                "lower task.names and task.variables",
            )
        self.vocabulary, self._ids = found.vocabulary, found.ids
        self.names, self._before_number = found.names[: config.names], found.before_number
        self._query += 1 + len(self._before_number)  # "Bob has" and a number

    def _longest_part(self) -> int:
        """Return the tokens of the longest part that a problem can have."""
        config = self.config
        others, form = config.variables - config.given, config.form
        child = longest(form, SUM if config.sums else "+1")
        given = longest(form, GIVEN) + len(self._before_number)
        lengths = [given] * config.given + [child] * others
        if config.asides:
            lengths += [longest(form, ASIDE)] * config.asides
        lengths.sort(reverse=True)
        first = len(lengths) - (config.parts - 1) * self._part  # the question precedes these
        question = len(QUESTIONS[form].split()) if config.question != "alone" else 0
        return max(sum(lengths[: self._part]), sum(lengths[:first]) + question)

    def sample(self, count: int, generator: np.random.Generator) -> Batch:
        """Draw problems; tokens [example, token]."""
        check_room(self, count)
        random = python_random(generator)
        problems = [self._draw(random) for _ in range(count)]
        return self._laid_out([self._told_and_asked(drawn, random) for drawn in problems])

    def _draw(self, random: Random) -> list[Sentence]:
        """Draw the sentences of one problem, parents before children."""
        config = self.config
        names = random.sample(self.names, config.variables)
        depth: dict[str, int] = {}
        sentences = []
        for name in names[: config.given]:
            depth[name] = 1
            sentences.append(Sentence(name, (), random.randrange(config.modulus)))
        for name in names[config.given :]:
            open_ = [other for other in depth if depth[other] < config.max_depth]
            below = max(depth[other] for other in open_)
            deep = [other for other in open_ if depth[other] == below]
            parents = [random.choice(deep if random.random() < config.deepest else open_)]
            if len(open_) > 1 and random.random() < config.sums:
                parents.append(random.choice([other for other in open_ if other not in parents]))
            step = random.choice((0, 1, -1)) if len(parents) == 1 else 0
            depth[name] = 1 + max(depth[parent] for parent in parents)
            sentences.append(Sentence(name, tuple(parents), step))
        wordings = FORMS[config.form]
        if config.form == "story":
            sentences = [
                s._replace(wording=random.randrange(len(wordings[s.kind]))) for s in sentences
            ]
        return sentences

    def _aside(self, names: list[str], random: Random) -> Sentence:
        """Draw a sentence that says nothing about the variables, though it may name them."""
        wordings = FORMS[self.config.form][ASIDE]
        wording = random.randrange(len(wordings))
        one, other = random.sample(names, 2)
        text = filled(wordings[wording], s=one, p=other, n=random.choice(self._numbers))
        return Sentence("", (), 0, wording, text)

    def _told_and_asked(
        self, sentences: list[Sentence], random: Random
    ) -> tuple[list[Sentence], list[str], dict[str, tuple[int, int]]]:
        """Return a problem as `_laid_out` takes it, sentences and queries in random order."""
        told = random.sample(sentences, len(sentences))
        if self.config.order == "parents_first":
            told = self._resolved(told)
        asked = [s.subject for s in told]
        random.shuffle(asked)
        for _ in range(self.config.asides):
            aside = self._aside(asked, random)
            told.insert(random.randrange(len(told) + 1), aside)
        return told, asked, self._values(sentences)

    def _laid_out(
        self, rows: list[tuple[list[Sentence], list[str], dict[str, tuple[int, int]]]]
    ) -> Batch:
        """Return the batch of sentences, names asked about, and (value, depth) by name."""
        question, queries = self.config.question, self.query_tokens // self._query
        more = () if self.config.tokenizer == PLAIN else ("has", *self._before_number)
        layout = Layout(len(rows), self.context_tokens + self.query_tokens, queries)
        for row, (told, names, values) in enumerate(rows):
            for first, words in self._parts(told, names[0]):
                layout.put(row, first, [self._ids[word] for word in words])
            asked = [(ASK, names[0])] if question != "alone" else []
            asked += [(name, name) for name in names] if question != "first" else []
            for number, (symbol, name) in enumerate(asked[:queries]):
                value, depth = values[name]
                first, answer = self._place(number), self._ids[str(value)]
                asking = [self._ids[word] for word in (symbol, *more)]
                layout.ask(row, number, first, asking, [answer], depth)
        return layout.batch(isolated=self._query if question != "first" else 0)

    def _place(self, number: int) -> int:
        """Return the first token of a query; the last of its tokens is the answer."""
        return self.context_tokens + self._query * number

    def _parts(self, told: list[Sentence], asked: str) -> Iterator[tuple[int, list[str]]]:
        """Yield each part's first token and words; short problems fill the last parts."""
        last = self.config.parts
        most = -(-len(told) // self._part)
        for part in range(most):
            end = len(told) - (most - 1 - part) * self._part
            words = []
            if part == 0 and self.config.question != "alone":
                words = QUESTIONS[self.config.form].format(s=asked).split()
            for sentence in told[max(0, end - self._part) : end]:
                words += self._words(sentence)
            yield (last - most + part + 1) * self.part_tokens - len(words), words

    def _words(self, sentence: Sentence) -> list[str]:
        """Return a sentence as symbols."""
        words = spelt(self.config.form, sentence)
        if not self._before_number:
            return words
        parts = ((*self._before_number, w) if w in self._numbers else (w,) for w in words)
        return [word for part in parts for word in part]

    def _said(self, sentence: Sentence) -> str:
        """Return a sentence as a person would write it."""
        return " ".join(spelt(self.config.form, sentence)).replace(" .", ".")

    def _values(self, sentences: list[Sentence]) -> dict[str, tuple[int, int]]:
        """Return (value, depth) of every variable; parents come before their children."""
        known: dict[str, tuple[int, int]] = {}
        for name, parents, number, *_ in sentences:
            value = sum(known[parent][0] for parent in parents) + number
            depth = 1 + max((known[parent][1] for parent in parents), default=0)
            known[name] = value % self.config.modulus, depth
        return known

    def read(self, symbols: list[str]) -> list[tuple[Sentence, range]]:
        """Return the sentences of a context with their tokens; padding is skipped."""
        found = []
        begin = symbols.index(ASK) + 1 if ASK in symbols else 0
        while begin < len(symbols):
            if symbols[begin] == PAD:
                begin += 1
                continue
            end = begin + 3
            if self.config.form != "symbols":
                end = symbols.index(".", begin) + 1 if "." in symbols[begin:] else len(symbols)
            part = [word for word in symbols[begin:end] if word not in self._before_number]
            said = understood(self.config.form, part, self.names, self._numbers)
            found.append((said, range(begin, end)))
            begin = end
        return found

    def _resolved(self, sentences: list[Sentence]) -> list[Sentence]:
        """Return sentences with parents first.

        Raises WorkbenchError: two sentences about one variable, a variable without a sentence, or
        one that depends on itself.
        """
        by_name: dict[str, Sentence] = {}
        for sentence in sentences:
            before = by_name.setdefault(sentence.subject, sentence)
            if before is not sentence:
                raise WorkbenchError(
                    f"two sentences about {sentence.subject}: {self._said(before)!r} and "
                    f"{self._said(sentence)!r}",
                    "one sentence for each variable",
                    "remove one of the two",
                )

        def parents(name: str, path: list[str]) -> tuple[str, ...]:
            if name not in by_name:
                example = self._said(Sentence(name, (), 1))
                raise WorkbenchError(
                    f"{name} in {self._said(by_name[path[-1]])!r} has no sentence",
                    "a sentence for every variable in use",
                    f"add one, for example {example!r}",
                )
            if name in path:
                chain = [*path[path.index(name) :], name]
                raise WorkbenchError(
                    f"{name} depends on itself, in {self._said(by_name[name])!r}: "
                    f"{' <- '.join(chain[:9])}",
                    "sentences that lead back to given values",
                    "give one of these variables a value",
                )
            return by_name[name].parents

        return [by_name[name] for name in parents_first(by_name, parents)]

    def _told(
        self, batch: Batch, example: int, *, asides: bool = False
    ) -> list[tuple[Sentence, range]]:
        """Return the sentences of an example, with their tokens; `asides`: those too."""
        symbols = [self.vocabulary[s] for s in batch.tokens[example, : self.context_tokens]]
        return [told for told in self.read(symbols) if asides or not told[0].aside]

    def _asked(self, batch: Batch, example: int) -> Iterator[tuple[int, str]]:
        """Yield the number and the name of every query that an example has."""
        first = self.context_tokens
        context = [self.vocabulary[s] for s in batch.tokens[example, :first]]
        question = context[: context.index(ASK)] if ASK in context else []
        asked = next((symbol for symbol in question if symbol in self.names), "")
        for number in range((batch.tokens.shape[1] - first) // self._query):
            if batch.valid[example, self._place(number)]:
                symbol = self.vocabulary[batch.tokens[example, self._place(number)]]
                yield number, asked if symbol == ASK else symbol

    def solve(self, batch: Batch) -> np.ndarray:
        """Work every value out by following parents, one query at a time.

        Raises WorkbenchError: a query names a variable that has no sentence.
        """
        tokens = batch.tokens.copy()
        for example in range(len(batch)):
            by_name = {s.subject: s for s, _ in self._told(batch, example)}
            known: dict[str, int] = {}

            def value(
                name: str, by_name: dict[str, Sentence] = by_name, known: dict[str, int] = known
            ) -> int:
                if name not in by_name:
                    raise WorkbenchError(
                        f"a question about {name}, which has no sentence",
                        "a sentence for every variable in use",
                        "ask about another variable",
                    )
                if name not in known:
                    sentence = by_name[name]
                    known[name] = sentence.number + sum(value(p) for p in sentence.parents)
                return known[name]

            for number, name in self._asked(batch, example):
                answer = str(value(name) % self.config.modulus)
                tokens[example, self._place(number + 1) - 1] = self._ids[answer]
        return tokens

    def distinct_examples(self) -> float:
        """Return a lower bound on the examples that can be told apart."""
        config = self.config
        logs = log_orders(config.names, config.variables)
        logs += config.given * math.log(config.modulus)
        return math.exp(min(700, logs))

    def chance(self) -> dict[str, ChanceLine]:
        """Return the uniform guess, and a shortcut that ignores the parent's value (measured)."""
        return _chance(self.config)

    def probe_targets(self, batch: Batch) -> list[ProbeTarget]:
        """Return the value of every variable, by depth."""
        index = {name: number for number, name in enumerate(self.names)}
        shape = (len(batch), len(self.names))
        value, depth, read_at, asked_by, kinds = (np.full(shape, -1) for _ in range(5))
        step_kinds = {0: 0, 1: 1, -1: 2}
        for example in range(len(batch)):
            told = self._told(batch, example)
            places = {s.subject: tokens for s, tokens in told}
            ordered = self._resolved([s for s, _ in told])
            known = self._values(ordered)
            for sentence in ordered:
                here = example, index[sentence.subject]
                value[here], depth[here] = known[sentence.subject]
                read_at[here] = places[sentence.subject][-1]
                if sentence.parents:
                    first = index[sentence.parents[0]] + 1
                    second = (index[sentence.parents[-1]] + 1) * (len(sentence.parents) - 1)
                    kinds[here] = (first * 3 + step_kinds[sentence.number]) * 30 + second
                    kinds[here] += self.config.modulus
                else:
                    kinds[here] = sentence.number
            for number, name in self._asked(batch, example):
                asked_by[example, index[name]] = number
        symbols = np.array([self._ids[number] for number in self._numbers])
        whole = ProbeTarget(
            "", 0, value, self._numbers, self.names, kinds, asked_by, symbols, "", read_at
        )
        return [
            whole.where(
                depth == level,
                name=f"depth {level}",
                level=level,
                meaning=f"What is the value of a variable at depth {level}?",
            )
            for level in self.difficulties
        ]

    def typed(self, batch: Batch, example: int) -> tuple[str, str]:
        """Return the sentences, and the names asked about."""
        told = self._told(batch, example, asides=True)
        mark = ", " if self.config.form == "symbols" else " "
        asked = dict.fromkeys(name for _, name in self._asked(batch, example))
        return mark.join(self._said(s) for s, _ in told), ", ".join(asked)

    def parse(self, text: str, queries: str | None = None) -> Batch:
        """Return the batch of typed sentences; `queries`: names, or None for all variables."""
        marks = r"[^\s,;]+" if self.config.form == "symbols" else r"[^\s.]+|\."
        words = re.findall(marks, text)
        if mark := next((word for word in words if word in (PAD, ASK)), None):
            raise WorkbenchError(
                f"{mark} among the sentences", "sentences alone", f"leave {mark} out"
            )
        told = [sentence for sentence, _ in self.read(words)]
        if not told:
            raise WorkbenchError("no sentences", "sentences about variables", self.typing_help())
        facts = [sentence for sentence in told if not sentence.aside]
        if not facts:
            raise WorkbenchError(
                "sentences that give no value", "sentences about variables", self.typing_help()
            )
        known = self._values(self._resolved(facts))
        most = self.config.variables if self.config.question != "first" else 1
        names = re.findall(r"[^\s,;?.]+", queries or "") or [s.subject for s in facts][:most]
        if strange := [name for name in names if name not in known]:
            raise WorkbenchError(
                f"a question about {shortened(strange[0])!r}",
                f"one of {', '.join(known)}",
                "ask about these",
            )
        room = self.config.variables + self.config.asides
        if len(names) > most or len(told) > room:
            raise WorkbenchError(
                f"{len(told)} sentences and {counted(len(names), 'question')}",
                f"at most {room} sentences and {counted(most, 'question')}",
                "leave some out, or use a larger task",
            )
        length = max(len(words) for _, words in self._parts(told, names[0]))
        if length > self.part_tokens:
            where = "" if self.config.parts == 1 else " in one part"
            raise WorkbenchError(
                f"{length} words{where}", f"at most {self.part_tokens}", "leave sentences out"
            )
        return self._laid_out([(told, names, known)])

    def typing_help(self) -> str:
        """Return what may be typed, with an example."""
        if self.config.form != "symbols":
            one, other = self.names[:2]
            told = Sentence(one, (), min(3, self.config.modulus - 1)), Sentence(other, (one,), 1)
            return f"Sentences such as: {' '.join(map(self._said, told))}"
        return "Sentences such as a 3 =, b a +1, c a b: a is 3, b is a + 1, c is a + b."

    def text(self, batch: Batch, example: int) -> str:
        """Return one example as a person would write it, and what its values are taken modulo."""
        return f"{super().text(batch, example)} (modulo {self.config.modulus})"

    def picture(self, batch: Batch, example: int) -> Sentences:
        """Return the sentences, and those that lead to each answer."""
        told = self._told(batch, example, asides=True)
        place = {s.subject: number for number, (s, _) in enumerate(told) if not s.aside}
        symbols = self.render(batch, example)
        queries = []
        for number, name in self._asked(batch, example):
            first, stop = self._place(number), self._place(number + 1)
            answer = symbols[stop - 1] if stop <= len(symbols) else ""
            level = int(batch.difficulty[example, number])
            tokens = range(first, stop)
            before = self.config.question == "both" and symbols[first] == ASK
            label = f"{name} (first)" if before else name
            needed = parents_first([name], lambda name, _: told[place[name]][0].parents)
            path = tuple(place[name] for name in needed)
            queries.append(Query(label, name, answer, level, tokens, path))
        known = self._values(self._resolved([s for s, _ in told if not s.aside]))

        def item(sentence: Sentence, tokens: range) -> Item:
            text = self._said(sentence)
            if sentence.aside:
                return Item(text, tokens)
            value, depth = known[sentence.subject]
            parents = tuple(dict.fromkeys(place[parent] for parent in sentence.parents))
            return Quantity(text, tokens, sentence.subject, str(value), depth, parents)

        items = tuple(item(*one) for one in told)
        return Sentences(
            items,
            tuple(queries),
            tuple(symbols),
            frozenset(n for n, symbol in enumerate(symbols) if symbol in (PAD, ASK)),
            label=f"{counted(len(items), 'sentence')} about variables",
            note=f"Values are taken modulo {self.config.modulus}.",
        )

    def unlike_training(self, batch: Batch, example: int) -> str:
        """Return whether a query is deeper than all that training draws."""
        deepest = int(batch.difficulty[example].max())
        if deepest in self.difficulties:
            return ""
        return f"Trained with depth 1 to {self.config.max_depth}; never asked at depth {deepest}."

    def summary(self) -> str:
        """Return the task with its settings in a line."""
        config = self.config
        return (
            f"Variables: work out {config.variables} values, {config.given} of them given, "
            f"the others in chains of up to {config.max_depth}"
        )


@lru_cache(maxsize=16)
def _chance(config: VariablesConfig) -> dict[str, ChanceLine]:
    """Measure the lines on problems drawn for it."""
    task, random = Variables(config), Random(0)
    problems = (task._draw(random) for _ in range(PROBLEMS))
    return chance_lines(config, ((drawn, task._values(drawn)) for drawn in problems))
