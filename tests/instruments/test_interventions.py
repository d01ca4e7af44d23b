"""Interventions on a memory whose content is known, and on a tiny model: what must be exact is."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr
from numpy import nan

from workbench.batch import Batch
from workbench.config import SleepConfig
from workbench.errors import WorkbenchError
from workbench.instruments.boundaries import read_boundaries, read_on
from workbench.instruments.interventions import PassChange, ablation_effects, patch_effects
from workbench.instruments.patching import components as parts
from workbench.instruments.patching.context_swaps import chance_of, questions, swap_context
from workbench.instruments.patching.effects import ablations_by_difficulty, patches_by_difficulty
from workbench.model import Memory
from workbench.tasks.base import batch_generator
from workbench.tasks.depo import Depo, DepoConfig

SLEEP = SleepConfig(window=4, passes=2)


@dataclass
class Pairs:
    """Contexts ``0 y 1 z`` and the questions ``0 ? 1 ?`` after them; y and z are 2 to 6."""

    context_tokens: int = 4

    def batch(self, values):
        context = np.insert(np.array(values), [0, 1], [0, 1], axis=1)
        tokens = np.concatenate([context, context], axis=1)
        answer_of = np.tile([-1, -1, -1, -1, -1, 0, -1, 1], (len(tokens), 1))
        difficulty = np.tile([1, 2], (len(tokens), 1))
        return Batch(tokens, answer_of >= 0, answer_of > -2, answer_of, difficulty)

    def solve(self, batch):
        tokens = batch.tokens.copy()
        tokens[:, 4:] = tokens[:, :4]
        return tokens


class Notebook:
    """A model by hand: pass n writes pair n into head 0, both of them into head 1, unread.

    S is ``[batch, head, key 7, value 7]`` with one-hot keys and values; the logits at a token
    are twice what head 0 holds for it. The last channel of h counts the passes.
    """

    depth, vocabulary, device = 1, 7, torch.device("cpu")

    def empty_memory(self, batch):
        return Memory(fast_weights={0: torch.zeros(batch, 2, 7, 7, dtype=torch.float64)})

    def embed(self, tokens):
        hidden = torch.nn.functional.one_hot(tokens, 7).double()
        return torch.nn.functional.pad(hidden, (0, 1))

    def blocks(self, hidden, memory, *, output=True, **options):
        state = memory.fast_weights[0]
        done = int(hidden[0, 0, -1])
        pairs = torch.einsum("btk,btv->btkv", hidden[:, ::2, :7], hidden[:, 1::2, :7])
        written = torch.stack((pairs[:, done % 2], pairs.sum(1)), dim=1)
        self.read = torch.einsum("btk,bkv->btv", hidden[..., :7], state[:, 0])
        hidden = torch.cat((hidden[..., :7], hidden[..., 7:] + 1), dim=-1)
        return (hidden if output else None), Memory(fast_weights={0: state + written})

    def normalise(self, hidden):
        return hidden

    def logits(self, hidden, *, normalise=True):
        return 2 * self.read


TASK = Pairs()
RECIPIENT, DONOR = TASK.batch([[2, 3], [4, 5], [2, 6]]), TASK.batch([[5, 4], [6, 4], [2, 5]])
"""The third pair of examples agrees on the first question."""


def effects_of(components, **options):
    return patch_effects(
        Notebook(), TASK, RECIPIENT, DONOR, SLEEP, components=components, **options
    )


def test_all_of_the_memory_makes_the_answers_the_donors():
    found = effects_of([parts.whole()], boundaries=[(0, 2), (1, 0)])
    at = {"control": "patch", "component": "whole", "window": 0, "sleep_pass": 2}
    for way in ("noise", "denoise"):
        here = found.sel(direction=way, **at)
        expected = [[2, 2], [2, 2], [np.nan, 2]]
        np.testing.assert_array_equal(here.logit_diff, expected)
        np.testing.assert_array_equal(here.unpatched, -np.array(expected))
        np.testing.assert_array_equal(here.donor, expected)
        np.testing.assert_array_equal(here.became_donor, here.logit_diff / 2)
    assert np.isnan(found.logit_diff.sel(window=1, sleep_pass=2)).all()  # there is no such boundary
    np.testing.assert_array_equal(
        found.logit_diff.sel(window=1, sleep_pass=0), found.logit_diff.sel(window=0, sleep_pass=2)
    )
    summary = patches_by_difficulty(found).sel(direction="noise", **at)
    assert summary.effect.values.tolist() == [1.0, 1.0]
    assert summary.became_donor.values.tolist() == [1.0, 1.0]
    assert summary.stayed.values.tolist() == [0.0, 0.0]
    assert summary.asked.values.tolist() == [2, 3]


def test_a_head_that_is_not_read_has_no_effect_at_all():
    found = effects_of([parts.head(0, 0), parts.head(0, 1)], boundaries=[(0, 2)])
    used, unused = (found.sel(component=f"layer 0 head {n}") for n in (0, 1))
    np.testing.assert_array_equal(
        unused.logit_diff.sel(control="patch").squeeze(), unused.unpatched
    )
    effect = patches_by_difficulty(found).effect.sel(control="patch").squeeze()
    assert (effect.sel(component="layer 0 head 0") == 1).all()
    assert (effect.sel(component="layer 0 head 1") == 0).all()
    assert (used.became_donor.sel(control="patch").sum("query") >= 1).all()


def test_what_each_pass_changed_answers_its_own_question():
    changes = [PassChange(0, 1), PassChange(0, 2)]
    found = patches_by_difficulty(effects_of(changes, boundaries=[(0, 1), (0, 2)]))
    effect = found.effect.sel(direction="noise", window=0, control="patch", drop=True)
    after = effect.sel(sleep_pass=2)  # pass n wrote the answer to question n, of difficulty n
    assert after.transpose("component", "difficulty").values.tolist() == [[1, 0], [0, 1]]
    assert np.isnan(effect.sel(component="change of pass 2, window 0", sleep_pass=1)).all()


def test_a_patch_in_the_middle_is_followed_by_the_recipients_own_passes():
    effect = patches_by_difficulty(effects_of(None)).effect
    effect = effect.sel(direction="noise", control="patch").squeeze()
    assert effect.sel(sleep_pass=0).values.tolist() == [0, 0]  # both are empty
    assert effect.sel(sleep_pass=1).values.tolist() == [1, 0]
    assert effect.sel(sleep_pass=2).values.tolist() == [1, 1]


def test_controls_do_less_than_the_donor():
    raw = effects_of(None, boundaries=[(0, 2)]).sel(direction=["noise"])
    found = patches_by_difficulty(raw)
    assert found.control.values.tolist() == ["patch", "unrelated donor", "random of equal norm"]
    assert (found.effect.sel(control="patch") == 1).all()
    both = found.effect.sel(control=["unrelated donor", "random of equal norm"])
    assert (both.mean("difficulty") < 0.9).all()
    # example 1 asks for 6 and 4, its donor's answers, of the memory of "0 5 1 4"
    other = raw.logit_diff.sel(control="unrelated donor").squeeze()
    assert other.values[1].tolist() == [0, 2]


def test_an_unrelated_donor_is_the_zero_of_an_effect_beyond_it():
    """Nine numbers by hand: 2 examples of 1 and 2 queries, w = 4; and examples as the cases."""
    axes = ("direction", "control", "component", "window", "sleep_pass", "example", "query")
    moved = {"patch": [[3.0, nan], [4.0, 3.0]], "unrelated donor": [[1.0, nan], [2.0, 0.0]]}
    became = {"patch": [[1, nan], [1, 0]], "unrelated donor": [[0, nan], [1, 0]]}
    shape = (1, 2, 1, 1, 1, 2, 2)
    raw = xr.Dataset(
        {
            "logit_diff": (axes, np.array(list(moved.values())).reshape(shape) - 2),
            "became_donor": (axes, np.array(list(became.values())).reshape(shape)),
            "stayed": (axes, np.zeros(shape)),
            "unpatched": (("direction", *axes[-2:]), [[[-2, nan], [-2, -2]]]),
            "donor": (("direction", *axes[-2:]), [[[2, nan], [2, 2]]]),
            "chance": (("direction", *axes[-2:]), [[[0.5, nan], [0.25, 0.75]]]),
        },
        {
            "control": list(moved), "direction": ["noise"], "component": ["whole"],
            "difficulty": (axes[-2:], [[1, -1], [1, 1]]),
        },
    )  # fmt: skip
    found = patches_by_difficulty(raw).squeeze()
    patch, unrelated = (found.effect.sel(control=kind).item() for kind in moved)
    assert (patch, unrelated) == (10 / 12, 3 / 12)
    np.testing.assert_allclose(found.beyond, (patch - unrelated) / (1 - unrelated))
    np.testing.assert_allclose(found.became_more, 2 / 3 - 1 / 3)
    np.testing.assert_allclose(found.chance, 0.5)
    # Student t with one degree of freedom on the residuals of the ratio 7 / 9, by hand
    residual = np.array([2 - 7 / 9 * 3, 5 - 7 / 9 * 6])
    error = np.sqrt(2 * (residual**2).sum()) / 9
    half = 12.7062047362 * error
    np.testing.assert_allclose(found.beyond_high - found.beyond, half, atol=1e-9)


def test_chance_by_hand():
    """First answers: recipient 2, 4, 2 and donor 5, 6, 2; second: 3, 5, 6 and 4, 4, 5."""
    swapped = swap_context(TASK, RECIPIENT, DONOR)
    asked = questions(RECIPIENT, swapped, 4)
    found = chance_of(TASK, RECIPIENT, DONOR, asked)
    np.testing.assert_array_equal(found, [[0, 0.5], [0, 0.5], [np.nan, 0]])


def test_the_logits_are_the_donors_to_the_last_bit(tiny_model):
    """The required test: all of S at the last boundary, hard eviction, the recipient's queries."""
    task = Depo(DepoConfig(nodes=4, max_hops=2, queries=2, names="single", predict_ans=False))
    recipient, donor = (task.sample(6, batch_generator(0, step)) for step in range(2))
    model = tiny_model("attention", "gated_delta", "gated_delta", vocabulary=len(task.vocabulary))
    sleep = SleepConfig(window=4, passes=3)  # two windows of context, two of questions
    swapped = swap_context(task, recipient, donor)
    boundaries, donors = (read_boundaries(model, b, sleep) for b in (recipient, swapped))
    for last in ((1, 3), (2, 0)):
        memory = parts.patch(boundaries[last].memory, donors[last].memory, parts.whole())
        patched = read_on(model, recipient, sleep, boundaries[last].with_memory(memory))
        # the donor's own reading of its context, then the recipient's windows as tokens
        rest = read_on(model, recipient, sleep, donors[2, 0])
        assert all(torch.equal(a.logits, b.logits) for a, b in zip(patched, rest, strict=True))
        own = read_on(model, recipient, sleep, boundaries[last])
        assert not torch.equal(patched[0].logits, own[0].logits)
    found = patch_effects(model, task, recipient, donor, sleep, boundaries=[(1, 3)])
    np.testing.assert_array_equal(
        found.logit_diff.sel(control="patch").squeeze().values, found.donor.values
    )
    one = patches_by_difficulty(found).effect.sel(control="patch")
    np.testing.assert_allclose(one.dropna("difficulty"), 1, atol=1e-12)


