"""Algorithm 1 with a change of S in the middle, written out by hand: no reading, no boundaries."""

import torch


def patched_loop(model, batch, sleep, at=None, change=None):
    """Read one example, and change S at a boundary ``(window, pass)``.

    - change: ``change(states) -> states``, each layer -> ``[1, gdn_head, key, value]``.

    Result: logits ``{token: [symbol]}`` that predict each token of a window read awake, and S at
    the boundary before the change. Of isolated queries there may be one.
    """
    length, found, kept = sleep.window, {}, None
    s, context = model.empty_memory(1).fast_weights, batch.context_tokens
    memory = type(model.empty_memory(1))
    spans = [(a, a + length) for a in range(0, context or batch.tokens.shape[1], length)]
    if batch.isolated:
        spans.append((context, batch.tokens.shape[1]))
    with torch.no_grad():
        for window, (start, stop) in enumerate(spans):
            tokens = torch.as_tensor(batch.tokens[:, start:stop])
            valid = torch.as_tensor(batch.valid[:, start:stop])
            h = model.embed(tokens)
            awake = bool(batch.loss_mask[:, start:stop].any())
            for number in range(sleep.passes + 1 if not awake else 2):
                if number:
                    h, after = model.blocks(h, memory(s), valid=valid, window=None)
                    s = after.fast_weights
                if (window, number) == at:
                    kept = {layer: state.clone() for layer, state in s.items()}
                    s = change(kept) if change else s
            if awake:
                logits = model.logits(h)[0]
                found |= {start + 1 + n: logits[n] for n in range(len(logits) - 1)}
    return found, kept
