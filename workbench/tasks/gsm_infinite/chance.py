"""Scores of strategies that do not work the problem out, measured on problems drawn for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from workbench.tasks.base import ChanceLine
from workbench.tasks.gsm_infinite.reading import Solution

PROBLEMS = 3000
"""Problems that the lines are measured on: of 7 levels, each share is good to about 0.04."""
COMMONEST = "commonest answer"
SHORTCUT = "own step from the commonest constant"


def chance_lines(
    asked: Iterable[tuple[int, str, int, Solution]], levels: tuple[int, ...], values: int | None
) -> dict[str, ChanceLine]:
    """Return the lines: uniform, commonest answer of each difficulty, and a shortcut.

    `asked`: difficulty, quantity, answer and solution of one question per problem; `values`: how
    many answers a modulus leaves; None counts those that occur at each difficulty.
    """
    answers: dict[int, Counter[int]] = {level: Counter() for level in levels}
    short: Counter[int] = Counter()
    for level, quantity, answer, solution in asked:
        answers[level][answer] += 1
        short[level] += _shortcut(solution, quantity) == answer
    totals = {level: max(1, counts.total()) for level, counts in answers.items()}
    uniform = {level: 1 / (values or max(1, len(answers[level]))) for level in levels}
    common = {
        level: max(counts.values(), default=0) / totals[level] for level, counts in answers.items()
    }
    shortcut = {level: short[level] / totals[level] for level in levels}
    weights = {level: counts.total() for level, counts in answers.items()}

    def line(name: str, meaning: str, accuracy: dict[int, float], **more: bool) -> ChanceLine:
        exact = sum(accuracy[i] * weights[i] for i in levels) / max(1, sum(weights.values()))
        return ChanceLine(name, meaning, accuracy, exact, accuracy, **more)

    lines = [
        line("uniform guess", "One of the answers that occur, with equal odds.", uniform),
        line(
            COMMONEST,
            f"The commonest answer of the same difficulty, measured on {PROBLEMS:,} problems.",
            common,
        ),
        line(
            SHORTCUT,
            "The sentence about the quantity in question, with the commonest constant of the "
            "context put in for all that it builds on.",
            shortcut,
            reads_context=True,
        ),
    ]
    return {line.name: line for line in lines}


def _shortcut(solution: Solution, quantity: str) -> int:
    """Return the answer of a reader who takes one step and ignores what it builds on."""
    constants = Counter(
        s.constant for s in solution.story.sentences if s.form == "constant"
    ) or Counter([1])
    common = min(constants, key=lambda value: (-constants[value], value))
    sentence = solution.by_subject.get(quantity)
    if sentence is None:  # a total, of what is given or guessed
        solved = solution.by_subject.items()
        return solution.combined(
            quantity, {name: s.constant if s.form == "constant" else common for name, s in solved}
        )
    if sentence.form in ("difference", "unknown"):
        return common if solution.modulus is None else common % solution.modulus
    return solution.combined(quantity, dict.fromkeys(sentence.parents, common))
