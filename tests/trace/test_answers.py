"""Scores of answers worked out by hand."""

import numpy as np
import torch

from workbench.batch import Batch
from workbench.sleep import Wake
from workbench.sleep.windows import split_windows
from workbench.trace import answer_scores

QUARTER = float(np.log(0.25))


def wakes_of(batch, window, logits):
    """Read every window with labels awake, with logits ``[example, token, symbol]`` given."""
    windows = split_windows(batch, window, mask_padding=True, device=torch.device("cpu"))
    return [
        Wake(w, torch.as_tensor(logits[:, w.start : w.stop]), None) for w in windows if w.has_loss
    ]


def batch_with(tokens, answer_of, difficulty, loss=None):
    answer_of = np.array(answer_of)
    return Batch(
        tokens=np.array(tokens),
        loss_mask=answer_of >= 0 if loss is None else np.array(loss),
        valid=np.ones(answer_of.shape, dtype=bool),
        answer_of=answer_of,
        difficulty=np.array(difficulty),
    )


def test_answers_of_several_tokens_by_hand():
    # query 0 is answered with one token, query 1 with two; four symbols
    batch = batch_with(
        [[0, 3, 1, 2, 0, 1], [0, 2, 1, 1, 0, 0]],
        [[-1, 0, -1, 1, 1, -1], [-1, 0, -1, 1, 1, -1]],
        [[1, 2], [1, -1]],  # the second example has one query
    )
    logits = np.zeros((2, 6, 4), dtype=np.float32)
    logits[0, 0] = [1, 0, 0, 5]  # predicts token 1: symbol 3 is best, by 4
    logits[0, 2] = [3, 1, 2, 0]  # predicts token 3: symbol 2 is second, behind by 1
    logits[1, 0] = [1, 2, -1, 0]  # symbol 2 is last, behind by 3
    found = answer_scores(wakes_of(batch, 6, logits), batch)
    log = torch.log_softmax(torch.as_tensor(logits), -1).numpy()
    expected = [[log[0, 0, 3], log[0, 2, 2] + QUARTER], [log[1, 0, 2], np.nan]]
    np.testing.assert_allclose(found["log_prob"], expected, rtol=1e-6)
    np.testing.assert_array_equal(found["rank"], [[1, 2], [4, -1]])
    np.testing.assert_array_equal(found["logit_diff"], np.float32([[4, -1], [-3, np.nan]]))
    np.testing.assert_array_equal(found["correct"], [[True, False], [False, False]])
    assert found["log_prob"].dtype == found["logit_diff"].dtype == np.float32


def test_queries_in_windows_of_their_own():
    tokens = [[0, 1, 2, 3, 1, 2]]
    batch = batch_with(tokens, [[-1, -1, -1, 0, -1, 1]], [[1, 1]])
    logits = np.zeros((1, 6, 4))
    logits[0, 2, 3] = logits[0, 4, 2] = 1
    found = answer_scores(wakes_of(batch, 2, logits), batch)
    assert found["rank"].values.tolist() == [[1, 1]] and found["correct"].all()
    assert found["log_prob"].dtype == np.float64
    np.testing.assert_allclose(found["log_prob"], np.log(np.e / (np.e + 3)))


def test_what_no_window_predicts_has_no_score():
    # the answer's second token begins a window: there is no position before it
    batch = batch_with([[0, 1, 2, 3]], [[-1, 0, 0, 1]], [[1, 1]])
    logits = np.zeros((1, 4, 4), dtype=np.float32)
    found = answer_scores(wakes_of(batch, 2, logits), batch)
    assert np.isnan(found["log_prob"][0, 0]) and found["rank"][0, 0] == 1
    np.testing.assert_allclose(found["log_prob"][0, 1], QUARTER, rtol=1e-6)
    assert not found["correct"][0, 0]


def test_nobody_woke():
    batch = batch_with([[0, 1]], [[-1, 0]], [[1]])
    found = answer_scores([], batch)
    assert np.isnan(found["log_prob"]).all() and np.isnan(found["logit_diff"]).all()
    assert (found["rank"] == -1).all() and not found["correct"].any()
    empty = batch_with([[0, 1]], [[-1, -1]], np.zeros((1, 0), dtype=int))
    assert answer_scores([], empty).sizes == {"example": 1, "query": 0}
