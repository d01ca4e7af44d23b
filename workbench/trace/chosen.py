"""Which layers and heads a trace keeps, and what that takes: told before anything is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workbench import dims
from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import SleepingModel
from workbench.sleep.windows import Reading
from workbench.trace.schema import FIRST_PASS, GROUPS

Indices = Sequence[int] | None


@dataclass(frozen=True)
class Chosen:
    """Layers and heads of a model, as indices in the stack and in each layer."""

    layers: tuple[int, ...]
    """Fast-weight layers."""
    heads: tuple[int, ...]
    some_heads: bool
    """Whether there are others."""
    blocks: tuple[int, ...]
    """Blocks whose features are kept where features are: all, or the chosen layers."""


def chosen(model: SleepingModel, layers: Indices = None, heads: Indices = None) -> Chosen:
    """Return a choice among a model's fast-weight layers and heads; None is all of them.

    Raises WorkbenchError: there is no such layer or head, or the layers differ in size.
    """
    states = model.empty_memory(1).fast_weights
    every = tuple(range(model.depth))
    picked = _picked("layer", layers, tuple(sorted(states)))
    shapes = {i: tuple(states[i].shape[1:]) for i in picked}
    if len(set(shapes.values())) != 1:
        alike = [i for i in picked if shapes[i] == shapes[picked[0]]]
        raise WorkbenchError(
            f"a model whose {len(picked)} fast-weight layers have different sizes, or none",
            "one or more layers with the same heads, keys and values",
            f"choose layers that agree, such as {','.join(map(str, alike))}"
            if alike
            else "record a model that has such layers",
        )
    of_layer = tuple(range(shapes[picked[0]][0]))
    taken = _picked("head", heads, of_layer)
    return Chosen(picked, taken, taken != of_layer, every if layers is None else picked)


def _picked(kind: str, given: Indices, known: tuple[int, ...]) -> tuple[int, ...]:
    picked = known if given is None else tuple(sorted(set(given)))
    unknown = [i for i in picked if i not in known]
    if unknown or (given is not None and not picked):
        raise WorkbenchError(
            f"fast-weight {kind} {unknown[0]}" if unknown else f"no {kind}s",
            f"some of {', '.join(map(str, known)) or 'none: the model has no fast weights'}",
            "choose others, or leave the choice out",
        )
    return picked


def sizes_of(
    model: SleepingModel, batch: Batch, sleep: SleepConfig, rows: Sequence[Reading], of: Chosen
) -> dict[str, int]:
    """Return the length of every axis of a trace but those of passes and channels."""
    state = model.empty_memory(1).fast_weights[of.layers[0]]
    return {
        dims.EXAMPLE: len(batch),
        dims.WINDOW: len(rows),
        dims.LAYER: len(of.layers),
        dims.GDN_HEAD: len(of.heads),
        **dict(zip((dims.KEY, dims.VALUE), state.shape[2:], strict=True)),
        dims.TOKEN: max(sleep.window, batch.tokens.shape[1] - batch.context_tokens),
        dims.QUERY: batch.difficulty.shape[1],
    }


def needed(
    model: SleepingModel, sizes: dict[str, int], passes: int, keep: Sequence[str], of: Chosen
) -> int:
    """Return the bytes of a trace's arrays, before a file compresses them."""
    state = model.empty_memory(1).fast_weights[of.layers[0]]
    width = {"i": 8, "b": 1, "f": 8 if state.dtype == torch.float64 else 4}
    total = 0
    for group, variables in GROUPS.items():
        if group in ("writes", "hidden") and group not in keep:
            continue
        all_sizes = sizes | {dims.SLEEP_PASS: passes + 1 - FIRST_PASS.get(group, 0)}
        if group == "hidden":
            one = torch.zeros((1, 1), dtype=torch.long, device=model.device)
            channels = model.embed(one).shape[-1]
            all_sizes |= {dims.LAYER: len(of.blocks), dims.CHANNEL: channels}
        for name, (axes, kind, _) in variables.items():
            if name != "fast_weight" or "states" in keep:
                total += width[kind] * math.prod(all_sizes[axis] for axis in axes)
    return total


def check_budget(count: int, budget: float | None) -> None:
    """Refuse a recording of `count` bytes that is larger than `budget`, in MB of 10^6 bytes.

    Raises WorkbenchError: it is; the error says what both are.
    """
    if budget is not None and count > budget * 1e6:
        raise WorkbenchError(
            f"a recording of {count / 1e6:,.1f} MB",
            f"at most the budget of {budget:,.1f} MB",
            "take fewer examples, layers or heads, keep less, "
            f"or allow a budget of {math.ceil(count / 1e6)}",
        )
