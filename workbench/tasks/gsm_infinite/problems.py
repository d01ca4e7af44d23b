"""Drawing word problems: what the answer depends on first, then everything else.

Distributions follow measurements of the published benchmark (GSM-Infinite, arXiv 2502.05252), of
which nothing else is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple

import numpy as np

from workbench.errors import WorkbenchError
from workbench.tasks.base import parents_first
from workbench.tasks.gsm_infinite.settings import LARGEST, GsmInfiniteConfig

Form = Literal["constant", "same", "plus", "times", "sum", "difference"]
Role = Literal["needed", "unnecessary", "noise"]

MIX: dict[tuple[Form, int], float] = {
    ("same", 1): 0.2,
    ("plus", 1): 0.75,
    ("times", 1): 0.75,
    ("sum", 2): 0.9,
    ("sum", 3): 0.25,
    ("difference", 2): 0.6,
}
"""Odds of (form, parents) among the sentences that build on others."""

OFFICIAL_NOISE: dict[tuple[Form, int], float] = {
    ("same", 1): 0.47,
    ("plus", 1): 0.015,
    ("times", 1): 0.015,
    ("sum", 2): 0.25,
    ("difference", 2): 0.25,
}
"""Distractors of the benchmark: half are sums and differences, hardly any has a constant."""

TOTALS = {
    2: {1: 0.0, 2: 1.0, 4: 0.92, 6: 0.76, 8: 0.67},
    3: {1: 0.0, 2: 0.04, 3: 0.05, 4: 0.71, 5: 0.51, 6: 0.61, 7: 0.33, 8: 0.33},
}
"""Share of the benchmark's questions that ask for a total, measured by d and op."""

MOST_TRIES = 10_000
"""Problems that fail in a row before the settings are refused."""

MEMBERS = (0.55, 0.33, 0.12)
"""Odds that the total asked for adds up one, two or three counts, or pairs."""

EXTRA = {
    2: {2: 3.65, 4: 2.5, 6: 5.6, 8: 2.75},
    3: {1: 15.7, 2: 16.0, 4: 8.9, 5: 12.2, 6: 9.0, 8: 8.0},
}
"""Mean of the Poisson number of unnecessary sentences, by d and op."""

LEAST_EXTRA = 2
"""Unnecessary sentences at the least. With fewer, the shortest problems are so few that training
and evaluation draw the same ones (at op 2 without any there are 1,152)."""


class Definition(NamedTuple):
    """How one quantity is given."""

    quantity: int
    form: Form
    constant: int
    """0 where the form has none."""
    parents: tuple[int, ...]
    role: Role
    """Whether the answer depends on it; "noise" only fills the context."""


@dataclass
class Problem:
    """One word problem. Quantities are the numbers that `Quantities` gives them."""

    definitions: list[Definition]
    """In the order of their sentences."""
    values: dict[int, int]
    """Value of every quantity that has a sentence or is asked for."""
    depths: dict[int, int]
    """Sentences on the longest chain that leads to it, itself included; a constant has 1."""
    questions: list[int] = field(default_factory=list)
    given: int | None = None
    """Reverse mode: the quantity whose value is stated; that of the question is left out."""


class Quantities:
    """Numbers of everything that can be counted: counts, averages (d = 3), totals."""

    def __init__(self, config: GsmInfiniteConfig) -> None:
        self.d, self.places, self.things = config.d, config.places, config.things
        self.instances = config.places * config.things * (config.d - 1)
        """How many quantities can have a sentence; totals come after them."""

    def place(self, quantity: int) -> int:
        """Return the place of a count, an average or a total."""
        if quantity >= self.instances:
            return quantity - self.instances
        return quantity // self.things % self.places

    def total(self, place: int) -> int:
        """Return the number of a place's total."""
        return self.instances + place

    def pairs(self, total: int, defined: Iterable[int]) -> list[tuple[int, ...]]:
        """Return what a total adds up: counts, or (count, average) pairs; of others, nothing."""
        if total < self.instances:
            return []
        first, half = self.place(total) * self.things, self.places * self.things
        known = set(defined)
        counts = [q for q in range(first, first + self.things) if q in known]
        if self.d == 2:
            return [(count,) for count in counts]
        return [(count, count + half) for count in counts if count + half in known]


