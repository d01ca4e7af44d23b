"""What a decoder recovers of an evicted text, from a model built by hand that keeps one window.

The keeper writes the tokens of a window into S as they are, and forgets half of what was there:
what is left of a text after k more windows is 2^-k of it, which says as much, until it is erased.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import read_boundaries, read_on
from workbench.instruments.privacy import answers_after, recovery, recovery_after, text_targets
from workbench.model.memory import Memory
from workbench.sleep import Wake, read
from workbench.tasks import batch_generator, task
from workbench.trace.answers import answer_scores
from workbench.training.checkpoints import load_checkpoint

CELLS = 10
SLEEP = SleepConfig(window=CELLS, passes=1)


class Keeper:
    """S holds one row per place of a window; a new window replaces it, or is added to it."""

    depth, device, vocabulary = 1, torch.device("cpu"), 3

    def __init__(self, left=0.0, width=1, written=1.0):
        self.left, self.width, self.written = left, width, written

    def empty_memory(self, batch):
        return Memory({2: torch.zeros(batch, 1, CELLS, self.width)})

    def embed(self, tokens):
        return tokens[..., None].float()

    def blocks(self, hidden, memory, **options):
        state = memory.fast_weights[2].clone()
        if hidden.shape[1] == CELLS:
            state = state.roll(1, dims=3) * self.left  # an older text moves on to the next column
            state[..., 0] = self.written * hidden[:, None, :, 0]
        return hidden, memory.replace(fast_weights={2: state})

    def normalise(self, hidden):
        return hidden

    def logits(self, hidden, *, normalise=True):
        return torch.zeros(*hidden.shape[:2], 3)


BLANK = Keeper(written=0.0)


@pytest.fixture(scope="module")
def made():
    return task("rule110", cells=CELLS, strings=2, rollout=1)


@pytest.fixture(scope="module")
def batch(made):
    return made.sample(120, batch_generator(0, 0))


OPTIONS = {"seeds": (0, 1), "alphas": (1e-3,), "symbols": "01Q"}


def test_the_text_of_the_window_just_read_is_recovered(batch):
    found = recovery(Keeper(), batch, SLEEP, untrained_model=BLANK, **OPTIONS)
    assert dict(found.recovered.sizes) == {
        "seed": 2, "window": 2, "sleep_pass": 2, "layer": 1, "source_window": 2,
    }  # fmt: skip
    np.testing.assert_array_equal(found.age, [[0, -1], [1, 0]])
    at = found.sel(layer=2)
    just_read = at.recovered.sel(sleep_pass=1)
    for window in (0, 1):
        assert (just_read.sel(window=window, source_window=window) == 1).all()
    # not read yet, and replaced by the second text
    for window, source in ((0, 1), (1, 0)):
        unknown = at.sel(window=window, sleep_pass=1, source_window=source)
        assert (unknown.recovered_low < 0.55).all()
        assert (unknown.recovered_high > 0.45).all()
    # before the second text is read, the first is still there
    assert (at.recovered.sel(window=1, sleep_pass=0, source_window=0) == 1).all()
    assert (at.token_recovered.sel(window=0, sleep_pass=1, source_window=0) == 1).all()


def test_chance_lines(batch):
    found = recovery(Keeper(), batch, SLEEP, untrained_model=BLANK, **OPTIONS)
    np.testing.assert_array_equal(found.baseline, ["majority", "untrained weights"])
    np.testing.assert_allclose(
        found.chance.sel(baseline="majority"), found.chance.sel(baseline="untrained weights")
    )
    assert (found.chance < 0.7).all()


def test_what_is_done_to_a_memory(made, batch):
    """Only erasing, and other texts that take its place, hide a text; making it faint does not."""
    others = [made.sample(120, batch_generator(0, step)) for step in (1, 2)]
    facts = made.probe_targets(batch)[:1]
    keeper = Keeper(left=0.5, width=4)
    found = recovery_after(
        keeper,
        batch,
        SLEEP,
        others=others,
        facts=facts,
        untrained_model=Keeper(written=0.0, width=4),
        **OPTIONS,
    )
    names = ["nothing", "a hundredth", "erased", "1 other text", "2 other texts"]
    np.testing.assert_array_equal(found["treatment"], names)
    recovered = found.recovered.sel(layer=2)
    assert (recovered.sel(treatment=["nothing", "a hundredth"]) == 1).all()
    chance = found.chance.sel(layer=2, baseline="majority")
    erased = recovered.sel(treatment="erased")
    np.testing.assert_allclose(erased, chance.sel(treatment="erased"))
    # S has four columns: two texts of two windows fit, and a third pushes the first one out
    assert (recovered.sel(treatment="1 other text") == 1).all()
    assert (recovered.sel(treatment="2 other texts", source_window=0) < 0.7).all()
    assert found.fact_recovered.sel(layer=2, target="after 0 steps", treatment="nothing").min() == 1
    assert found.fact_recovered.sel(layer=2, target="after 0 steps", treatment="erased").max() < 0.7


def test_answers_after_each_treatment_are_those_of_a_reading_that_went_so():
    """Each treatment against another way to the same place: a batch, a boundary, no sleep."""
    checkpoint = load_checkpoint("depo-n8-w2-any")
    model, sleep = checkpoint.model, checkpoint.sleep.with_passes(2)
    batch, other = (checkpoint.task.sample(12, batch_generator(5, step)) for step in (0, 1))
    found = answers_after(model, batch, sleep, others=[other])
    assert found.dims == ("treatment", "example", "query")

    def correct(wakes, batch):
        return answer_scores(wakes, batch)["correct"].values

    boundaries = read_boundaries(model, batch, sleep)
    last = max(window for window, sleep_pass in boundaries if sleep_pass)
    there = boundaries[last, 2]
    for treatment, factor in (("nothing", 1.0), ("a hundredth", 0.01), ("erased", 0.0)):
        weights = {i: factor * s for i, s in there.memory.fast_weights.items()}
        here = there.with_memory(there.memory.replace(fast_weights=weights))
        wanted = correct(read_on(model, batch, sleep, here), batch)
        np.testing.assert_array_equal(found.sel(treatment=treatment), wanted)
    # the other text stands between the text and its questions
    context = (last + 1) * sleep.window

    def joined(name):
        mine, theirs = getattr(batch, name), getattr(other, name)
        return np.concatenate((mine[:, :context], theirs[:, :context], mine[:, context:]), axis=1)

    names = ("tokens", "loss_mask", "valid", "answer_of")
    both = replace(batch, **{name: joined(name) for name in names})
    wakes = [e for e in read(model, both, sleep) if isinstance(e, Wake)]
    np.testing.assert_array_equal(found.sel(treatment="1 other text"), correct(wakes, both))
    assert found.sel(treatment="nothing").mean() > found.sel(treatment="a hundredth").mean()


def test_texts_as_targets(made):
    depo = task("depo", nodes=3, names="depo1", max_hops=1, queries=1)
    batch = depo.parse("a>b b>c c>a")  # six words in twelve boundaries, the first half padding
    (text,) = text_targets(batch, SleepConfig(window=12), depo.vocabulary)
    assert text.items[11] == "token 11"
    assert (text.labels[0, :6] == -1).all()
    said = [text.classes[label].removesuffix(".") for label in text.labels[0, 6:]]
    assert "".join(said) == "abbcca"
    two = text_targets(made.parse(f"{'0' * CELLS} {'1' * CELLS}"), SLEEP, "01Q")
    assert [t.name for t in two] == ["text of window 0", "text of window 1"]
    assert two[1].labels.tolist() == [[1] * CELLS]


def test_other_texts_must_be_as_many(made, batch):
    with pytest.raises(WorkbenchError, match="another text for 3 examples; expected one for each"):
        recovery_after(
            Keeper(),
            batch,
            SLEEP,
            others=[batch.examples(slice(3))],
            untrained_model=BLANK,
            **OPTIONS,
        )
