"""How an exercise is checked: the learner's function is called, and a sentence comes back.

A check never raises, whatever the learner's code does or returns; it says what is right, or
what is not right yet and where to look. It calls functions on copies, so a check can be repeated.
It tries several inputs, some of which the notebook never shows: an answer that ignores an argument
or repeats a number of the example is not right.
"""

from __future__ import annotations

import copy
import functools
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """Whether the exercise is solved, and what is right or what to look at next, in one line."""

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
        except (Exception, SystemExit) as error:
            # an answer of an unforeseen kind, or a mistake in the check: named, not
            # hidden, and no traceback in the middle of a lesson
            return Verdict(False, f"the check cannot make sense of this answer ({_said(error)}).")

    return checked


def call(function: Any, *arguments: Any, hint: str, copies: bool = True) -> Any:
    """Call a learner's function on copies of `arguments`, or on themselves.

    Raises
    ------
    NotYet
        It is not a function, gives nothing back, stops with an error, or changes what it was
        given; or a function among `arguments` raises it.
    """
    name = name_of(function)
    if not callable(function):
        raise NotYet(f"a function was expected, not {type(function).__name__}")
    given = copy.deepcopy(arguments) if copies else arguments
    try:
        result = function(*given)
    except NotYet:  # what the check handed over had something to say itself
        raise
    except (Exception, SystemExit) as error:
        raise NotYet(f"`{name}` stopped {_where(error)}: {_said(error)}. {hint}") from None
    if result is None or result is Ellipsis:
        raise NotYet(f"`{name}` returns nothing yet. Replace the dots, and end with `return`.")
    for before, after in zip(arguments, given, strict=True):
        if copies and not same(before, after):
            raise NotYet(
                f"`{name}` changes what it was given. Others may still need it: build something "
                f"new (`S = S + ...` rather than `S += ...`; {_copied(before)})."
            )
    return result


def call_for_array(
    function: Any, *arguments: Any, shape: tuple[int, ...] | None, hint: str
) -> np.ndarray:
    """Call a learner's function as `call` does, and take an array of `shape` from it, or of any."""
    result = call(function, *arguments, hint=hint)
    return array_of(result, name=name_of(function), shape=shape, hint=hint)


def array_of(result: Any, *, name: str, shape: tuple[int, ...] | None, hint: str) -> np.ndarray:
    """Return what a learner's function returned as an array of finite float64 numbers.

    Numbers, lists, arrays and tensors will do; text that looks like a number will not.

    Parameters
    ----------
    result : Any
        What came back.
    name : str
        Of the function, for the message.
    shape : tuple of int or None
        The shape expected; None takes any.
    hint : str
        Added to each message.

    Raises
    ------
    NotYet
        It is not an array of finite real numbers of that shape.
    """
    array = _numbers(result)
    if array is None:
        raise NotYet(
            f"`{name}` returns {kind_of(result)}, not "
            f"{'a number' if shape == () else 'an array of numbers'}. {hint}"
        )
    if shape is not None and array.shape != shape:
        raise NotYet(f"`{name}` returns shape {array.shape}; expected {shape}. {hint}")
    if not np.isfinite(array).all():
        raise NotYet(f"`{name}` returns numbers that are not finite. {hint}")
    return array


def call_for_truth(function: Any, *arguments: Any, hint: str) -> bool:
    """Call a learner's function as `call` does, and take True or False from it; 1 and 0 will do."""
    result = call(function, *arguments, hint=hint)
    array = _numbers(result)
    if array is None or array.shape != () or float(array) not in (0.0, 1.0):
        given = kind_of(result) if array is None or array.shape != () else f"{float(array):g}"
        raise NotYet(f"`{name_of(function)}` returns {given}, not True or False. {hint}")
    return bool(array)


def right_elsewhere(
    function: Any,
    reference: Callable[..., Any],
    cases: Mapping[str, tuple[Any, ...]],
    *,
    tolerance: float = 1e-5,
) -> None:
    """Try a function that was right once on other inputs.

    Parameters
    ----------
    function : Any
        The learner's.
    reference : callable
        What it should return, a number or an array.
    cases : mapping of str to tuple
        Arguments by what is different about them: "with another beta".
    tolerance : float
        As in `close`.

    Raises
    ------
    NotYet
        It gives something else for one of them.
    """
    for different, arguments in cases.items():
        right = np.asarray(reference(*copy.deepcopy(arguments)), dtype=np.float64)
        hint = f"The first example was right; this is one {different}."
        found = call_for_array(function, *arguments, shape=right.shape, hint=hint)
        if not close(found, right, tolerance):
            raise NotYet(
                f"right for the first example, wrong for one {different}. Use every argument, and "
                "no number or size of the example."
            )


def close(left: Any, right: Any, tolerance: float = 1e-5) -> bool:
    """Whether two arrays agree to `tolerance`, relative to the larger of 1 and their size."""
    left, right = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    return bool(np.abs(left - right).max() <= tolerance * max(1.0, float(np.abs(right).max())))


def same(before: Any, after: Any) -> bool:
    """Whether two arrays, lists of arrays or memories hold the same numbers, to the bit."""
    if hasattr(before, "tensors"):  # a Memory
        old, new = before.tensors(), after.tensors()
        return old.keys() == new.keys() and all(same(old[n], new[n]) for n in old)
    if isinstance(before, list | tuple):  # of arrays of several shapes, perhaps
        return len(before) == len(after) and all(map(same, before, after))
    left, right = (x.detach() if hasattr(x, "detach") else x for x in (before, after))
    return bool(np.array_equal(np.asarray(left), np.asarray(right)))


def name_of(function: Any) -> str:
    """Return how a message calls a learner's function."""
    return str(getattr(function, "__name__", "the answer"))


def kind_of(result: Any) -> str:
    """Return in a word or two what came back, where it is not what was asked for."""
    if isinstance(result, str):
        text = " ".join(result.split())
        return f"the text {text[:20]!r}"
    if isinstance(result, list | tuple):
        return f"a {type(result).__name__} that does not hold numbers alone, in equal rows"
    return type(result).__name__


def _numbers(result: Any) -> np.ndarray | None:
    """Return real numbers as float64, or None where `result` is anything else."""
    try:
        if hasattr(result, "detach"):  # a tensor, of a type that NumPy need not know
            result = result.detach().cpu()
            result = result.numpy() if result.is_complex() else result.double().numpy()
        array = np.asarray(result)
        if array.dtype.kind == "O" and not any(isinstance(x, str | bytes) for x in array.flat):
            array = array.astype(np.float64)
        return array.astype(np.float64) if array.dtype.kind in "biuf" else None
    except Exception:  # ragged lists, dictionaries, objects that refuse to be looked at
        return None


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _where(error: BaseException) -> str:
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
