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
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from workbench.files import read_toml

Shape = tuple[int, ...]
Others = Mapping[Shape | type | None, str]
"""Sentences by the shape or type of what came back, None for any other shape."""


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
    """The sentences of one exercise by name, and calls whose messages end with its hint."""

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

    def call(self, function: Any, *arguments: Any, copies: bool = True) -> Any:
        """Call a learner's function on copies of `arguments`, or on themselves.

        Raises `NotYet` if it is not a function, gives nothing back, stops with an error, or
        changes what it was given; or if a function among `arguments` raises it.
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
            said = f"`{name}` stopped {_where(error)}: {_said(error)}. {self.hint}"
            raise NotYet(said) from None
        if result is None or result is Ellipsis:
            raise NotYet(f"`{name}` returns nothing yet. Replace the dots, and end with `return`.")
        for before, after in zip(arguments, given, strict=True):
            if copies and not same(before, after):
                raise NotYet(
                    f"`{name}` changes what it was given. Others may still need it: build "
                    f"something new (`S = S + ...` rather than `S += ...`; {_copied(before)})."
                )
        return result

    def array_of(self, result: Any, *, name: str, shape: Shape | None) -> np.ndarray:
        """Return what the learner's function `name` returned as finite float64 of `shape`.

        Numbers, lists, arrays and tensors will do; text that looks like a number will not. None
        takes any shape. Raises `NotYet` for anything else.
        """
        array, hint = _numbers(result), self.hint
        if array is None:
            wanted = "a number" if shape == () else "an array of numbers"
            raise NotYet(f"`{name}` returns {kind_of(result)}, not {wanted}. {hint}")
        if shape is not None and array.shape != shape:
            raise NotYet(f"`{name}` returns shape {array.shape}; expected {shape}. {hint}")
        if not np.isfinite(array).all():
            raise NotYet(f"`{name}` returns numbers that are not finite. {hint}")
        return array

    def array(
        self,
        function: Any,
        *arguments: Any,
        shape: Shape | None,
        others: Others = MappingProxyType({}),
    ) -> np.ndarray:
        """Call a learner's function, and take an array of `shape` from it, or of any.

        `others` are sentences about what else may come back.
        """
        result, name = self.call(function, *arguments), name_of(function)
        self.when(type(result) in others, others.get(type(result), ""))
        found = self.array_of(result, name=name, shape=None if others else shape)
        if found.shape != shape and (other := others.get(found.shape, others.get(None))):
            raise self(other, shape=found.shape, expected=shape)
        return self.array_of(found, name=name, shape=shape)

    def number(self, function: Any, *arguments: Any) -> float:
        """Call a learner's function, and take a number from it."""
        return float(self.array(function, *arguments, shape=()))

    def truth(self, function: Any, *arguments: Any) -> bool:
        """Call a learner's function, and take True or False from it; 1 and 0 will do."""
        result = self.call(function, *arguments)
        array = _numbers(result)
        if array is None or array.shape != () or float(array) not in (0.0, 1.0):
            given = kind_of(result) if array is None or array.shape != () else f"{float(array):g}"
            raise NotYet(f"`{name_of(function)}` returns {given}, not True or False. {self.hint}")
        return bool(array)

    def refuse(
        self, found: Any, mistakes: Mapping[str, Any], *, tolerance: float = 1e-5, **values: Any
    ) -> NoReturn:
        """Raise the sentence of the first of `mistakes` that gives `found`, else "otherwise".

        `mistakes` maps names of sentences to what the mistake gives; a list holds several
        possibilities. `values` are filled into the sentence, and ``{found}`` if it is a number.
        """
        values = _shown(found) | values
        for name, wrong in mistakes.items():
            if any(close(found, one, tolerance) for one in listed(wrong)):
                raise self(name, **values)
        raise self("otherwise", **values)

    def elsewhere(self, function: Any, right: Callable[..., Any], cases: Mapping[str, Any]) -> None:
        """Try a function that was right once on other inputs, and compare it with `right`.

        `cases` holds arguments by what is different about them, such as "with another beta", or
        by the sentence to say if the answer is wrong there; a list holds several. Raises `NotYet`
        at the first that is wrong.
        """
        for different, arguments in ((d, a) for d, each in cases.items() for a in listed(each)):
            named = different in self.texts
            wanted = _floats(right(*copy.deepcopy(arguments)))
            hint = f"The first example was right; this is one {different}."
            say = self if named else Words({"hint": hint})
            found = say.array(function, *arguments, shape=wanted.shape)
            if close(found, wanted):
                continue
            if named:
                raise self(different, **_shown(found))
            raise NotYet(
                f"right for the first example, wrong for one {different}. Use every argument, and "
                "no number or size of the example."
            )


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


@dataclass(frozen=True)
class Compared:
    """What a learner's function is compared with, on which arguments, and what is often written.

    `right` and the functions in `mistakes` take the arguments `given`. `mistakes` are answers as
    learners write them, by the sentence about each; a list holds several. `traits` recognise other
    mistakes: ``trait(found, right)``, by sentence. `shapes` are sentences by the shape that came
    back, None for any other; `values(found, right)` are filled into sentences. `elsewhere` is as
    in `Words.elsewhere`.
    """

    say: Words
    right: Callable[..., Any]
    given: tuple[Any, ...]
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: Mapping[str, Any] = field(default_factory=dict)
    traits: Mapping[str, Callable[[np.ndarray, np.ndarray], Any]] = field(default_factory=dict)
    shapes: Others = field(default_factory=dict)
    values: Callable[[np.ndarray, np.ndarray], Mapping[str, Any]] = lambda found, right: {}

    def check(self, function: Any) -> None:
        """Raise `NotYet` if a learner's function is not right for every input."""
        right = _floats(self.right(*copy.deepcopy(self.given)))
        found = self.say.array(function, *self.given, shape=right.shape, others=self.shapes)
        if not close(found, right):
            mistakes: dict[str, Any] = {}
            for name, answers in self.mistakes.items():
                given = [_floats(one(*copy.deepcopy(self.given))) for one in listed(answers)]
                mistakes[name] = [one for one in given if one.shape == found.shape]
            mistakes |= {name: found for name, has in self.traits.items() if has(found, right)}
            self.say.refuse(found, mistakes, **self.values(found, right))
        self.say.elsewhere(function, self.right, self.elsewhere)

    def __call__(self, *answers: Any) -> Verdict:
        """Judge the answer to an exercise that asks for this function alone."""
        return together(self.say, [self])(*answers)

    @property
    def functions(self) -> tuple[list[Compared], ...]:
        """As of a check that `together` returns."""
        return ([self],)


def together(words: Words, *functions: list[Compared]) -> Callable[..., Verdict]:
    """Return the check of an exercise that asks for several functions, each compared in turn.

    Its attribute `functions` has what they are compared with.
    """

    @exercise(words)
    def check(say: Words, *answers: Any) -> None:
        for answer, compared in zip(answers, functions, strict=True):
            for one in compared:
                one.check(answer)

    check.functions = functions  # type: ignore[attr-defined]
    return check


def listed(given: Any) -> list[Any]:
    """Return a list as it is, and anything else as the only item of one."""
    return given if type(given) is list else [given]


def close(left: Any, right: Any, tolerance: float = 1e-5) -> bool:
    """Whether two arrays agree to `tolerance`, relative to the larger of 1 and their size."""
    left, right = _floats(left), _floats(right)
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


def _shown(found: Any) -> dict[str, Any]:
    """Return what is filled into a sentence for ``{found}``, if it is a number."""
    return {"found": f"{float(found):.4g}"} if np.ndim(found) == 0 else {}


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


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
