"""Rule 110: labels, layout, chance lines and typed input."""

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.tasks import batch_generator, task
from workbench.tasks.rule110 import first_cell, share_of_ones

BOUNDARIES = ["periodic", "zero_background"]


@pytest.mark.parametrize(
    ("row", "rollout", "boundary", "label"),
    [
        # A ring: 0001, 0011, 0111, 1101, 0111.
        ("0001", 1, "periodic", 0),
        ("0001", 2, "periodic", 0),
        ("0001", 3, "periodic", 1),
        ("0001", 4, "periodic", 0),
        # Cells -3..2 of a line: 000001, 000011, 000111, 001101, 011111, 110001.
        ("001", 1, "zero_background", 0),
        ("001", 2, "zero_background", 1),
        ("001", 3, "zero_background", 1),
        ("001", 4, "zero_background", 1),
        ("001", 5, "zero_background", 0),
        ("000", 4, "zero_background", 0),
    ],
)
def test_rows_worked_out_by_hand(row, rollout, boundary, label):
    made = task("rule110", cells=len(row), strings=1, rollout=rollout, boundary=boundary)
    batch = made.parse(row)
    assert batch.tokens[0, -1] == label
    bits = np.array([[int(bit)] for bit in row], dtype=np.uint64)
    assert first_cell(bits, rollout, boundary)[0] == label


def test_zero_background_lets_life_leave_and_return():
    """Cell 0 depends on what happens left of the string, which a clamped wall would cut off."""
    table = [0, 1, 1, 1, 0, 1, 1, 0]
    for string in np.random.default_rng(0).integers(0, 2, (8, 10)).tolist():
        cells = [0] * 60 + string + [0] * 60
        for _ in range(50):
            cells = [0, *(table[4 * a + 2 * b + c] for a, b, c in _triples(cells)), 0]
        start = np.array(string, dtype=np.uint64)[:, None]
        assert first_cell(start, 50, "zero_background")[0] == cells[60]


def _triples(cells):
    return zip(cells, cells[1:], cells[2:], strict=False)


def test_layout():
    made = task("rule110")
    batch = made.sample(5, batch_generator(0, 0))
    assert batch.tokens.shape == (5, 101)
    assert (made.context_tokens, made.query_tokens) == (96, 5)
    assert made.vocabulary == ("0", "1", "Q")
    assert made.difficulties == (32,)
    assert set(np.unique(batch.tokens[:, :96])) == {0, 1}
    assert (batch.tokens[:, 96] == 2).all()
    assert batch.valid.all()
    np.testing.assert_array_equal(np.flatnonzero(batch.loss_mask[0]), [97, 98, 99, 100])
    np.testing.assert_array_equal(batch.answer_of[0, 96:], [-1, 0, 1, 2, 3])
    assert (batch.answer_of[:, :97] == -1).all()
    np.testing.assert_array_equal(batch.difficulty, np.full((5, 4), 32))
    for field in (batch.tokens, batch.answer_of, batch.difficulty):
        assert field.dtype == np.int64


def test_bits_are_fair_and_independent():
    made = task("rule110", cells=8, strings=2, rollout=1)
    bits = made.sample(20_000, batch_generator(3, 0)).tokens[:, :16]
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(bits.T) - np.eye(16)).max() < 0.04


@pytest.mark.parametrize(
    ("rollout", "published"), [(4, 0.083), (8, 0.085), (12, 0.087), (16, 0.096), (32, 0.0995)]
)
def test_constant_guess_is_the_published_line(rollout, published):
    lines = task("rule110", rollout=rollout).chance()
    assert lines["constant guess"].exact == pytest.approx(published, abs=0.0015)
    assert lines["uniform guess"].exact == 0.0625
    assert lines["uniform guess"].accuracy == {rollout: 0.5}


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("cells", "rollout"), [(3, 1), (5, 9), (10, 3), (10, 6)])
def test_share_of_ones_counts_every_string(cells, rollout, boundary):
    made = task("rule110", cells=cells, strings=1, rollout=rollout, boundary=boundary)
    batch = made.sample(2**cells, batch_generator(0, 0))
    batch.tokens[:, :cells] = np.arange(2**cells)[:, None] >> np.arange(cells) & 1
    assert share_of_ones(cells, rollout, boundary) == made.solve(batch)[:, -1].mean()


def test_share_of_ones_beyond_enumeration_is_an_estimate():
    made = task("rule110", cells=30, strings=4, rollout=60)
    labels = made.sample(20_000, batch_generator(0, 0)).tokens[:, 121:]
    assert share_of_ones(30, 60, "periodic") == pytest.approx(labels.mean(), abs=0.008)


def test_parse_and_text_are_inverse():
    made = task("rule110", cells=6, strings=2, rollout=3)
    batch = made.sample(1, batch_generator(0, 0))
    typed = "\n".join(line.partition(" ")[0] for line in made.text(batch, 0).splitlines())
    np.testing.assert_array_equal(made.parse(typed).tokens, batch.tokens)
    assert made.render(batch, 0)[12] == "Q"


@pytest.mark.parametrize(
    ("text", "queries", "message"),
    [
        ("0101", None, "1 string; expected 2 strings of 4 bits"),
        ("0101 012", None, "string 2 contains '2'"),
        ("0101 010", None, "string 2 has 3 bits; expected 4 bits"),
        ("0101 0101", "1:0", "queries '1:0'; expected none"),
    ],
)
def test_parse_says_what_is_wrong(text, queries, message):
    with pytest.raises(WorkbenchError, match=message):
        task("rule110", cells=4, strings=2, rollout=1).parse(text, queries)


def test_the_best_guess_is_the_better_chance_line():
    made = task("rule110", cells=12, strings=2, rollout=8)
    guess = made.best_guess(made.sample(3, batch_generator(0, 0)))
    best = max(line.accuracy[8] for line in made.chance().values())
    np.testing.assert_array_equal(guess, np.full((3, 2), best))
