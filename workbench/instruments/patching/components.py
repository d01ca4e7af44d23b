"""Parts of a memory, and what can be done to them: patch, erase, scale, move to another example.

A part P(S) is a matrix of S's own shape for every layer and head, and every S is its part plus the
rest. So a patch is ``S - P(S) + P(S of the donor)``, an ablation the same with zeros or a mean.
Functions are pure: memories in, a memory out; tails and KV cache stay the recipient's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.model import Memory

Parts = dict[int, Tensor]
"""Layer -> ``[batch, gdn_head, key, value]``: a part of S in every layer that has one."""


@dataclass(frozen=True)
class Component:
    """A named part of a memory.

    - name: as axes and legends show it: "layer 1 head 2".
    - take: ``take(memory) -> Parts``; a layer left out has no such part.
    """

    name: str
    take: Callable[[Memory], Parts]


def whole() -> Component:
    """Return the component that is all of S, in every layer."""
    return Component("whole", lambda memory: dict(memory.fast_weights))


def layer(index: int) -> Component:
    """Return the component that is S of one layer of the stack."""
    return Component(f"layer {index}", lambda memory: {index: _state(memory, index)})


def head(index: int, number: int) -> Component:
    """Return the component that is S of one head: `number` of layer `index`."""

    def take(memory: Memory) -> Parts:
        state = _state(memory, index)
        if not 0 <= number < state.shape[1]:
            raise WorkbenchError(
                f"head {number} of layer {index}",
                f"a head from 0 to {state.shape[1] - 1}",
                "choose one of the layer's heads",
            )
        part = torch.zeros_like(state)
        part[:, number] = state[:, number]
        return {index: part}

    return Component(f"layer {index} head {number}", take)


def modes(count: int) -> Component:
    """Return the component that is each matrix's own `count` largest singular modes.

    A recipient loses its own modes and gets the donor's: two matrices share neither directions
    nor strengths. Taking the part raises where a matrix has not as many.
    """
    if count < 1:
        raise WorkbenchError(f"{count} modes", "at least 1", "ask for more")

    def take(memory: Memory) -> Parts:
        parts = {}
        for index, state in memory.fast_weights.items():
            most = min(state.shape[-2:])
            if count > most:
                raise WorkbenchError(
                    f"the {count} largest modes of layer {index}",
                    f"1 to {most}, the smaller side of S",
                    "ask for fewer",
                )
            left, strength, right = torch.linalg.svd(state, full_matrices=False)
            kept = strength[..., None, :count]
            parts[index] = (left[..., :count] * kept) @ right[..., :count, :]
        return parts

    return Component(f"{count} largest mode{'s' if count > 1 else ''}", take)


def change(name: str, before: Memory, after: Memory) -> Component:
    """Return the component that is what happened between two places: S after minus S before.

    It is a part of memories of as many examples, whatever they hold.
    """
    check_alike(before, after)
    parts = {i: s - before.fast_weights[i] for i, s in after.fast_weights.items()}

    def take(memory: Memory) -> Parts:
        for index, part in parts.items():
            state = _state(memory, index)
            if part.shape != state.shape:
                raise WorkbenchError(
                    f"the part {name!r} of layer {index} with shape {tuple(part.shape)}",
                    f"that of S, [batch, gdn_head, key, value] = {tuple(state.shape)}",
                    "take it from the same model and as many examples",
                )
        return dict(parts)

    return Component(name, take)


def patch(
    recipient: Memory, donor: Memory, component: Component, *, of_donor: Component | None = None
) -> Memory:
    """Return the recipient with a part replaced by that of the donor.

    - recipient, donor: S of as many examples, of the same layers and shapes.
    - of_donor: the donor's part where it is not the same function of the donor's memory (`change`).

    Raises WorkbenchError: the two memories differ in layers or shapes; the error names both.
    """
    check_alike(recipient, donor)
    return _exchanged(recipient, component, (of_donor or component).take(donor))


def ablate(
    memory: Memory, component: Component, instead: Callable[[Tensor], Tensor] = torch.zeros_like
) -> Memory:
    """Return the memory without a part.

    - instead: what a layer's part, ``[batch, gdn_head, key, value]``, becomes: `mean_of`, say.
    """
    return _exchanged(memory, component, {i: instead(p) for i, p in component.take(memory).items()})


def mean_of(part: Tensor) -> Tensor:
    """Return a part's mean over the examples: what all share stays, what each knows is lost."""
    return part.mean(0, keepdim=True).expand_as(part)


def of_another(part: Tensor) -> Tensor:
    """Return the part of the example before: as large and as usual, but of another text."""
    return part.roll(1, 0)


def scale(memory: Memory, component: Component, factor: float) -> Memory:
    """Return the memory with a part `factor` times as strong."""
    return ablate(memory, component, lambda part: factor * part)


def moved_at_random(before: Memory, after: Memory, *, seed: int) -> Memory:
    """Return the control of a change: another of equal norm, in a random direction.

    - before, after: the memory before the change and with it.
    - seed: fixes the Gaussian draws, whatever the device.

    Result: `before` plus a random matrix for every example, layer and head, as large (Frobenius) as
    what the change did there; where it did nothing, nothing.
    """
    check_alike(before, after)
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for index, state in before.fast_weights.items():
        size = torch.linalg.matrix_norm(after.fast_weights[index] - state)[..., None, None]
        noise = torch.randn(state.shape, generator=generator, dtype=state.dtype).to(state.device)
        moved[index] = state + noise * (size / torch.linalg.matrix_norm(noise)[..., None, None])
    return before.replace(fast_weights=moved)


def check_alike(recipient: Memory, donor: Memory) -> None:
    """Check that two memories have the same layers and shapes.

    Raises WorkbenchError otherwise, naming both.
    """
    shapes = [
        {i: tuple(s.shape) for i, s in memory.fast_weights.items()} for memory in (recipient, donor)
    ]
    if shapes[0] != shapes[1]:
        raise WorkbenchError(
            f"a donor with S {_words(shapes[1])}",
            f"that of the recipient, {_words(shapes[0])}",
            "take both from readings of one model and as many examples",
        )


def _exchanged(memory: Memory, component: Component, parts: Mapping[int, Tensor]) -> Memory:
    """Return ``S - P(S) + part``: exactly `part` where the component is all of S."""
    own = component.take(memory)
    changed = {i: memory.fast_weights[i] - own[i] + part for i, part in parts.items()}
    return memory.replace(fast_weights={**memory.fast_weights, **changed})


def _state(memory: Memory, index: int) -> Tensor:
    if index not in memory.fast_weights:
        raise WorkbenchError(
            f"layer {index}",
            f"a layer with fast weights: {sorted(memory.fast_weights)}",
            "choose one of these",
        )
    return memory.fast_weights[index]


def _words(shapes: Mapping[int, tuple[int, ...]]) -> str:
    return ", ".join(f"layer {i} {shape}" for i, shape in shapes.items()) or "of no layer"
