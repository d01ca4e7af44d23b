"""Steering a model built by hand, which keeps its edges twice and reads them once.

Layer 0 of its memory holds the edges that answers are read from; layer 1 holds a copy that nothing
reads. A probe finds both.
"""

import numpy as np
import pytest
import torch

from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.probing.directions import MOVED, PROBE
from workbench.instruments.steering import NOTHING, moved, steer, steering_by_difficulty
from workbench.model.memory import Memory
from workbench.sleep import before_window
from workbench.tasks import batch_generator, task

NODES = 6
USED, COPY = 0, 1


class Clerk:
    """Writes each edge down, ``S[source, target] = 1``, and answers k=1 from layer `USED`."""

    depth, device = 1, torch.device("cpu")

    def __init__(self, made):
        self.vocabulary = len(made.vocabulary)
        self.nodes = slice(self.vocabulary - NODES, self.vocabulary)
        self.answer = made.vocabulary.index("ANS")

    def empty_memory(self, batch):
        return Memory({i: torch.zeros(batch, 1, NODES, NODES) for i in (USED, COPY)})

    def embed(self, tokens):
        return torch.nn.functional.one_hot(tokens, self.vocabulary).float()

    def blocks(self, hidden, memory, *, output=True, **options):
        nodes = hidden[..., self.nodes]  # (batch, token, node)
        if not hidden[..., self.answer].any():  # a window of edges: what was there is forgotten
            edges = torch.einsum("bex,bey->bxy", nodes[:, ::2], nodes[:, 1::2])[:, None]
            return hidden, memory.replace(fast_weights={USED: edges, COPY: edges.clone()})
        read = torch.einsum("bhxy,btx->bty", memory.fast_weights[USED], nodes.roll(1, dims=1))
        said = torch.zeros_like(hidden)
        said[..., self.nodes] = read * hidden[..., [self.answer]]
        return said, memory

    def normalise(self, hidden):
        return hidden

    def logits(self, hidden, *, normalise=True):
        return hidden


@pytest.fixture(scope="module")
def made():
    return task("depo", nodes=NODES, names="single", max_hops=1, queries=4, predict_ans=False)


@pytest.fixture(scope="module")
def batch(made):
    return made.sample(300, batch_generator(0, 0))


@pytest.fixture(scope="module")
def effects(made, batch):
    sleep = SleepConfig(window=2 * NODES, passes=2)
    targets = [t for t in made.probe_targets(batch) if t.level == 1]
    done = []
    found = steer(
        Clerk(made),
        batch,
        sleep,
        targets,
        passes=[1, 2],
        strengths=[0.5, 2.5],
        seeds=(0, 1),
        on_progress=done.append,
    )
    np.testing.assert_allclose(done, np.arange(1, 9) / 8)
    return found


def test_answers_follow_what_is_read_and_not_its_copy(effects):
    said = steering_by_difficulty(effects).sel(target="1 hop", sleep_pass=2, difficulty=1)
    pushed = said.sel(strength=2.5, control=PROBE)
    for layer in (USED, COPY):
        assert pushed.turned.sel(layer=layer) == 1, "a probe finds both"
    assert pushed.follows.sel(layer=USED) > 0.95
    assert pushed.changed.sel(layer=USED) > 0.95
    assert pushed.others_changed.sel(layer=USED) < 0.05
    assert pushed.follows.sel(layer=COPY) == pushed.changed.sel(layer=COPY) == 0
    assert pushed.follows_low.sel(layer=USED) > 0.9
    assert pushed.follows_high.sel(layer=COPY) < 0.1


def test_less_than_the_shortest_change_turns_nothing(effects):
    said = steering_by_difficulty(effects).sel(target="1 hop", sleep_pass=2, difficulty=1)
    assert (said.turned.sel(strength=0.5, control=PROBE) < 0.05).all()


def test_controls_of_equal_length_do_not_do_it(effects):
    said = steering_by_difficulty(effects).sel(sleep_pass=2, layer=USED, strength=2.5)
    np.testing.assert_array_equal(said.control, [*MOVED, NOTHING])
    for control in (*MOVED[1:], NOTHING):
        assert (said.follows.sel(control=control) < 0.3).all()  # another example: one of 5 nodes
    nothing = said.sel(control=NOTHING)
    assert (nothing.changed == 0).all() and (nothing.others_changed == 0).all()


def test_what_the_next_pass_writes_anew_is_not_steered(effects):
    """The clerk's second pass writes every edge again: a change after the first one is lost."""
    said = steering_by_difficulty(effects).sel(sleep_pass=1, layer=USED, strength=2.5)
    assert (said.turned.sel(control=PROBE) == 1).all()
    assert (said.changed == 0).all()


def test_examples_of_the_test_folds_alone_are_measured(effects, batch):
    measured = effects.follows.notnull().any(["strength", "control", "sleep_pass", "layer"])
    counts = measured.sum("example").squeeze("target")
    assert ((counts > 40) & (counts < 80)).all()  # a fifth of 300, groups whole
    asked = effects.difficulty.isel(sleep_pass=0, layer=0) >= 0
    assert (asked == measured).all()
    cases = steering_by_difficulty(effects).cases
    assert (cases.sum(["target", "difficulty"]) == counts.sum()).all()
    assert effects.attrs["complete"] == 1


def test_a_change_moves_one_layer_alone():
    memory = Memory({i: torch.zeros(2, 1, 2, 3) for i in (0, 4)})
    change = np.arange(12.0).reshape(2, 6)
    after = moved(before_window(1, memory), 4, change).memory.fast_weights
    assert not after[0].any()
    np.testing.assert_array_equal(after[4], change.reshape(2, 1, 2, 3))
    assert not memory.fast_weights[4].any(), "the place itself stays as it was"


def test_a_memory_that_holds_nothing_yet_is_not_turned(made, batch):
    """Before the first pass S is zero in every example: a probe has no direction there."""
    sleep = SleepConfig(window=2 * NODES, passes=1)
    options = {"passes": [0], "seeds": (0,), "strengths": [1.0]}
    found = steer(Clerk(made), batch, sleep, made.probe_targets(batch)[:1], **options)
    assert found.norm.isnull().all()
    assert found.turned.max() == 0
    assert found.changed.max() == 0


def test_stop_and_errors(made, batch):
    sleep = SleepConfig(window=2 * NODES, passes=2)
    targets = made.probe_targets(batch)[:1]
    clerk = Clerk(made)
    stopped = steer(clerk, batch, sleep, targets, seeds=(0,), stop=lambda: True)
    assert stopped.attrs["complete"] == 0
    assert stopped.follows.isnull().all()
    with pytest.raises(WorkbenchError, match=r"sleep passes \[3\]; expected .* from 0 to 2"):
        steer(clerk, batch, sleep, targets, passes=[3])
    context = made.probe_targets(batch.token_range(0, 2 * NODES))
    with pytest.raises(WorkbenchError, match="without a query that asks about their items"):
        steer(clerk, batch, sleep, context)
