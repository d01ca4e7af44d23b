"""Pretrained models small enough for a test: random weights, made once."""

import copy

import pytest
from tiny_backbones import OURS, configured, own_decoder


@pytest.fixture(scope="session")
def tiny_base():
    """Return a maker of causal language models, theirs and ours: ``tiny_base(family, symbols)``."""
    made = {}

    def make(family, vocabulary=20):
        if (family, vocabulary) not in made:
            made[family, vocabulary] = new(family, vocabulary)
        return copy.deepcopy(made[family, vocabulary])

    def new(family, vocabulary):
        if family in OURS:
            return own_decoder(family, vocabulary)
        import torch
        from transformers import AutoModelForCausalLM

        config = configured(family, vocabulary)
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
            for weight in model.parameters():  # so that every part shows in the logits
                weight.data += 0.15 * torch.randn_like(weight)
        return model

    return make
