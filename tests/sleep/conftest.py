"""Batches of sleep and wake windows, and a model that notes what is asked of it."""

import numpy as np
import pytest

LENGTH = 4


@pytest.fixture(scope="session")
def make_batch():
    """Return a maker of batches: `sleeps` windows to sleep on, then `wakes` with labels.

    In a wake window every token but the first is to be predicted. ``pads[row]`` tokens on the
    left of a row are padding.
    """
    from workbench.batch import Batch

    def make(sleeps=2, wakes=1, *, pads=(0, 0, 0), seed=0, short=0):
        context, total = LENGTH * sleeps, LENGTH * (sleeps + wakes) - short
        tokens = np.random.default_rng(seed).integers(0, 7, (len(pads), total))
        at = np.arange(total)
        loss = np.broadcast_to((at >= context) & (at % LENGTH > 0), tokens.shape)
        queries = loss[0].sum()
        answer_of = np.where(loss, np.cumsum(loss, axis=1) - 1, -1)
        return Batch(
            tokens=tokens,
            loss_mask=loss.copy(),
            valid=at >= np.array(pads)[:, None],
            answer_of=answer_of,
            difficulty=np.ones((len(pads), queries), dtype=np.int64),
        )

    return make


class Watched:
    """A model that notes the range of every call of `blocks` and the embeddings it gave out."""

    def __init__(self, model, *, erase_from=None, leaves=False):
        self.model, self.erase_from, self.leaves = model, erase_from, leaves
        self.calls, self.embeddings = [], []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def embed(self, tokens):
        hidden = self.model.embed(tokens)
        self.embeddings.append(hidden.detach().requires_grad_() if self.leaves else hidden)
        return self.embeddings[-1]

    def blocks(self, hidden, memory, *, first=0, last=None, **options):
        if self.erase_from is not None and len(self.calls) >= self.erase_from:
            memory = memory.replace(fast_weights=memory.erase().fast_weights)
        self.calls.append((first, self.model.depth if last is None else last))
        return self.model.blocks(hidden, memory, first=first, last=last, **options)

    @property
    def runs_per_block(self):
        return [sum(a <= i < b for a, b in self.calls) for i in range(self.model.depth)]


@pytest.fixture(scope="session")
def watched():
    """Return the class of models that note what is asked of them."""
    return Watched


@pytest.fixture(scope="session")
def assert_same_memory():
    """Return the assertion that two memories hold the same values."""
    import torch

    def check(found, expected, *, atol=0.0):
        assert found.tensors().keys() == expected.tensors().keys()
        for name, tensor in expected.tensors().items():
            torch.testing.assert_close(found.tensors()[name], tensor, rtol=0, atol=atol)

    return check