def test_erasing_the_head_that_is_read():
    components = [parts.head(0, 0), parts.head(0, 1)]
    methods = ("zero", "mean", 0.5, 1.0)
    found = ablation_effects(
        Notebook(), RECIPIENT, SLEEP, components=components, methods=methods, boundaries=[(0, 2)]
    )
    assert found.procedure.values.tolist() == ["zero", "mean", "x 0.5", "x 1"]
    at = found.sel(control="ablation", window=0, sleep_pass=2)
    used, unused = (at.sel(component=f"layer 0 head {n}") for n in (0, 1))
    assert (found.intact_logit_diff == 2).all() and (found.intact_correct == 1).all()
    assert (unused.logit_diff == 2).all()
    assert (used.logit_diff.sel(procedure="zero") == 0).all()
    assert (used.logit_diff.sel(procedure="x 0.5") == 1).all()
    assert (used.logit_diff.sel(procedure="x 1") == 2).all()
    # "0" is followed by 2, 4, 2: the mean holds 2/3 of a 2 and 1/3 of a 4, twice over
    first = used.logit_diff.sel(procedure="mean", query=0)
    np.testing.assert_allclose(first, [2 / 3, -2 / 3, 2 / 3])
    np.testing.assert_array_equal(used.correct.sel(procedure="mean", query=0), [1, 0, 1])
    summary = ablations_by_difficulty(found).sel(control="ablation", component="layer 0 head 0")
    np.testing.assert_allclose(summary.accuracy.sel(procedure="mean", difficulty=1), 2 / 3)
    assert (summary.intact_accuracy == 1).all() and (summary.asked == 3).all()
    random = found.sel(control="random of equal norm", component="layer 0 head 0", procedure="x 1")
    assert (random.logit_diff.squeeze() == 2).all()  # as small as the change: none


def test_what_cannot_be_done_is_refused():
    with pytest.raises(WorkbenchError, match="before the answers|one of"):
        effects_of(None, boundaries=[(2, 0)])
    with pytest.raises(WorkbenchError, match="method 'half'"):
        ablation_effects(Notebook(), RECIPIENT, SLEEP, methods=("half",))
    one = slice(1)
    with pytest.raises(WorkbenchError, match="2 examples or more"):
        patch_effects(Notebook(), TASK, RECIPIENT.examples(one), DONOR.examples(one), SLEEP)
    with pytest.raises(WorkbenchError, match="no boundary to change"):
        effects_of(None, boundaries=[])
