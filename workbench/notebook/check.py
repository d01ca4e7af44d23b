"""How an exercise is checked: the learner's function is called, and a sentence comes back.

A check never raises, whatever the learner's code does or gives back; it says what is right, or
what is not right yet and where to look. It calls functions on copies, so a check can be repeated.
"""

from __future__ import annotations

import copy
import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a check found; a notebook shows it as one line.

    Attributes
    ----------
    right : bool
        Whether the exercise is solved.
    message : str
        What is right, or what to look at next.
    """

    right: bool
    message: str

    def __repr__(self) -> str:
        return f"{'right' if self.right else 'not yet'}: {self.message}"


class NotYet(Exception):
    """Raised inside a check with the sentence that the learner reads."""


def exercise(check: Callable[..., str]) -> Callable[..., Verdict]:
    """Turn a function that returns praise or raises `NotYet` into one that returns a `Verdict`."""

    @functools.wraps(check)
    def checked(*answers: Any) -> Verdict:
        try:
            return Verdict(True, check(*answers))
        except NotYet as reason:
            return Verdict(False, str(reason))
        except Exception as error:
            # an answer of a kind that nobody thought of, or a mistake in the check: named, not
            # hidden, and no traceback in the middle of a lesson
            return Verdict(False, f"the check cannot make sense of this answer ({_said(error)}).")

    return checked


def call(function: Any, *arguments: Any, hint: str) -> Any:
    """Call a learner's function on copies of `arguments`.

    Raises
    ------
    NotYet
        It is no function, gives nothing back, stops with an error, or changes what it was given;
        or a function among `arguments` raises it.
    """
    name = getattr(function, "__name__", "the answer")
    if not callable(function):
        raise NotYet(f"a function was expected, not {type(function).__name__}")
    given = copy.deepcopy(arguments)
    try:
        result = function(*given)
    except NotYet:  # what the check handed over had something to say itself
        raise
    except Exception as error:
        raise NotYet(f"`{name}` stopped {_where(error)}: {_said(error)}. {hint}") from None
    if result is None or result is Ellipsis:
        raise NotYet(f"`{name}` gives nothing back yet. Replace the dots, and end with `return`.")
    for before, after in zip(arguments, given, strict=True):
        if not _same(before, after):
            raise NotYet(
                f"`{name}` changes what it was given. Others may still need it: build something "
                f"new (`S = S + ...` rather than `S += ...`; {_copied(before)})."
            )
    return result


def call_for_array(function: Any, *arguments: Any, shape: tuple[int, ...], hint: str) -> np.ndarray:
    """Call a learner's function as `call` does, and take an array of `shape` from it."""
    name = getattr(function, "__name__", "the answer")
    result = call(function, *arguments, hint=hint)
    try:
        array = np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise NotYet(
            f"`{name}` gives back {type(result).__name__}, not an array of numbers. {hint}"
        ) from None
    if array.shape != shape:
        raise NotYet(f"`{name}` gives back shape {array.shape}; expected {shape}. {hint}")
    if not np.isfinite(array).all():
        raise NotYet(f"`{name}` gives back numbers that are not finite. {hint}")
    return array


def close(left: Any, right: Any, tolerance: float = 1e-5) -> bool:
    """Whether two arrays agree to `tolerance`, relative to the larger of 1 and their size."""
    left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    return bool(np.abs(left - right).max() <= tolerance * max(1.0, float(np.abs(right).max())))


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: Exception) -> str:
    """Return the learner's line, the first one outside this package."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return f"at its line `{frames[0].line}`" if frames and frames[0].line else "with an error"


def _copied(given: Any) -> str:
    """Return how a learner copies something of this kind before changing it."""
    if hasattr(given, "tensors") or hasattr(given, "clone"):
        return "`.clone()` before you assign into a tensor"
    if isinstance(given, list | dict):
        return "`list(...)` or `dict(...)` before you change one, `.copy()` for arrays in it"
    return "`.copy()` before you assign into an array"


def _same(before: Any, after: Any) -> bool:
    if hasattr(before, "tensors"):  # a Memory
        left, right = before.tensors(), after.tensors()
        return left.keys() == right.keys() and all(_same(left[n], right[n]) for n in left)
    if isinstance(before, list | tuple):  # of arrays of several shapes, perhaps
        return len(before) == len(after) and all(map(_same, before, after))
    return bool(np.array_equal(np.asarray(before), np.asarray(after)))
