"""Algorithm 1 with its evictions and orders alone, as plainly as it can be written.

Only the tests use it, as the oracle of `workbench.sleep.algorithm.read`, which is what trains and
what is stepped through.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from workbench.batch import Batch
from workbench.model.memory import KVCache, Memory
from workbench.sleep.contract import SleepingModel


def reference(
    model: SleepingModel,
    batch: Batch,
    length: int,
    passes: int,
    *,
    sliding: bool = False,
    predict_then_sleep: bool = False,
    wake_writes: bool = True,
) -> tuple[list[Tensor], list[Mapping[int, Tensor]]]:
    """Read a batch in windows of `length` tokens, with N = `passes`.

    Returns `logits`: of each window with labels, ``[batch, token, symbol]``; `states`: S by layer
    after every pass, ``[batch, gdn_head, key, value]``.
    """
    logits, states = [], []
    s = model.empty_memory(len(batch)).fast_weights
    kv: Mapping[int, KVCache] = {}
    for start in range(0, batch.tokens.shape[1], length):
        window = batch.token_range(start, start + length)
        valid = torch.as_tensor(window.valid, device=model.device)
        embedded = h = model.embed(torch.as_tensor(window.tokens, device=model.device))
        carried, awake = kv, bool(window.loss_mask.any())
        asleep = not awake or predict_then_sleep
        for step in range(1 - awake, 1 + (passes if asleep else 0)):
            if step <= 1:
                h = embedded  # in the wake pass, 0, and in the first sleep pass
            memory = Memory(s, kv=carried)  # h and S alone go on from pass to pass
            features, after = model.blocks(
                h, memory, valid=valid, window=length if sliding else None
            )
            assert features is not None
            h, kv = features, after.kv
            if step:
                s = after.fast_weights
            else:
                logits.append(model.logits(h))
                s = after.fast_weights if wake_writes else s
            states.append(s)
        kv = {i: c.newest(length - 1) for i, c in kv.items()} if sliding else {}
    return logits, states
