"""What a task hands to a model: shapes that agree, and parts of a batch."""

import numpy as np
import pytest

from workbench.batch import Batch, concatenate


def batch(count=3, tokens=4, queries=2, first=0):
    shape = (count, tokens)
    return Batch(
        tokens=np.arange(first, first + count * tokens).reshape(shape),
        loss_mask=np.zeros(shape, bool),
        valid=np.ones(shape, bool),
        answer_of=np.full(shape, -1),
        difficulty=np.arange(count * queries).reshape(count, queries),
    )


@pytest.mark.parametrize("name", ["loss_mask", "valid", "answer_of"])
def test_shapes_must_agree(name):
    parts = dict(batch().__dict__)
    parts[name] = parts[name][:, :3]
    with pytest.raises(ValueError, match=rf"Batch.{name} has shape \(3, 3\); .* = \(3, 4\)"):
        Batch(**parts)


@pytest.mark.parametrize("difficulty", [np.zeros((2, 2)), np.zeros(3)])
def test_difficulty_is_by_example_and_query(difficulty):
    with pytest.raises(ValueError, match=r"expected \[example, query\] with example = 3"):
        Batch(**{**batch().__dict__, "difficulty": difficulty})


def test_examples_and_tokens_of_a_batch():
    whole = batch()
    part = whole.examples(np.array([2, 0]))
    assert len(whole) == 3 and len(part) == 2
    assert part.tokens.tolist() == whole.tokens[[2, 0]].tolist()
    assert part.difficulty.tolist() == [[4, 5], [0, 1]]
    cut = whole.token_range(1, 3)
    assert cut.tokens.tolist() == whole.tokens[:, 1:3].tolist()
    assert cut.difficulty.tolist() == whole.difficulty.tolist()


def test_batches_are_stacked_by_example():
    both = concatenate([batch(), batch(count=1, first=50)])
    assert both.tokens[:, 0].tolist() == [0, 4, 8, 50]
    assert both.difficulty.shape == (4, 2)
