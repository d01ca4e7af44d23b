"""For backwards written by hand, which cannot be differentiated again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Found = Tensor | tuple[Tensor | None, ...]


def differentiable_once(backward: Callable[..., Found]) -> Callable[..., Found]:
    """Make what a backward returns raise if it is differentiated again.

    torch's own `once_differentiable` does so only if the incoming gradient depends on something:
    the second derivative of a loss that is linear in the result would silently be zero.
    """
    once: Callable[..., Found] = once_differentiable(backward)

    @wraps(backward)
    def wrapped(ctx: Any, *gradients: Tensor | None) -> Found:
        found = once(ctx, *gradients)
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return found
        several = found if isinstance(found, tuple) else (found,)
        message = (
            b"a second derivative of an operator with a backward written by hand; "
            b"see docs/gotchas.md"
        )
        error = torch._C._functions.DelayedError(message, len(several))
        leaves: list[Any] = [None if x is None else x.detach().requires_grad_() for x in several]
        return error(*leaves)

    return wrapped
