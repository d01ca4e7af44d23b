"""Scores of strategies that do not follow the chain, measured on problems drawn for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from workbench.tasks.base import ChanceLine
from workbench.tasks.variables.settings import VariablesConfig
from workbench.tasks.variables.wording import Sentence

PROBLEMS = 4000
"""Problems on which the measured line rests."""


def chance_lines(
    config: VariablesConfig,
    drawn: Iterable[tuple[Sequence[Sentence], dict[str, tuple[int, int]]]],
) -> dict[str, ChanceLine]:
    """Return the uniform guess, and a shortcut that ignores the parent's value.

    `drawn`: of each problem its sentences (name, parents, value or step), and the value and depth
    of every variable.
    """
    right: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    for sentences, known in drawn:
        given = Counter(number for _, parents, number, *_ in sentences if not parents)
        common = min(given, key=lambda value: (-given[value], value))
        for name, parents, number, *_ in sentences:
            guess = (len(parents) * common if parents else 0) + number
            value, depth = known[name]
            seen[depth] += 1
            right[depth] += guess % config.modulus == value
    levels = range(1, config.max_depth + 1)
    uniform = dict.fromkeys(levels, 1 / config.modulus)
    short = {level: right[level] / max(1, seen[level]) for level in levels}
    asked = 1 if config.question == "first" else config.variables
    lines = [
        ChanceLine(
            "uniform guess", "One of the values, with equal odds.", uniform,
            config.modulus**-asked, uniform,
        ),
        ChanceLine(
            "own step from the commonest constant",
            "The variable's own sentence, with the commonest given value of the context put in for "
            f"its parents (measured on {PROBLEMS:,} problems).",
            short, None, short, reads_context=True,
        ),
    ]  # fmt: skip
    return {line.name: line for line in lines}
