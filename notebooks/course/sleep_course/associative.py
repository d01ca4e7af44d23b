"""Small experiments with a memory of key-value pairs, run on the operators the models use.

Items are drawn at random: keys of unit norm ``[repeat, item, key]``, values of unit norm
``[repeat, item, value]`` with as many entries as a key. Recall is ``S^T k``; its error is the
root mean square of ``|S^T k - v|``, so 0 is perfect and 1 is as bad as an empty memory.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

Rule = Literal["outer", "delta"]


class Items(NamedTuple):
    """Pairs to be stored, in many independent repeats: rows of unit norm, float32.

    `keys` are ``[repeat, item, key]``, `values` ``[repeat, item, value]``.
    """

    keys: np.ndarray
    values: np.ndarray


def draw_items(
    count: int, key_dim: int, *, overlap: float = 0.0, repeats: int = 64, seed: int = 0
) -> Items:
    """Draw `count` pairs, with `key_dim` entries in each key and value.

    `overlap` is the cosine that any two keys share, 0 <= overlap < 1; 0 draws them independently.
    """
    generator = np.random.default_rng(seed)
    keys = _unit(generator.standard_normal((repeats, count, key_dim)))
    values = _unit(generator.standard_normal((repeats, count, key_dim)))
    if overlap:
        common = _unit(generator.standard_normal((repeats, 1, key_dim)))
        own = _unit(keys - (keys * common).sum(-1, keepdims=True) * common)
        keys = math.sqrt(overlap) * common + math.sqrt(1 - overlap) * own
    return Items(keys.astype(np.float32), values.astype(np.float32))


def store(
    items: Items, rule: Rule, *, passes: int = 1, beta: float = 1.0, decay: float = 1.0
) -> np.ndarray:
    """Write all items in order, `passes` times over, into an empty memory.

    Returns S ``[repeat, key, value]``.
    """
    import torch

    import sleep_kernels

    write = sleep_kernels.gated_delta_rule if rule == "delta" else sleep_kernels.gated_outer_product
    keys, values = (torch.from_numpy(part)[:, :, None] for part in items)  # one head
    per_token = torch.ones(keys.shape[:3])
    state = None
    for _ in range(passes):
        state = write(
            None, keys, values, math.log(decay) * per_token, beta * per_token, state
        ).state
    assert state is not None
    return state[:, 0].numpy()


def recall_error(
    count: int,
    key_dim: int,
    *,
    rule: Rule,
    passes: int = 1,
    beta: float = 1.0,
    overlap: float = 0.0,
    repeats: int = 64,
) -> float:
    """Return the error of recalling `count` pairs, all items and repeats together."""
    items = draw_items(count, key_dim, overlap=overlap, repeats=repeats)
    recalled = items.keys @ store(items, rule, passes=passes, beta=beta)
    return float(np.sqrt(((recalled - items.values) ** 2).sum(-1).mean()))


def expected_outer_error(count: int, key_dim: int, *, overlap: float = 0.0) -> float:
    """Return what theory says of ``rule="outer"``: each other item adds its squared cosine.

    ``sqrt((count - 1) E[(k . k')^2])``; the expectation is 1 / key_dim for independent keys.
    """
    squared = 1 / key_dim
    if overlap:
        squared = overlap**2 + (1 - overlap) ** 2 / (key_dim - 1)
    return math.sqrt((count - 1) * squared)


def share_by_age(count: int, key_dim: int, *, decay: float) -> np.ndarray:
    """Return how much of an item the delta rule returns, by age, ``[item]``, newest first.

    The score is the share of the value that comes back, ``v . S^T k``: 1 is all of it.
    """
    items = draw_items(count, key_dim)
    recalled = items.keys @ store(items, "delta", decay=decay)
    return (recalled * items.values).sum(-1).mean(0)[::-1]


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)
