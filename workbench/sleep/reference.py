"""Algorithm 1 without options, as plainly as it can be written.

Only the tests use it, as the oracle of `workbench.sleep.algorithm.read`, which is what trains and
what is stepped through.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.model.memory import Memory
from workbench.sleep.contract import SleepingModel


def reference(
    model: SleepingModel, batch: Batch, length: int, passes: int
) -> tuple[list[Tensor], list[Mapping[int, Tensor]]]:
    """Read a batch in windows of `length` tokens, with N = `passes` and hard eviction.

    Returns `logits`: of each window with labels, ``[batch, token, symbol]``; `states`: S by layer
    after every pass, ``[batch, gdn_head, key, value]``.
    """
    logits, states = [], []
    s = model.empty_memory(len(batch)).fast_weights
    for start in range(0, batch.tokens.shape[1], length):
        window = batch.token_range(start, start + length)
        valid = torch.as_tensor(window.valid, device=model.device)
        h = model.embed(torch.as_tensor(window.tokens, device=model.device))
        awake = bool(window.loss_mask.any())
        for _ in range(1 if awake else passes):
            features, memory = model.blocks(h, Memory(s), valid=valid)  # h and S alone go on
            assert features is not None
            h, s = features, memory.fast_weights
            states.append(s)
        if awake:
            logits.append(model.logits(h))
    return logits, states
