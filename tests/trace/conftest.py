"""Batches whose windows a trace has to tell apart, and readings of tiny models."""

import numpy as np
import pytest

LENGTH = 4


@pytest.fixture(scope="session")
def make_batch():
    """Return a maker of batches: `sleeps` windows to sleep on, then `wakes` with labels.

    Every answer has two tokens, the last two of a wake window. ``pads[row]`` tokens on the left
    of a row are padding; the last window is `short` tokens shorter.
    """
    from workbench.batch import Batch

    def make(sleeps=2, wakes=1, *, pads=(0, 0, 0), seed=0, short=0):
        total = LENGTH * (sleeps + wakes) - short
        tokens = np.random.default_rng(seed).integers(0, 7, (len(pads), total))
        at = np.arange(total)
        window = at // LENGTH - sleeps
        answers = np.broadcast_to((window >= 0) & (at % LENGTH >= 2), tokens.shape)
        return Batch(
            tokens=tokens,
            loss_mask=answers.copy(),
            valid=at >= np.array(pads)[:, None],
            answer_of=np.where(answers, window, -1),
            difficulty=np.ones((len(pads), wakes), dtype=np.int64),
        )

    return make


@pytest.fixture(scope="session")
def recorded(tiny_model, make_batch):
    """A small whole trace: three examples, two windows slept on, one read awake."""
    from workbench.config import SleepConfig
    from workbench.trace import record

    model = tiny_model(dtype="float32")
    return record(model, make_batch(pads=(0, 1, 0)), SleepConfig(window=LENGTH, passes=2))


@pytest.fixture
def small_trace(recorded):
    """A copy of that trace, to be spoilt."""
    return recorded.copy(deep=True)
