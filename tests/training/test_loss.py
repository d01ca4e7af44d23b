"""The loss by hand, and answers read from logits by hand."""

import numpy as np
import pytest
import torch

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.sleep import Wake, read, split_windows
from workbench.training.loss import (
    answer_probabilities,
    masked_cross_entropy,
    query_correct,
    token_correct,
)


def make_batch(tokens, answer_of, *, loss=None, difficulty=None):
    tokens, answer_of = np.array(tokens), np.array(answer_of)
    loss = answer_of >= 0 if loss is None else np.array(loss, dtype=bool)
    queries = answer_of.max() + 1
    difficulty = np.ones((len(tokens), queries), int) if difficulty is None else difficulty
    return Batch(tokens, loss, np.ones_like(loss), answer_of, np.array(difficulty))


def wakes(batch, window, logits):
    """Return the wake events of logits ``[example, token, symbol]`` given for every token."""
    return [
        Wake(w, logits[:, w.start : w.stop], None)
        for w in split_windows(batch, window, mask_padding=True, device=torch.device("cpu"))
        if w.has_loss
    ]


# two queries, the first answered by two letters, over two wake windows of four
TOKENS = [[0, 1, 2, 3, 0, 4, 1, 2], [0, 2, 2, 1, 0, 3, 4, 4]]
ANSWERS = [[-1, -1, 0, 0, -1, -1, 1, -1]] * 2
TWO = make_batch(TOKENS, ANSWERS)


def test_the_loss_by_hand(tiny_model):
    model = tiny_model()
    batch = make_batch(TOKENS, ANSWERS, loss=[[0, 0, 1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1, 1, 0]])
    events = list(read(model, batch, SleepConfig(window=4)))
    logits = torch.cat([e.logits for e in events if isinstance(e, Wake)], dim=1).detach().numpy()
    terms = []
    for example, token in zip(*np.nonzero(batch.loss_mask), strict=True):
        scores = logits[example, token - 1]
        terms.append(np.log(np.exp(scores).sum()) - scores[batch.tokens[example, token]])
    assert len(terms) == 7
    assert masked_cross_entropy(events).item() == pytest.approx(np.mean(terms), rel=1e-6)


def test_the_loss_reaches_the_weights_through_the_sleep(tiny_model):
    model = tiny_model("gated_delta", "attention").train()
    batch = make_batch([[1, 2, 3, 4, 0, 3]], [[-1, -1, -1, -1, -1, 0]])
    masked_cross_entropy(read(model, batch, SleepConfig(window=4, passes=3))).backward()
    assert model.embedding.weight.grad[[1, 2, 4]].abs().sum(1).all(), "tokens of the sleep alone"


def test_nothing_is_read_after_the_last_label(tiny_model):
    """Two windows, each read awake and slept on: the second sleep would change no loss."""
    batch = make_batch(TOKENS, ANSWERS, loss=[[0, 1, 1, 1, 0, 1, 1, 1]] * 2)
    sleep = SleepConfig(window=4, passes=2, order="predict_then_sleep")
    pulled, model = [], tiny_model()
    events = (pulled.append(event) or event for event in read(model, batch, sleep))
    loss = masked_cross_entropy(events)
    kinds = [type(event).__name__ for event in pulled]
    assert kinds == ["Wake", "SleepPass", "SleepPass", "Eviction", "Wake"]
    whole = list(read(model, batch, sleep))
    assert len(whole) == 8
    logits = torch.cat([e.logits[:, :-1] for e in whole if isinstance(e, Wake)], dim=1)
    target = torch.as_tensor(batch.tokens)[:, [1, 2, 3, 5, 6, 7]]
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("loss", [[[0] * 8] * 2, [[0, 0, 0, 0, 1, 0, 0, 0]] * 2])
def test_nothing_to_predict_is_an_error(loss):
    """No label, or none that follows a token of its window."""
    batch = make_batch(TOKENS, ANSWERS, loss=loss)
    with pytest.raises(WorkbenchError, match="without a token to be predicted"):
        masked_cross_entropy(wakes(batch, 4, torch.zeros(2, 8, 5)))


def answered(example_tokens):
    """Return logits which predict the tokens given, each from the position before it."""
    return torch.nn.functional.one_hot(torch.tensor(example_tokens), 5).float().roll(-1, dims=1)


def test_an_answer_is_right_if_all_its_tokens_are():
    wrong = np.array(TOKENS)
    wrong[0, 3] = 0  # the second letter of example 0's first answer
    wrong[1, 1] = 0  # no answer
    wrong[1, 6] = 0  # example 1's second answer
    correct = token_correct(wakes(TWO, 4, answered(wrong.tolist())), TWO)
    assert correct.tolist() == [
        [False, False, True, False, False, False, True, False],
        [False, False, True, True, False, False, False, False],
    ]
    assert query_correct(correct, TWO).tolist() == [[False, True], [True, False]]


def test_a_query_that_is_not_asked_is_not_right():
    batch = make_batch(TOKENS, ANSWERS, difficulty=[[1, 1], [2, -1]])
    correct = token_correct(wakes(batch, 4, answered(TOKENS)), batch)
    assert query_correct(correct, batch).tolist() == [[True, True], [True, False]]


def test_a_query_whose_answer_was_cut_off_is_not_right():
    part = TWO.token_range(0, 4)
    correct = token_correct(wakes(part, 4, answered(TOKENS)[:, :4]), part)
    assert query_correct(correct, part).tolist() == [[True, False], [True, False]]


def test_a_label_that_opens_a_window_is_predicted_by_nothing():
    batch = make_batch([[1, 2, 3, 4]], [[-1, 0, 1, 2]])
    correct = token_correct(wakes(batch, 2, answered([[1, 2, 3, 4]])), batch)
    assert correct.tolist() == [[False, True, False, True]]


def test_probabilities_of_each_answers_first_token():
    logits = torch.arange(2 * 8 * 5).reshape(2, 8, 5).sin() * 3
    batch = make_batch(TOKENS, [ANSWERS[0], [-1, -1, -1, -1, -1, -1, 1, -1]],
                       difficulty=[[1, 1], [-1, 1]])  # fmt: skip
    found = answer_probabilities(wakes(batch, 4, logits), batch)
    assert found.shape == (2, 2, 5) and found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], torch.softmax(logits[0, 1], -1), rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], torch.softmax(logits[:, 5], -1), rtol=1e-6)
    assert np.isnan(found[1, 0]).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("score", [token_correct, answer_probabilities])
def test_logits_that_are_not_finite_are_not_wrong_answers(score, value):
    logits = answered(TOKENS)
    logits[1, 5, 2] = value  # predicts example 1's second answer
    with pytest.raises(WorkbenchError, match="NaN or infinite at 1 of 2 predicted tokens"):
        score(wakes(TWO, 4, logits), TWO)


def test_logits_where_nothing_is_predicted_may_be_anything():
    logits = answered(TOKENS)
    logits[:, 3] = logits[:, 7] = float("nan")
    assert query_correct(token_correct(wakes(TWO, 4, logits), TWO), TWO).all()
