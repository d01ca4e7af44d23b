"""An exercise's check, tried on a right answer and on wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def said(check: Callable[..., Any], *answers: Any) -> str:
    """Return what a check says of a wrong answer."""
    verdict = check(*answers)
    assert not verdict.right
    return verdict.message


def judged(check: Callable[..., Any], right: Any, *wrong: tuple[Any, str]) -> Callable[..., None]:
    """Return a test: the check takes one answer, and says something fitting about the others.

    `check`: Of an exercise. `right`: An answer; a tuple where the exercise asks for two functions.
    `*wrong`: A typical mistake, and a distinctive part of the message about it.
    """

    @pytest.mark.parametrize(("answers", "says"), [(right, None), *wrong])
    def test(answers: Any, says: str | None) -> None:
        given = answers if isinstance(answers, tuple) else (answers,)
        if says is None:
            assert check(*given).right
        else:
            assert says in said(check, *given)

    return test
