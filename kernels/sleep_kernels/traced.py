"""Marks for `torch.compile` that need not load the compiler."""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def as_constant(function: F) -> F:
    """Have `torch.compile` call `function` while it traces, and keep the result as a constant.

    `torch.compiler.assume_constant_result` does the same, but imports the compiler first, which
    adds over a second to the start of every process.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
