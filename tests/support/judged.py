"""An exercise's check, tried on wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def judged(check: Callable[..., Any], *answers: tuple[Any, str | None]) -> Callable[..., None]:
    """Return a test: the check says something fitting about each of these `answers`.

    An answer is a tuple where the exercise asks for two functions, and comes with a distinctive
    part of the message about it; None means right. Solutions, and mistakes that a check knows as
    functions, are tried by tests/course/test_every_check.py.
    """

    @pytest.mark.parametrize(("answers", "says"), answers)
    def test(answers: Any, says: str | None) -> None:
        verdict = check(*(answers if isinstance(answers, tuple) else (answers,)))
        assert verdict.right == (says is None)
        assert says is None or says in verdict.message

    return test