def draw_problem(config: GsmInfiniteConfig, quantities: Quantities, random: Random) -> Problem:
    """Draw one problem; its sentences other than noise are few, however long the context is.

    Raises WorkbenchError: the settings hardly ever lead to one.
    """
    for _ in range(MOST_TRIES):
        operations = random.randint(config.min_operations, config.max_operations)
        growing = _Growing(config, quantities, random)
        if growing.needed(operations) and growing.unnecessary(operations):
            problem = growing.problem
            if config.mode == "forward" or _reversed(problem, quantities, random):
                return problem
    raise WorkbenchError(
        f"{config.min_operations} to {config.max_operations} operations on {config.places} places "
        f"and {config.things} things, mode = {config.mode!r}",
        "settings that lead to a problem",
        "change task.min_operations or max_operations, or use more places and things",
    )


class _Growing:
    """A problem while it is drawn."""

    def __init__(self, config: GsmInfiniteConfig, quantities: Quantities, random: Random) -> None:
        self.config, self.quantities, self.random = config, quantities, random
        self.problem = Problem([], {}, {})
        self.taken: set[int] = set()
        self.closed: int | None = None  # the place of a total that is asked for

    def new(self) -> int | None:
        """Return a quantity without a sentence yet, or None if it is hard to find one."""
        for _ in range(50):
            quantity = int(self.random.random() * self.quantities.instances)
            place = self.quantities.place(quantity)
            if quantity not in self.taken and place != self.closed:
                self.taken.add(quantity)
                return quantity
        return None

    def needed(self, operations: int) -> bool:
        """Grow what the answer depends on, from the question backwards; False if it fails."""
        random, quantities = self.random, self.quantities
        share = self.config.totals
        if share is None:
            share = _at(TOTALS[self.config.d], operations)
        budget = operations
        waiting: list[int] = []
        if random.random() < share and operations >= self.config.d:
            place = int(random.random() * quantities.places)
            each = self.config.d  # the edge of a count, or of a pair, and their constants
            most = min(3, operations // each, quantities.things)
            members = random.choices(range(1, most + 1), MEMBERS[:most])[0]
            half = quantities.places * quantities.things
            for thing in random.sample(range(quantities.things), members):
                count = place * quantities.things + thing
                waiting += [count] if self.config.d == 2 else [count, count + half]
            budget -= members
            self.closed, asked = place, quantities.total(place)
        else:
            asked = int(random.random() * quantities.instances)
            waiting.append(asked)
        self.taken.update(waiting)
        backwards: list[Definition] = []
        while waiting:
            waiting.append(waiting.pop(int(random.random() * len(waiting))))
            quantity = waiting.pop()
            definition = self.define(quantity, waiting, budget)
            if definition is None:
                return False
            budget -= max(1, len(definition.parents) + bool(definition.constant))
            backwards.append(definition)
        for definition in reversed(backwards):
            if not self.settle(definition):
                return False
        if asked >= quantities.instances and not self.settle_total(asked):
            return False
        self.problem.questions = [asked]
        return True

    def define(self, quantity: int, waiting: list[int], budget: int) -> Definition | None:
        """Define a needed quantity within a budget of edges; new parents join `waiting`."""
        random, others = self.random, len(waiting)
        spare = budget - others  # edges that this quantity and its new ancestors may take
        if spare <= 1 or (others and random.random() < 0.35):
            return self.constant(quantity, "needed")
        options = [
            (form, parents)
            for form, parents in MIX
            if parents + (form in ("plus", "times")) + parents <= spare
        ]
        form, count = random.choices(options, [MIX[option] for option in options])[0]
        parents: list[int] = []
        for _ in range(count):
            reuse = [q for q in waiting if q not in parents]
            if reuse and others and random.random() < 0.2:
                parents.append(random.choice(reuse))
                continue
            new = self.new()
            if new is None:
                return None
            parents.append(new)
            waiting.append(new)
        return Definition(quantity, form, self.number(form), tuple(parents), "needed")

    def number(self, form: Form) -> int:
        """Draw the constant of a sentence; 0 where its form has none."""
        if form in ("constant", "plus", "times"):
            return self.random.randint(1, self.config.constants)
        return 0

    def constant(self, quantity: int, role: Role) -> Definition:
        """Return a quantity that is simply given."""
        return Definition(quantity, "constant", self.number("constant"), (), role)

    def unnecessary(self, operations: int) -> bool:
        """Add sentences that the answer does not depend on, half of them built on needed ones."""
        mean = _at(EXTRA[self.config.d], operations)
        count = max(LEAST_EXTRA, _poisson(self.random, mean))
        count = min(count, self.quantities.instances // 2)
        core = [d.quantity for d in self.problem.definitions]
        rest: list[int] = []
        for _ in range(count):
            parents = core if self.random.random() < 0.5 else rest
            if not self.attach(parents, "unnecessary", MIX, 0.3):
                return False
            rest.append(self.problem.definitions[-1].quantity)
        return True

    def attach(
        self, parents: list[int], role: Role, mix: dict[tuple[Form, int], float], constants: float
    ) -> bool:
        """Add a sentence about a new quantity, built on some of `parents`."""
        for _ in range(20):
            quantity = self.new()
            if quantity is None:
                return False
            options = [(form, number) for form, number in mix if number <= len(parents)]
            if not options or self.random.random() < constants:
                definition = self.constant(quantity, role)
            else:
                form, number = self.random.choices(options, [mix[o] for o in options])[0]
                constant = self.number(form)  # drawn before the parents
                chosen = tuple(self.random.sample(parents, number))
                definition = Definition(quantity, form, constant, chosen, role)
            if self.settle(definition):
                return True
            self.taken.discard(quantity)
        return False

    def settle(self, definition: Definition) -> bool:
        """Work out a quantity whose parents are known; False if its value is not allowed."""
        quantity, form, constant, parents, role = definition
        values = self.problem.values
        found = [values[parent] for parent in parents]
        if form == "difference" and found[0] < found[1]:
            parents, found = parents[::-1], found[::-1]
        if not self.note(quantity, _combined(form, constant, found), parents):
            return False
        self.problem.definitions.append(Definition(quantity, form, constant, parents, role))
        return True

    def settle_total(self, total: int) -> bool:
        """Work out the total of a place; False if its value is not allowed."""
        values = self.problem.values
        pairs = self.quantities.pairs(total, values)
        value = sum(math.prod(values[q] for q in pair) for pair in pairs)
        return self.note(total, value, [q for pair in pairs for q in pair])

    def note(self, quantity: int, value: int, parents: Sequence[int]) -> bool:
        """Note a quantity's value and depth; False if the value is not allowed."""
        if self.config.modulus is not None:
            value %= self.config.modulus
        elif not 1 <= value <= LARGEST:
            return False
        depths = self.problem.depths
        self.problem.values[quantity] = value
        depths[quantity] = 1 + max((depths[parent] for parent in parents), default=0)
        return True


def add_noise(
    problem: Problem,
    config: GsmInfiniteConfig,
    quantities: Quantities,
    random: Random,
    fits: Callable[[Definition], bool],
) -> None:
    """Add distractors, each built on one or two of the problem's sentences, while they fit.

    `fits` is asked about each, and counts those that it accepts. No sentence of the problem
    depends on a distractor, so the answer stays the same.
    """
    growing = _Growing(config, quantities, random)
    growing.problem, growing.taken = problem, {d.quantity for d in problem.definitions}
    asked = problem.given if problem.given is not None else problem.questions[0]
    if asked >= quantities.instances:
        growing.closed = quantities.place(asked)
    mix = (
        OFFICIAL_NOISE if config.noise == "official" else {k: v for k, v in MIX.items() if k[1] < 3}
    )
    core = [d.quantity for d in problem.definitions]
    forms = [d.form for d in problem.definitions]
    constants = 0.0 if config.noise == "official" else forms.count("constant") / len(forms)
    while growing.attach(core, "noise", mix, constants):
        if not fits(problem.definitions[-1]):
            dropped = problem.definitions.pop()
            del problem.values[dropped.quantity], problem.depths[dropped.quantity]
            return


def order_sentences(problem: Problem, config: GsmInfiniteConfig, random: Random) -> None:
    """Shuffle the sentences; with "parents_first" none comes before one that it builds on."""
    random.shuffle(problem.definitions)
    if config.order == "shuffled":
        return
    by_quantity = {d.quantity: d for d in problem.definitions}
    order = parents_first(by_quantity, lambda quantity, _: by_quantity[quantity].parents)
    problem.definitions = [by_quantity[quantity] for quantity in order]


def ancestors(problem: Problem, quantity: int, quantities: Quantities) -> set[int]:
    """Return the quantities with a sentence that a quantity depends on, itself included."""
    parents = {d.quantity: d.parents for d in problem.definitions}
    members = [q for pair in quantities.pairs(quantity, parents) for q in pair]
    waiting, found = members or [quantity], set()
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += parents[here]
    return found


def operations_of(problem: Problem, quantity: int, quantities: Quantities) -> int:
    """Return op of a question: the in-edges of all that it depends on.

    A constant is one, and so is a count times its average in a total.
    """
    needed = ancestors(problem, quantity, quantities)
    edges = sum(
        len(d.parents) + bool(d.constant) for d in problem.definitions if d.quantity in needed
    )
    return edges + len(quantities.pairs(quantity, needed))


def shape_of(problem: Problem, quantities: Quantities) -> tuple[object, ...]:
    """Return the graph of what the answer depends on, without names, numbers or order."""
    definitions = {d.quantity: d for d in problem.definitions}
    top = problem.questions[0] if problem.given is None else problem.given

    def of(quantity: int) -> tuple[object, ...]:
        if pairs := quantities.pairs(quantity, definitions):
            return ("total", *sorted((tuple(map(of, pair)) for pair in pairs), key=repr))
        form, parents = definitions[quantity].form, definitions[quantity].parents
        below = [of(parent) for parent in parents]
        return (form, *(below if form == "difference" else sorted(below, key=repr)))

    return of(top)


def _reversed(problem: Problem, quantities: Quantities, random: Random) -> bool:
    """Turn a problem round: its answer is given, and a constant is asked for; False if it fails.

    The constant must be the only one that leads to the given value.
    """
    asked = problem.questions[0]
    needed = [d for d in problem.definitions if d.role == "needed"]
    leaves = [d for d in needed if d.form == "constant"]
    if asked < quantities.instances and len(needed) == 1:
        return False
    leaf = random.choice(leaves)
    tried = np.arange(1, LARGEST + 1)
    answers = _as_polynomial(problem, asked, leaf.quantity, quantities)(tried)
    if tried[answers == problem.values[asked]].tolist() != [leaf.constant]:
        return False
    problem.given, problem.questions = asked, [leaf.quantity]
    return True


def _as_polynomial(problem: Problem, asked: int, leaf: int, quantities: Quantities) -> np.poly1d:
    """Return the value of a quantity as a polynomial in one constant, of whole numbers."""
    definitions = {d.quantity: d for d in problem.definitions}

    def of(quantity: int) -> Any:  # a number, where it does not depend on the constant
        if quantity == leaf:
            return np.poly1d([1, 0])
        _, form, constant, parents, _ = definitions[quantity]
        return _combined(form, constant, [of(parent) for parent in parents])

    pairs = quantities.pairs(asked, definitions) or [(asked,)]
    return sum(math.prod(map(of, pair)) for pair in pairs)


def _combined(form: Form, constant: int, terms: Sequence[Any]) -> Any:
    """Return what a sentence says of numbers or polynomials; the constant is 0 if it has none."""
    if not terms:
        return constant
    if form == "times":
        return constant * terms[0]
    if form == "difference":
        return terms[0] - terms[1]
    return sum(terms, constant)


def _at(measured: dict[int, float], operations: int) -> float:
    """Return what was measured at some op, interpolated."""
    return float(np.interp(operations, list(measured), list(measured.values())))


def _poisson(random: Random, mean: float) -> int:
    """Return a Poisson number (Knuth's method, for small means)."""
    limit, product, count = np.exp(-mean), random.random(), 0
    while product > limit:
        product *= random.random()
        count += 1
    return count
