"""Checks of the exercises in notebook 12, *Teach a model to sleep*."""

from __future__ import annotations

from typing import Any

from sleep_course.exercises.check import Words, close, exercise, lesson
from workbench.retrofit_config import RetrofitConfig

WORDS = lesson("retrofitting")


@exercise(WORDS["projections"])
def check_projections(say: Words, projections: Any) -> None:
    """Exercise 1: ``projections(width, heads, dim)`` is how many weights a layer's five have."""

    def right(width: int, heads: int, dim: int) -> int:
        return 5 * width * heads * dim

    found = say.number(projections, 8, 2, 3)
    if not close(found, right(8, 2, 3)):
        mistakes = {"one": 48, "four": 4 * 48, "one head": 5 * 24, "square": 5 * 64}
        say.refuse(found, mistakes)
    say.elsewhere(projections, right, {"with other sizes": [(576, 9, 64), (64, 4, 16)]})


@exercise(WORDS["in_all_blocks"])
def check_in_all_blocks(say: Words, in_all_blocks: Any) -> None:
    """Exercise 2: ``in_all_blocks(begin, end, after)`` counts a loop with the new layers."""

    def right(begin: int, end: int, after: tuple[int, ...]) -> tuple[int, int]:
        return RetrofitConfig(base="any", after=after).range_of(begin, end)

    found = say.array(in_all_blocks, 2, 4, (2, 3), shape=(2,))
    if not close(found, right(2, 4, (2, 3))):
        say.refuse(found, {"as they were": (2, 4), "all": (4, 6), "its own": (3, 6)})
    cases = {"with other blocks": [(10, 20, (4, 9, 14, 19, 24, 29)), (0, 1, (0,)), (1, 3, (0, 5))]}
    say.elsewhere(in_all_blocks, right, cases)
