"""Parts of memories whose content is known: what is patched moves, and nothing else does."""

import pytest
import torch

from workbench.errors import WorkbenchError
from workbench.instruments.patching import components as c
from workbench.model import Memory


def memory(seed, examples=2, layers=(1, 3), shape=(2, 4, 3)):
    generator = torch.Generator().manual_seed(seed)
    draw = {
        i: torch.randn((examples, *shape), generator=generator, dtype=torch.float64) for i in layers
    }
    return Memory(fast_weights=draw, conv_tails={1: torch.ones(examples, 3, 8)})


RECIPIENT, DONOR = memory(0), memory(1)


def same(found, expected, **tolerance):
    return all(
        torch.allclose(found.fast_weights[i], s, **tolerance)
        for i, s in expected.fast_weights.items()
    )


def test_the_whole_of_a_donor_is_the_donor_to_the_last_bit():
    patched = c.patch(RECIPIENT, DONOR, c.whole())
    assert all(torch.equal(patched.fast_weights[i], DONOR.fast_weights[i]) for i in (1, 3))
    assert patched.conv_tails is RECIPIENT.conv_tails


def test_one_layer_and_one_head_are_moved_alone():
    patched = c.patch(RECIPIENT, DONOR, c.layer(3)).fast_weights
    assert torch.equal(patched[3], DONOR.fast_weights[3])
    assert patched[1] is RECIPIENT.fast_weights[1]
    patched = c.patch(RECIPIENT, DONOR, c.head(1, 1)).fast_weights[1]
    assert torch.equal(patched[:, 1], DONOR.fast_weights[1][:, 1])
    assert torch.equal(patched[:, 0], RECIPIENT.fast_weights[1][:, 0])


def test_modes_of_a_matrix_that_is_known():
    diagonal = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    known = Memory(fast_weights={0: diagonal[None, None]})
    top = c.modes(2).take(known)[0]
    assert torch.allclose(top[0, 0], torch.diag(torch.tensor([3.0, 2.0, 0.0]).double()))
    assert c.modes(1).name == "1 largest mode" and c.modes(2).name == "2 largest modes"


PARTS = [c.whole(), c.layer(1), c.head(3, 0), c.modes(1)]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_put_back_or_scaled_by_one_changes_nothing(part):
    itself = c.patch(RECIPIENT, RECIPIENT, part)
    assert same(itself, RECIPIENT, rtol=0, atol=1e-14)
    assert same(c.scale(RECIPIENT, part, 1.0), RECIPIENT, rtol=0, atol=1e-14)
    assert same(c.scale(RECIPIENT, part, 0.0), c.ablate(RECIPIENT, part), rtol=0, atol=1e-14)
    both = c.patch(c.patch(RECIPIENT, DONOR, c.whole()), RECIPIENT, c.whole())
    assert same(both, RECIPIENT, rtol=0, atol=0)


def test_what_a_pass_changed_goes_from_donor_to_recipient():
    before, donors_before = memory(2), memory(3)
    own = c.change("pass 1", before, RECIPIENT)
    theirs = c.change("pass 1", donors_before, DONOR)
    patched = c.patch(RECIPIENT, DONOR, own, of_donor=theirs)
    for i, state in patched.fast_weights.items():
        change = DONOR.fast_weights[i] - donors_before.fast_weights[i]
        assert torch.allclose(state, before.fast_weights[i] + change)


def test_the_mean_over_examples_keeps_what_they_share():
    mean = c.ablate(RECIPIENT, c.head(1, 0), c.mean_of).fast_weights[1]
    state = RECIPIENT.fast_weights[1]
    assert torch.allclose(mean[0, 0], state[:, 0].mean(0))
    assert torch.allclose(mean[0, 0], mean[1, 0])
    assert torch.equal(mean[:, 1], state[:, 1])


def test_the_random_control_has_the_norm_of_the_change_head_by_head():
    patched = c.patch(RECIPIENT, DONOR, c.head(1, 1))
    moved = c.moved_at_random(RECIPIENT, patched, seed=4)
    for i, state in RECIPIENT.fast_weights.items():
        expected = torch.linalg.matrix_norm(patched.fast_weights[i] - state)
        assert torch.allclose(torch.linalg.matrix_norm(moved.fast_weights[i] - state), expected)
    assert torch.equal(moved.fast_weights[3], RECIPIENT.fast_weights[3])
    assert not same(moved, patched)
    assert same(moved, c.moved_at_random(RECIPIENT, patched, seed=4), rtol=0, atol=0)


def test_what_does_not_fit_is_refused_with_both_shapes():
    with pytest.raises(WorkbenchError, match=r"\(1, 2, 4, 3\).*\(2, 2, 4, 3\)"):
        c.patch(RECIPIENT, memory(1, examples=1), c.whole())
    with pytest.raises(WorkbenchError, match="of the recipient, layer 1"):
        c.patch(RECIPIENT, memory(1, layers=(1,)), c.whole())
    few = memory(2, examples=1)
    with pytest.raises(WorkbenchError, match=r"part 'pass 1' .* \(1, 2, 4, 3\).*\(2, 2, 4, 3\)"):
        c.ablate(RECIPIENT, c.change("pass 1", few, few))
    with pytest.raises(WorkbenchError, match="layer 2; expected a layer with fast weights"):
        c.ablate(RECIPIENT, c.layer(2))
    with pytest.raises(WorkbenchError, match="a head from 0 to 1"):
        c.ablate(RECIPIENT, c.head(1, 2))
    with pytest.raises(WorkbenchError, match="0 modes"):
        c.modes(0)
    with pytest.raises(WorkbenchError, match="1 to 3, the smaller side of S"):
        c.modes(4).take(RECIPIENT)
