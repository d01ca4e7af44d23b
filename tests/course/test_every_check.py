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

from sleep_course.exercises.check import Verdict, lesson

MODULES = {
    "01": "associative",
    "02": "boundary",
    "03": "stepping",
    "04": "changing",
    "05": "writers",
    "06": "probing",
    "07": "attributing",
    "08": "causing",
    "09": "more_sleep",
    "10": "audits",
    "11": "story",
}
FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "src"


def solutions():
    """Yield (notebook, check, functions) for each solution of the notebooks, in their order.

    The functions are those of the solution's cell, with what earlier cells define.
    """
    for number, module in MODULES.items():
        checks = importlib.import_module(f"sleep_course.exercises.{module}")
        (path,) = FOLDER.glob(f"{number}_*.py")
        scope = {"np": np, "torch": torch}
        # as jupytext reads them, which takes seconds to import
        _, *cells = re.split(r"(?m)^# %%(.*)$", path.read_text(encoding="utf-8"))
        for head, source in zip(cells[::2], cells[1::2], strict=True):
            if "[markdown]" in head:
                continue
            body = ast.parse(source).body
            kept = [n for n in body if isinstance(n, ast.Import | ast.ImportFrom | ast.FunctionDef)]
            kept += [n for n in body if ast.unparse(n).startswith("relative_steps =")]
            exec(compile(ast.Module(kept, []), str(path), "exec"), scope)
            if "solution" in head:
                called = body[-1].value
                names = [argument.id for argument in called.args]
                yield number, getattr(checks, called.func.attr), [scope[name] for name in names]


SOLUTIONS = list(solutions())
IDS = [f"{number}-{check.__name__}" for number, check, _ in SOLUTIONS]


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


@pytest.mark.parametrize("module", MODULES.values())
def test_every_sentence_is_used_by_the_checks_of_its_lesson(module):
    source = Path(importlib.import_module(f"sleep_course.exercises.{module}").__file__)
    tree = ast.parse(source.read_text(encoding="utf-8"))
    named = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    by_checker = {"right", "hint", "otherwise"}
    words = lesson(module)
    assert set(words) <= named
    assert {name for table in words.values() for name in table.texts} - by_checker <= named
    for table in words.values():
        filled = set(re.findall(r"{(\w+)}", " ".join(table.texts.values())))
        assert filled - {"hint", "found"} <= named | keywords(tree)


def keywords(tree):
    """Return the names of all keyword arguments in a module."""
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}


def test_every_check_of_every_notebook_is_here():
    assert len(SOLUTIONS) == 53
    for number, module in MODULES.items():
        checks = importlib.import_module(f"sleep_course.exercises.{module}")
        named = {name for name in vars(checks) if name.startswith("check_")}
        assert named == {check.__name__ for n, check, _ in SOLUTIONS if n == number}
    for _, check, functions in SOLUTIONS:
        assert len(inspect.signature(check).parameters) == len(functions)


@pytest.mark.parametrize(("number", "check", "functions"), SOLUTIONS, ids=IDS)
def test_the_notebook_s_solution_is_right_twice(number, check, functions):
    assert check(*functions).right
    assert check(*functions).right


@pytest.mark.parametrize(("number", "check", "functions"), SOLUTIONS, ids=IDS)
def test_an_odd_answer_gets_one_line(number, check, functions):
    for place in range(len(functions)):
        for odd in ODD.values():
            answers = list(functions)
            answers[place] = lambda *args, odd=odd, **kwargs: odd
            message = one_line(check(*answers))
            assert "returns nothing yet" in message or not (odd is None or odd is ...)
            if not callable(odd):
                answers[place] = odd
                assert "function" in one_line(check(*answers))


@pytest.mark.parametrize(("number", "check", "functions"), SOLUTIONS, ids=IDS)
def test_an_answer_that_stops_gets_one_line(number, check, functions):
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


@pytest.mark.parametrize(("number", "check", "functions"), SOLUTIONS, ids=IDS)
def test_the_first_answer_repeated_is_refused(number, check, functions):
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
        pytest.param(check, functions, place, name, id=f"{number}-{function.__name__}-{name}")
        for number, check, functions in SOLUTIONS
        for place, function in enumerate(functions)
        for name in inspect.signature(function).parameters
        if name not in HANDED_OVER or (name, check.__name__) == ("accuracy", "check_solved")
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


@pytest.mark.parametrize(("number", "check", "functions"), SOLUTIONS, ids=IDS)
def test_other_types_of_a_right_answer_are_right(number, check, functions):
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
