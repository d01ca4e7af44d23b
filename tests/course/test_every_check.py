"""What holds for every check of every notebook: odd answers get one clear line, nothing raises.

The files next to this one have each notebook's own mistakes. Here are those of any exercise:
answers that ignore an argument, repeat the numbers of the example or have another type.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from solutions import LESSONS, solutions

from sleep_course.exercises.check import Verdict, lesson, listed

SOLUTIONS = [
    pytest.param(check, list(functions.values()), id=f"{module}-{name}")
    for module in LESSONS
    for name, check, functions in solutions(module)
]
every_solution = pytest.mark.parametrize(("check", "functions"), SOLUTIONS)


class Stubborn:
    """An object that refuses to be looked at as an array, a number or a truth."""

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def __bool__(self):
        raise RuntimeError("no truth")

    def __len__(self):
        raise RuntimeError("no length")


ODD = {
    "nothing": None,
    "dots": ...,
    "text": "yes",
    "text that looks like a number": "2.0",
    "bytes": b"2",
    "a list of texts": ["1", "2"],
    "a pair of texts": ("0.1", "0.2"),
    "an empty list": [],
    "an empty dictionary": {},
    "a set": {1.0},
    "a complex number": 1j,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "an object": object(),
    "a stubborn object": Stubborn(),
    "a type": int,
    "a function": max,
    "a generator": (x for x in "ab"),
    "rows of several lengths": [[1.0], [1.0, 2.0]],
    "a complex tensor": torch.ones(2, dtype=torch.complex64),
    "a text array": np.array("1.0"),
    "a date": np.datetime64("2020-01-01"),
    "a huge number": 10**400,
}


def one_line(verdict):
    assert isinstance(verdict, Verdict)
    assert not verdict.right
    assert verdict.message.strip() and "\n" not in repr(verdict)
    assert len(verdict.message) < 600 and "Traceback" not in verdict.message
    return verdict.message


@pytest.mark.parametrize("module", LESSONS)
def test_every_sentence_is_used_by_the_checks_of_its_lesson(module):
    source = Path(importlib.import_module(f"sleep_course.exercises.{module}").__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    by_checker = {"right", "hint", "otherwise"}  # and what it fills in: found, shape, expected
    words = lesson(module)
    assert set(words) <= named
    assert {name for table in words.values() for name in table.texts} - by_checker <= named
    for table in words.values():
        filled = set(re.findall(r"{(\w+)}", " ".join(table.texts.values())))
        assert filled - {"hint", "found", "shape", "expected"} <= named | keywords(tree)


def keywords(tree):
    """Return the names of all keyword arguments in a module."""
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}


def test_every_check_of_every_notebook_is_here():
    assert len(SOLUTIONS) == 57
    for module in LESSONS:
        checks = importlib.import_module(f"sleep_course.exercises.{module}")
        named = [name for name in vars(checks) if name.startswith("check_")]
        assert sorted(named) == sorted(name for name, *_ in solutions(module))


def mistakes():
    """Return each mistake that a check knows as a function: check, answers, its words, its name."""
    for param in SOLUTIONS:
        check, functions = param.values
        for place, parts in enumerate(getattr(check, "functions", ())):
            for number, part in enumerate(parts):
                for name, answers in part.mistakes.items():
                    for wrong in listed(answers):
                        answer = after_right(parts[:number], wrong)
                        given = [*functions[:place], answer, *functions[place + 1 :]]
                        yield pytest.param(check, given, part.say, name, id=f"{param.id}-{name}")


def after_right(earlier, wrong):
    """Return an answer that is right where it is compared first, and wrong only then."""

    def answer(*given):
        for part in earlier:
            if str(part.given) == str(given):
                return part.right(*given)
        return wrong(*given)

    return answer


@pytest.mark.parametrize(("check", "answers", "say", "name"), list(mistakes()))
def test_a_usual_mistake_gets_its_own_sentence(check, answers, say, name):
    pattern = re.sub(
        r"\\{(\w+)\\}",
        lambda m: re.escape(say.hint) if m[1] == "hint" else ".*",
        re.escape(say.texts[name]),
    )
    assert re.fullmatch(pattern, one_line(check(*answers)))


@every_solution
def test_the_notebook_s_solution_is_right_twice(check, functions):
    assert check(*functions).right
    assert check(*functions).right


@every_solution
def test_an_odd_answer_gets_one_line(check, functions):
    for place in range(len(functions)):
        for odd in ODD.values():
            answers = list(functions)
            answers[place] = lambda *args, odd=odd, **kwargs: odd
            message = one_line(check(*answers))
            assert "returns nothing yet" in message or not (odd is None or odd is ...)
            if not callable(odd):
                answers[place] = odd
                assert "function" in one_line(check(*answers))


@every_solution
def test_an_answer_that_stops_gets_one_line(check, functions):
    def leaves(*args):
        raise SystemExit(3)

    def endless(*args):
        return endless(*args)

    def talkative(*args):
        raise ValueError("a\nlong\nstory " * 1000)

    for answer in (leaves, endless, talkative, lambda: 1, lambda *args: args[0].missing):
        for place in range(len(functions)):
            answers = list(functions)
            answers[place] = answer
            one_line(check(*answers))
    one_line(check())
    one_line(check(*functions, 1))


@every_solution
def test_the_first_answer_repeated_is_refused(check, functions):
    """An answer that returns what was right for the first input, whatever it is asked next."""
    for place, function in enumerate(functions):
        first = []

        def repeated(*args, function=function, first=first):
            if not first:
                first.append(function(*args))
            return first[0]

        answers = list(functions)
        answers[place] = repeated
        one_line(check(*answers))


HANDED_OVER = {
    "embed", "one_pass", "gradient", "score", "worth", "replay", "interval", "likeness", "accuracy",
    "events",
}  # fmt: skip
"""Arguments that are functions or generators: a check has only one to hand over."""


def ignoring():
    """Return each argument of each solution, as (check, functions, place of one, argument)."""
    return [
        pytest.param(*param.values, place, name, id=f"{param.id}-{name}")
        for param in SOLUTIONS
        for place, function in enumerate(param.values[1])
        for name in inspect.signature(function).parameters
        if name not in HANDED_OVER or (name, param.id) == ("accuracy", "more_sleep-check_solved")
    ]


@pytest.mark.parametrize(("check", "functions", "place", "argument"), ignoring())
def test_an_argument_that_is_ignored_is_noticed(check, functions, place, argument):
    function = functions[place]
    names = list(inspect.signature(function).parameters)
    first = {}

    def ignores(*args):
        given = dict(zip(names, args, strict=False))
        if argument in given:
            given[argument] = first.setdefault(argument, given[argument])
        return function(**given)

    answers = list(functions)
    answers[place] = ignores
    one_line(check(*answers))


@every_solution
def test_other_types_of_a_right_answer_are_right(check, functions):
    """A list for an array, a tensor for an array, a NumPy number for a number."""

    def as_list(found):
        return found.tolist() if isinstance(found, np.ndarray | np.generic) else found

    def as_array(found):
        if isinstance(found, list | tuple) and not any(isinstance(x, str) for x in found):
            return np.array(found)
        return np.float64(found) if isinstance(found, float) else found

    def as_tensor(found):
        return torch.as_tensor(found) if isinstance(found, np.ndarray) else found

    for kind in (as_list, as_array, as_tensor):
        answers = [
            lambda *args, function=function, kind=kind: kind(function(*args))
            for function in functions
        ]
        verdict = check(*answers)
        assert verdict.right, f"{kind.__name__}: {verdict.message}"
