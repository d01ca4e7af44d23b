"""An exercise's check, tried on a right answer and on wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def judged(
    check: Callable[..., Any], right: Any, *others: tuple[Any, str | None]
) -> Callable[..., None]:
    """Return a test: the check takes one answer, and says something fitting about the others.

    An answer is a tuple where the exercise asks for two functions. `others` are typical mistakes,
    each with a distinctive part of the message about it; None means right, too.
    """

    @pytest.mark.parametrize(("answers", "says"), [(right, None), *others])
    def test(answers: Any, says: str | None) -> None:
        verdict = check(*(answers if isinstance(answers, tuple) else (answers,)))
        assert verdict.right == (says is None)
        assert says is None or says in verdict.message

    return test
