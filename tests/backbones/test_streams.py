"""Text in a stream of a pretrained model: private spans and what a span contributes to S."""

import numpy as np
import pytest
import torch

from workbench.backbones.backbone import Backbone, insert
from workbench.config import SleepConfig
from workbench.instruments.forgetting import contribution, forget
from workbench.sleep import Session
from workbench.sleep.stream import Slept

TOKENS = np.random.default_rng(0).integers(0, 20, (1, 24))


@pytest.fixture(params=["qwen3_5", "olmo_hybrid", "llama, inserted"])
def model(request, tiny_base):
    if request.param != "llama, inserted":
        return Backbone(tiny_base(request.param)).requires_grad_(False)
    model = insert(tiny_base("llama"), "gated_delta", (1, 2)).requires_grad_(False)
    for layer in model.inserted.values():  # so that what they write is read
        torch.nn.init.normal_(layer.mixer.out.weight, generator=torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("eviction", ["hard", "sliding"])
def test_nothing_private_survives_its_window(model, eviction):
    sleep = SleepConfig(window=8, passes=2, loop=(1, 3), eviction=eviction, conv_state="carry")
    one, never = Session(model, sleep), Session(model, sleep)
    one.push(TOKENS[:, :3])
    one.push(TOKENS[:, 10:13], private=True)
    seen = one.answer(TOKENS[:, 3:4])
    one.push(TOKENS[:, 3:5])
    never.push(TOKENS[:, :3])
    assert not torch.equal(seen, never.answer(TOKENS[:, 3:4]))
    never.push(TOKENS[:, 3:5])
    never.sleep_now()
    for name, tensor in never.memory.tensors().items():
        assert torch.equal(one.memory.tensors()[name], tensor)


def test_contributions_add_up_to_the_state(model):
    sleep = SleepConfig(window=8, passes=2, loop=(1, 3))
    slept = [Slept(TOKENS[0, at : at + 8], 2) for at in (0, 8, 16)]
    spans = [np.arange(8) < n for n in (3, 0, 5)]
    part, memory = contribution(model, slept, sleep, spans)
    rest, _ = contribution(model, slept, sleep, [~span for span in spans])
    for i, state in memory.fast_weights.items():
        whole = (part[i] + rest[i]).float()
        torch.testing.assert_close(whole, state, rtol=0, atol=1e-5 * float(state.abs().max()))
    found = forget(model, slept, sleep, spans)
    assert all(0 < left for left in found.left.values())
