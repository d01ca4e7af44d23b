"""How `torch.compile` treats functions of ours, said without loading the compiler."""

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def as_constant(function: F) -> F:
    """Have `torch.compile` call `function` while it traces, and keep the result as a constant.

    What `torch.compiler.assume_constant_result` does, which imports the compiler first: over a
    second at the start of every process, compiled or not.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
