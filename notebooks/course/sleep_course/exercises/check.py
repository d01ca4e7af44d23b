"""How an exercise is checked: the learner's function is called, and a sentence comes back.

A check never raises, whatever the learner's code does or returns; it says what is right, or
what is not right yet and where to look. It calls functions on copies, so a check can be repeated.
It tries several inputs, some of which the notebook never shows: an answer that ignores an argument
or repeats a number of the example is not right.

What a check says is data: ``words/LESSON.toml`` has a table for each exercise. "right" is the
praise, "hint" goes with every message about calls and shapes, and the other entries name the usual
mistakes, "otherwise" any other. ``{hint}`` and ``{value}`` in a sentence are filled in.
"""

from __future__ import annotations

import copy
import functools
import inspect
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from workbench.files import read_toml


@dataclass(frozen=True)
class Verdict:
    """Whether the exercise is solved, and what is right or what to look at next, in one line."""

    right: bool
    message: str

    def __repr__(self) -> str:
        return f"{'right' if self.right else 'not yet'}: {self.message}"


class NotYet(Exception):
    """Raised inside a check with the sentence that the learner reads."""


@dataclass(frozen=True)
class Words:
    """The sentences of one exercise by name."""

    texts: Mapping[str, str]

    @property
    def hint(self) -> str:
        """What goes with every message about calls and shapes."""
        return self.texts.get("hint", "")

    def __call__(self, name: str, **values: Any) -> NotYet:
        """Return the sentence `name` with `values` filled in."""
        text = self.texts[name]
        for key, value in {"hint": self.hint, **values}.items():
            text = text.replace(f"{{{key}}}", str(value))
        return NotYet(text)

    def when(self, wrong: Any, name: str, **values: Any) -> None:
        """Raise the sentence `name` if something is `wrong`."""
        if wrong:
            raise self(name, **values)


def lesson(name: str) -> dict[str, Words]:
    """Return the words of a lesson's exercises, by the exercise."""
    tables = read_toml(Path(__file__).parent / "words" / f"{name}.toml")
    return {table: Words(texts) for table, texts in tables.items()}


def exercise(words: Words) -> Callable[[Callable[..., None]], Callable[..., Verdict]]:
    """Turn a function that takes `words` and answers, and may raise `NotYet`, into a check."""

    def decorate(check: Callable[..., None]) -> Callable[..., Verdict]:
        @functools.wraps(check)
        def checked(*answers: Any) -> Verdict:
            try:
                check(words, *answers)
                return Verdict(True, words.texts["right"])
            except NotYet as reason:
                return Verdict(False, str(reason))
            except (Exception, SystemExit) as error:
                # an answer of an unforeseen kind, or a mistake in the check: named, not
                # hidden, and no traceback in the middle of a lesson
                return Verdict(
                    False, f"the check cannot make sense of this answer ({_said(error)})."
                )

        first, *answers = inspect.signature(check).parameters.values()
        checked.__signature__ = inspect.Signature(answers)  # type: ignore[attr-defined]
        return checked

    return decorate


def compare(
    say: Words,
    function: Any,
    reference: Callable[..., Any],
    given: tuple[Any, ...],
    *,
    mistakes: Mapping[str, Any],
    elsewhere: Mapping[str, tuple[Any, ...]] | None = None,
    **values: Any,
) -> None:
    """Compare a learner's function with `reference` on the arguments `given`, then `elsewhere`.

    See `refuse` for `mistakes` and `values`, `right_elsewhere` for `elsewhere`. Raises `NotYet` if
    they differ.
    """
    right = np.asarray(reference(*copy.deepcopy(given)), dtype=np.float64)
    found = call_for_array(function, *given, shape=right.shape, hint=say.hint)
    if not close(found, right):
        refuse(say, found, mistakes, **values)
    right_elsewhere(function, reference, elsewhere or {})


def refuse(
    say: Words, found: Any, mistakes: Mapping[str, Any], *, tolerance: float = 1e-5, **values: Any
) -> NoReturn:
    """Raise the sentence of the first of `mistakes` that gives `found`, else "otherwise".

    `mistakes` maps names of sentences to what the mistake gives; a list holds several
    possibilities. `values` are filled into the sentence, and ``{found}`` if it is a number.
    """
    if np.ndim(found) == 0:
        values = {"found": f"{float(found):.4g}", **values}
    for name, wrong in mistakes.items():
        reason = say(name, **values)
        if any(close(found, one, tolerance) for one in (wrong if type(wrong) is list else [wrong])):
            raise reason
    raise say("otherwise", **values)


def call(function: Any, *arguments: Any, hint: str, copies: bool = True) -> Any:
    """Call a learner's function on copies of `arguments`, or on themselves.

    Raises `NotYet` if it is not a function, gives nothing back, stops with an error, or changes
    what it was given; or if a function among `arguments` raises it.
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


def call_for_number(function: Any, *arguments: Any, hint: str) -> float:
    """Call a learner's function as `call` does, and take a number from it."""
    return float(call_for_array(function, *arguments, shape=(), hint=hint))


def array_of(result: Any, *, name: str, shape: tuple[int, ...] | None, hint: str) -> np.ndarray:
    """Return what the learner's function `name` returned as finite float64 numbers of `shape`.

    Numbers, lists, arrays and tensors will do; text that looks like a number will not. None takes
    any shape. Raises `NotYet`, with `hint`, for anything else.
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
    function: Any, reference: Callable[..., Any], cases: Mapping[str, tuple[Any, ...]]
) -> None:
    """Try a function that was right once on other inputs, and compare it with `reference`.

    `cases` holds arguments by what is different about them, such as "with another beta". Raises
    `NotYet` if the function gives something else for one of them.
    """
    for different, arguments in cases.items():
        right = np.asarray(reference(*copy.deepcopy(arguments)), dtype=np.float64)
        hint = f"The first example was right; this is one {different}."
        found = call_for_array(function, *arguments, shape=right.shape, hint=hint)
        if not close(found, right):
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
    """Return in a word or two what came back, if it is not what was expected."""
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
