"""The solutions of the notebooks' exercises, read out of their cells."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[2] / "notebooks" / "src"
LESSONS = (
    "sixty", "associative", "boundary", "stepping", "changing", "writers", "probing",
    "attributing", "causing", "more_sleep", "audits", "story", "retrofitting",
)  # fmt: skip
"""Modules of `sleep_course.exercises`, in the order of their notebooks."""


class Solution(NamedTuple):
    """A check by its name, and the functions that solve it by theirs."""

    name: str
    check: Callable[..., Any]
    functions: dict[str, Callable[..., Any]]


@cache
def solutions(lesson: str) -> list[Solution]:
    """Return the solutions of a lesson's notebook, in its order.

    The functions are those of the solution's cell, with what earlier cells define.
    """
    checks = importlib.import_module(f"sleep_course.exercises.{lesson}")
    (path,) = FOLDER.glob(f"{LESSONS.index(lesson):02}_*.py")
    scope: dict[str, Any] = {"np": np, "torch": torch}
    found = []
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
            called = body[-1].value  # type: ignore[attr-defined]
            functions = {argument.id: scope[argument.id] for argument in called.args}
            found.append(Solution(called.func.attr, getattr(checks, called.func.attr), functions))
    return found


def solved(lesson: str) -> SimpleNamespace:
    """Return the functions of all solutions of a lesson by name."""
    return SimpleNamespace(**{n: f for one in solutions(lesson) for n, f in one.functions.items()})
